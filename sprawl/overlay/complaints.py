"""What went wrong again and again, said once in a while: a log that a broken peer could fill is a fault of its own.

In: what is wrong, time. Out: how often it was, when it is time to say so. Bounded: beyond that nothing new is said.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

PERIOD: Final = 60.0
_MOST: Final = 256


@dataclass(slots=True)
class _Heard:
    said_at: float
    unsaid: int = 0


class Complaints:
    def __init__(self, period: float = PERIOD) -> None:
        self._period = period
        self._heard: dict[Hashable, _Heard] = {}

    def due(self, what: Hashable, now: float) -> int:
        """How often it was since it was last said, this time included; 0 if it is not to be said now."""
        heard = self._heard.get(what)
        if heard is None:
            self._drop_old(now)
            if len(self._heard) >= _MOST:
                return 0
            self._heard[what] = _Heard(now)
            return 1
        heard.unsaid += 1
        if now - heard.said_at < self._period:
            return 0
        times, heard.unsaid, heard.said_at = heard.unsaid, 0, now
        return times

    def _drop_old(self, now: float) -> None:
        for what, heard in list(self._heard.items()):
            if now - heard.said_at >= 2 * self._period:
                del self._heard[what]
