"""Reading a log's files: by offset, by time. Which bytes, and never others: every batch is checked as it is read.

A reader that goes on where it stopped costs no look-up: the last places are remembered.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from sprawl.runtime import Buffer
from sprawl.storage.index import LogIndex
from sprawl.storage.segment import Found, Segment, batches_in, checked
from sprawl.storage.segments import Segments
from sprawl_protocol.compression import MAX_DECOMPRESSED
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.records import HEADER_SIZE, BatchHeader, records_of

log_ = logging.getLogger(__name__)

_REMEMBERED_PLACES: Final = 64
_LEAST_READ: Final = 16 * 1024
_SCAN_CHUNK: Final = 256 * 1024


@dataclass(slots=True)
class LogRead:
    """Whole batches. The first may begin before the offset asked for: clients skip what they did not ask for."""

    buffers: list[Buffer]
    size: int
    next_offset: int


@dataclass(slots=True)
class Located:
    """A record found by its time."""

    offset: int
    timestamp: int
    leader_epoch: int


class LogFiles:
    def __init__(self, segments: Segments, index: LogIndex) -> None:
        self._segments = segments
        self._index = index
        self._places: OrderedDict[int, tuple[int, int]] = OrderedDict()
        """Offset to (segment, position): where readers stopped."""

    def forget_places(self) -> None:
        self._places.clear()

    def read_now(self, offset: int, max_bytes: int, until: int, minimum_one: bool) -> LogRead | None:
        """None if the disk must be asked. Raises `DamagedError`."""
        at, position = self._place_of(offset)
        wanted = 0
        while at < len(self._segments):
            segment = self._segments[at]
            size = min(max(wanted, max_bytes, _LEAST_READ), segment.size - position)
            data: Buffer | None = segment.file.read_now(position, size) if size > 0 else b""
            if data is None or len(data) < size:
                return None
            found = batches_in(segment, data, position, offset, until, max_bytes, minimum_one)
            again = self._next_step(found, at, position, until, minimum_one)
            if again is None:
                return self._result(found, offset, at)
            at, position, wanted = again
        return LogRead([], 0, offset)

    async def read(self, offset: int, max_bytes: int, until: int, minimum_one: bool) -> LogRead:
        """Raises `DamagedError`, `OSError`."""
        at, position = self._place_of(offset)
        wanted = 0
        while at < len(self._segments):
            segment = self._segments[at]
            size = min(max(wanted, max_bytes, _LEAST_READ), segment.size - position)
            data: Buffer = await segment.file.read(position, size) if size > 0 else b""
            found = batches_in(segment, data, position, offset, until, max_bytes, minimum_one)
            again = self._next_step(found, at, position, until, minimum_one)
            if again is None:
                return self._result(found, offset, at)
            at, position, wanted = again
        return LogRead([], 0, offset)

    def _place_of(self, offset: int) -> tuple[int, int]:
        at = self._segments.holding(offset)
        base = self._segments[at].base_offset
        known = self._places.get(offset)
        if known is not None and known[0] == base:
            return at, known[1]
        return at, self._index.position_of(base, offset)

    def _next_step(
        self, found: Found, at: int, position: int, until: int, minimum_one: bool
    ) -> tuple[int, int, int] | None:
        """Where to read next, and how much; None if there is enough, or nothing that may be read."""
        if len(found.data):
            return None
        segment = self._segments[at]
        if found.wanted:
            return (at, found.position, found.wanted) if minimum_one else None
        if found.position >= segment.size:
            following = at + 1
            behind = following < len(self._segments) and self._segments[following].base_offset < until
            return (following, 0, 0) if behind else None
        if found.position > position:
            return at, found.position, 0  # what was read lies before the offset: on from there
        return None

    def _result(self, found: Found, offset: int, at: int) -> LogRead:
        if not len(found.data):
            return LogRead([], 0, offset)
        self._remember(found.next_offset, at, found.position + len(found.data))
        return LogRead([found.data], len(found.data), found.next_offset)

    def _remember(self, offset: int, at: int, position: int) -> None:
        segment = self._segments[at]
        if position >= segment.size and at + 1 < len(self._segments):
            return
        self._places[offset] = (segment.base_offset, position)
        self._places.move_to_end(offset)
        if len(self._places) > _REMEMBERED_PLACES:
            self._places.popitem(last=False)

    async def first_at_or_after(self, timestamp: int, from_offset: int) -> Located | None:
        """The first record at or behind `from_offset` whose timestamp is not below `timestamp`."""
        for segment in list(self._segments):
            if segment.max_timestamp < timestamp or segment.next_offset <= from_offset:
                continue
            position = self._index.position_before(segment.base_offset, timestamp)
            found = await self._scan(segment, position, timestamp, from_offset)
            if found is not None:
                return found
        return None

    async def newest(self, from_offset: int) -> Located | None:
        """The first of the records with the largest timestamp."""
        best: Segment | None = None
        for segment in self._segments:
            if segment.next_offset > from_offset and (best is None or segment.max_timestamp > best.max_timestamp):
                best = segment
        if best is None or best.max_timestamp < 0:
            return None
        position = self._index.position_of(best.base_offset, best.max_timestamp_base)
        return await self._scan(best, position, best.max_timestamp, from_offset)

    async def _scan(self, segment: Segment, position: int, timestamp: int, from_offset: int) -> Located | None:
        while position < segment.size:
            data = memoryview(await segment.file.read(position, min(_SCAN_CHUNK, segment.size - position)))
            pos = 0
            while len(data) - pos >= HEADER_SIZE:
                size = 12 + int.from_bytes(data[pos + 8 : pos + 12], "big", signed=True)
                if len(data) - pos < size <= segment.size - position - pos:
                    if pos:
                        break
                    data = memoryview(await segment.file.read(position, size))
                header = checked(segment, data, position, pos)
                if header.max_timestamp >= timestamp and header.last_offset >= from_offset:
                    found = _record_at(data, pos, header, timestamp, from_offset)
                    if found is not None:
                        return found
                pos += header.size
            if pos == 0:
                return None
            position += pos
        return None


def _record_at(data: memoryview, pos: int, header: BatchHeader, timestamp: int, from_offset: int) -> Located | None:
    try:
        for record in records_of(data, pos, MAX_DECOMPRESSED):
            if record.timestamp >= timestamp and record.offset >= from_offset:
                return Located(record.offset, record.timestamp, header.partition_leader_epoch)
    except ProtocolError as error:
        # Its checksum is right, so this is what a producer wrote: the batch counts as a whole, as one record would.
        log_.warning("the batch at offset %d cannot be looked into: %s", header.base_offset, error)
        return Located(max(header.base_offset, from_offset), header.max_timestamp, header.partition_leader_epoch)
    return None
