"""How long one forecast of many partitions takes: features and all quantiles at all horizons, on one core.

The trees are as many and as large as a node's; what they learnt (noise) does not change how long they take.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Final

import numpy as np

from sprawl.intelligence.foresight import trees
from sprawl.intelligence.foresight.baselines import Kind
from sprawl.intelligence.foresight.features import ahead, look_back, topic_context
from sprawl.intelligence.foresight.grid import Array, Grid

PARTITIONS: Final = 2_000
_ROWS: Final = 10_000
_TURNS: Final = 5


@dataclass(frozen=True, slots=True)
class Speed:
    """Of the median turn, in milliseconds."""

    partitions: int
    cpu: float
    wall: float


def measure(partitions: int = PARTITIONS, rounds: int = trees.ROUNDS) -> Speed:
    rng, grid = np.random.default_rng(1), Grid()
    windows = rng.lognormal(5, 0.3, (partitions, grid.history))
    simple = rng.lognormal(5, 0.3, (partitions, len(Kind) + 1))
    topics = np.arange(partitions) // 10

    def features() -> list[Array]:
        recent = look_back(windows, grid)
        topic = topic_context(windows[:, -37:], topics)
        times = np.full(partitions, 1_700_000_000.0)
        return [ahead(recent, times, horizon, grid, topic, simple) for horizon in grid.horizons]

    rows = [
        trees.Rows(drawn, drawn[:, 0] + rng.normal(size=len(drawn)), np.ones(len(drawn)))
        for drawn in (each[rng.integers(0, partitions, _ROWS)] for each in features())
    ]
    model = trees.learn(rows, rounds)
    turns = []
    for _ in range(_TURNS):
        cpu, wall = process_time(), perf_counter()
        for number, each in enumerate(features()):
            model.quantiles(number, each)
        turns.append((1000 * (process_time() - cpu), 1000 * (perf_counter() - wall)))
    cpu, wall = np.median(np.array(turns), axis=0)
    return Speed(partitions, float(cpu), float(wall))
