"""Keeps the promise that nine in ten values stay below the upper quantile, whatever the model believed.

Adaptive conformal inference (Gibbs and Candès, 2021), one offset for each horizon and series, in scales: each value
above the promised quantile lifts it, each value below lets it sink a ninth as much. In: what was promised and what
came. Out: the offset. Only outcomes that are known when they are told can move it; the caller sees to that.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from sprawl.intelligence.foresight.grid import Array
from sprawl.intelligence.foresight.trees import UPPER

_PACE: Final = 0.05
"""Of the usual miss, per outcome."""
_MEMORY: Final = 0.01


class Calibration:
    def __init__(self, horizons: int, series: int) -> None:
        self.offset = np.zeros((horizons, series))
        self._usual = np.ones((horizons, series))

    def learn(self, horizon: int, promised: Array, came: Array, scale: Array) -> None:
        """What was `promised` for now, with the offset of then, and what `came`; NaN where either is unknown."""
        known = ~(np.isnan(promised) | np.isnan(came))
        miss = np.where(known, np.abs(came - promised) / scale, 0.0)
        usual = self._usual[horizon]
        usual += np.where(known, _MEMORY * (np.minimum(miss, 10 * usual) - usual), 0.0)
        above = (came > promised).astype(np.float64)
        self.offset[horizon] += np.where(known, _PACE * np.maximum(usual, 0.05) * (above - (1 - UPPER)), 0.0)
