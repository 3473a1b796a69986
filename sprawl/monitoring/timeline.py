"""When a partition's end was where: enough to say how long ago a consumer's offset was the newest.

In: the end of a partition's log every few seconds. Out: the time at which it passed an offset, between two notes as if
records came evenly. Bounded: once it is full every second of the older notes goes, so that the past grows coarse and is
not lost; what is older than all notes is known to be at least that old.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

NOTES: Final = 128


class Timeline:
    __slots__ = ("_ends", "_times")

    def __init__(self) -> None:
        self._times: list[float] = []
        self._ends: list[int] = []

    def note(self, now: float, end: int) -> None:
        """`now` never goes back. An end that does, does so because records were lost: what was noted is void."""
        if self._ends and end < self._ends[-1]:
            self._times.clear()
            self._ends.clear()
        if len(self._ends) >= 2 and self._ends[-1] == self._ends[-2] == end:
            self._times[-1] = now  # nothing came: a longer pause, not a further note
            return
        if len(self._ends) >= NOTES:
            half = len(self._ends) // 2
            self._times[:half] = self._times[:half:2]
            self._ends[:half] = self._ends[:half:2]
        self._times.append(now)
        self._ends.append(end)

    def passed(self, offset: int) -> float | None:
        """When the end passed `offset`, that is, when the record there came; None if it has not come yet."""
        if not self._ends or offset >= self._ends[-1]:
            return None
        after = bisect_right(self._ends, offset)
        if after == 0:
            return self._times[0]
        began, ended = self._times[after - 1], self._times[after]
        return began + (ended - began) * (offset - self._ends[after - 1]) / (self._ends[after] - self._ends[after - 1])
