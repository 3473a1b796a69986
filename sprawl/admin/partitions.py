"""What `sprawl-admin partition ...` asks and shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sprawl.admin.session import RefusedError, Session
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ElectLeadersRequest,
    ElectLeadersRequestTopicPartitions,
    ElectLeadersResponse,
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
    ReassignablePartition,
    ReassignableTopic,
)


async def move(session: Session, topic: str, partition: int, brokers: Sequence[int] | None) -> None:
    """Begin a move, or, without brokers, cancel it. Raises `RefusedError`, `ClientError`."""
    part = ReassignablePartition(partition_index=partition, replicas=None if brokers is None else list(brokers))
    request = AlterPartitionReassignmentsRequest(
        timeout_ms=session.timeout_ms, topics=[ReassignableTopic(name=topic, partitions=[part])]
    )
    answer = await session.ask(request, AlterPartitionReassignmentsResponse)
    if answer.error_code:
        raise RefusedError.of("cluster", answer.error_code, answer.error_message)
    (result,) = answer.responses[0].partitions
    if result.error_code:
        raise RefusedError.of(f"{topic}-{partition}", result.error_code, result.error_message)


async def moves(session: Session) -> list[dict[str, Any]]:
    """Those under way. Raises `RefusedError`, `ClientError`."""
    request = ListPartitionReassignmentsRequest(timeout_ms=session.timeout_ms)
    answer = await session.ask(request, ListPartitionReassignmentsResponse)
    if answer.error_code:
        raise RefusedError.of("cluster", answer.error_code, answer.error_message)
    return [
        {
            "topic": topic.name,
            "partition": each.partition_index,
            "replicas": [*each.replicas],
            "adding": [*each.adding_replicas],
            "removing": [*each.removing_replicas],
        }
        for topic in answer.topics
        for each in topic.partitions
    ]


async def elect(session: Session, topic: str | None, partition: int | None, *, unclean: bool) -> list[dict[str, Any]]:
    """The elections that were asked for or, without a topic, all that were needed. Raises `RefusedError`,
    `ClientError`."""
    asked = None
    if topic is not None and partition is not None:
        asked = [ElectLeadersRequestTopicPartitions(topic=topic, partitions=[partition])]
    request = ElectLeadersRequest(election_type=int(unclean), topic_partitions=asked, timeout_ms=session.timeout_ms)
    answer = await session.ask(request, ElectLeadersResponse)
    if answer.error_code:
        raise RefusedError.of("cluster", answer.error_code, None)
    results = [(each.topic, one) for each in answer.replica_election_results for one in each.partition_result]
    refused = [
        str(RefusedError.of(f"{name}-{one.partition_id}", one.error_code, one.error_message))
        for name, one in results
        if one.error_code not in (ErrorCode.NONE, ErrorCode.ELECTION_NOT_NEEDED)
    ]
    if refused:
        raise RefusedError("; ".join(refused))
    return [
        {"topic": name, "partition": one.partition_id, "elected": one.error_code == ErrorCode.NONE}
        for name, one in results
    ]
