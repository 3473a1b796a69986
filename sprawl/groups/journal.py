"""Writes what happens in one shard to the log, in order, and keeps the log from growing for ever.

In: entries, each with its records and what is to be done once they are in the log (or are not). Out: one append at a
time, made of all entries that wait by then; then each entry's `done`, in the order of the entries. So what is applied
is always a prefix of what is in the log, and many small commits cost one write.

Compaction: when the log has grown enough since the last snapshot, the shard's live state is written again, chunk by
chunk between the entries, and all that lies before its first chunk is trimmed. A crash in between leaves a longer
log, no more.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sprawl.groups.log import GroupLog, KeyValue
from sprawl_protocol.errors import ApiError, ErrorCode

log: Final = logging.getLogger(__name__)

Build = Callable[[], Sequence[KeyValue]]
Done = Callable[[ApiError | None], None]

_BATCH_BYTES: Final = 256 * 1024
_QUEUE_BYTES: Final = 16 * 1024 * 1024


@dataclass(slots=True)
class _Entry:
    records: Sequence[KeyValue] | None
    build: Build | None
    """Made at its turn, when all before it has been applied."""
    done: Done
    size: int


class Journal:
    """`run` is the one task that appends; everything else only queues."""

    def __init__(
        self,
        group_log: GroupLog,
        partition: int,
        epoch: int,
        snapshot: Callable[[], Iterator[Sequence[KeyValue]]],
        snapshot_bytes: int,
        loaded_bytes: int = 0,
    ) -> None:
        self._log = group_log
        self._partition = partition
        self._epoch = epoch
        self._make_snapshot = snapshot
        self._snapshot_bytes = snapshot_bytes
        self._queue: deque[_Entry] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._closed: ApiError | None = None
        self._grown = loaded_bytes
        self._last_snapshot_size = 0
        self._snapshot: Iterator[Sequence[KeyValue]] | None = None
        self._snapshot_start = 0
        self._snapshot_size = 0

    def check_room(self) -> None:
        """Raises `ApiError` while more waits to be written than should."""
        if self._queued_bytes > _QUEUE_BYTES:
            raise ApiError(
                ErrorCode.COORDINATOR_NOT_AVAILABLE,
                f"{self._queued_bytes} bytes wait to be written to partition {self._partition} of the group log: later",
            )

    def write(self, records: Sequence[KeyValue], done: Done) -> None:
        """No records: `done` is called when everything before it has been."""
        self._put(_Entry(records, None, done, sum(len(key) + len(value or b"") for key, value in records)))

    def write_built(self, build: Build, done: Done) -> None:
        """The records depend on everything before them. What `build` raises as `ApiError` goes to `done`."""
        self._put(_Entry(None, build, done, 0))

    def _put(self, entry: _Entry) -> None:
        if self._closed is not None:
            entry.done(self._closed)
            return
        self._queue.append(entry)
        self._queued_bytes += entry.size
        self._wake.set()

    def close(self, error: ApiError) -> None:
        """No more is written. All that waits is told so, in order."""
        self._closed = error
        while self._queue:
            self._queue.popleft().done(error)
        self._queued_bytes = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            if self._queue:
                await self._write_next()
                if self._snapshot is None and self._grown > max(self._snapshot_bytes, self._last_snapshot_size):
                    self._begin_snapshot()
            if self._snapshot is not None:
                await self._continue_snapshot()
            elif not self._queue:
                self._wake.clear()
                await self._wake.wait()

    async def _write_next(self) -> None:
        entries, records = self._take_batch()
        error: ApiError | None = None
        if records:
            try:
                await self._log.append(self._partition, records, self._epoch)
            except ApiError as refusal:
                error = refusal
                log.warning("partition %d of the group log refuses a write: %s", self._partition, refusal.message)
            except asyncio.CancelledError:
                self._requeue(entries)
                raise
            else:
                self._grown += _size(records)
        for entry in entries:
            entry.done(error)

    def _take_batch(self) -> tuple[list[_Entry], list[KeyValue]]:
        entries: list[_Entry] = []
        records: list[KeyValue] = []
        size = 0
        while self._queue and (not entries or size + self._queue[0].size <= _BATCH_BYTES):
            if self._queue[0].build is not None:
                if entries:
                    break
                return self._take_built(self._queue.popleft())
            entry = self._queue.popleft()
            self._queued_bytes -= entry.size
            size += entry.size
            entries.append(entry)
            records.extend(entry.records or ())
        return entries, records

    def _take_built(self, entry: _Entry) -> tuple[list[_Entry], list[KeyValue]]:
        assert entry.build is not None, "only entries that are built come here"
        try:
            return [entry], list(entry.build())
        except ApiError as refusal:
            entry.done(refusal)
            return [], []

    def _requeue(self, entries: list[_Entry]) -> None:
        """Nobody knows what became of them. `close`, which follows, tells all the same."""
        for entry in reversed(entries):
            self._queue.appendleft(entry)

    def _begin_snapshot(self) -> None:
        try:
            self._snapshot_start = self._log.end_offset(self._partition)
        except ApiError:
            return  # no longer led here: that will be heard of soon
        self._snapshot = self._make_snapshot()
        self._snapshot_size = 0
        self._grown = 0

    async def _continue_snapshot(self) -> None:
        assert self._snapshot is not None, "called with a snapshot under way only"
        chunk = next(self._snapshot, None)
        try:
            if chunk is not None:
                await self._log.append(self._partition, chunk, self._epoch)
                self._snapshot_size += _size(chunk)
                return
            await self._log.trim(self._partition, self._snapshot_start)
            self._last_snapshot_size = self._snapshot_size
            log.info(
                "partition %d of the group log: %d bytes of live state written, all before offset %d trimmed",
                self._partition,
                self._snapshot_size,
                self._snapshot_start,
            )
        except ApiError as refusal:
            log.warning("no snapshot of partition %d of the group log: %s", self._partition, refusal.message)
        self._snapshot = None


def _size(records: Sequence[KeyValue]) -> int:
    return sum(len(key) + len(value or b"") for key, value in records)


_CLIENTS_ARE_TOLD: Final = {
    ErrorCode.UNKNOWN_TOPIC_OR_PARTITION: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_ENOUGH_REPLICAS: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.REQUEST_TIMED_OUT: ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.NOT_LEADER_OR_FOLLOWER: ErrorCode.NOT_COORDINATOR,
    ErrorCode.KAFKA_STORAGE_ERROR: ErrorCode.NOT_COORDINATOR,
    ErrorCode.MESSAGE_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.RECORD_LIST_TOO_LARGE: ErrorCode.UNKNOWN_SERVER_ERROR,
    ErrorCode.INVALID_FETCH_SIZE: ErrorCode.UNKNOWN_SERVER_ERROR,
}


def for_clients(error: ApiError) -> ApiError:
    """What went wrong with the log, as something a group's client knows what to do about."""
    return ApiError(_CLIENTS_ARE_TOLD.get(error.code, error.code), error.message)
