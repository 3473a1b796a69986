"""What nodes would use of one resource at each horizon, and by how much a move would ease that.

What the partitions of one node do cancels out in part, and in part does not: their medians add up, their doubts (from
the median to the .9 quantile) add up only as far as they go together (`_TOGETHER`), the rest like sides of right
angles. Adding the upper quantiles themselves would see every partition at its worst at once, and move what need not
be moved. How many such doubts a node must be granted, its forecasts' own errors say (`margin`).

Pressure is the square of what a node is expected to use beyond the limit: not what its median is beyond it, but the
mean over all that may come, taken as Laplace's distribution through the median and the .9 quantile. So a node well
below the limit whose forecast is doubtful is under some pressure, and one just below it that is certain is under
little. Squares, because one node far beyond hurts more than two that are slightly. In: expectations of the
partitions, shares, margins. Out: gains.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sprawl.intelligence.balance.candidates import Candidates
from sprawl.intelligence.balance.cluster import Cluster
from sprawl.intelligence.foresight.grid import Array, Integers

_TOGETHER: Final = 0.05
_UNIT: Final = 10.0
"""So that a tenth of a node's capacity beyond the limit is a pressure of a tenth."""
_TAIL: Final = float(np.log(5))
"""In mean deviations how far Laplace's .9 quantile stands above its median."""
_LEAST_MARGIN: Final = 0.3
"""However well the forecasts of nodes did lately, some doubt stays."""
_NOTHING: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Expected:
    """What leading each partition is expected to use: [horizon, partition]."""

    median: Array
    upper: Array

    @property
    def doubt(self) -> Array:
        return np.maximum(self.upper - self.median, 0.0)


@dataclass(frozen=True, slots=True)
class Sums:
    """Over the partitions of nodes, `[horizon, node]`."""

    median: Array
    doubt: Array
    square: Array

    @classmethod
    def of(cls, expected: Expected, shares: Array) -> Sums:
        return cls(expected.median @ shares, expected.doubt @ shares, expected.doubt**2 @ shares**2)

    def spread(self) -> Array:
        return np.sqrt(_TOGETHER * self.doubt**2 + (1 - _TOGETHER) * np.maximum(self.square, 0.0))

    def at(self, nodes: Integers) -> Sums:
        return Sums(self.median[:, nodes], self.doubt[:, nodes], self.square[:, nodes])

    def plus(self, other: Sums, sign: int) -> Sums:
        return Sums(
            self.median + sign * other.median, self.doubt + sign * other.doubt, self.square + sign * other.square
        )


class Projection:
    def __init__(
        self, cluster: Cluster, capacity: Array, expected: Expected, margin: Array, weights: Array, limit: float
    ) -> None:
        self._capacity = np.where(cluster.alive, capacity, np.inf)
        self._expected = expected
        self._margin = margin[:, None]
        self._weights = weights[:, None]
        self._limit = limit
        self._sums = Sums.of(expected, cluster.shares())

    def fullness(self) -> Array:
        """`[horizon, node]`, 1 being a node's capacity, reached one time in ten."""
        return self._fullness(self._sums, self._capacity)

    def pressure(self) -> Array:
        """`[node]`"""
        return self._pressure(self._sums, self._capacity)

    def gains(self, source: int, moves: Candidates) -> Array:
        """By how much pressure falls with each of the moves, each for itself."""
        moved = self._moved(moves)
        sources = np.full(len(moves.partitions), source)
        relieved, laden = self._sums.at(sources), self._sums.at(moves.targets)
        at_source, at_target = self._capacity[sources], self._capacity[moves.targets]
        now = self._pressure(relieved, at_source) + self._pressure(laden, at_target)
        after = self._pressure(relieved.plus(moved, -1), at_source) + self._pressure(laden.plus(moved, 1), at_target)
        return np.asarray(now - after)

    def move(self, source: int, one: Candidates) -> None:
        moved, target = self._moved(one), int(one.targets[0])
        for sums, change in (
            (self._sums.median, moved.median),
            (self._sums.doubt, moved.doubt),
            (self._sums.square, moved.square),
        ):
            sums[:, source] -= change[:, 0]
            sums[:, target] += change[:, 0]

    def _moved(self, moves: Candidates) -> Sums:
        doubt = self._expected.doubt[:, moves.partitions]
        median = moves.share * self._expected.median[:, moves.partitions]
        return Sums(median, moves.share * doubt, moves.square * doubt**2)

    def _fullness(self, sums: Sums, capacity: Array) -> Array:
        return np.asarray((sums.median + self._margin * sums.spread()) / capacity)

    def _pressure(self, sums: Sums, capacity: Array) -> Array:
        """With `d` from the median up to the limit and a mean deviation `b`, the mean square beyond it is
        `b² exp(-d/b)`, and with the median already beyond it `d² + 2b² - b² exp(d/b)`.
        """
        room = self._limit - sums.median / capacity
        mean = np.maximum(self._margin, _LEAST_MARGIN) * sums.spread() / capacity / _TAIL + _NOTHING
        tail = mean**2 * np.exp(-np.abs(room) / mean)
        beyond = np.where(room > 0, tail, room**2 + 2 * mean**2 - tail)
        return np.asarray((self._weights * beyond).sum(axis=0) * _UNIT)
