"""Records on their way out of a topic: from where, up to where, and what of it counts.

Reads each partition from its leader, and goes on where leaders change. Control batches are left out, and, unless asked
for, so are records of transactions that were aborted or are still open.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sprawl.admin.groups import EARLIEST, LATEST, Partition, leaders_of, offsets_at
from sprawl.admin.session import NOT_FOUND, RefusedError, Session
from sprawl_protocol.batches import headers
from sprawl_protocol.errors import ErrorCode, ProtocolError
from sprawl_protocol.messages import FetchPartition, FetchRequest, FetchResponse, FetchTopic, PartitionData
from sprawl_protocol.records import Record, records_of

_FETCH_VERSION: Final = 12
"""The last that names topics; newer ones want their ids."""
_BYTES: Final = 1024 * 1024
_WAIT_MS: Final = 500
_AGAIN_AFTER: Final = 0.2
_ABORT: Final = b"\x00\x00"
_LED_ELSEWHERE: Final = (
    ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ErrorCode.FENCED_LEADER_EPOCH,
    ErrorCode.UNKNOWN_LEADER_EPOCH,
    ErrorCode.LEADER_NOT_AVAILABLE,
    ErrorCode.REPLICA_NOT_AVAILABLE,
)


@dataclass(frozen=True, slots=True)
class Begin:
    """One of these, or none of them: the first record there is."""

    latest: bool = False
    offset: int | None = None
    timestamp: int | None = None
    tail: int | None = None
    """So many before the end of each partition."""


async def begins(session: Session, topic: str, partition: int | None, begin: Begin) -> dict[Partition, int]:
    """Where each partition is read from. Raises `RefusedError`, `ClientError`."""
    parts = [part for part in sorted(await leaders_of(session, [topic])) if partition in (None, part[1])]
    if not parts:
        raise RefusedError(f"{topic} has no partition {partition}", NOT_FOUND)
    starts, ends = await offsets_at(session, parts, EARLIEST), await offsets_at(session, parts, LATEST)
    if begin.latest:
        return ends
    if begin.tail is not None:
        return {part: max(starts[part], ends[part] - begin.tail) for part in parts}
    if begin.offset is not None:
        return {part: min(max(starts[part], begin.offset), ends[part]) for part in parts}
    if begin.timestamp is not None:
        found = await offsets_at(session, parts, begin.timestamp)
        return {part: found[part] if found[part] >= 0 else ends[part] for part in parts}
    return starts


class Reader:
    """`records` once; `position` tells how far it came."""

    def __init__(self, session: Session, position: Mapping[Partition, int], *, committed: bool) -> None:
        self._session = session
        self._committed = committed
        self._ends: dict[Partition, int] = {}
        self._failing_since: float | None = None
        self.position = dict(position)

    async def records(self, *, follow: bool) -> AsyncGenerator[tuple[Partition, Record], None]:
        """Up to the ends as they are now, or, if it is to follow, for ever. Raises `RefusedError`, `ClientError`."""
        if not follow:
            self._ends = await offsets_at(self._session, self.position, LATEST)
        leaders = await leaders_of(self._session, {topic for topic, _ in self.position})
        while wanted := [part for part in self.position if follow or self.position[part] < self._ends[part]]:
            moved = stuck = False
            for broker, parts in _by_leader(leaders, wanted).items():
                alone = len({leaders[part] for part in wanted}) == 1
                for part, data in await self._fetch(broker, parts, _WAIT_MS if alone else _WAIT_MS // 10):
                    if data.error_code in _LED_ELSEWHERE:
                        stuck = True
                        continue
                    for record in self._taken(part, data):
                        moved = True
                        yield part, record
            if stuck or any(leaders[part] < 0 for part in wanted):
                self._patience(moved)
                await asyncio.sleep(_AGAIN_AFTER)
                leaders = await leaders_of(self._session, {topic for topic, _ in self.position})
            else:
                self._failing_since = None

    def _patience(self, moved: bool) -> None:
        now = asyncio.get_running_loop().time()
        if moved or self._failing_since is None:
            self._failing_since = now
        elif now - self._failing_since > self._session.timeout_ms / 1000:
            raise RefusedError("a partition had no leader for too long")

    async def _fetch(self, broker: int, parts: list[Partition], wait_ms: int) -> list[tuple[Partition, PartitionData]]:
        by_topic: defaultdict[str, list[FetchPartition]] = defaultdict(list)
        for part in parts:
            by_topic[part[0]].append(
                FetchPartition(
                    partition=part[1],
                    fetch_offset=self.position[part],
                    current_leader_epoch=-1,
                    partition_max_bytes=_BYTES,
                )
            )
        request = FetchRequest(
            max_wait_ms=wait_ms,
            min_bytes=1,
            max_bytes=8 * _BYTES,
            isolation_level=int(self._committed),
            session_epoch=-1,
            topics=[FetchTopic(topic=topic, partitions=some) for topic, some in by_topic.items()],
        )
        answer = await self._session.ask(request, FetchResponse, broker, version=_FETCH_VERSION)
        if answer.error_code:
            raise RefusedError.of(f"broker {broker}", answer.error_code, None)
        return [((topic.topic, one.partition_index), one) for topic in answer.responses for one in topic.partitions]

    def _taken(self, part: Partition, data: PartitionData) -> Iterator[Record]:
        name = f"{part[0]}-{part[1]}"
        if data.error_code == ErrorCode.OFFSET_OUT_OF_RANGE and self.position[part] < data.log_start_offset:
            self.position[part] = data.log_start_offset  # retention was quicker
            return
        if data.error_code:
            raise RefusedError.of(f"{name} at offset {self.position[part]}", data.error_code, None)
        begun = self.position[part]
        try:
            yield from self._of_batches(part, data)
        except ProtocolError as problem:
            raise RefusedError(f"{name}: what is stored at {self.position[part]} cannot be read: {problem}") from None
        stable = data.last_stable_offset
        if self._committed and self.position[part] == begun and 0 <= stable <= begun < self._ends.get(part, 0):
            self._ends[part] = begun  # the rest belongs to transactions that are still open

    def _of_batches(self, part: Partition, data: PartitionData) -> Iterator[Record]:
        aborted = sorted((each.first_offset, each.producer_id) for each in data.aborted_transactions or ())
        gone: set[int] = set()
        view = memoryview(data.records or b"")
        for at, header in headers(view):
            while aborted and aborted[0][0] <= header.last_offset:
                gone.add(aborted.pop(0)[1])
            if header.is_control:
                key = next((bytes(record.key or b"") for record in records_of(view, at)), b"")
                if key[2:4] == _ABORT:
                    gone.discard(header.producer_id)
            elif not (self._committed and header.is_transactional and header.producer_id in gone):
                for record in records_of(view, at):
                    if record.offset < self.position[part]:
                        continue
                    if part in self._ends and record.offset >= self._ends[part]:
                        break
                    self.position[part] = record.offset + 1
                    yield Record(record.offset, record.timestamp, record.key, record.value, record.headers)
            self.position[part] = max(self.position[part], header.next_offset)


def _by_leader(leaders: Mapping[Partition, int], parts: list[Partition]) -> dict[int, list[Partition]]:
    found: defaultdict[int, list[Partition]] = defaultdict(list)
    for part in parts:
        if leaders[part] >= 0:
            found[leaders[part]].append(part)
    return found
