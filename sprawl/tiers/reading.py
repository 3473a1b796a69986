"""One partition's records as the tier has them: read by offset, found by time. `sprawl.partitions.cold` says what for.

In: offsets and times. Out: whole batches, of one segment at a time. Who goes on where a former read ended is taken to
read on: what comes next is fetched before it is asked for. A read waits only so long for the store; what was asked for
goes on coming, and is there when it is asked for again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Final, TypeVar

from sprawl.objects.errors import StoreError
from sprawl.partitions.cold import Beginning
from sprawl.storage.producers import ProducerStates
from sprawl.storage.reading import Located, LogRead
from sprawl.tiers.catalog import Entry
from sprawl.tiers.catalogs import Catalogs, Key
from sprawl.tiers.fetching import Fetching
from sprawl.tiers.manifest import BadSegment, Manifest
from sprawl_protocol.compression import MAX_DECOMPRESSED
from sprawl_protocol.errors import ApiError, ErrorCode, ProtocolError
from sprawl_protocol.records import HEADER_SIZE, LOG_OVERHEAD, BatchHeader, read_header, records_of

log = logging.getLogger(__name__)
R = TypeVar("R")

_READERS: Final = 1024
"""So many places are remembered at which a read ended."""
_AHEAD: Final = 4
"""Chunks that are fetched by one request for somebody who reads on."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds."""

    read: float = 0.5
    search: float = 30.0


class Readers:
    """Where reads ended: who begins there reads on."""

    def __init__(self) -> None:
        self._places: OrderedDict[tuple[Key, int], None] = OrderedDict()

    def went_on(self, key: Key, offset: int) -> bool:
        return self._places.pop((key, offset), 0) is None

    def stopped(self, key: Key, offset: int) -> None:
        self._places[(key, offset)] = None
        if len(self._places) > _READERS:
            self._places.popitem(last=False)


