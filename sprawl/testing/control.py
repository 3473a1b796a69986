"""What a cluster under test is asked on behalf of a test, in Kafka's own protocol.

In: a connection to one of its nodes. Out: answers, or `RefusedError`. Nothing is retried here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sprawl.quorum.image import METADATA_TOPIC
from sprawl.runtime import Runtime
from sprawl.testing.errors import RefusedError
from sprawl.testing.faults import CONTROL
from sprawl.wire.client import KafkaClient
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
    DescribeQuorumRequest,
    DescribeQuorumRequestPartitionData,
    DescribeQuorumRequestTopicData,
    DescribeQuorumResponse,
    ElectLeadersRequest,
    ElectLeadersRequestTopicPartitions,
    ElectLeadersResponse,
    MetadataRequest,
    MetadataResponse,
    ReassignablePartition,
    ReassignableTopic,
)

_TIMEOUT_MS = 10_000
_PREFERRED = 0
_METADATA = 12


@dataclass(frozen=True, slots=True)
class PartitionView:
    """A partition as a node sees it."""

    leader: int
    """-1: none."""
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The cluster as a node sees it."""

    brokers: frozenset[int]
    topics: Mapping[str, Mapping[int, PartitionView]]


class Control:
    """`async with Control(runtime, host, port) as control`."""

    def __init__(self, runtime: Runtime, host: str, port: int) -> None:
        self._client = KafkaClient(runtime, client_id=CONTROL, timeout=_TIMEOUT_MS / 1000)
        self._address = host, port

    async def __aenter__(self) -> Control:
        await self._client.connect(*self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def view(self) -> ClusterView:
        answer = await self._client.request(MetadataRequest(topics=None), _METADATA, expect=MetadataResponse)
        return ClusterView(
            frozenset(broker.node_id for broker in answer.brokers),
            {
                topic.name or "": {
                    each.partition_index: PartitionView(
                        each.leader_id, tuple(each.replica_nodes), tuple(each.isr_nodes)
                    )
                    for each in topic.partitions
                }
                for topic in answer.topics
            },
        )

    async def voters(self) -> dict[int, UUID]:
        """Who votes on the metadata, by node, each with the id of the directory that is meant."""
        partition = DescribeQuorumRequestPartitionData(partition_index=0)
        metadata = DescribeQuorumRequestTopicData(topic_name=METADATA_TOPIC, partitions=[partition])
        answer = await self._client.request(DescribeQuorumRequest(topics=[metadata]), expect=DescribeQuorumResponse)
        _check(answer.error_code, answer.error_message)
        return {
            voter.replica_id: voter.replica_directory_id
            for topic in answer.topics
            for each in topic.partitions
            for voter in each.current_voters
        }

    async def create_topic(
        self, name: str, partitions: int, replication_factor: int, config: Mapping[str, str]
    ) -> None:
        topic = CreatableTopic(
            name=name,
            num_partitions=partitions,
            replication_factor=replication_factor,
            configs=[CreatableTopicConfig(name=key, value=value) for key, value in config.items()],
        )
        answer = await self._client.request(
            CreateTopicsRequest(topics=[topic], timeout_ms=_TIMEOUT_MS), expect=CreateTopicsResponse
        )
        for each in answer.topics:
            _check(each.error_code, each.error_message)

    async def delete_topic(self, name: str) -> None:
        answer = await self._client.request(
            DeleteTopicsRequest(topics=[DeleteTopicState(name=name)], timeout_ms=_TIMEOUT_MS),
            expect=DeleteTopicsResponse,
        )
        for each in answer.responses:
            _check(each.error_code, each.error_message)

    async def reassign(self, topic: str, partition: int, replicas: list[int]) -> None:
        wish = ReassignableTopic(
            name=topic, partitions=[ReassignablePartition(partition_index=partition, replicas=replicas)]
        )
        answer = await self._client.request(
            AlterPartitionReassignmentsRequest(topics=[wish], timeout_ms=_TIMEOUT_MS),
            expect=AlterPartitionReassignmentsResponse,
        )
        _check(answer.error_code, answer.error_message)
        for each in answer.responses:
            for one in each.partitions:
                _check(one.error_code, one.error_message)

    async def elect_first_replica(self, topic: str, partition: int) -> None:
        """No effect if it leads already."""
        answer = await self._client.request(
            ElectLeadersRequest(
                election_type=_PREFERRED,
                topic_partitions=[ElectLeadersRequestTopicPartitions(topic=topic, partitions=[partition])],
                timeout_ms=_TIMEOUT_MS,
            ),
            expect=ElectLeadersResponse,
        )
        _check(answer.error_code, "")
        for each in answer.replica_election_results:
            for one in each.partition_result:
                if one.error_code != ErrorCode.ELECTION_NOT_NEEDED:
                    _check(one.error_code, one.error_message)


def _check(code: int, message: str | None) -> None:
    if code != ErrorCode.NONE:
        raise RefusedError(ErrorCode(code).name, message or "")
