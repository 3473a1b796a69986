"""One partition replica's log: append, read, find, trim. Offsets, and what each means:

    log_start_offset <= local_start_offset <= durable_offset <= written_offset <= log_end_offset
      first record kept   first one on disk     may count towards  in the file      next record
                                                the high watermark

What lies below `local_start_offset` is in the cloud tier; without one, there is nothing below.

`append` is the leader's way in, `append_replicated` the follower's; how batches get from memory to stable storage is in
`writing.py`. How a follower's log is cut to what its leader has, or begun anew, is in `cutting.py`. Reading never
waits for writing: the newest batches are in memory, the others in the files (`reading.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sprawl.config.topics import Durability, TopicConfig
from sprawl.storage.beginning import note_start, note_tier_start
from sprawl.storage.closed import ClosedPart, closed_part, next_closed
from sprawl.storage.index import Checkpoint
from sprawl.storage.producers import ProducerStates
from sprawl.storage.reading import CutError, LogRead
from sprawl.storage.segment import DamagedError, Segment
from sprawl.storage.swapping import LogSwapper
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import BatchHeader, stamp, stamp_log_append_time

__all__ = ["AppendInfo", "Log", "LogRead"]

_NO_TIME: Final = -1


@dataclass(slots=True)
class AppendInfo:
    base_offset: int
    last_offset: int
    log_append_time_ms: int
    """-1 where the producer's own times are kept."""


