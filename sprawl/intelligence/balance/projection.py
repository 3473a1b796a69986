"""What nodes would use of one resource at each horizon, and by how much a move would ease that.

Pressure is the square of what a node, nine times in ten at most, uses beyond the limit; none below it. Squares, because
one node far beyond hurts more than two that are slightly. In: medians of the partitions, shares, margins. Out: gains.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from sprawl.intelligence.balance.cluster import Cluster
from sprawl.intelligence.foresight.grid import Array, Integers

_UNIT: Final = 10.0
"""So that a tenth of a node's capacity beyond the limit is a pressure of a tenth."""


class Projection:
    def __init__(
        self, cluster: Cluster, capacity: Array, median: Array, margin: Array, weights: Array, limit: float
    ) -> None:
        self._capacity = np.where(cluster.alive, capacity, np.inf)
        self._median = median
        self._factor = (1 + margin)[:, None]
        self._weights = weights[:, None]
        self._limit = limit
        self._shares = cluster.shares()
        self.load = median @ self._shares
        """[horizon, node]"""

    def fullness(self) -> Array:
        """`[horizon, node]`, 1 being a node's capacity, reached one time in ten."""
        return np.asarray(self.load * self._factor / self._capacity)

    def pressure(self) -> Array:
        """`[node]`"""
        return self._pressure(self.load, self._capacity)

    def gains(self, partitions: Integers, sources: Integers, targets: Integers, share: Array) -> Array:
        """By how much pressure falls if `share` of each partition's load goes from source to target, each for itself."""
        moved = share * self._median[:, partitions]
        at_source, at_target = self._capacity[sources], self._capacity[targets]
        now = self._pressure(self.load[:, sources], at_source) + self._pressure(self.load[:, targets], at_target)
        relieved = self._pressure(self.load[:, sources] - moved, at_source)
        return np.asarray(now - relieved - self._pressure(self.load[:, targets] + moved, at_target))

    def move(self, partition: int, source: int, target: int, share: float) -> None:
        self.load[:, source] -= share * self._median[:, partition]
        self.load[:, target] += share * self._median[:, partition]

    def _pressure(self, load: Array, capacity: Array) -> Array:
        beyond = np.maximum(load * self._factor / capacity - self._limit, 0.0)
        return np.asarray((self._weights * beyond**2).sum(axis=0) * _UNIT)
