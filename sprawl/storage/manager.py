"""All logs of one node: opened, kept within their limits, closed.

Owns the data directory's partition directories, the index store, the memory budget, and one background task that
checks retention, rolls segments that are old, syncs what is due, makes checkpoints, and looks for room while the disk
is full. `failed` completes when the node must not go on: a write or sync went wrong in a way that nothing can repair.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import posixpath
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sprawl.config.topics import Durability, TopicConfig
from sprawl.runtime import KeyValueStore, Runtime
from sprawl.storage.beginning import begin_reset, noted_start, noted_tier_start
from sprawl.storage.directories import (
    DELETED,
    STRAY,
    PartitionDirectory,
    directory_name,
    partition_directories,
    read_metadata,
    uuid_text,
    write_metadata,
)
from sprawl.storage.idle import IdleSegments
from sprawl.storage.index import IndexStore, LogIndex, log_id
from sprawl.storage.log import Log
from sprawl.storage.recovery import Recovered, recover
from sprawl.storage.retention import expired
from sprawl.storage.segment import Segment
from sprawl.storage.segments import Segments
from sprawl.storage.tail import MemoryBudget
from sprawl_protocol.errors import ApiError

log_ = logging.getLogger(__name__)

INDEX_DIRECTORY: Final = "index.rocksdb"
_TICK_SECONDS: Final = 1.0
_CHECKPOINT_SECONDS: Final = 30.0
_FIRST_RETENTION_SECONDS: Final = 30.0
"""After the start: time for an operator who started with wrong settings to think again (Kafka waits as long)."""


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Bytes and milliseconds."""

    memory_bytes: int
    disk_reserve_bytes: int
    """Writing resumes only once this much is free."""
    retention_check_ms: int
    producer_expiration_ms: int
    tier_idle_ms: int = -1
    """How long a segment that is in the cloud tier, too, stays unread; -1: as long as retention says."""