class Log(LogSwapper):
    """Built by `LogManager.open`, which has recovered what it is made of."""

    @property
    def size_bytes(self) -> int:
        return self.segments.size_bytes

    @property
    def local_start_offset(self) -> int:
        """Of the first record that is here, and not in the cloud tier only."""
        return max(self.log_start_offset, self.segments[0].base_offset)

    @property
    def servable_offset(self) -> int:
        """Exclusive. What is below is not taken back for want of room: followers may have it."""
        return self.log_end_offset if self.config.durability is Durability.MEMORY else self.written_offset

    @property
    def last_epoch(self) -> int:
        """The leader epoch of the last record; -1 if there is none, or if that is not known."""
        return self.epochs.epoch_of(self.log_end_offset - 1) if self.log_end_offset > self.log_start_offset else -1

    def last_stable_offset(self, high_watermark: int) -> int:
        """Without transactions in the log every committed record is decided."""
        return high_watermark

    # -- appending ------------------------------------------------------------------------------------------

    def append(
        self, buffer: memoryview, batches: list[tuple[int, BatchHeader]], leader_epoch: int, now_ms: int
    ) -> AppendInfo:
        """Take validated batches, give them their offsets in place, keep a reference to `buffer`.

        Raises `ApiError` KAFKA_STORAGE_ERROR if the log takes nothing now; then nothing was changed. So where it has
        records of a newer epoch: either they are damaged, or whoever leads in this one leads no more.
        """
        self._refuse_if_unfit()
        if leader_epoch < self.epochs.latest:
            newer = f"{self} has records of leader epoch {self.epochs.latest}, and takes none of epoch {leader_epoch}"
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, newer)
        first = offset = self.log_end_offset
        append_time = now_ms if self.config.log_append_time else _NO_TIME
        for pos, header in batches:
            if append_time != _NO_TIME:
                stamp_log_append_time(buffer, pos, header, append_time)
            stamp(buffer, pos, offset, leader_epoch)
            header.base_offset = offset
            header.partition_leader_epoch = leader_epoch
            offset = header.next_offset
        self._take(buffer, batches)
        return AppendInfo(first, offset - 1, append_time)

    def append_replicated(
        self, buffer: memoryview, batches: list[tuple[int, BatchHeader]], *, after_gap: bool = False
    ) -> None:
        """Take batches as a leader has them, checked by the caller; offsets, epochs and times stay. Keeps `buffer`.

        The first begins at the log's end, the others where the one before ends or behind: compaction leaves gaps.
        `after_gap`: the first, too, may begin behind the log's end, for the leader has nothing in between.
        Raises `ValueError` if they do not fit, `ApiError` as `append`; then nothing was changed.
        """
        self._refuse_if_unfit()
        due, epoch = self.log_end_offset, self.last_epoch
        gap = after_gap
        for _, header in batches:
            if header.partition_leader_epoch < epoch:
                reason = f"a batch of leader epoch {header.partition_leader_epoch} cannot follow one of {epoch}"
                raise ValueError(f"{self}: {reason}")
            if header.base_offset != due and not (gap and header.base_offset > due):
                raise ValueError(f"{self}: a batch at offset {header.base_offset} cannot follow, {due} is due")
            due, epoch = header.next_offset, header.partition_leader_epoch
            gap = True
        self._take(buffer, batches)

    # -- reading --------------------------------------------------------------------------------------------

    def read_now(self, offset: int, max_bytes: int, until: int, minimum_one: bool = True) -> LogRead | None:
        """Batches from the one that holds `offset` on, below `until`, of at most `max_bytes` bytes (the first one

        whatever its size, if `minimum_one`). None if the disk must be asked. Raises `ApiError` OFFSET_OUT_OF_RANGE,
        KAFKA_STORAGE_ERROR.
        """
        self._check_offset(offset)
        entries = self._tail.find(offset, until, max_bytes, minimum_one)
        if entries is None and offset >= self.written_offset and self._tail.start_offset is not None:
            # In a gap behind the files: what comes next is in memory.
            entries = self._tail.find(self._tail.start_offset, until, max_bytes, minimum_one)
        if entries is not None:
            if not entries:
                return LogRead([], 0, offset)
            size = sum(entry.buffer.nbytes for entry in entries)
            return LogRead([entry.buffer for entry in entries], size, entries[-1].next_offset)
        try:
            return self._reading.read_now(offset, max_bytes, until, minimum_one)
        except DamagedError as error:
            raise self._damaged_at(error) from None

    async def read(self, offset: int, max_bytes: int, until: int, minimum_one: bool = True) -> LogRead:
        """As `read_now`, asking the disk if it must."""
        while True:
            found = self.read_now(offset, max_bytes, until, minimum_one)
            if found is not None:
                return found
            try:
                return await self._reading.read(offset, max_bytes, until, minimum_one)
            except CutError:
                continue
            except DamagedError as error:
                raise self._damaged_at(error) from None
            except (OSError, ValueError) as error:
                raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> ApiError:
        return ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self} cannot be read: {error}")

    def _check_offset(self, offset: int) -> None:
        if self.log_start_offset <= offset <= self.log_end_offset:
            if self.damaged is not None and offset == self.log_end_offset:
                raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self} is damaged from here on: {self.damaged}")
            if offset < self.local_start_offset:
                raise ApiError(
                    ErrorCode.OFFSET_MOVED_TO_TIERED_STORAGE,
                    f"{self} has offsets from {self.local_start_offset} on here; {offset} is in the cloud tier",
                )
            return
        raise ApiError(
            ErrorCode.OFFSET_OUT_OF_RANGE,
            f"{self} has offsets {self.log_start_offset} to {self.log_end_offset}, not {offset}",
        )

    async def offset_for_timestamp(self, timestamp: int) -> tuple[int, int, int] | None:
        """Offset, timestamp, leader epoch of the first record that is as new as `timestamp`. Raises `ApiError`."""
        return await self._locate(timestamp)

    async def max_timestamp_offset(self) -> tuple[int, int, int] | None:
        """The same, of the first of the records with the largest timestamp."""
        return await self._locate(None)

    async def _locate(self, timestamp: int | None) -> tuple[int, int, int] | None:
        self.write_pending()
        while True:
            try:
                if timestamp is None:
                    found = await self._reading.newest(self.log_start_offset)
                else:
                    found = await self._reading.first_at_or_after(timestamp, self.log_start_offset)
            except CutError:
                continue
            except DamagedError as error:
                raise self._damaged_at(error) from None
            except (OSError, ValueError) as error:
                raise self._unreadable(error) from None
            return None if found is None else (found.offset, found.timestamp, found.leader_epoch)

    def next_closed(self, offset: int, until: int) -> Segment | None:
        """The closed segment that holds `offset`, or begins behind it; None if it is not all below `until`."""
        return next_closed(self.segments, offset, until)

    async def closed_part(self, offset: int, until: int) -> ClosedPart | None:
        """What `next_closed` finds, from the batch on that holds `offset`. Raises `ApiError`."""
        while True:
            try:
                return await closed_part(self.segments, self._reading, self.index, self.epochs, offset, until)
            except CutError:
                continue
            except DamagedError as error:
                raise self._damaged_at(error) from None
            except (OSError, ValueError) as error:
                raise self._unreadable(error) from None

    async def batches_at(
        self, segment: Segment, position: int, due: int
    ) -> tuple[memoryview, list[tuple[int, BatchHeader]]]:
        """As `LogFiles.batches_at`, for whoever walks through a segment. The log remembers damage that is found."""
        try:
            return await self._reading.batches_at(segment, position, due)
        except DamagedError as error:
            raise self._damaged_at(error) from None

    # -- shape ----------------------------------------------------------------------------------------------

    def roll(self) -> None:
        """Begin a new segment, unless the active one is empty, or cannot be written to now. Raises `ApiError`."""
        self.write_pending()
        fit = self.failed is None and self.damaged is None and self._cutting is None
        if fit and not self.segments.active.is_empty:
            try:
                self._roll([])
            except OSError as error:
                raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: no new segment: {error}") from None

    def apply_config(self, config: TopicConfig) -> None:
        self.config = config
        if self._pending and config.durability is not Durability.MEMORY:
            self.write_pending()

    def advance_log_start(self, offset: int) -> None:
        """Records below `offset` are gone, durably. Blocks for a moment. Raises `ApiError`."""
        if offset <= self.log_start_offset:
            return
        if self._cutting is not None:
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self} is being cut")
        try:
            note_start(self._files, self.directory, offset)
        except OSError as error:
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: cannot note its new start: {error}") from None
        self.log_start_offset = offset
        self.epochs.truncate_start(offset)

    def drop_segments(self, count: int, *, tiered: bool = False) -> list[Segment]:
        """Take the oldest `count` segments out of the log; their files are the caller's to remove.

        `tiered`: their records are in the cloud tier, and stay in the log. Raises `ApiError`, `OSError`.
        """
        if self._cutting is not None:
            return []
        if tiered:
            note_tier_start(self._files, self.directory, self.log_start_offset)
        if count >= len(self.segments):
            self.roll()
        taken = self.segments.take_first(min(count, len(self.segments) - 1))
        for segment in taken:
            self.index.forget_segment(segment.base_offset)
        self._reading.cut()
        start = self.segments[0].base_offset
        if start > self.log_start_offset and not tiered:
            if self.log_start_offset < taken[0].base_offset:
                note_start(self._files, self.directory, start)  # what it had in the tier is past, too
            self.log_start_offset = start
            self.epochs.truncate_start(start)
        return taken

    async def begin_behind_tier(
        self, offset: int, start: int, epochs: Iterable[tuple[int, int]], producers: ProducerStates
    ) -> None:
        """Drop everything: the log goes on at `offset`, and what lies before, from `start` on, is in the cloud tier.

        `epochs` and `producers` are those at `offset`. Raises as `reset_to`.
        """
        await self._other_cuts_done()
        self._forget_pending_behind(-1)
        note_tier_start(self._files, self.directory, start)
        await self._alone(self._reset(offset, start))
        self._tell_durable()
        self.epochs.precede(entry for entry in epochs if entry[1] < offset)
        self.epochs.truncate_start(self.log_start_offset)
        self.producers.restore(producers)
        self.checkpoint()

    def checkpoint(self) -> None:
        """Note in the index what is stable, so that a restart reads only what comes behind. After `make_stable`."""
        active = self.segments.active
        if self.failed is not None or self.damaged is not None or self._cutting is not None:
            return
        if self._stable_offset < active.next_offset:
            return
        self._index_written()
        if self.index.broken:
            return
        self.index.checkpoint(
            Checkpoint(
                active.next_offset,
                active.base_offset,
                active.size,
                active.max_timestamp,
                active.max_timestamp_base,
                self.epochs.before(active.next_offset),
            ),
            self.producers.after([]).dump(),
        )

    def close(self) -> None:
        """Free everything. `make_stable` and `checkpoint` first, for a restart without reading."""
        self.closed = True
        self.on_durable = None
        for task in (self._syncing, self._cutting):
            if task is not None:
                task.cancel()
        self._tail.clear()
        self.segments.close()
