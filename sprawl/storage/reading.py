"""Reading a log's files: by offset, by time. Which bytes, and never others: every batch is checked as it is read.

A reader that goes on where it stopped costs no look-up: the last places are remembered.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from sprawl.runtime import Buffer
from sprawl.storage.batches import Found, batches_in
from sprawl.storage.epochs import LeaderEpochs
from sprawl.storage.index import LogIndex
from sprawl.storage.order import Order
from sprawl.storage.segment import DamagedError, Segment, TornError, checked, size_at
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


class CutError(Exception):
    """Segments went, or were cut, while one was read: what was read may be of the old log. To be begun anew."""


class LogFiles:
    def __init__(self, segments: Segments, index: LogIndex, epochs: LeaderEpochs) -> None:
        self._segments = segments
        self._index = index
        self._epochs = epochs
        self._cuts = 0
        self._places: OrderedDict[int, tuple[int, int]] = OrderedDict()
        """Offset to (segment, position): where readers stopped."""

    def cut(self) -> None:
        """Segments went, or were cut."""
        self._cuts += 1
        self._places.clear()

    def read_now(self, offset: int, max_bytes: int, until: int, minimum_one: bool) -> LogRead | None:
        """None if the disk must be asked. Raises `DamagedError`."""
        segment, position, due = self._place_of(offset)
        wanted = 0
        while True:
            size = min(max(wanted, max_bytes, _LEAST_READ), segment.size - position)
            data: Buffer | None = segment.file.read_now(position, size) if size > 0 else b""
            if data is None or len(data) < size:
                return None
            order = Order(segment, self._epochs, due)
            found = batches_in(order, segment, data, position, offset, until, max_bytes, minimum_one)
            again = self._next_step(found, segment, position, until, minimum_one)
            if again is None:
                return self._result(found, offset, segment)
            segment, position, due, wanted = again

    async def read(self, offset: int, max_bytes: int, until: int, minimum_one: bool) -> LogRead:
        """Raises `DamagedError`, `OSError`, `CutError`."""
        segment, position, due = self._place_of(offset)
        wanted = 0
        while True:
            size = min(max(wanted, max_bytes, _LEAST_READ), segment.size - position)
            data: Buffer = await self._bytes(segment, position, size) if size > 0 else b""
            order = Order(segment, self._epochs, due)
            found = batches_in(order, segment, data, position, offset, until, max_bytes, minimum_one)
            again = self._next_step(found, segment, position, until, minimum_one)
            if again is None:
                return self._result(found, offset, segment)
            segment, position, due, wanted = again

    async def _bytes(self, segment: Segment, position: int, size: int) -> Buffer:
        cuts = self._cuts
        try:
            data = await segment.file.read(position, size)
        except (OSError, ValueError):
            if cuts == self._cuts:
                raise
            raise CutError from None
        if cuts != self._cuts:
            raise CutError
        return data

    def _place_of(self, offset: int) -> tuple[Segment, int, int]:
        """Where to begin to read, and the offset due there."""
        segment = self._segments[self._segments.holding(offset)]
        known = self._places.get(offset)
        if known is not None and known[0] == segment.base_offset:
            return segment, known[1], offset
        return segment, *self._index.place_of(segment.base_offset, offset)

    def _next_step(
        self, found: Found, segment: Segment, position: int, until: int, minimum_one: bool
    ) -> tuple[Segment, int, int, int] | None:
        """Where to read next, the offset due there, and how much; None if there is enough, or nothing to be read."""
        if len(found.data):
            return None
        if found.wanted:
            return (segment, found.position, found.due, found.wanted) if minimum_one else None
        if found.position >= segment.size:
            following = self._segments.after(segment)
            if following is None or following.base_offset >= until:
                return None
            return following, 0, following.base_offset, 0
        if found.position > position:
            return segment, found.position, found.due, 0  # what was read lies before the offset: on from there
        return None

    def _result(self, found: Found, offset: int, segment: Segment) -> LogRead:
        segment.reads += 1
        if not len(found.data):
            return LogRead([], 0, offset)
        self._remember(found.next_offset, segment, found.position + len(found.data))
        return LogRead([found.data], len(found.data), found.next_offset)

    def _remember(self, offset: int, segment: Segment, position: int) -> None:
        if position >= segment.size and segment is not self._segments.active:
            return
        self._places[offset] = (segment.base_offset, position)
        self._places.move_to_end(offset)
        if len(self._places) > _REMEMBERED_PLACES:
            self._places.popitem(last=False)

    async def first_at_or_after(self, timestamp: int, from_offset: int) -> Located | None:
        """The first record at or behind `from_offset` whose timestamp is not below `timestamp`.

        Raises `DamagedError`, `OSError`, `CutError`, as does `newest`.
        """
        for segment in list(self._segments):
            if segment.max_timestamp < timestamp or segment.next_offset <= from_offset:
                continue
            place = self._index.place_before(segment.base_offset, timestamp)
            found = await self._scan(segment, place, timestamp, from_offset)
            if found is not None:
                return found
        return None

    async def newest(self, from_offset: int) -> Located | None:
        """The first of the records with the largest timestamp."""
        best: Segment | None = None
        largest = -1
        for segment in self._segments:
            if segment.next_offset <= from_offset or segment.max_timestamp <= largest:
                continue
            timestamp = segment.max_timestamp
            if segment.max_timestamp_base < from_offset:
                timestamp = await self._newest_behind(segment, from_offset)
            if timestamp > largest:
                best, largest = segment, timestamp
        if best is None:
            return None
        behind = max(best.max_timestamp_base, from_offset) if largest == best.max_timestamp else from_offset
        return await self._scan(best, self._index.place_of(best.base_offset, behind), largest, from_offset)

    async def _newest_behind(self, segment: Segment, from_offset: int) -> int:
        """The largest timestamp from an offset in the middle of a segment on: its newest record may lie before."""
        position, due = self._index.place_of(segment.base_offset, from_offset)
        largest = -1
        while position < segment.size:
            data, batches = await self.batches_at(segment, position, due)
            for pos, header in batches:
                position, due = position + header.size, header.next_offset
                if header.last_offset < from_offset or header.max_timestamp <= largest:
                    continue
                if header.base_offset >= from_offset:
                    largest = header.max_timestamp
                else:
                    largest = max(largest, _newest_record(data, pos, header, from_offset))
        return largest

    async def _scan(self, segment: Segment, place: tuple[int, int], timestamp: int, from_offset: int) -> Located | None:
        position, due = place
        while position < segment.size:
            data, batches = await self.batches_at(segment, position, due)
            for pos, header in batches:
                if header.max_timestamp >= timestamp and header.last_offset >= from_offset:
                    found = _record_at(data, pos, header, timestamp, from_offset)
                    if found is not None:
                        return found
                position, due = position + header.size, header.next_offset
        return None

    async def position_of(self, segment: Segment, offset: int) -> int:
        """Where the first batch begins that ends behind `offset`. Raises as `first_at_or_after`."""
        position, due = self._index.place_of(segment.base_offset, offset)
        while position < segment.size:
            _, batches = await self.batches_at(segment, position, due)
            for _, header in batches:
                if header.next_offset > offset:
                    return position
                position, due = position + header.size, header.next_offset
        return position

    async def batches_at(
        self, segment: Segment, position: int, due: int
    ) -> tuple[memoryview, list[tuple[int, BatchHeader]]]:
        """At least one batch from `position` on, which is not the segment's end; no offset below `due` may be there.

        Raises as `first_at_or_after`.
        """
        left = segment.size - position
        data = memoryview(await self._bytes(segment, position, min(_SCAN_CHUNK, left)))
        found = self._whole(segment, data, position, due)
        if not found and len(data) < left:
            # The first batch is large, or the one behind it must be seen to begin.
            wanted = min(size_at(data, 0) + HEADER_SIZE, left)
            data = memoryview(await self._bytes(segment, position, wanted))
            found = self._whole(segment, data, position, due)
        if not found:
            raise TornError(segment, position)
        return data, found

    def _whole(self, segment: Segment, data: memoryview, position: int, due: int) -> list[tuple[int, BatchHeader]]:
        found: list[tuple[int, BatchHeader]] = []
        order = Order(segment, self._epochs, due)
        left = segment.size - position
        pos = 0
        while len(data) - pos >= HEADER_SIZE and not len(data) - pos < size_at(data, pos) <= left - pos:
            try:
                header = checked(segment, data, position, pos)
                if not order.admit(data, position, pos, header):
                    break
            except DamagedError:
                if found:
                    break
                raise
            found.append((pos, header))
            pos += header.size
        return found


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


def _newest_record(data: memoryview, pos: int, header: BatchHeader, from_offset: int) -> int:
    """The largest timestamp of the batch's records from `from_offset` on."""
    try:
        times = [record.timestamp for record in records_of(data, pos, MAX_DECOMPRESSED) if record.offset >= from_offset]
    except ProtocolError:
        return header.max_timestamp  # as in `_record_at`, which then says so
    return max(times, default=-1)
