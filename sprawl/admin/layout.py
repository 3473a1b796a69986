"""Where partitions are: what DescribeTopicPartitions tells, page by page. It names true leaders with
`sprawl.routing=any` too, where Metadata does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sprawl.admin.session import RefusedError, Session
from sprawl_protocol.messages import (
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsRequestCursor,
    DescribeTopicPartitionsResponse,
    TopicRequest,
)


@dataclass(frozen=True, slots=True)
class Placed:
    topic: str
    topic_id: UUID
    partition: int
    leader: int
    """-1: none."""
    leader_epoch: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


async def layout(session: Session, *topics: str) -> list[Placed]:
    """Of these topics, or of all. Raises `RefusedError`, `ClientError`."""
    found: list[Placed] = []
    cursor: DescribeTopicPartitionsRequestCursor | None = None
    while True:
        wanted = DescribeTopicPartitionsRequest(
            topics=[TopicRequest(name=name) for name in topics], response_partition_limit=2000, cursor=cursor
        )
        answer = await session.ask(wanted, DescribeTopicPartitionsResponse)
        for topic in answer.topics:
            if topic.error_code:
                raise RefusedError.of(topic.name or "?", topic.error_code, None)
            found += [
                Placed(
                    topic.name or "",
                    topic.topic_id,
                    each.partition_index,
                    each.leader_id,
                    each.leader_epoch,
                    tuple(each.replica_nodes),
                    tuple(each.isr_nodes),
                )
                for each in topic.partitions
            ]
        if answer.next_cursor is None:
            return found
        further = answer.next_cursor
        cursor = DescribeTopicPartitionsRequestCursor(
            topic_name=further.topic_name, partition_index=further.partition_index
        )


def replicas_on(placed: Sequence[Placed], broker: int) -> int:
    return sum(broker in each.replicas for each in placed)


def led_by(placed: Sequence[Placed], broker: int) -> int:
    return sum(each.leader == broker for each in placed)
