"""DescribeCluster, DescribeQuorum, DescribeLogDirs in every version."""

from __future__ import annotations

from uuid import UUID

import pytest

from sprawl.config.topics import TopicConfig
from sprawl.quorum.brokers import BrokerRegistration
from sprawl.quorum.image import ListenerImage
from sprawl.security.access import Operation
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    DescribableLogDirTopic,
    DescribeClusterRequest,
    DescribeLogDirsRequest,
    DescribeQuorumRequest,
    DescribeQuorumRequestPartitionData,
    DescribeQuorumRequestTopicData,
)
from sprawl_protocol.records import Record, build_batch, headers
from tests.handlers.metadata_node import Served, serve
from tests.handlers.wired import versions_of


@pytest.mark.parametrize("version", versions_of(DescribeClusterRequest))
def test_the_cluster(version: int) -> None:
    async def run(served: Served) -> None:
        image = served.member.quorum.image
        await served.member.controller.register_broker(
            BrokerRegistration(
                2, image.cluster_id, UUID(int=1), (ListenerImage("PLAINTEXT", "b", 1, 0),), (UUID(int=2),)
            )
        )
        request = DescribeClusterRequest(include_cluster_authorized_operations=True)
        answer = await served.ask(request, version)
        assert (answer.error_code, answer.cluster_id, answer.controller_id) == (0, image.cluster_id, 1)
        assert [(each.broker_id, each.host, each.port) for each in answer.brokers] == [(1, "127.0.0.1", 9092)]
        assert answer.cluster_authorized_operations & 1 << Operation.ALTER
        answer = await served.ask(DescribeClusterRequest(), version)
        assert answer.cluster_authorized_operations == -(2**31)
        if version >= 1:
            for kind, code in ((2, ErrorCode.MISMATCHED_ENDPOINT_TYPE), (3, ErrorCode.UNSUPPORTED_ENDPOINT_TYPE)):
                refused = await served.ask(DescribeClusterRequest(endpoint_type=kind), version)
                assert (refused.error_code, bool(refused.error_message)) == (code, True)
        if version >= 2:
            answer = await served.ask(DescribeClusterRequest(include_fenced_brokers=True), version)
            assert [(each.broker_id, each.is_fenced) for each in answer.brokers] == [(1, False), (2, True)]

    serve(run)


@pytest.mark.parametrize("version", versions_of(DescribeQuorumRequest))
def test_the_quorum(version: int) -> None:
    async def run(served: Served) -> None:
        def ask(topic: str, partition: int) -> DescribeQuorumRequest:
            partitions = [DescribeQuorumRequestPartitionData(partition_index=partition)]
            return DescribeQuorumRequest(
                topics=[DescribeQuorumRequestTopicData(topic_name=topic, partitions=partitions)]
            )

        answer = await served.ask(ask("__cluster_metadata", 0), version)
        (found,) = answer.topics[0].partitions
        image = served.member.quorum.image
        assert (answer.error_code, found.error_code) == (0, 0)
        assert (found.leader_id, found.leader_epoch, found.high_watermark) == (1, 1, image.offset + 1)
        (voter,) = found.current_voters
        assert (voter.replica_id, voter.log_end_offset, found.observers) == (1, image.offset + 1, [])
        if version >= 1:
            assert voter.last_fetch_timestamp == voter.last_caught_up_timestamp > 0
        if version >= 2:
            assert voter.replica_directory_id == image.brokers[1].directories[0]
            assert [(each.node_id, [one.port for one in each.listeners]) for each in answer.nodes] == [(1, [9092])]
        for topic, partition in (("topic", 0), ("__cluster_metadata", 1)):
            (found,) = (await served.ask(ask(topic, partition), version)).topics[0].partitions
            assert found.error_code == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        served.access.forbidden = {(Operation.DESCRIBE, "kafka-cluster")}
        refused = await served.ask(ask("__cluster_metadata", 0), version)
        assert refused.error_code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED

    serve(run)


@pytest.mark.parametrize("version", versions_of(DescribeLogDirsRequest))
def test_the_log_directory(version: int) -> None:
    async def run(served: Served) -> None:
        batch = memoryview(build_batch([Record(0, 0, None, b"x" * 100)]))
        for name, index in (("topic", 0), ("topic", 1), ("other", 0)):
            log = await served.member.manager.open(UUID(int=ord(name[0])), name, index, TopicConfig())
            log.append(memoryview(bytearray(batch)), headers(batch), 0, 0)
            await log.make_stable()
        answer = await served.ask(DescribeLogDirsRequest(topics=None), version)
        (directory,) = answer.results
        assert (directory.error_code, directory.log_dir) == (0, "/data")
        assert {each.name: [one.partition_index for one in each.partitions] for each in directory.topics} == {
            "topic": [0, 1],
            "other": [0],
        }
        assert directory.topics[0].partitions[0].partition_size == len(batch)
        assert version < 4 or directory.total_bytes > directory.usable_bytes > 0
        some = [DescribableLogDirTopic(topic="topic", partitions=[1, 9]), DescribableLogDirTopic(topic="missing")]
        (directory,) = (await served.ask(DescribeLogDirsRequest(topics=some), version)).results
        assert [(each.name, [one.partition_index for one in each.partitions]) for each in directory.topics] == [
            ("topic", [1])
        ]
        served.access.forbidden = {(Operation.DESCRIBE, "kafka-cluster")}
        refused = await served.ask(DescribeLogDirsRequest(topics=None), version)
        assert refused.results == []
        assert version < 3 or refused.error_code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED

    serve(run)
