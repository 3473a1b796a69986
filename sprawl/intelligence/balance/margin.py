"""By how much nodes carry more than was expected of them, nine times in ten at most.

What the partitions of one node do cancels out in part, and in part does not; adding their upper quantiles would see
every partition at its worst at once, and move what need not be moved. So the forecast of nodes is judged as nodes:
the sum of the medians, and what the busier half of the nodes then carried. One number a horizon, learnt as
`foresight.conformal` does. In: what was expected of the nodes, and what came. Out: the share to add to the medians.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np

from sprawl.intelligence.foresight.grid import Array
from sprawl.intelligence.foresight.trees import UPPER

_FIRST: Final = 0.1
_PACE: Final = 0.01
_MOST: Final = 0.5
_BUSY: Final = 0.5


class Margin:
    def __init__(self, horizons: Sequence[int]) -> None:
        """`horizons` in steps: how long after a forecast it can be judged."""
        self._horizons = tuple(horizons)
        self._past: deque[Array] = deque(maxlen=max(horizons) + 1)
        self.share = np.full(len(self._horizons), _FIRST)

    def learn(self, load: Array, shares: Array, median: Array) -> None:
        """One step: the partitions' `load` `[partition]` now, who carries it now, and the new medians.

        Judged by who carries what now, so that a move in between is not taken for an error.
        """
        carried = load @ shares
        for number, horizon in enumerate(self._horizons):
            if len(self._past) < horizon:
                continue
            expected = self._past[-horizon][number] @ shares
            busy = (expected >= np.quantile(expected, _BUSY)) & (expected > 0)
            if busy.any():
                above = np.mean(carried[busy] > expected[busy] * (1 + self.share[number]))
                self.share[number] += _PACE * (above - (1 - UPPER))
        self.share = np.clip(self.share, 0.0, _MOST)
        self._past.append(median)
