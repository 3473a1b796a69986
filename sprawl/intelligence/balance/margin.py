"""How many doubts of a node's forecast it takes until it carries more than that only one time in ten.

The doubts of partitions are calibrated one by one (`foresight.conformal`); those of their sums are not, and neither is
the load of the last step where that stands in for a forecast. So the forecasts of nodes are judged as nodes, the busier
half of them, as `foresight.conformal` does it: one number a horizon. In: what was expected of the partitions, and what
came. Out: the number of doubts to add to a node's median.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np

from sprawl.intelligence.balance.projection import Expected, Sums
from sprawl.intelligence.foresight.grid import Array
from sprawl.intelligence.foresight.trees import UPPER

_PACE: Final = 0.05
_LEAST: Final = -1.0
_MOST: Final = 4.0


class Margin:
    def __init__(self, horizons: Sequence[int]) -> None:
        """`horizons` in steps: how long after a forecast it can be judged."""
        self._horizons = tuple(horizons)
        self._past: deque[Expected] = deque(maxlen=max(horizons) + 1)
        self.doubts = np.ones(len(self._horizons))

    def learn(self, load: Array, shares: Array, expected: Expected) -> None:
        """One step: the partitions' `load` `[partition]` now, who carries it now, and what is expected next.

        Judged by who carries what now, so that a move in between is not taken for an error.
        """
        carried = load @ shares
        for number, horizon in enumerate(self._horizons):
            if len(self._past) < horizon:
                continue
            sums = Sums.of(self._past[-horizon], shares)
            median, spread = sums.median[number], sums.spread()[number]
            busy = (median >= np.sort(median)[len(median) // 2]) & (spread > 0)
            if busy.any():
                above = np.mean(carried[busy] > median[busy] + self.doubts[number] * spread[busy])
                self.doubts[number] += _PACE * (above - (1 - UPPER))
        self.doubts = np.clip(self.doubts, _LEAST, _MOST)
        self._past.append(expected)
