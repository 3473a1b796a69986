"""Metadata and DescribeTopicPartitions in every version."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest

from sprawl.handlers.metadata import controller_for_clients
from sprawl.quorum.brokers import BrokerRegistration
from sprawl.quorum.controller import Heartbeat
from sprawl.quorum.image import ListenerImage, MetadataImage
from sprawl.quorum.records import PartitionChangeRecord
from sprawl.quorum.topic_changes import NewTopic
from sprawl.routing.endpoints import Address
from sprawl.security.access import Operation
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsRequestCursor,
    MetadataRequest,
    MetadataRequestTopic,
    TopicRequest,
)
from tests.handlers.metadata_node import Served, serve
from tests.handlers.wired import versions_of

AUTO = {"auto.create.topics.enable": "true"}
NOT_ASKED = -(2**31)


def names(*topics: str) -> list[MetadataRequestTopic]:
    return [MetadataRequestTopic(name=name) for name in topics]


async def metadata(served: Served, version: int, topics: list[MetadataRequestTopic] | None, **fields: Any) -> Any:
    return await served.ask(MetadataRequest(topics=topics, **fields), version)


@pytest.mark.parametrize("version", versions_of(MetadataRequest))
def test_topics_brokers_and_who_leads(version: int) -> None:
    async def run(served: Served) -> None:
        (topic_id, _) = await served.member.create("topic", "__consumer_offsets")
        answer = await metadata(served, version, names("topic", "missing", "no topic", "topic"))
        (broker,) = answer.brokers
        assert (broker.node_id, broker.host, broker.port) == (1, "127.0.0.1", 9092)
        assert version < 1 or answer.controller_id == 1
        assert version < 2 or answer.cluster_id == served.member.quorum.image.cluster_id
        assert [(each.name, each.error_code) for each in answer.topics] == [
            ("topic", 0),
            ("missing", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
            ("no topic", ErrorCode.INVALID_TOPIC_EXCEPTION),
        ]
        found = answer.topics[0]
        assert version < 10 or found.topic_id == topic_id
        assert version < 8 or found.topic_authorized_operations == NOT_ASKED
        (partition,) = found.partitions
        assert (partition.error_code, partition.partition_index, partition.leader_id) == (0, 0, 1)
        assert partition.replica_nodes == partition.isr_nodes == [1]
        assert version < 7 or partition.leader_epoch == 0
        everything = await metadata(served, version, None if version else [])
        internal = {each.name: each.is_internal for each in everything.topics}
        assert internal == {"topic": False, "__consumer_offsets": version >= 1}
        if version:
            assert (await metadata(served, version, [])).topics == []

    serve(run)


@pytest.mark.parametrize("version", range(10, MetadataRequest.MAX_VERSION + 1))
def test_topics_by_id(version: int) -> None:
    async def run(served: Served) -> None:
        (topic_id,) = await served.member.create("topic")
        unknown = UUID(int=4711)
        asked = [MetadataRequestTopic(name=None, topic_id=each) for each in (topic_id, unknown)]
        answer = await metadata(served, version, asked)
        errors = [(each.name, each.topic_id, each.error_code) for each in answer.topics]
        if version >= 12:
            assert errors == [("topic", topic_id, 0), (None, unknown, ErrorCode.UNKNOWN_TOPIC_ID)]
        else:
            assert [code for _, _, code in errors] == [ErrorCode.INVALID_REQUEST] * 2

    serve(run)


@pytest.mark.parametrize("version", versions_of(MetadataRequest))
def test_a_topic_is_made_when_it_is_first_asked_for_if_the_broker_is_told_to(version: int) -> None:
    async def run(served: Served) -> None:
        allowed: dict[str, bool] = {"allow_auto_topic_creation": True} if version >= 4 else {}
        answer = await metadata(served, version, names("new", "no topic", "__consumer_offsets"), **allowed)
        assert [(each.name, each.error_code) for each in answer.topics] == [
            ("new", 0),
            ("no topic", ErrorCode.INVALID_TOPIC_EXCEPTION),
            ("__consumer_offsets", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ]
        assert len(answer.topics[0].partitions) == 2
        assert served.settled, "it can be used when the answer goes out"
        if version >= 4:
            answer = await metadata(served, version, names("other"), allow_auto_topic_creation=False)
            assert [each.error_code for each in answer.topics] == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
        assert set(served.member.quorum.image.topics) == {"new"}

    serve(run, {**AUTO, "num.partitions": "2"})


def test_no_topic_is_made_otherwise() -> None:
    async def run(served: Served) -> None:
        answer = await metadata(served, 12, names("new"), allow_auto_topic_creation=True)
        assert [each.error_code for each in answer.topics] == [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]
        assert not served.member.quorum.image.topics

    serve(run)


def test_why_a_topic_was_not_made() -> None:
    async def run(served: Served) -> None:
        served.access.forbidden = {(Operation.CREATE, "kafka-cluster"), (Operation.CREATE, "theirs")}
        answer = await metadata(served, 12, names("theirs", "unplaceable"))
        assert [each.error_code for each in answer.topics] == [
            ErrorCode.TOPIC_AUTHORIZATION_FAILED,
            ErrorCode.INVALID_REPLICATION_FACTOR,
        ]

    serve(run, {**AUTO, "default.replication.factor": "3"})


def test_who_may_not_describe_a_topic_does_not_learn_of_it() -> None:
    async def run(served: Served) -> None:
        secret, _ = await served.member.create("secret", "open")
        served.access.forbidden = {(Operation.DESCRIBE, "secret"), (Operation.DESCRIBE, "missing")}
        everything = await metadata(served, 12, None)
        assert [each.name for each in everything.topics] == ["open"]
        asked = [*names("secret", "missing"), MetadataRequestTopic(name=None, topic_id=secret)]
        answer = await metadata(served, 12, asked)
        assert [(each.error_code, each.name, each.partitions) for each in answer.topics] == [
            (ErrorCode.TOPIC_AUTHORIZATION_FAILED, "secret", []),
            (ErrorCode.TOPIC_AUTHORIZATION_FAILED, "missing", []),
            (ErrorCode.TOPIC_AUTHORIZATION_FAILED, None, []),
        ]
        assert answer.topics[0].topic_id == UUID(int=0)

    serve(run)


@pytest.mark.parametrize("version", range(8, MetadataRequest.MAX_VERSION + 1))
def test_what_the_client_may_do_is_told_on_demand(version: int) -> None:
    async def run(served: Served) -> None:
        await served.member.create("topic")
        served.access.forbidden = {(Operation.WRITE, "topic"), (Operation.ALTER, "kafka-cluster")}
        asked: dict[str, bool] = {"include_topic_authorized_operations": True}
        if version <= 10:
            asked["include_cluster_authorized_operations"] = True
        answer = await metadata(served, version, names("topic"), **asked)
        operations = answer.topics[0].topic_authorized_operations
        assert operations & 1 << Operation.READ
        assert not operations & 1 << Operation.WRITE
        if version <= 10:
            assert answer.cluster_authorized_operations & 1 << Operation.CREATE
            assert not answer.cluster_authorized_operations & 1 << Operation.ALTER

    serve(run)


@pytest.mark.parametrize(
    ("version", "error", "replicas"),
    [
        (0, ErrorCode.LEADER_NOT_AVAILABLE, [1]),
        (5, ErrorCode.LEADER_NOT_AVAILABLE, [2, 1]),
        (6, ErrorCode.LISTENER_NOT_FOUND, [2, 1]),
        (12, ErrorCode.LISTENER_NOT_FOUND, [2, 1]),
    ],
)
def test_a_leader_without_the_clients_listener(version: int, error: ErrorCode, replicas: list[int]) -> None:
    async def run(served: Served) -> None:
        controller, quorum = served.member.controller, served.member.quorum
        epoch = await controller.register_broker(
            BrokerRegistration(
                id=2,
                cluster_id=quorum.image.cluster_id,
                incarnation=UUID(int=1),
                listeners=(ListenerImage("INTERNAL", "10.0.0.2", 9093, 0),),
                directories=(UUID(int=200),),
            )
        )
        await controller.heartbeat(Heartbeat(2, epoch, quorum.image.offset))
        await controller.create_topics([NewTopic("topic", assignments=[(0, [2, 1])])])
        answer = await metadata(served, version, names("topic"))
        assert [each.node_id for each in answer.brokers] == [1], "the other cannot be reached from here"
        (partition,) = answer.topics[0].partitions
        assert (partition.error_code, partition.leader_id) == (error, -1)
        assert partition.replica_nodes == replicas
        assert version < 5 or partition.offline_replicas == [2]
        topic_id = quorum.image.topics["topic"].id
        await quorum.propose([PartitionChangeRecord(partition_id=0, topic_id=topic_id, leader=1)])
        (partition,) = (await metadata(served, version, names("topic"))).topics[0].partitions
        assert partition.error_code == (ErrorCode.REPLICA_NOT_AVAILABLE if version == 0 else 0)
        assert partition.leader_id == 1

    serve(run)


@dataclass(frozen=True)
class Quorum:
    leader_id: int
    node_id: int = 2
    image: MetadataImage = field(default_factory=lambda: MetadataImage("cluster"))


@pytest.mark.parametrize(
    ("leader", "reachable", "told"),
    [
        (3, [1, 2, 3], 3),
        (-1, [1, 2, 3], 2),  # a majority is gone: this node says so, others may be gone too
        (3, [1, 2], 2),
        (3, [1], 1),
        (3, [], -1),
    ],
)
def test_the_controller_is_who_leads_the_quorum_or_else_who_was_asked(
    leader: int, reachable: list[int], told: int
) -> None:
    assert controller_for_clients(Quorum(leader), {each: Address("host", each) for each in reachable}) == told


def test_partitions_are_described_page_by_page() -> None:
    async def run(served: Served) -> None:
        await served.member.controller.create_topics([NewTopic("a", 3), NewTopic("b", 2), NewTopic("c", 1)])

        async def page(limit: int, cursor: tuple[str, int] | None, *topics: str) -> Any:
            request = DescribeTopicPartitionsRequest(
                topics=[TopicRequest(name=name) for name in topics], response_partition_limit=limit
            )
            if cursor is not None:
                request.cursor = DescribeTopicPartitionsRequestCursor(topic_name=cursor[0], partition_index=cursor[1])
            return await served.ask(request)

        async def walk(limit: int, *topics: str) -> list[tuple[str, list[int]]]:
            found, cursor = [], None
            while True:
                answer = await page(limit, cursor, *topics)
                found += [(each.name, [one.partition_index for one in each.partitions]) for each in answer.topics]
                if answer.next_cursor is None:
                    return found
                cursor = (answer.next_cursor.topic_name, answer.next_cursor.partition_index)

        assert await walk(100) == [("a", [0, 1, 2]), ("b", [0, 1]), ("c", [0])]
        assert await walk(2) == [("a", [0, 1]), ("a", [2]), ("b", [0]), ("b", [1]), ("c", [0])]
        assert await walk(3) == [("a", [0, 1, 2]), ("b", [0, 1]), ("c", [0])]
        assert await walk(0, "c", "a") == [("a", [0]), ("a", [1]), ("a", [2]), ("c", [0])]
        assert await walk(100, "b", "missing") == [("b", [0, 1]), ("missing", [])]
        assert [each.name for each in (await page(100, ("bb", 1))).topics] == ["c"], "the cursor's topic is gone"
        for cursor in (("b", -1), ("zzz", 0)):
            with pytest.raises(ApiError) as refusal:
                await page(100, cursor, "a", "b")
            assert refusal.value.code is ErrorCode.INVALID_REQUEST
        (found,) = (await page(1, None, "missing")).topics
        assert found.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION

    serve(run)
