"""How far a group has read: one committed offset per partition, and when it may be forgotten.

In: offsets put and removed in the order of the log; a group and the time, to ask what has expired. Out: what a consumer
continues from. Pure: who may commit is the group's business (classic.py), writing is the journal's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sprawl.groups.classic import ClassicGroup
from sprawl.groups.states import GroupState

UNKNOWN_TOPIC_ID: Final = UUID(int=0)
NO_EPOCH: Final = -1


@dataclass(frozen=True, slots=True)
class CommittedOffset:
    offset: int
    leader_epoch: int
    metadata: str
    committed_ms: int
    expires_ms: int | None = None
    """Only if the client said how long to keep it (OffsetCommit up to version 4)."""
    topic_id: UUID = UNKNOWN_TOPIC_ID
    """Of the topic that was meant: one that was made anew under the same name begins without offsets."""


@dataclass(frozen=True, slots=True)
class TopicPartition:
    topic: str
    partition: int


class GroupOffsets:
    """Of one group."""

    __slots__ = ("_count", "_topics")

    def __init__(self) -> None:
        self._topics: dict[str, dict[int, CommittedOffset]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[tuple[TopicPartition, CommittedOffset]]:
        for topic, partitions in self._topics.items():
            for partition, committed in partitions.items():
                yield TopicPartition(topic, partition), committed

    def topics(self) -> tuple[str, ...]:
        return tuple(self._topics)

    def partitions(self, topic: str) -> tuple[int, ...]:
        return tuple(self._topics.get(topic, ()))

    def get(self, topic: str, partition: int, topic_id: UUID = UNKNOWN_TOPIC_ID) -> CommittedOffset | None:
        """With a topic id: None if what was committed was for another topic of that name."""
        committed = self._topics.get(topic, {}).get(partition)
        if committed is None:
            return None
        if UNKNOWN_TOPIC_ID not in (topic_id, committed.topic_id) and topic_id != committed.topic_id:
            return None
        return committed

    def put(self, topic: str, partition: int, committed: CommittedOffset) -> None:
        of_topic = self._topics.setdefault(topic, {})
        self._count += partition not in of_topic
        of_topic[partition] = committed

    def remove(self, topic: str, partition: int) -> None:
        of_topic = self._topics.get(topic)
        if of_topic is None or partition not in of_topic:
            return
        del of_topic[partition]
        self._count -= 1
        if not of_topic:
            del self._topics[topic]

    def expired(self, group: ClassicGroup, now_ms: int, retention_ms: int) -> list[TopicPartition]:
        """What may be forgotten by now.

        A group without members: counted from the moment it became empty. A stable consumer group: from each commit, but
        never of a topic that it is subscribed to. Consumers without a group: from each commit. Otherwise nothing.
        """
        if group.protocol_type is None:
            since: int | None = None
        elif group.state is GroupState.EMPTY:
            since = group.since_ms if group.since_ms >= 0 else None
        elif group.state is GroupState.STABLE and group.is_consumer_group and group.subscribed_topics is not None:
            since = None
        else:
            return []
        return [
            where
            for where, committed in self
            if not group.is_subscribed_to(where.topic) and _is_expired(committed, since, now_ms, retention_ms)
        ]


def _is_expired(committed: CommittedOffset, since: int | None, now_ms: int, retention_ms: int) -> bool:
    if committed.expires_ms is not None:
        return now_ms >= committed.expires_ms
    return now_ms - (committed.committed_ms if since is None else since) >= retention_ms
