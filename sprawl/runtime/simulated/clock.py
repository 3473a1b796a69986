"""A simulated machine's clock: virtual time, seen wrongly.

In: virtual time. Out: wall time with the machine's own error, and monotonic time with its own start. `jump` moves the
wall clock, as an operator or NTP might; the monotonic one never goes back.
"""

from __future__ import annotations

from typing import Final

from sprawl.runtime.simulated.scheduler import Scheduler

_EPOCH_MS: Final = 1_750_000_000_000


class SimulatedClock:
    __slots__ = ("_scheduler", "offset", "wall_error_ms")

    def __init__(self, scheduler: Scheduler, offset: float, wall_error_ms: int) -> None:
        self._scheduler = scheduler
        self.offset = offset
        self.wall_error_ms = wall_error_ms

    def wall_ms(self) -> int:
        return _EPOCH_MS + self.wall_error_ms + int(self._scheduler.now * 1000)

    def monotonic(self) -> float:
        return self._scheduler.now + self.offset

    def jump(self, milliseconds: int) -> None:
        self.wall_error_ms += milliseconds
