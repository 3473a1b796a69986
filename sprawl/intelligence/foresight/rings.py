"""The last week of every series, in rings of equal steps.

In: at each step one value a series, NaN where nobody counted; series come and go. Out: the window that `features` looks
at, in which the newest known value stands in for what nobody counted since, and NaN for the time before a series began.
"""

from __future__ import annotations

import numpy as np

from sprawl.intelligence.foresight.grid import Array, Mask


class SeriesRings:
    def __init__(self, series: int, steps: int) -> None:
        self._ring = np.full((series, steps), np.nan)
        self._next = 0
        self._last = np.full(series, np.nan)
        self._silent = np.zeros(series, dtype=np.int64)

    def add(self, values: Array) -> None:
        known = ~np.isnan(values)
        self._last = np.where(known, values, self._last)
        self._silent = np.where(known, 0, self._silent + 1)
        self._ring[:, self._next] = self._last
        self._next = (self._next + 1) % self._ring.shape[1]

    def window(self) -> Array:
        """`[series, step]`, the oldest first."""
        return np.concatenate([self._ring[:, self._next :], self._ring[:, : self._next]], axis=1)

    def silent(self, steps: int) -> Mask:
        """The series of which nothing is known for more than so many steps."""
        silent: Mask = (self._silent > steps) | np.isnan(self._last)
        return silent


def filled(values: Array) -> Array:
    """What the ring would have held at each step: `[series, step]`, the newest known value in place of NaN."""
    places = np.where(np.isnan(values), 0, np.arange(values.shape[1]))
    np.maximum.accumulate(places, axis=1, out=places)
    held: Array = np.take_along_axis(values, places, axis=1)
    return held
