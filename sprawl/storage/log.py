"""One partition replica's log: append, read, find, truncate.

Offsets, and what each means:

    log_start_offset <= ... <= durable_offset <= written_offset <= log_end_offset
      first record kept       may count towards     in the file       next record
                              the high watermark

`append` puts batches in memory and returns. All appends of one turn of the event loop are written by one `writev`
(group commit); what counts as durable after that is the topic's `sprawl.durability`: `disk` when it is written, `fsync`
when it is on stable storage (one fdatasync at a time, for everything written before it), `memory` already when it is
appended, written once enough has gathered. `on_durable` tells that `durable_offset` moved or that the log failed.

A full disk refuses appends, takes back what could not be written (`on_rejected`), and tries again by itself. A failed
fsync is the end of this log's life: nothing is known of what it should have made stable.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sprawl.config.topics import Durability, TopicConfig
from sprawl.runtime import Clock, FileSystem
from sprawl.storage.epochs import LeaderEpochs
from sprawl.storage.index import Change, Checkpoint, LogIndex, SegmentFacts
from sprawl.storage.producers import ProducerStates
from sprawl.storage.reading import LogFiles, LogRead
from sprawl.storage.segment import DamagedError, Segment
from sprawl.storage.segments import Segments
from sprawl.storage.tail import MemoryBudget, Tail, TailEntry
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import BatchHeader, stamp, stamp_log_append_time

__all__ = ["AppendInfo", "Log", "LogRead"]

log_ = logging.getLogger(__name__)

_MEMORY_THRESHOLD: Final = 4 * 1024 * 1024
"""Bytes that a log of durability `memory` gathers before it writes them."""
_NO_TIME: Final = -1


@dataclass(slots=True)
class AppendInfo:
    base_offset: int
    last_offset: int
    log_append_time_ms: int
    """-1 where the producer's own times are kept."""


@dataclass(slots=True)
class _Pending:
    """An appended batch that is not in the file yet."""

    header: BatchHeader
    entry: TailEntry
    view: memoryview


