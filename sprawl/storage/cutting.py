"""The end of a log cut off, or the whole log begun anew: what a follower does whose leader's log goes on differently.

In: the offset from which on records go, or at which the log begins anew. Out: a log that ends there, in memory, in its
files, in the index, in its epochs and producer states. What goes on at that moment comes first: batches that wait are
dropped or stay, as their offsets say; syncs end; nothing is appended until the cut is on stable storage.

After a crash at any point the log is the old one, or the one cut, or something between: a prefix of the old one, never
with a gap. For that the steps have an order, and each is durable before the next:

    truncate_to                                            reset_to
    1. everything written is on stable storage             1. the index knows nothing of the log
    2. the index knows the log up to the cut only, and     2. `reset-to` is there (see `beginning.py`): from here
       has a checkpoint right there                           on the next start completes it
    3. later segments go, the newest first                 3. segments go, one new segment comes
    4. the segment with the cut is cut, and synced         4. `reset-to` goes

So the index never claims what the files do not hold; and no byte that was cut can come back, after a power failure,
once anything new was appended in its place.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from sprawl.storage.beginning import begin_reset, finish_reset, forget_tier_start
from sprawl.storage.index import Checkpoint
from sprawl.storage.producers import ProducerStates
from sprawl.storage.segment import DamagedError, Segment
from sprawl.storage.writing import LogWriter
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import BatchHeader

log_ = logging.getLogger(__name__)


@dataclass(slots=True)
class _Place:
    """Between two batches: where they are in the files, and what is known of what lies before."""

    segment: Segment
    position: int
    offset: int
    max_timestamp: int
    max_timestamp_base: int
    producers: ProducerStates

    def enter(self, segment: Segment) -> None:
        self.segment = segment
        self.position = 0
        self.offset = segment.base_offset
        self.max_timestamp = self.max_timestamp_base = -1

    def pass_by(self, header: BatchHeader) -> None:
        if header.max_timestamp > self.max_timestamp:
            self.max_timestamp = header.max_timestamp
            self.max_timestamp_base = header.base_offset
        self.position += header.size
        self.offset = header.next_offset
        self.producers.note(header)


class LogCutter(LogWriter):
    async def truncate_to(self, offset: int) -> None:
        """Drop every batch that holds a record at or behind `offset`. The log ends behind the last one that is left.

        That is `offset`, unless it lies within a batch or a gap between two. Where nothing would be left, the log is
        empty at `log_start_offset`. A damaged log whose damage goes with it (`damaged_from`) is sound afterwards.
        Raises `ApiError`, `OSError`: then the log is as it was, or `failed`.
        """
        await self._other_cuts_done()
        target = max(offset, self.log_start_offset)
        self._forget_pending_behind(target)
        mends = self.damaged is not None and target <= self.damaged_from
        if target < self.segments[0].base_offset:
            await self._alone(self._reset(target, self.log_start_offset))  # what is left is in the cloud tier
        elif target < self.written_offset or mends:
            await self._alone(self._truncate(target))
        elif self.log_end_offset < self.log_start_offset:
            await self._alone(self._reset(self.log_start_offset))
        else:
            self.epochs.truncate_end(target)
        self._tell_durable()

    async def reset_to(self, offset: int) -> None:
        """Drop everything: the log is empty, begins and ends at `offset`, and is sound. Raises as `truncate_to`."""
        await self._other_cuts_done()
        self._forget_pending_behind(-1)
        await self._alone(self._reset(offset))
        self._tell_durable()

    # -- one at a time --------------------------------------------------------------------------------------

    async def _other_cuts_done(self) -> None:
        while self._cutting is not None:
            await asyncio.wait({self._cutting})
        self._refuse_if_beyond_use()

    async def _alone(self, work: Coroutine[Any, Any, None]) -> None:
        """To its end, even if the caller is cancelled."""
        self._cutting = asyncio.create_task(work, name=f"cut {self}")
        self._cutting.add_done_callback(self._cut_done)
        await asyncio.shield(self._cutting)

    def _cut_done(self, task: asyncio.Task[None]) -> None:
        self._cutting = None
        if not task.cancelled():
            task.exception()  # the caller has it too, unless it was cancelled meanwhile

    def _refuse_if_beyond_use(self) -> None:
        if self.failed is not None or self.closed:
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: {self.failed or 'the log is closed'}")

    def _forget_pending_behind(self, target: int) -> None:
        for at, pending in enumerate(self._pending):
            if pending.header.next_offset > target:
                self._forget_pending(at)
                return

    # -- truncating -----------------------------------------------------------------------------------------

    async def _truncate(self, target: int) -> None:
        while self._stable_offset < self.written_offset or self._unsynced:
            await asyncio.shield(self.sync_soon())
            self._refuse_if_beyond_use()
        try:
            place = await self._find(target)
        except DamagedError as error:
            raise self._damaged_at(error) from None
        if target == self.log_start_offset or place.offset < self.log_start_offset:
            await self._reset(self.log_start_offset)
            return
        await self._lower_index(place)
        self._refuse_if_beyond_use()
        try:
            self.segments.remove_behind(place.segment)
            if place.segment.file.size > place.position:
                place.segment.file.truncate(place.position)
        except OSError as error:
            raise self._broken(error) from None
        self._end_at(place)
        try:
            await place.segment.file.sync()
        except (OSError, ValueError) as error:
            self._refuse_if_beyond_use()
            raise self._broken(error) from None

    async def _find(self, target: int) -> _Place:
        """The last place between two batches that is not behind `target`. Raises `DamagedError`, `OSError`."""
        last = self.segments.holding(target)
        place, first = self._known_before(last, target)
        for at in range(first, last + 1):
            segment = self.segments[at]
            if at > first:
                place.enter(segment)
            while place.position < segment.size and place.offset < target:
                try:
                    _, batches = await self._reading.batches_at(segment, place.position, place.offset)
                except DamagedError:
                    if self.damaged is not None and target <= self.damaged_from:
                        return place  # this is what is to be cut off
                    raise
                for _, header in batches:
                    if header.next_offset > target:
                        return place
                    place.pass_by(header)
        return place

    def _known_before(self, last: int, target: int) -> tuple[_Place, int]:
        """The nearest place before `target` whose producer states are known, and the number of its segment."""
        known = self.index.last_checkpoint()
        for at in range(last, -1, -1):
            segment = self.segments[at]
            try:
                if known is not None:
                    mark, dumped = known
                    if mark.segment == segment.base_offset and mark.offset <= target and mark.position <= segment.size:
                        producers = ProducerStates.load(dumped)
                        times = mark.max_timestamp, mark.max_timestamp_base
                        return _Place(segment, mark.position, mark.offset, *times, producers), at
                noted = self.index.producers_at(segment.base_offset)
                if noted is not None:
                    return _Place(segment, 0, segment.base_offset, -1, -1, ProducerStates.load(noted)), at
            except ValueError:
                continue  # of another version: the one before, or from the files
        oldest = self.segments[0]
        return _Place(oldest, 0, oldest.base_offset, -1, -1, ProducerStates()), 0

    async def _lower_index(self, place: _Place) -> None:
        self._index_written()
        segment = place.segment.base_offset
        self.index.forget_behind(segment, place.offset)
        self.index.checkpoint(
            Checkpoint(
                place.offset,
                segment,
                place.position,
                place.max_timestamp,
                place.max_timestamp_base,
                self.epochs.before(place.offset),
            ),
            place.producers.dump(),
        )
        await self._index_on_disk()

    async def _index_on_disk(self) -> None:
        await self.index.flush()
        if self.index.broken:
            raise OSError(f"{self} cannot be cut while the index takes nothing")

    def _end_at(self, place: _Place) -> None:
        segment = place.segment
        segment.size = place.position
        segment.next_offset = place.offset
        segment.max_timestamp = place.max_timestamp
        segment.max_timestamp_base = place.max_timestamp_base
        segment.last_indexed = min(segment.last_indexed, place.position)
        segment.synced = min(segment.synced, place.position)
        if segment.is_empty:
            segment.first_timestamp = -1
        self.epochs.truncate_end(place.offset)
        self.producers.restore(place.producers)
        self._tail.truncate(place.offset)
        self._ends(place.offset)

    def _ends(self, offset: int) -> None:
        self._reading.cut()
        self._unsynced_records = 0
        self.log_end_offset = self.written_offset = offset
        self.durable_offset = min(self.durable_offset, offset)
        self._stable_offset = min(self._stable_offset, offset)
        if self.damaged is not None and offset <= self.damaged_from:
            log_.warning("%s: what was damaged is cut off; it takes records again, from %d on", self, offset)
            self.damaged = None
            self.damaged_from = -1

    # -- beginning anew -------------------------------------------------------------------------------------

    async def _reset(self, offset: int, start: int | None = None) -> None:
        """The log begins and ends at `offset`; or it begins at `start`, in the cloud tier."""
        if self._syncing is not None and not self._syncing.done():
            await asyncio.shield(self._syncing)
        self._changes.clear()
        self.index.forget()
        await self._index_on_disk()
        self._refuse_if_beyond_use()
        try:
            begin_reset(self._files, self.directory, offset)
            finish_reset(self._files, self.directory)
            self.segments.begin_anew(offset, self._clock.wall_ms())
            if start is None:
                forget_tier_start(self._files, self.directory)
        except OSError as error:
            raise self._broken(error) from None
        self.epochs.truncate_end(0)
        self.producers.clear()
        self._tail.clear()
        self._unsynced.clear()
        self.log_start_offset = offset if start is None else start
        self.damaged_from = max(self.damaged_from, offset)
        self._ends(offset)
        self.durable_offset = self._stable_offset = offset

    def _broken(self, error: Exception) -> ApiError:
        """Half done: the next start makes it whole."""
        self._fail(f"cannot be cut: {error}")
        return ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: {self.failed}")

    def _damaged_at(self, error: DamagedError) -> ApiError:
        found = max(self.index.offset_at(error.segment, error.position), self.log_start_offset)
        if self.damaged is None:
            self.damaged = str(error)
            self.damaged_from = found
            log_.error("%s is damaged from offset %d on and takes no more records: %s", self, found, error)
        self.damaged_from = min(self.damaged_from, found)
        if self.on_damaged is not None:
            self.on_damaged()
        return ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self} is damaged: {error}")
