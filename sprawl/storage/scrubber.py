"""Bits that turn over on a disk, found while there still is another replica that has them right.

In: logs. Out: every closed segment read and checked once in a while (`sprawl.scrub.interval.ms`), slowly. What is
wrong is told as it is when a reader finds it: the log is damaged, its replica counts for nothing, and it is mended from
its leader. When a log was last found sound is kept in its index, so that restarts do not begin all over again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sprawl.runtime import Clock
from sprawl.storage.log import Log
from sprawl.storage.reading import CutError
from sprawl.storage.walking import Pace, batches
from sprawl_protocol.errors import ApiError

log_ = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class ScrubSettings:
    interval_ms: int
    """-1: nothing is ever looked at."""
    bytes_per_second: float


class Scrubber:
    def __init__(self, settings: ScrubSettings, clock: Clock, logs: Callable[[], Sequence[Log]]) -> None:
        self._settings = settings
        self._clock = clock
        self._logs = logs
        self._pace = Pace(settings.bytes_per_second)
        self.bytes_read = 0
        self.found_damaged = 0

    async def run(self) -> None:
        """Ends with the node."""
        interval_ms = self._settings.interval_ms
        if interval_ms < 0:
            await asyncio.Event().wait()
        while True:
            await asyncio.sleep(min(_LOOK_SECONDS, interval_ms / 1000))
            for log in self._logs():
                if self._clock.wall_ms() - log.index.scrubbed_ms() >= interval_ms:
                    await self.scrub(log)

    async def scrub(self, log: Log) -> None:
        """Look at all closed segments of a log."""
        if log.closed or log.failed is not None or log.damaged is not None:
            return
        try:
            for segment in log.segments.all[:-1]:
                async for _ in batches(log, segment, self._pace):
                    pass
                self.bytes_read += segment.size
            log.index.note_scrubbed(self._clock.wall_ms())
        except ApiError as damage:
            self.found_damaged += 1
            log_.error("found by going over what is stored: %s", damage.message)
        except OSError as problem:
            log_.error("%s cannot be gone over: %s", log, problem)
        except (CutError, ValueError):
            return  # compacted, cut or deleted meanwhile: the next time