class TieredRecords:
    """Implements `ColdRecords`."""

    def __init__(self, key: Key, catalogs: Catalogs, fetching: Fetching, readers: Readers, patience: Patience) -> None:
        self._key = key
        self._catalogs = catalogs
        self._fetching = fetching
        self._readers = readers
        self._patience = patience

    @property
    def end_offset(self) -> int:
        return self._catalogs[self._key].end_offset

    @property
    def epochs(self) -> tuple[tuple[int, int], ...]:
        return tuple(self._catalogs[self._key].epochs())

    async def read(self, offset: int, max_bytes: int, until: int, minimum_one: bool) -> LogRead:
        entry = self._catalogs[self._key].at_or_after(offset)
        if entry is None or entry.segment.base_offset >= until:
            raise self._missing(offset)
        ahead = self._readers.went_on(self._key, offset)
        reading = asyncio.ensure_future(self._read(entry, offset, max_bytes, min(until, entry.end_offset), ahead))
        try:
            async with asyncio.timeout(self._patience.read):
                found = await self._told(asyncio.shield(reading))
        except TimeoutError:
            reading.cancel()  # not the requests that it has made
            if ahead:
                self._readers.stopped(self._key, offset)
            return LogRead([], 0, offset)
        except BaseException:
            reading.cancel()
            raise
        if found.size > max_bytes and not minimum_one:
            return LogRead([], 0, offset)
        self._readers.stopped(self._key, found.next_offset)
        return found

    def expect(self, offset: int, max_bytes: int) -> None:
        entry = self._catalogs[self._key].at_or_after(offset)
        if entry is None:
            return
        manifest = self._fetching.manifest_now(self._key, entry.segment)
        if manifest is not None:
            number, count = manifest.chunk_of(offset), 1 + min(max_bytes // manifest.chunk_bytes, _AHEAD - 1)
            if not self._fetching.has(entry.segment, number):
                self._fetching.ahead(self._key, manifest, number, count)

    async def _read(self, entry: Entry, offset: int, max_bytes: int, until: int, reads_on: bool) -> LogRead:
        """The first batch comes whatever its size."""
        manifest = await self._fetching.manifest(self._key, entry.segment)
        number = manifest.chunk_of(offset)
        ahead = _AHEAD - 1 if reads_on else min(max_bytes // manifest.chunk_bytes, _AHEAD - 1)
        buffers: list[bytes | bytearray | memoryview] = []
        size, following = 0, offset
        async for batch, header in self._batches(manifest, number, ahead):
            if header.next_offset <= offset:
                continue
            if header.base_offset >= until or (buffers and size + len(batch) > max_bytes):
                break
            buffers.append(batch)
            size += len(batch)
            following = header.next_offset
            if size >= max_bytes:
                break
        if buffers and self._fetching.on_read is not None:
            self._fetching.on_read(self._key, entry.segment, size)
        if reads_on and buffers:
            self._fetch_ahead(manifest, following)
        # In a gap at the segment's end there is nothing: what comes next is in the next one.
        return LogRead(buffers, size, following if buffers else max(offset, entry.end_offset))

    def _fetch_ahead(self, manifest: Manifest, offset: int) -> None:
        """So that there is always something on its way behind what was read."""
        here = manifest.chunk_of(offset)
        last = len(manifest.chunks) - 1
        nearest = next(
            (n for n in range(here + 1, min(here + _AHEAD, last + 1)) if not self._fetching.has(manifest.segment, n)),
            None,
        )
        if nearest is not None and nearest - here <= _AHEAD // 2:
            self._fetching.ahead(self._key, manifest, nearest, _AHEAD)
        elif last - here < _AHEAD:
            following = self._catalogs[self._key].at_or_after(manifest.segment.end_offset)
            coming = None if following is None else self._fetching.manifest_now(self._key, following.segment)
            if coming is not None and not self._fetching.has(coming.segment, 0):
                self._fetching.ahead(self._key, coming, 0, _AHEAD)

    async def _batches(
        self, manifest: Manifest, number: int, ahead: int = 0
    ) -> AsyncIterator[tuple[memoryview, BatchHeader]]:
        """From the first one on that begins in the chunk. Raises `StoreError`, `BadSegment`."""
        at = manifest.chunks[number].position - number * manifest.chunk_bytes
        data = memoryview(await self._fetching.chunk(self._key, manifest, number, ahead))
        while True:
            left = len(data) - at
            size = LOG_OVERHEAD + int.from_bytes(data[at + 8 : at + 12], "big", signed=True) if left >= 12 else 0
            if left < HEADER_SIZE or size > left:
                number += 1
                if number >= len(manifest.chunks):
                    return
                more = await self._fetching.chunk(self._key, manifest, number, ahead)
                data, at = (memoryview(bytes(data[at:]) + more) if left else memoryview(more)), 0
                continue
            try:
                header = read_header(data, at)
            except ProtocolError as error:
                raise BadSegment(f"segment {manifest.segment.id}: {error}") from None
            yield data[at : at + header.size], header
            at += header.size

    # -- by time --------------------------------------------------------------------------------------------

    async def first_at_or_after(self, timestamp: int, from_offset: int) -> Located | None:
        try:
            async with asyncio.timeout(self._patience.search):
                return await self._told(self._search(timestamp, from_offset))
        except TimeoutError:
            raise ApiError(ErrorCode.REQUEST_TIMED_OUT, "the cloud tier does not answer in time") from None

    async def newest(self, from_offset: int) -> Located | None:
        chain = [entry for entry in self._catalogs[self._key].chain if entry.end_offset > from_offset]
        largest = max((entry.segment.max_timestamp for entry in chain), default=-1)
        return None if largest < 0 else await self.first_at_or_after(largest, from_offset)

    async def _search(self, timestamp: int, from_offset: int) -> Located | None:
        for entry in self._catalogs[self._key].chain:
            if entry.segment.max_timestamp < timestamp or entry.end_offset <= from_offset:
                continue
            manifest = await self._fetching.manifest(self._key, entry.segment)
            number = manifest.chunk_with_time(timestamp, manifest.chunk_of(from_offset))
            if number is None:
                continue
            async for batch, header in self._batches(manifest, number):
                if header.max_timestamp < timestamp or header.last_offset < from_offset:
                    continue
                if header.base_offset >= entry.end_offset:
                    break
                found = _record_in(batch, header, timestamp, from_offset)
                if found is not None:
                    return found
        return None

    # -- for replicas ---------------------------------------------------------------------------------------

    def beginning_now(self) -> Beginning | None:
        catalog = self._catalogs[self._key]
        if not catalog.chain:
            return None
        last = catalog.chain[-1]
        if last.end_offset < last.segment.end_offset:
            return Beginning(last.end_offset, tuple(catalog.epochs()), ProducerStates())
        manifest = self._fetching.manifest_now(self._key, last.segment)
        if manifest is None:
            return None
        try:
            producers = ProducerStates.load(manifest.producers or b"")
        except ValueError:
            producers = ProducerStates()
        return Beginning(last.end_offset, tuple(catalog.epochs()), producers)

    async def _told(self, work: Awaitable[R]) -> R:
        """With what may go wrong, as clients are told it."""
        try:
            return await work
        except (StoreError, BadSegment) as problem:
            log.error("%s-%d cannot be read from the tier: %s", *self._key, problem)
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"the cloud tier: {problem}") from problem

    def _missing(self, offset: int) -> ApiError:
        """The log's start will move, or the records that this node has not read yet will say where it is."""
        topic, partition = self._key
        return ApiError(
            ErrorCode.KAFKA_STORAGE_ERROR, f"{topic}-{partition}: offset {offset} is not in the cloud tier as seen here"
        )


def _record_in(batch: memoryview, header: BatchHeader, timestamp: int, from_offset: int) -> Located | None:
    try:
        for record in records_of(batch, 0, MAX_DECOMPRESSED):
            if record.timestamp >= timestamp and record.offset >= from_offset:
                return Located(record.offset, record.timestamp, header.partition_leader_epoch)
    except ProtocolError:
        # What a producer wrote, under a right checksum: the batch counts as a whole.
        return Located(max(header.base_offset, from_offset), header.max_timestamp, header.partition_leader_epoch)
    return None
