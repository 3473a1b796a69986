"""Which families one model learns from together, and how many series fit in the time that a run may take.

One model serves all partitions of a cluster; so families that were counted at the same time, on one grid, are laid
side by side by the calendar. Families of different times have never met: each has a model of its own, lest one learn
from what was still to come for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sprawl.intelligence.foresight.grid import Array, Integers
from tools.forecast.rolling import Trace
from tools.forecast.traces import Family

_TOGETHER: Final = 0.8
"""Families belong together if so much of the time from the first's start to the last's end is common to them."""


@dataclass(frozen=True, slots=True)
class Group:
    families: tuple[Family, ...]
    members: tuple[Integers, ...]
    """Of each family the rows of its series."""
    trace: Trace


def groups(families: Sequence[Family], untaught: str) -> list[Group]:
    """`untaught`: the family that the model must not learn from."""
    sets: list[list[Family]] = []
    for family in families:
        for each in sets:
            if each[0].grid == family.grid and _common([*each, family]) >= _TOGETHER:
                each.append(family)
                break
        else:
            sets.append([family])
    return [_side_by_side(each, untaught) for each in sets]


def thinned(families: Sequence[Family], most_points: int, seed: int) -> tuple[list[Family], list[str]]:
    """No more values than `most_points`: of larger lots every family gives up series by lot; and a note of it."""
    points = sum(family.values.size for family in families)
    if points <= most_points:
        return list(families), []
    rng = np.random.default_rng(seed)
    kept: list[Family] = []
    for family in families:
        count = max(1, int(len(family.series) * most_points / points))
        rows = np.sort(rng.choice(len(family.series), count, replace=False))
        names = tuple(family.series[row] for row in rows)
        kept.append(replace(family, series=names, starts=family.starts[rows], values=family.values[rows]))
    there, left = sum(len(family.series) for family in families), sum(len(family.series) for family in kept)
    return kept, [f"{left} of {there} series, by lot: more do not fit in the time that a run may take"]


def _span(family: Family) -> tuple[int, int]:
    start = int(family.starts.max())
    return start, start + family.values.shape[1] * family.grid.step_seconds


def _common(families: Sequence[Family]) -> float:
    spans = [_span(family) for family in families]
    shared = min(end for _, end in spans) - max(start for start, _ in spans)
    return shared / (max(end for _, end in spans) - min(start for start, _ in spans))


def _side_by_side(families: list[Family], untaught: str) -> Group:
    grid = families[0].grid
    step = grid.step_seconds
    first = min(_span(family)[0] for family in families)
    offsets = [round((_span(family)[0] - first) / step) for family in families]
    steps = max(offset + family.values.shape[1] for offset, family in zip(offsets, families, strict=True))
    values: list[Array] = []
    starts, topics, taught, members, rows = [], [], [], [], 0
    for number, (offset, family) in enumerate(zip(offsets, families, strict=True)):
        count, length = family.values.shape
        wide = np.full((count, steps), np.nan)
        wide[:, offset : offset + length] = family.values
        values.append(wide)
        starts.append(family.starts - offset * step)
        topics.append(np.full(count, number))
        taught.append(np.full(count, family.name != untaught))
        members.append(np.arange(rows, rows + count))
        rows += count
    trace = Trace(grid, np.hstack(starts), np.vstack(values), np.hstack(topics), np.hstack(taught))
    return Group(tuple(families), tuple(members), trace)
