"""AlterPartitionReassignments, ListPartitionReassignments and ElectLeaders in every version."""

from __future__ import annotations

from uuid import UUID

import pytest

from sprawl.quorum.brokers import BrokerRegistration
from sprawl.quorum.controller import Heartbeat
from sprawl.quorum.image import ListenerImage
from sprawl.security.access import Operation
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    AlterPartitionReassignmentsRequest,
    ElectLeadersRequest,
    ElectLeadersRequestTopicPartitions,
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsTopics,
    ReassignablePartition,
    ReassignableTopic,
)
from tests.handlers.metadata_node import Served, serve
from tests.handlers.wired import versions_of

NOBODY = {(Operation.ALTER, "kafka-cluster"), (Operation.DESCRIBE, "kafka-cluster")}


async def second_broker(served: Served) -> None:
    controller, quorum = served.member.controller, served.member.quorum
    listener = ListenerImage("PLAINTEXT", "b", 1, 0)
    wish = BrokerRegistration(2, quorum.image.cluster_id, UUID(int=1), (listener,), (UUID(int=2),))
    epoch = await controller.register_broker(wish)
    await controller.heartbeat(Heartbeat(2, epoch, quorum.image.offset))


def moves(**targets: list[int] | None) -> AlterPartitionReassignmentsRequest:
    return AlterPartitionReassignmentsRequest(
        topics=[
            ReassignableTopic(name=name, partitions=[ReassignablePartition(partition_index=0, replicas=target)])
            for name, target in targets.items()
        ]
    )


@pytest.mark.parametrize("version", versions_of(AlterPartitionReassignmentsRequest))
def test_each_partition_is_answered_by_itself(version: int) -> None:
    async def run(served: Served) -> None:
        await second_broker(served)
        await served.member.create("a", "b")
        asked = moves(a=[2], b=[9], c=[1])
        asked.allow_replication_factor_change = version == 0
        answer = await served.ask(asked, version)
        assert answer.error_code == 0
        assert version == 0 or not answer.allow_replication_factor_change
        assert [(each.name, each.partitions[0].error_code) for each in answer.responses] == [
            ("a", 0),
            ("b", ErrorCode.INVALID_REPLICA_ASSIGNMENT),
            ("c", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ]
        assert all(bool(each.partitions[0].error_message) == (each.name != "a") for each in answer.responses)
        partition = served.member.quorum.image.topics["a"].partitions[0]
        assert (partition.replicas, partition.adding_replicas, partition.removing_replicas) == ((2, 1), (2,), (1,))
        answer = await served.ask(moves(a=None, b=None), version)
        assert [each.partitions[0].error_code for each in answer.responses] == [
            0,
            ErrorCode.NO_REASSIGNMENT_IN_PROGRESS,
        ]
        if version >= 1:
            more = moves(b=[1, 2])
            more.allow_replication_factor_change = False
            (refused,) = (await served.ask(more, version)).responses
            assert refused.partitions[0].error_code == ErrorCode.INVALID_REPLICATION_FACTOR
        served.access.forbidden = NOBODY
        refused = await served.ask(moves(a=[2]), version)
        assert (refused.error_code, refused.responses) == (ErrorCode.CLUSTER_AUTHORIZATION_FAILED, [])

    serve(run)


@pytest.mark.parametrize("version", versions_of(ListPartitionReassignmentsRequest))
def test_what_is_being_moved_is_listed(version: int) -> None:
    async def run(served: Served) -> None:
        await second_broker(served)
        await served.member.create("a", "b", "c")
        await served.ask(moves(a=[2], c=[1, 2]))
        answer = await served.ask(ListPartitionReassignmentsRequest(), version)
        assert {topic.name: (each.replicas, each.adding_replicas, each.removing_replicas)
                for topic in answer.topics for each in topic.partitions} == {
            "a": ([2, 1], [2], [1]),
            "c": ([1, 2], [2], []),
        }  # fmt: skip
        some = [
            ListPartitionReassignmentsTopics(name="c", partition_indexes=[0, 7]),
            ListPartitionReassignmentsTopics(name="b", partition_indexes=[0]),
            ListPartitionReassignmentsTopics(name="missing", partition_indexes=[0]),
        ]
        answer = await served.ask(ListPartitionReassignmentsRequest(topics=some), version)
        assert [(topic.name, len(topic.partitions)) for topic in answer.topics] == [("c", 1)]
        served.access.forbidden = NOBODY
        refused = await served.ask(ListPartitionReassignmentsRequest(), version)
        assert (refused.error_code, refused.topics) == (ErrorCode.CLUSTER_AUTHORIZATION_FAILED, [])

    serve(run)


@pytest.mark.parametrize("version", versions_of(ElectLeadersRequest))
def test_elections(version: int) -> None:
    def asked(*partitions: int, kind: int = 0) -> ElectLeadersRequest:
        some = [ElectLeadersRequestTopicPartitions(topic="a", partitions=list(partitions))]
        return ElectLeadersRequest(topic_partitions=some, election_type=kind)

    async def run(served: Served) -> None:
        await second_broker(served)
        await served.member.create("a")
        answer = await served.ask(asked(0, 1), version)
        (topic,) = answer.replica_election_results
        assert [(each.partition_id, each.error_code) for each in topic.partition_result] == [
            (0, ErrorCode.ELECTION_NOT_NEEDED),
            (1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        ]
        everything = ElectLeadersRequest(topic_partitions=None)
        assert (await served.ask(everything, version)).replica_election_results == [], "none is needed"
        await served.ask(moves(a=[2, 1]))
        (topic,) = (await served.ask(everything, version)).replica_election_results
        (result,) = topic.partition_result
        assert result.error_code == ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE, "it has nothing yet"
        if version >= 1:
            assert (await served.ask(asked(0, kind=7), version)).error_code == ErrorCode.INVALID_REQUEST
            (topic,) = (await served.ask(asked(0, kind=1), version)).replica_election_results
            assert topic.partition_result[0].error_code == ErrorCode.ELECTION_NOT_NEEDED
        served.access.forbidden = NOBODY
        refused = await served.ask(asked(0), version)
        if version >= 1:
            assert (refused.error_code, refused.replica_election_results) == (
                ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
                [],
            )
        else:
            (topic,) = refused.replica_election_results
            assert topic.partition_result[0].error_code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED

    serve(run)
