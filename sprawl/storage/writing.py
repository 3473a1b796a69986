"""The writing half of a log: from memory to the file to stable storage, and what is known of how far that is.

`take` puts batches in memory and returns. All that comes in one turn of the event loop is written by one `writev`
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
from typing import Any, Final
from uuid import UUID

from sprawl.config.topics import Durability, TopicConfig
from sprawl.runtime import Clock, FileSystem
from sprawl.storage.epochs import LeaderEpochs
from sprawl.storage.index import Change, LogIndex, SegmentFacts
from sprawl.storage.producers import ProducerStates
from sprawl.storage.reading import LogFiles
from sprawl.storage.segment import Segment
from sprawl.storage.segments import Segments
from sprawl.storage.tail import MemoryBudget, Tail, TailEntry
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import BatchHeader

log_ = logging.getLogger(__name__)

_MEMORY_THRESHOLD: Final = 4 * 1024 * 1024
"""Bytes that a log of durability `memory` gathers before it writes them."""
_DISK_FULL: Final = "the disk is full; free some room, and writing resumes by itself"


@dataclass(slots=True)
class _Pending:
    """An appended batch that is not in the file yet."""

    header: BatchHeader
    entry: TailEntry
    view: memoryview


class LogWriter:
    """Also what every part of a log shares: its offsets, its files, what is known of it."""

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
        self.damaged_from = segments.active.next_offset if damaged is not None else -1
        """From this offset on; -1 for a sound log."""
        self.failed: str | None = None
        """Why this log is beyond use until the node restarts; None for a working log."""
        self.full = False
        """The disk had no room at the last attempt to write."""
        self.on_durable: Callable[[Any], None] | None = None
        self.on_written: Callable[[], None] | None = None
        """Told that records were written that are not durable yet: a follower may have them."""
        self.on_rejected: Callable[[int, ApiError], None] | None = None
        """Told the first offset that was taken back, and why."""
        self.on_failed: Callable[[Any], None] | None = None
        self.on_damaged: Callable[[], None] | None = None
        """Told that damage was found, or more of it."""
        self._files = files
        self._clock = clock
        self._roll_jitter_ms = roll_jitter_ms
        self._budget = budget
        self._tail = Tail(budget)
        self._reading = LogFiles(segments, index, epochs)
        self._pending: list[_Pending] = []
        self._pending_bytes = 0
        self._write_scheduled = False
        self._cutting: asyncio.Task[None] | None = None
        """Its end is being cut off: nothing is appended, and its files keep their shape for everyone else."""
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
        if self._cutting is not None:
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self} is being cut and takes no records meanwhile")
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
        if not self._pending or self.failed is not None or self._cutting is not None:
            return
        written: list[BatchHeader] = []
        try:
            while self._pending:
                written += self._write_run(written)
            self.producers.commit()
        except OSError as error:
            self._cannot_write(error, written)
        self._index_written()
        self.written_offset = self.segments.active.next_offset
        self._settle()

    def _write_run(self, before: list[BatchHeader]) -> list[BatchHeader]:
        """Write pending batches up to the end of the segment they fall in; returns what was written.

        `before`: what was written since the producer states were committed.
        """
        first = self._pending[0].header
        if self.segments.is_full(self.config, self._roll_jitter_ms, first.size, first.last_offset, first.max_timestamp):
            self._roll(before)
        active = self.segments.active
        run = [self._pending[0]]
        size = active.size + first.size
        began = active.first_timestamp if active.first_timestamp >= 0 else first.max_timestamp
        latest = began + self.config.roll_ms - self._roll_jitter_ms
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

    def _roll(self, before: list[BatchHeader]) -> None:
        """The new segment begins where the old one ends, also if the next batch leaves a gap behind it.

        So that segments never have gaps between them: where one has, something is missing.
        """
        old = self.segments.active
        facts = SegmentFacts(old.size, old.next_offset, old.max_timestamp, old.max_timestamp_base)
        self.segments.add(old.next_offset, self._clock.wall_ms())
        self._changes += self.index.closed(old.base_offset, facts)
        self._changes += self.index.began(old.next_offset, self.producers.after(before).dump())
        self._unsynced.append(old)
        self.sync_soon()

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
        state = self.producers.after(written)
        self.producers.restore(state)
        if self.config.durability is Durability.MEMORY:
            log_.error("%s: %s; %d bytes wait in memory", self, _DISK_FULL, self._pending_bytes)
            for pending in self._pending:
                self.producers.note(pending.header)
            return
        first = self._pending[0].header.base_offset
        log_.error("%s: %s; %d bytes are taken back", self, _DISK_FULL, self._pending_bytes)
        self._forget_pending(0)
        if self.on_rejected is not None:
            self.on_rejected(first, ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: {_DISK_FULL}"))

    def _forget_pending(self, first: int) -> None:
        """Take back the batches that wait, from number `first` on. The log ends before them."""
        del self._pending[first:]
        self._pending_bytes = sum(pending.header.size for pending in self._pending)
        end = self._pending[-1].header.next_offset if self._pending else self.segments.active.next_offset
        self._tail.truncate(end)
        self.epochs.truncate_end(end)
        self.producers.roll_back()
        for pending in self._pending:
            self.producers.note(pending.header)
        self.log_end_offset = end
        self.durable_offset = min(self.durable_offset, end)

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
                if self.on_written is not None:
                    self.on_written()
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
        """Everything appended so far is on stable storage when this returns. Raises `ApiError`.

        Where the disk was full, what was appended last may have been taken back.
        """
        self.write_pending()
        self._refuse_if_unwritten()
        while self._stable_offset < self.written_offset or self._unsynced:
            await asyncio.shield(self.sync_soon())
            self._refuse_if_unwritten()

    def _refuse_if_unwritten(self) -> None:
        if self.failed is not None or self.full:
            raise ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{self}: {self.failed or _DISK_FULL}")

    def _fail(self, reason: str) -> None:
        self.failed = reason
        log_.critical("%s: %s", self, reason)
        self._tell_durable()
        if self.on_failed is not None:
            self.on_failed(self)
