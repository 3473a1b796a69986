"""How far consumers are behind, in records and in seconds.

In: the groups that this node coordinates, and where the partitions they read end, which other nodes are asked for.
Out: metrics. Each group is told of by its coordinator alone. Seconds are how long ago the record that the group reads
next had come: for a group that keeps up, how long its records wait; for one that stands still, how long it has.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from sprawl.groups.coordinator import ListedGroup
from sprawl.groups.exchange import GroupDescription
from sprawl.groups.offsets import GroupOffsets
from sprawl.monitoring.timeline import Timeline
from sprawl.observability.metrics import Gauge, Registry, Rows
from sprawl.partitions.partition import Partition
from sprawl.quorum.image import MetadataImage
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)

_LATEST: Final = -1
_CONSUMER: Final = -1
_AT_ONCE: Final = 50
"""Groups looked at before others have their turn."""

Place = tuple[str, int]
AskNode = Callable[[int, ListOffsetsRequest], Awaitable[ListOffsetsResponse]]
"""Raises `ClientError`."""


class Coordinator(Protocol):
    def list_groups(self) -> tuple[list[ListedGroup], ErrorCode]: ...

    def describe(self, group_id: str) -> GroupDescription: ...

    async def offsets(self, group_id: str, *, stable: bool) -> GroupOffsets: ...


@dataclass(frozen=True, slots=True)
class Lag:
    group: str
    topic: str
    partition: int
    committed: int
    records: int
    seconds: float


class GroupLag:
    def __init__(
        self,
        registry: Registry,
        coordinator: Coordinator,
        find: Callable[[str, int], Partition | None],
        image: Callable[[], MetadataImage],
        ask: AskNode,
        now: Callable[[], float],
    ) -> None:
        self._coordinator = coordinator
        self._find = find
        self._image = image
        self._ask = ask
        self._now = now
        self._timelines: dict[Place, Timeline] = {}
        self._members: list[tuple[str, int]] = []
        self.lags: list[Lag] = []
        """As of the last look."""
        by_partition = ("consumergroup", "topic", "partition")
        for name, text, of in (
            ("kafka_consumergroup_current_offset", "The committed offset.", lambda lag: lag.committed),
            ("kafka_consumergroup_lag", "Records that are committed there and not read.", lambda lag: lag.records),
            (
                "sprawl_consumergroup_lag_seconds",
                "How long ago the next record to read had come.",
                lambda lag: lag.seconds,
            ),
        ):
            registry.table(Gauge.KIND, name, text, by_partition, self._rows(of))
        by_topic = ("consumergroup", "topic")
        registry.table(Gauge.KIND, "kafka_consumergroup_lag_sum", "Over a topic's partitions.", by_topic, self._sums)
        registry.table(
            Gauge.KIND,
            "kafka_consumergroup_members",
            "Members of a group.",
            ("consumergroup",),
            lambda: [((group,), members) for group, members in self._members],
        )

    async def look(self) -> list[Lag]:
        """At all groups coordinated here, and at the ends of what they read."""
        members: list[tuple[str, int]] = []
        committed: list[tuple[str, str, int, int]] = []
        for at, group in enumerate(self._coordinator.list_groups()[0]):
            if at % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
            with contextlib.suppress(ApiError):  # moved away, or deleted, meanwhile
                members.append((group.group_id, len(self._coordinator.describe(group.group_id).members)))
                for where, offset in await self._coordinator.offsets(group.group_id, stable=False):
                    committed.append((group.group_id, where.topic, where.partition, offset.offset))
        ends = await self._ends({(topic, partition) for _, topic, partition, _ in committed})
        now = self._now()
        for place in self._timelines.keys() - {(topic, partition) for _, topic, partition, _ in committed}:
            del self._timelines[place]
        for place, end in ends.items():
            self._timelines.setdefault(place, Timeline()).note(now, end)
        self._members = members
        self.lags = [
            self._lag(group, topic, partition, offset, ends[(topic, partition)], now)
            for group, topic, partition, offset in committed
            if (topic, partition) in ends
        ]
        return self.lags

    def _lag(self, group: str, topic: str, partition: int, offset: int, end: int, now: float) -> Lag:
        came = self._timelines[(topic, partition)].passed(offset)
        return Lag(group, topic, partition, offset, max(end - offset, 0), 0.0 if came is None else now - came)

    async def _ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """Of those partitions whose leader could be asked."""
        ends: dict[Place, int] = {}
        elsewhere: dict[int, list[Place]] = defaultdict(list)
        image = self._image()
        for topic, index in sorted(places):
            partition = self._find(topic, index)
            known = image.topics.get(topic)
            if partition is not None and partition.leading:
                ends[(topic, index)] = partition.high_watermark
            elif known is not None and index < len(known.partitions) and known.partitions[index].leader >= 0:
                elsewhere[known.partitions[index].leader].append((topic, index))
        for found in await asyncio.gather(*(self._ends_at(node, asked) for node, asked in elsewhere.items())):
            ends.update(found)
        return ends

    async def _ends_at(self, node: int, places: list[Place]) -> dict[Place, int]:
        topics: dict[str, list[ListOffsetsPartition]] = defaultdict(list)
        for topic, index in places:
            topics[topic].append(ListOffsetsPartition(partition_index=index, timestamp=_LATEST))
        request = ListOffsetsRequest(
            replica_id=_CONSUMER,
            topics=[ListOffsetsTopic(name=name, partitions=partitions) for name, partitions in topics.items()],
        )
        try:
            answer = await self._ask(node, request)
        except ClientError:
            return {}  # the lag of what it leads is unknown until it answers or another node leads
        return {
            (topic.name, each.partition_index): each.offset
            for topic in answer.topics
            for each in topic.partitions
            if not each.error_code and each.offset >= 0
        }

    def _rows(self, of: Callable[[Lag], float]) -> Callable[[], Rows]:
        return lambda: (((lag.group, lag.topic, str(lag.partition)), of(lag)) for lag in self.lags)

    def _sums(self) -> Rows:
        sums: dict[tuple[str, ...], int] = defaultdict(int)
        for lag in self.lags:
            sums[(lag.group, lag.topic)] += lag.records
        return sums.items()
