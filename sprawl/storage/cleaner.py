"""Compaction, carried out: which log is next, and its segments read and written anew.

In: logs, how far they are committed, settings. Out: logs whose closed segments have of each key the newest record. One
log at a time, run of segments by run of segments, and the event loop only for some milliseconds at a time.

A log is due when the share of bytes that were never compacted reaches `min.cleanable.dirty.ratio`, or when a record has
waited for `max.compaction.lag.ms` (KIP-354). What is not committed, younger than `min.compaction.lag.ms`, or in the
active segment is left alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sprawl.runtime import Clock
from sprawl.storage.compaction import BYTES_PER_KEY, Compactor, KeyMap, Rules
from sprawl.storage.log import Log
from sprawl.storage.reading import CutError
from sprawl.storage.segment import DamagedError, Segment
from sprawl.storage.segments import MAX_OFFSET_DELTA
from sprawl.storage.swapping import Replacement
from sprawl.storage.walking import Pace, batches
from sprawl_protocol.errors import ApiError, ProtocolError
from sprawl_protocol.records import read_header

log_ = logging.getLogger(__name__)

_WRITE_AT_ONCE: Final = 1024 * 1024
_SET_ASIDE: Final = 600.0
"""Seconds for which a log is left alone that could not be compacted."""


@dataclass(frozen=True, slots=True)
class CleanerSettings:
    enabled: bool
    backoff: float
    """Seconds between two looks for work."""
    memory_bytes: int
    """For the keys of one run."""
    bytes_per_second: float
    """Read and written together."""


@dataclass(slots=True)
class CleanerCounters:
    runs: int = 0
    bytes_freed: int = 0
    failures: int = 0
    busy_with: str = ""


@dataclass(frozen=True, slots=True)
class Due:
    """What of a log may be compacted."""

    log: Log
    start: int
    """From here on nothing was compacted yet."""
    until: int
    """Exclusive."""
    ratio: float
    overdue: bool


def due(log: Log, high_watermark: int, now_ms: int) -> Due | None:
    """None: nothing, for now. Pure."""
    config = log.config
    if not config.compacts or log.damaged is not None or log.failed is not None:
        return None
    start = max(min(log.index.compacted_until(), log.log_end_offset), log.local_start_offset)
    clean = dirty = 0
    oldest, until = now_ms, start
    for segment in log.segments:
        if segment is log.segments.active or segment.next_offset > high_watermark:
            break
        written = segment.max_timestamp if segment.max_timestamp >= 0 else segment.created_ms
        if segment.next_offset <= start:
            clean += segment.size
            continue
        if config.min_compaction_lag_ms and now_ms - written < config.min_compaction_lag_ms:
            break
        dirty += segment.size
        oldest = min(oldest, segment.created_ms, written)
        until = segment.next_offset
    if not dirty:
        return None
    ratio = dirty / (clean + dirty)
    overdue = now_ms - oldest > config.max_compaction_lag_ms
    return Due(log, start, until, ratio, overdue) if overdue or ratio >= config.min_cleanable_dirty_ratio else None


class Cleaner:
    def __init__(
        self,
        settings: CleanerSettings,
        clock: Clock,
        logs: Callable[[], Sequence[Log]],
        high_watermark_of: Callable[[Log], int],
    ) -> None:
        """`logs`: not those of the cluster's own topics, which are kept small by whoever writes them."""
        self._settings = settings
        self._clock = clock
        self._logs = logs
        self._high_watermark_of = high_watermark_of
        self.counters = CleanerCounters()
        self._pace = Pace(settings.bytes_per_second)
        self._mended: set[tuple[UUID, int]] = set()
        self._set_aside: dict[tuple[UUID, int], float] = {}
        """Logs that could not be compacted, and until when they are left alone."""

    @property
    def set_aside(self) -> int:
        """How many logs could not be compacted, and are left alone for now."""
        now = self._clock.monotonic()
        return sum(until > now for until in self._set_aside.values())

    def max_dirty_percent(self) -> float:
        """Of the logs that may be compacted now: the largest share that was not yet; 0 if there is none."""
        return 100.0 * max((one.ratio for one in self._due()), default=0.0)

    async def run(self) -> None:
        """Ends with the node."""
        if not self._settings.enabled:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(self._settings.backoff)
            while (next_one := self._filthiest()) is not None and await self.clean(next_one):
                pass

    def _filthiest(self) -> Due | None:
        return max(self._due(), key=lambda one: (one.overdue, one.ratio), default=None)

    def _due(self) -> list[Due]:
        now_ms, now = self._clock.wall_ms(), self._clock.monotonic()
        return [
            one
            for log in self._logs()
            if log.config.compacts
            and self._set_aside.get((log.topic_id, log.partition), now) <= now
            and (one := due(log, self._high_watermark_of(log), now_ms)) is not None
        ]

    async def clean(self, work: Due) -> bool:
        """One run over one log. False: it did not succeed, which the log says; it is tried again later."""
        log, before = work.log, work.log.size_bytes
        self.counters.busy_with = str(log)
        try:
            await self._mend(log)
            keys, until = await self._keys(work)
            for run in self._runs(log, until):
                await self._compact(log, run, keys, until)
            log.index.note_compacted(until)
        except (CutError, ValueError):
            return False  # the log was cut or closed meanwhile
        except (ApiError, DamagedError, ProtocolError, OSError) as error:
            self.counters.failures += 1
            self._set_aside[log.topic_id, log.partition] = self._clock.monotonic() + _SET_ASIDE
            log_.error("%s cannot be compacted, and is not tried for %d s: %s", log, _SET_ASIDE, error)
            return False
        finally:
            self.counters.busy_with = ""
        self.counters.runs += 1
        self.counters.bytes_freed += max(before - log.size_bytes, 0)
        log_.info("%s: compacted up to %d: %d bytes, %d before", log, until, log.size_bytes, before)
        return True

    async def _mend(self, log: Log) -> None:
        key = (log.topic_id, log.partition)
        if key not in self._mended:
            await log.mend_swaps(log.config.index_interval_bytes)
            self._mended.add(key)

    async def _keys(self, work: Due) -> tuple[KeyMap, int]:
        """Of what was never compacted; as far as memory goes, and up to where that is."""
        keys, most = KeyMap(), max(self._settings.memory_bytes // BYTES_PER_KEY, 1)
        for segment in work.log.segments.all[:]:
            if segment.next_offset <= work.start or segment.next_offset > work.until:
                continue
            async for data, pos, header in batches(work.log, segment, self._pace):
                if header.last_offset < work.start:
                    continue
                if len(keys) + header.record_count > most and len(keys):
                    return keys, header.base_offset
                keys.note(data, pos, header)
        return keys, work.until

    def _runs(self, log: Log, until: int) -> list[list[Segment]]:
        """What is compacted together into one segment: as many small ones as fit in one."""
        runs: list[list[Segment]] = []
        size = 0
        for segment in log.segments.all[:]:
            if segment.base_offset >= until or segment is log.segments.active:
                break
            fits = runs and size + segment.size <= log.config.max_segment_bytes
            if fits and segment.next_offset - runs[-1][0].base_offset <= MAX_OFFSET_DELTA:
                runs[-1].append(segment)
                size += segment.size
            else:
                runs.append([segment])
                size = segment.size
        return runs

    async def _compact(self, log: Log, run: Sequence[Segment], keys: KeyMap, until: int) -> None:
        rules = Rules(
            newest=keys,
            until=until,
            now_ms=self._clock.wall_ms(),
            delete_retention_ms=log.config.delete_retention_ms,
            tombstones_go=not log.config.remote_storage_enable,
            last_of_producers={each.batches[-1].last_offset for _, each in log.producers.items() if each.batches},
        )
        compactor = Compactor(rules, run[0].base_offset, log.epochs.within)
        new = log.begin_replacement(run)
        try:
            await self._write(log, run, compactor, new)
            if len(run) == 1 and not compactor.changed:
                log.drop_replacement(new)
                return
            await new.segment.file.sync()
        except BaseException:
            log.drop_replacement(new)
            raise
        await log.swap(run, new)

    async def _write(self, log: Log, run: Sequence[Segment], compactor: Compactor, new: Replacement) -> None:
        waiting: list[bytes | bytearray | memoryview] = []
        size = 0
        for segment in run:
            async for data, pos, header in batches(log, segment, self._pace):
                for batch in compactor.take(data, pos, header):
                    new.pass_by(read_header(batch), log.index, log.config.index_interval_bytes)
                    waiting.append(batch)
                    size += len(batch)
                if size >= _WRITE_AT_ONCE:
                    await self._written(new, waiting, size)
                    waiting, size = [], 0
        for batch in compactor.finish():
            new.pass_by(read_header(batch), log.index, log.config.index_interval_bytes)
            waiting.append(batch)
            size += len(batch)
        await self._written(new, waiting, size)
        if new.segment.next_offset != run[-1].next_offset:
            raise ProtocolError(f"{log}: offsets from {new.segment.next_offset} on would be lost")

    async def _written(self, new: Replacement, waiting: list[bytes | bytearray | memoryview], size: int) -> None:
        if waiting:
            new.segment.file.append(waiting)
            await self._pace.keep(size)