class LogManager:
    def __init__(
        self, runtime: Runtime, directory: str, settings: StorageSettings, *, power_failed: bool | None = False
    ) -> None:
        """`power_failed`: the machine was down since this directory was last in use; None if that is not known."""
        self._runtime = runtime
        self._files = runtime.files
        self._directory = directory
        self._settings = settings
        self._power_failed = power_failed
        self._idle = IdleSegments()
        self.budget = MemoryBudget(settings.memory_bytes)
        self._store: IndexStore | None = None
        self._logs: dict[tuple[UUID, int], Log] = {}
        self._background: asyncio.Task[None] | None = None
        self._removals: set[asyncio.Task[None]] = set()
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.high_watermark_of: Callable[[Log], int] = lambda log: log.durable_offset
        """Retention never deletes what is not committed."""
        self.tiered_until: Callable[[Log], int] = lambda log: 0
        """Exclusive: what a tiered log keeps elsewhere, too. Local retention deletes nothing else."""

    @property
    def directory(self) -> str:
        return self._directory

    @property
    def logs(self) -> list[Log]:
        return list(self._logs.values())

    async def start(self) -> None:
        """Raises `OSError` if the directory cannot be used."""
        self._files.make_dirs(self._directory)
        self._files.sync_dir(posixpath.dirname(self._directory.rstrip("/")) or ".")
        for name in self._files.list(self._directory):
            if name.endswith(DELETED):
                self._files.remove_tree(f"{self._directory}/{name}")
        self._store = IndexStore(self._open_index, self._runtime.in_thread)
        self._background = asyncio.create_task(self._tick_for_ever(), name="storage ticks")

    def _open_index(self) -> KeyValueStore:
        path = f"{self._directory}/{INDEX_DIRECTORY}"
        try:
            return self._runtime.open_kv(path)
        except OSError as error:
            log_.warning("the index is damaged and will be derived anew from the logs: %s", error)
            self._files.remove_tree(path)
            if self._power_failed:
                self._power_failed = None  # without checkpoints nothing tells what may be cut: keep, and mark, the most
            return self._runtime.open_kv(path)

    # -- logs -----------------------------------------------------------------------------------------------

    async def open(self, topic_id: UUID, topic: str, partition: int, config: TopicConfig) -> Log:
        """Make a log, or recover it. Raises `OSError`."""
        assert self._store is not None, "started"
        key = (topic_id, partition)
        if key in self._logs:
            return self._logs[key]
        path = f"{self._directory}/{directory_name(topic, partition)}"
        self._prepare_directory(path, topic_id)
        index = LogIndex(self._store, log_id(topic_id, partition))
        found, start = await self._recover(path, index, config)
        segments = Segments(self._files, path, found.segments)
        if not len(segments):
            segments.add(start, self._runtime.clock.wall_ms())
        found.epochs.truncate_start(start)
        log = Log(
            topic_id=topic_id,
            topic=topic,
            partition=partition,
            directory=path,
            config=config,
            files=self._files,
            clock=self._runtime.clock,
            segments=segments,
            index=index,
            epochs=found.epochs,
            producers=found.producers,
            log_start_offset=start,
            damaged=found.damaged,
            budget=self.budget,
            roll_jitter_ms=self._jitter(config),
        )
        log.on_failed = self._log_failed
        self._logs[key] = log
        return log

    async def _recover(self, path: str, index: LogIndex, config: TopicConfig) -> tuple[Recovered, int]:
        """What is in the files, and where the log starts. Raises `OSError`."""
        found = await recover(self._files, path, index, config.index_interval_bytes, power_failed=self._power_failed)
        noted = noted_start(self._files, path)
        if not found.segments:
            return found, noted
        first, tiered = found.segments[0].base_offset, noted_tier_start(self._files, path)
        start, end = max(noted, first if tiered is None else min(tiered, first)), found.segments[-1].next_offset
        if start <= end:
            return found, start
        if found.damaged is None and config.durability is not Durability.FSYNC:
            # Deleted before they ever were in the file, or synced: what is missing below the start is not missed.
            for segment in found.segments:
                segment.file.close()
            begin_reset(self._files, path, start)
            return await self._recover(path, index, config)
        found.damaged = found.damaged or f"its records begin at {start}, its files end at {end}"
        return found, end

    def _prepare_directory(self, path: str, topic_id: UUID) -> None:
        if self._files.exists(path):
            owner = read_metadata(self._files, path)
            if owner is not None and owner != topic_id:
                aside = f"{path}.{uuid_text(owner)}{STRAY}"
                log_.warning("%s belongs to another topic of the same name; set aside as %s", path, aside)
                self._files.rename(path, aside)
        self._files.make_dirs(path)
        if read_metadata(self._files, path) is None:
            write_metadata(self._files, path, topic_id)
        self._files.sync_dir(self._directory)

    def _jitter(self, config: TopicConfig) -> int:
        return self._runtime.rng.randint(0, min(config.segment_jitter_ms, config.segment_ms))

    async def delete(self, log: Log) -> None:
        """The topic is gone. The files go after `file.delete.delay.ms`."""
        self._logs.pop((log.topic_id, log.partition), None)
        log.close()
        log.index.forget()
        self._delete_directory(log.directory, log.topic_id, log.config.file_delete_delay_ms)

    def on_disk(self) -> list[PartitionDirectory]:
        """What partition directories there are, open or not."""
        return partition_directories(self._files, self._directory)

    def set_aside(self, directory: PartitionDirectory) -> None:
        """A directory that no topic claims any more: kept, under a name that says so, for the operator to remove."""
        aside = self._unused(f"{directory.path}.{uuid_text(directory.topic_id)}", STRAY)
        log_.warning("%s belongs to no topic of this cluster; set aside as %s", directory.path, aside)
        self._files.rename(directory.path, aside)
        self._files.sync_dir(self._directory)

    def _delete_directory(self, path: str, topic_id: UUID, delay_ms: int) -> None:
        doomed = self._unused(f"{path}.{uuid_text(topic_id)}", DELETED)
        self._files.rename(path, doomed)
        self._files.sync_dir(self._directory)
        self._later(delay_ms, lambda: self._files.remove_tree(doomed))

    def _unused(self, path: str, ending: str) -> str:
        """A replica may come and go again before what it left the last time is gone."""
        names = itertools.chain([path + ending], (f"{path}.{number}{ending}" for number in itertools.count(1)))
        return next(name for name in names if not self._files.exists(name))

    def _later(self, delay_ms: int, work: Callable[[], None]) -> None:
        async def remove() -> None:
            await asyncio.sleep(delay_ms / 1000)
            try:
                await self._runtime.in_thread(work)
            except OSError as error:
                log_.error("cannot remove deleted files: %s; they go at the next start", error)

        task = asyncio.create_task(remove(), name="remove deleted files")
        self._removals.add(task)
        task.add_done_callback(self._removals.discard)

    def _log_failed(self, log: Log) -> None:
        if not self.failed.done():
            self.failed.set_result(f"{log}: {log.failed}")

    # -- background -----------------------------------------------------------------------------------------

    async def _tick_for_ever(self) -> None:
        clock = self._runtime.clock
        next_retention = clock.monotonic() + min(_FIRST_RETENTION_SECONDS, self._settings.retention_check_ms / 1000)
        next_checkpoint = clock.monotonic() + _CHECKPOINT_SECONDS
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            now_ms, now = clock.wall_ms(), clock.monotonic()
            try:
                self._look_for_room()
            except OSError as error:
                log_.error("still no room for the index: %s", error)
            for log in self.logs:
                self._tick(log, now_ms)
            if now >= next_retention:
                next_retention = now + self._settings.retention_check_ms / 1000
                self._idle.keep((log.topic_id, log.partition) for log in self.logs)
                for log in self.logs:
                    self._retain(log, now_ms)
            if now >= next_checkpoint:
                next_checkpoint = now + _CHECKPOINT_SECONDS
                await self.checkpoint()

    def _tick(self, log: Log, now_ms: int) -> None:
        log.sync_if_due(now_ms)
        if log.damaged is None and log.failed is None and log.segments.is_old(log.config, 0, now_ms):
            self._try(log, log.roll)

    def _retain(self, log: Log, now_ms: int) -> None:
        log.producers.expire(now_ms, self._settings.producer_expiration_ms)
        if not log.config.deletes or log.failed is not None:
            return
        # Batches that wait in memory belong to the newest segment: it must know of them before it is judged.
        self._try(log, log.write_pending)
        if log.config.remote_storage_enable:
            self._retain_locally(log, now_ms)
            if not log.config.remote_log_copy_disable:
                return  # what is not in the tier yet stays until it is
        count = self._expired(log, now_ms, self.high_watermark_of(log))
        if count:
            self._try(log, lambda: self._drop(log, count))

    def _retain_locally(self, log: Log, now_ms: int) -> None:
        """Segments that are in the cloud tier, too, leave the disk; so do those that lie below the log's start."""
        gone = log.segments.holding(log.log_start_offset)
        if gone:
            self._try(log, lambda: self._drop(log, gone))
        until = min(self.high_watermark_of(log), self.tiered_until(log))
        idle_ms = self._settings.tier_idle_ms
        idle = self._idle.count(
            (log.topic_id, log.partition), log.segments.all, until=until, idle_ms=idle_ms, now_ms=now_ms
        )
        count = max(idle, self._expired(log, now_ms, until, local=True))
        if count:
            self._try(log, lambda: self._drop(log, count, tiered=True))

    def _expired(self, log: Log, now_ms: int, until: int, *, local: bool = False) -> int:
        """How many segments may go, none of which ends behind `until`."""
        config = log.config
        count = expired(
            [_Dated(segment) for segment in log.segments],
            retention_ms=config.local_ms if local else config.retention_ms,
            retention_bytes=config.local_bytes if local else config.retention_bytes,
            now_ms=now_ms,
            high_watermark=until,
            log_start_offset=log.log_start_offset,
        )
        return 0 if count == 1 and log.segments.active.is_empty and len(log.segments) == 1 else count

    def _drop(self, log: Log, count: int, *, tiered: bool = False) -> None:
        taken = log.drop_segments(count, tiered=tiered)
        if taken and tiered:
            log_.info("%s: %d segments are in the tier only; here from %d on", log, len(taken), log.local_start_offset)
        elif taken:
            log_.info("%s: %d segments are past retention; the log starts at %d", log, len(taken), log.log_start_offset)
            self._later(log.config.file_delete_delay_ms, lambda: self._remove_segments(taken))

    def _remove_segments(self, taken: list[Segment]) -> None:
        for segment in taken:
            segment.file.close()
            path = f"{segment.file.path}.deleted"
            if self._files.exists(path):
                self._files.remove(path)

    def _try(self, log: Log, work: Callable[[], None]) -> None:
        try:
            work()
        except (ApiError, OSError) as error:
            log_.error("%s: %s", log, error)

    def _look_for_room(self) -> None:
        full = [log for log in self.logs if log.full]
        assert self._store is not None
        if not full and self._store.broken is None:
            return
        if self._files.free_bytes(self._directory) <= self._settings.disk_reserve_bytes:
            return
        if self._store.broken is not None and not self._store.busy:
            self._store.reopen()
            log_.warning("the index is open again")
        if full:
            log_.warning("there is room on the disk again: %d logs take records", len(full))
        for log in full:
            log.room_again()

    async def checkpoint(self) -> None:
        """Make what all logs hold stable, and note it, so that a restart reads little."""
        assert self._store is not None
        for log in self.logs:
            if log.failed is None and not log.closed:
                try:
                    await log.make_stable()
                    log.checkpoint()
                except (ApiError, OSError) as error:
                    log_.error("%s: no checkpoint: %s", log, error)
        await self._store.flush()

    async def close(self) -> None:
        """Close everything so that the next start has nothing to recover."""
        if self._background is not None:
            self._background.cancel()
            await asyncio.gather(self._background, return_exceptions=True)
        if self._store is None:
            return
        await self.checkpoint()
        for removal in list(self._removals):
            removal.cancel()
        await asyncio.gather(*self._removals, return_exceptions=True)
        for log in self.logs:
            log.close()
        self._logs.clear()
        await self._store.close()
        self._store = None


class _Dated:
    """A segment as retention sees it: where records carry no time, the file's own counts."""

    __slots__ = ("max_timestamp", "next_offset", "size")

    def __init__(self, segment: Segment) -> None:
        self.size = segment.size
        self.next_offset = segment.next_offset
        self.max_timestamp = segment.max_timestamp if segment.max_timestamp >= 0 else segment.created_ms
