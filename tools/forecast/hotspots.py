"""Are *new* hotspots seen before they are there?

A hotspot: one of the partitions with the most load, ten of them (a fifth where there are fewer than fifty). New: it
comes among them after an hour in which it was not, with a quarter more load than its mean of that hour, and stays for
a quarter of an hour; who only flickers about the tenth place is not news. An alarm: what is expected, nine times in
ten at most, puts a partition that is no hotspot among the first ten. A new hotspot is recalled if an alarm was raised
in the half hour before, at the latest five minutes before; an alarm (the first of an hour) is precise if the partition
is a hotspot with so much more load within 45 minutes. How far beyond the tenth place a partition must be expected for
an alarm is settled on the first third of the test, and judged on the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sprawl.intelligence.foresight.grid import Array, Grid, Mask

_RISE: Final = 1.25
_BEYOND: Final = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0)


@dataclass(frozen=True, slots=True)
class Hotspots:
    top: int
    events: int
    alarms: int
    recall: float
    precision: float


def judge(load: Array, expected: Array, grid: Grid) -> Hotspots | None:
    """`load` `[partition, step]`; `expected` `[horizon, partition, step]`, made at the step."""
    partitions, steps = load.shape
    if partitions < 10 or steps < 2 * grid.day:
        return None
    top = min(10, partitions // 5)
    edge = np.sort(load, axis=0)[-top]
    hot = load >= edge
    hour, quarter = grid.hour, max(1, grid.hour // 4)
    before = _trailing_mean(load, hour)
    risen = load >= _RISE * before
    events = hot & risen & ~_within_past(hot, hour)
    for later in range(1, quarter):
        events[:, : steps - later] &= hot[:, later:]
        events[:, steps - later :] = False
    expected_edge = np.sort(expected, axis=1)[:, -top]
    strength = np.max(expected / np.maximum(expected_edge[:, None], 1e-9), axis=0)
    strength = np.where(hot | (np.max(expected, axis=0) < _RISE * load), 0.0, strength)
    third = steps // 3
    tuned = max(_BEYOND, key=lambda beyond: _f1(*_count(strength, beyond, events, hot, risen, grid, slice(0, third))))
    found, there, right, raised = _count(strength, tuned, events, hot, risen, grid, slice(third, steps))
    return Hotspots(top, there, raised, found / max(there, 1), right / max(raised, 1))


def _count(
    strength: Array, beyond: float, events: Mask, hot: Mask, risen: Mask, grid: Grid, part: slice
) -> tuple[int, int, int, int]:
    """Recalled events, events, right alarms, alarms."""
    alarms = strength >= beyond
    recalled = events & _within_past(alarms, max(1, grid.hour // 2))
    first = alarms & ~_within_past(alarms, grid.hour)
    soon = _within_future(hot & risen, max(1, 3 * grid.hour // 4))
    return (
        int(recalled[:, part].sum()),
        int(events[:, part].sum()),
        int((first & soon)[:, part].sum()),
        int(first[:, part].sum()),
    )


def _f1(found: int, there: int, right: int, raised: int) -> float:
    recall, precision = found / max(there, 1), right / max(raised, 1)
    return 2 * recall * precision / max(recall + precision, 1e-9)


def _within_past(what: Mask, steps: int) -> Mask:
    """In any of so many steps before each."""
    sums = np.cumsum(np.pad(what, ((0, 0), (steps + 1, 0))), axis=1)
    return np.asarray(sums[:, steps:-1] - sums[:, : -steps - 1] > 0)


def _within_future(what: Mask, steps: int) -> Mask:
    return _within_past(what[:, ::-1], steps)[:, ::-1]


def _trailing_mean(load: Array, steps: int) -> Array:
    """Of so many steps before each, itself not among them."""
    sums = np.cumsum(np.pad(load, ((0, 0), (steps + 1, 0)), mode="edge"), axis=1)
    return np.asarray((sums[:, steps:-1] - sums[:, : -steps - 1]) / steps)