class Log:
    """Built by `LogManager.open`, which has recovered what it is made of."""

    def __init__(
        self,
        *,
        topic_id: UUID,
        topic: str,
        partition: int,
        directory: str,
        config: TopicConfig,
        files: FileSystem,
        clock: Clock,
        segments: Segments,
        index: LogIndex,
        epochs: LeaderEpochs,
        producers: ProducerStates,
        log_start_offset: int,
        damaged: str | None,
        budget: MemoryBudget,
        roll_jitter_ms: int,
    ) -> None:
        self.topic_id = topic_id
        self.topic = topic
        self.partition = partition
        self.directory = directory
        self.config = config
        self.segments = segments
        self.index = index
        self.epochs = epochs
        self.producers = producers
        self.log_start_offset = log_start_offset
        self.damaged = damaged
        """Why nothing more is taken, and nothing behind the damage served; None for a sound log."""
        self.failed: str | None = None
        """Why this log is beyond use until the node restarts; None for a working log."""
        self.full = False
        """The disk had no room at the last attempt to write."""
        self.on_durable: Callable[[Log], None] | None = None
        self.on_rejected: Callable[[int, ApiError], None] | None = None
        """Told the first offset that was taken back, and why."""
        self.on_failed: Callable[[Log], None] | None = None
        self._files = files
        self._clock = clock
        self._roll_jitter_ms = roll_jitter_ms
        self._budget = budget
        self._tail = Tail(budget)
        self._reading = LogFiles(segments, index)
        self._pending: list[_Pending] = []
        self._pending_bytes = 0
        self._write_scheduled = False
        self._changes: list[Change] = []
        self._syncing: asyncio.Task[None] | None = None
        self._unsynced_records = 0
        self._last_sync_ms = clock.wall_ms()
        self._unsynced: list[Segment] = []
        self.closed = False
        end = segments.active.next_offset
        self.log_end_offset = end
        self.written_offset = end
        self.durable_offset = end
        self._stable_offset = end
        """Everything below is on stable storage."""

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"

    @property
    def size_bytes(self) -> int:
        return self.segments.size_bytes

    def last_stable_offset(self, high_watermark: int) -> int:
        """Without transactions in the log every committed record is decided."""
        return high_watermark

    # -- appending ------------------------------------------------------------------------------------------

    def append(
        self, buffer: memoryview, batches: list[tuple[int, BatchHeader]], leader_epoch: int, now_ms: int
    ) -> AppendInfo:
        """Take validated batches, give them their offsets in place, keep a reference to `buffer`.

        Raises `ApiError` KAFKA_STORAGE_ERROR if the log takes nothing now; then nothing was changed.
        """
        self._refuse_if_unfit()
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

    def _take(self, buffer: memoryview, batches: list[tuple[int, BatchHeader]]) -> None:
        whole = len(batches) == 1 and batches[0][1].size == buffer.nbytes
        for pos, header in batches:
            view = buffer if whole else buffer[pos : pos + header.size]
            entry = TailEntry(header.base_offset, header.next_offset, view)
            self._tail.append(entry)
            self._pending.append(_Pending(header, entry, entry.buffer))
            self._pending_bytes += header.size
            self.epochs.assign(header.partition_leader_epoch, header.base_offset)
            if header.producer_id >= 0 and not header.is_control:
                self.producers.update(header)
            self.log_end_offset = header.next_offset
        if not self._write_scheduled:
            self._write_scheduled = True
            asyncio.get_running_loop().call_soon(self._end_of_turn)

    def _refuse_if_unfit(self) -> None:
        if self.failed is not None or self.closed:
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: {self.failed or 'the log is closed'}")
        if self.damaged is not None:
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self} is damaged and takes no records: {self.damaged}")
        if self.full:
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: {_DISK_FULL}")

    # -- writing --------------------------------------------------------------------------------------------

    def _end_of_turn(self) -> None:
        """Group commit: everything appended in this turn of the loop."""
        self._write_scheduled = False
        if self.closed:
            return
        if self.config.durability is Durability.MEMORY:
            self.durable_offset = self.log_end_offset
            if self._pending_bytes >= _MEMORY_THRESHOLD:
                self.write_pending()
            self._tell_durable()
        else:
            self.write_pending()

    def write_pending(self) -> None:
        """Write what is in memory only. What that means for durability is told by `on_durable`."""
        if not self._pending or self.failed is not None:
            return
        written: list[BatchHeader] = []
        try:
            while self._pending:
                written += self._write_run()
            self.producers.commit()
        except OSError as error:
            self._cannot_write(error, written)
        self._index_written()
        self.written_offset = self.segments.active.next_offset
        self._settle()

    def _write_run(self) -> list[BatchHeader]:
        """Write pending batches up to the end of the segment they fall in; returns what was written."""
        now_ms = self._clock.wall_ms()
        first = self._pending[0].header
        if self.segments.is_full(self.config, self._roll_jitter_ms, first.size, first.last_offset, first.max_timestamp):
            self._roll(first.base_offset, now_ms)
        active = self.segments.active
        run = [self._pending[0]]
        size = active.size + first.size
        began = active.first_timestamp if active.first_timestamp >= 0 else first.max_timestamp
        latest = began + self.config.segment_ms - self._roll_jitter_ms
        for pending in self._pending[1:]:
            size += pending.header.size
            if size > self.config.max_segment_bytes or pending.header.max_timestamp > latest:
                break
            run.append(pending)
        active.file.append([pending.view for pending in run])
        for pending in run:
            self._place(active, pending.header)
            pending.entry.written = True
        del self._pending[: len(run)]
        self._pending_bytes -= sum(pending.header.size for pending in run)
        self._unsynced_records += run[-1].header.next_offset - first.base_offset
        self._budget.shrink()
        return [pending.header for pending in run]

    def _place(self, segment: Segment, header: BatchHeader) -> None:
        if segment.size - segment.last_indexed >= self.config.index_interval_bytes:
            self._changes += self.index.place(
                segment.base_offset, header.base_offset, segment.size, segment.max_timestamp
            )
            segment.last_indexed = segment.size
        segment.note(header)
        segment.size += header.size

    def _index_written(self) -> None:
        if self._changes:
            changes, self._changes = self._changes, []
            self.index.write(changes)

    def _cannot_write(self, error: OSError, written: list[BatchHeader]) -> None:
        """Take back what did not reach the file, or give up if it is not for want of room.

        What was acknowledged from memory is not taken back: it waits in memory for room.
        """
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            self._fail(f"cannot write: {error}")
            return
        self.full = True
        if self.config.durability is Durability.MEMORY:
            log_.error("%s: %s; %d bytes wait in memory", self, _DISK_FULL, self._pending_bytes)
            return
        first = self._pending[0].header.base_offset
        log_.error("%s: %s; %d bytes are taken back", self, _DISK_FULL, self._pending_bytes)
        self._pending.clear()
        self._pending_bytes = 0
        self._tail.truncate(first)
        self.epochs.truncate_end(first)
        self.producers.roll_back()
        for header in written:
            if header.producer_id >= 0:
                self.producers.update(header)
        self.producers.commit()
        self.log_end_offset = first
        if self.on_rejected is not None:
            self.on_rejected(first, ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: {_DISK_FULL}"))

    def room_again(self) -> None:
        """The manager found room on the disk."""
        self.full = False
        self.write_pending()

    def sync_if_due(self, now_ms: int) -> None:
        """flush.ms: bounds for how long what is written may stay unsynced, where durability does not ask for more."""
        if self._stable_offset < self.written_offset and now_ms - self._last_sync_ms >= self.config.flush_ms:
            self.sync_soon()

    def _settle(self) -> None:
        """After a write: what is durable now, and what must be synced to be."""
        if self.failed is not None:
            return
        match self.config.durability:
            case Durability.FSYNC:
                self.sync_soon()
                return
            case Durability.DISK:
                self.durable_offset = self.written_offset
            case Durability.MEMORY:
                self.durable_offset = self.log_end_offset
        self._tell_durable()
        if self._unsynced_records >= self.config.flush_messages:
            self.sync_soon()

    def _tell_durable(self) -> None:
        if self.on_durable is not None:
            self.on_durable(self)

    # -- syncing --------------------------------------------------------------------------------------------

    def sync_soon(self) -> asyncio.Task[None]:
        """Have everything written so far on stable storage; the task ends when it is, or the log has failed."""
        if self._syncing is None or self._syncing.done():
            self._syncing = asyncio.create_task(self._sync(), name=f"sync {self}")
        return self._syncing

    async def _sync(self) -> None:
        while self._stable_offset < self.written_offset or self._unsynced:
            target = self.written_offset
            active = self.segments.active
            size = active.size
            rolled, self._unsynced = self._unsynced, []
            try:
                for segment in rolled:
                    await segment.file.sync()
                    segment.synced = segment.size
                if active.synced < size:
                    await active.file.sync()
                    active.synced = max(active.synced, size)
            except (OSError, ValueError) as error:
                if not self.closed:
                    self._fail(f"cannot make records durable, so none may be believed: {error}")
                return
            self._stable_offset = max(self._stable_offset, target)
            self._unsynced_records = 0
            self._last_sync_ms = self._clock.wall_ms()
            if self.config.durability is Durability.FSYNC and not self.closed:
                self.durable_offset = max(self.durable_offset, min(target, self.written_offset))
                self._tell_durable()

    async def make_stable(self) -> None:
        """Everything appended so far is on stable storage when this returns. Raises `ApiError`."""
        self.write_pending()
        while self._stable_offset < self.written_offset or self._unsynced:
            await asyncio.shield(self.sync_soon())
            if self.failed is not None:
                raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: {self.failed}")

    def _fail(self, reason: str) -> None:
        self.failed = reason
        log_.critical("%s: %s", self, reason)
        self._tell_durable()
        if self.on_failed is not None:
            self.on_failed(self)

    # -- reading --------------------------------------------------------------------------------------------

    def read_now(self, offset: int, max_bytes: int, until: int, minimum_one: bool = True) -> LogRead | None:
        """Batches from the one that holds `offset` on, below `until`, of at most `max_bytes` bytes (the first one

        whatever its size, if `minimum_one`). None if the disk must be asked. Raises `ApiError` OFFSET_OUT_OF_RANGE,
        KAFKA_STORAGE_ERROR.
        """
        self._check_offset(offset)
        entries = self._tail.find(offset, until, max_bytes, minimum_one)
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
        found = self.read_now(offset, max_bytes, until, minimum_one)
        if found is not None:
            return found
        try:
            return await self._reading.read(offset, max_bytes, until, minimum_one)
        except DamagedError as error:
            raise self._damaged_at(error) from None
        except (OSError, ValueError) as error:
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self} cannot be read: {error}") from None

    def _check_offset(self, offset: int) -> None:
        if self.log_start_offset <= offset <= self.log_end_offset:
            if self.damaged is not None and offset == self.log_end_offset:
                raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self} is damaged from here on: {self.damaged}")
            return
        raise ApiError(
            ErrorCode.OFFSET_OUT_OF_RANGE,
            f"{self} has offsets {self.log_start_offset} to {self.log_end_offset}, not {offset}",
        )

    def _damaged_at(self, error: DamagedError) -> ApiError:
        if self.damaged is None:
            self.damaged = str(error)
            log_.error("%s is damaged and takes no more records: %s", self, error)
        return ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self} is damaged: {error}")

    async def offset_for_timestamp(self, timestamp: int) -> tuple[int, int, int] | None:
        """Offset, timestamp, leader epoch of the first record that is as new as `timestamp`. Raises `ApiError`."""
        return await self._locate(timestamp)

    async def max_timestamp_offset(self) -> tuple[int, int, int] | None:
        """The same, of the first of the records with the largest timestamp."""
        return await self._locate(None)

    async def _locate(self, timestamp: int | None) -> tuple[int, int, int] | None:
        self.write_pending()
        try:
            if timestamp is None:
                found = await self._reading.newest(self.log_start_offset)
            else:
                found = await self._reading.first_at_or_after(timestamp, self.log_start_offset)
        except DamagedError as error:
            raise self._damaged_at(error) from None
        return None if found is None else (found.offset, found.timestamp, found.leader_epoch)

    # -- shape ----------------------------------------------------------------------------------------------

    def roll(self) -> None:
        """Begin a new segment, unless the active one is empty. Raises `ApiError`."""
        self.write_pending()
        if not self.segments.active.is_empty and self.failed is None and self.damaged is None:
            try:
                self._roll(self.log_end_offset, self._clock.wall_ms())
            except OSError as error:
                raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: no new segment: {error}") from None

    def _roll(self, base_offset: int, now_ms: int) -> None:
        before = self.segments.active
        facts = SegmentFacts(before.size, before.next_offset, before.max_timestamp, before.max_timestamp_base)
        self.segments.add(base_offset, now_ms)
        self._changes += self.index.closed(before.base_offset, facts)
        self._unsynced.append(before)
        self.sync_soon()

    def apply_config(self, config: TopicConfig) -> None:
        self.config = config
        if self._pending and config.durability is not Durability.MEMORY:
            self.write_pending()

    def advance_log_start(self, offset: int) -> None:
        """Records below `offset` are gone, durably. Blocks for a moment. Raises `ApiError`."""
        if offset <= self.log_start_offset:
            return
        try:
            self._files.write_atomic(f"{self.directory}/{START_FILE}", f"{offset}\n".encode())
        except OSError as error:
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: cannot note its new start: {error}") from None
        self.log_start_offset = offset
        self.epochs.truncate_start(offset)

    def drop_segments(self, count: int) -> list[Segment]:
        """Take the oldest `count` segments out of the log; their files are the caller's to remove."""
        if count >= len(self.segments):
            self.roll()
        taken = self.segments.take_first(min(count, len(self.segments) - 1))
        for segment in taken:
            self.index.forget_segment(segment.base_offset)
        self._reading.forget_places()
        start = self.segments[0].base_offset
        if start > self.log_start_offset:
            self.log_start_offset = start
            self.epochs.truncate_start(start)
        return taken

    def checkpoint(self) -> None:
        """Note in the index what is stable, so that a restart reads only what comes behind. After `make_stable`."""
        active = self.segments.active
        if self.failed is not None or self.damaged is not None or self._stable_offset < active.next_offset:
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
                self.epochs.entries,
            ),
            self.producers.dump(),
        )

    def close(self) -> None:
        """Free everything. `make_stable` and `checkpoint` first, for a restart without reading."""
        self.closed = True
        self.on_durable = None
        if self._syncing is not None:
            self._syncing.cancel()
        self._tail.clear()
        self.segments.close()


_DISK_FULL: Final = "the disk is full; free some room, and writing resumes by itself"
START_FILE: Final = "log-start-offset"
"""Beside the segments: the first offset kept, where DeleteRecords has moved it."""
