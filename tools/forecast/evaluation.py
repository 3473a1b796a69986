"""All that is judged in one run: forecasts of every family, then the contest of balancers on what they carry.

In: families, how much effort. Out: a `Report`. The same families and seed give the same report.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np

from sprawl.intelligence.foresight.grid import Integers
from tools.forecast import contest, rolling, scores
from tools.forecast.contest import PERFECT, PREDICTIVE, Contest, Stake
from tools.forecast.groups import Group, groups, thinned
from tools.forecast.replay import FULL, PEAK, Source
from tools.forecast.rolling import Effort, Rolled
from tools.forecast.scores import HORIZONS, Score
from tools.forecast.synthetic import NOISE, UNTAUGHT
from tools.forecast.traces import Family

LEAST_DAYS: Final = 2.0
"""Of a shorter trace little can be said."""


class Kind(Enum):
    REAL = "real"
    PREDICTABLE = "predictable"
    UNTAUGHT = "never trained on"
    NOISE = "noise"

    @classmethod
    def of(cls, family: Family) -> Kind:
        if family.real:
            return cls.REAL
        if family.name in NOISE:
            return cls.NOISE
        return cls.UNTAUGHT if family.name == UNTAUGHT else cls.PREDICTABLE


@dataclass(frozen=True, slots=True)
class Thoroughness:
    effort: Effort
    stake: Stake
    most_points: int
    """Values in all: series times steps."""


FULLY: Final = Thoroughness(Effort(), Stake(), 700_000)
QUICKLY: Final = Thoroughness(rolling.QUICK, contest.QUICK, 60_000)


@dataclass(frozen=True, slots=True)
class Judged:
    family: Family
    kind: Kind
    scores: dict[str, Score]
    """By horizon."""


@dataclass(frozen=True, slots=True)
class Report:
    judged: tuple[Judged, ...]
    contests: tuple[Contest, ...]
    notes: tuple[str, ...]

    def ratio(self, horizon: str, kinds: Sequence[Kind]) -> float | None:
        """MASE to the best baseline's: the families' geometric mean."""
        some = [each.scores[horizon] for each in self.judged if each.kind in kinds and horizon in each.scores]
        return scores.overall(some) if some else None


Tell = Callable[[str, float], None]
"""Told what is being done, and which part of the whole is done."""


def evaluate(
    families: Sequence[Family],
    thoroughness: Thoroughness,
    seed: int,
    full: float = FULL,
    notes: Sequence[str] = (),
    tell: Tell = lambda what, part: None,
) -> Report:
    """`notes`: what there is to say about the families beforehand."""
    kept, more = thinned(families, thoroughness.most_points, seed)
    notes = [*notes, *more]
    judged: list[Judged] = []
    sources: dict[Kind, list[Source]] = {}
    every = groups(kept, UNTAUGHT)
    weights = [each.trace.values.size for each in every]
    done, whole = 0.0, sum(weights) * 1.5
    for group, weight in zip(every, weights, strict=True):
        what = "forecasts: " + ", ".join(family.name for family in group.families)

        def rolled_so_far(part: float, what: str = what, done: float = done, weight: int = weight) -> None:
            tell(what, (done + part * weight) / whole)

        rolled = rolling.roll(group.trace, thoroughness.effort, rolled_so_far)
        done += weight
        for family, members in zip(group.families, group.members, strict=True):
            each = _judged(family, rolled, members, group)
            judged.append(each)
            notes += _remarks(each, rolled)
            sources.setdefault(each.kind, []).append(_source(group, rolled, members))
    contests = []
    mixes = _mixes(sources)
    for number, (name, mix) in enumerate(mixes):

        def held_so_far(part: float, name: str = name, number: int = number) -> None:
            tell(f"balancers: {name}", (done + (number + part) / len(mixes) * (whole - done)) / whole)

        held = contest.hold(name, mix, seed, thoroughness.stake, full, held_so_far)
        if held is None:
            notes.append(f"balancers, {name}: after the first origin there are too few days left for a replay")
        else:
            contests.append(held)
    return Report(tuple(judged), tuple(contests), tuple(notes))


def _judged(family: Family, rolled: Rolled, members: Integers, group: Group) -> Judged:
    day = group.trace.grid.day
    found = {name: scores.score(rolled, number, members, day) for number, name in enumerate(HORIZONS)}
    return Judged(family, Kind.of(family), {name: each for name, each in found.items() if each is not None})


def _remarks(judged: Judged, rolled: Rolled) -> list[str]:
    family = judged.family
    days = family.values.shape[1] / family.grid.day
    remarks = []
    if not rolled.learnt:
        remarks.append(f"{family.name}: too little to learn from; the baselines served")
    if not judged.scores:
        remarks.append(f"{family.name}: not scored: every series is constant, or too short after the first origin")
    elif days < LEAST_DAYS:
        remarks.append(f"{family.name}: {days:.1f} days only: no day was seen twice, the figures say little")
    if family.grid.step_seconds > 300:
        minutes = family.grid.step_seconds // 60
        remarks.append(f"{family.name}: steps of {minutes} minutes; each horizon is the nearest number of them")
    return remarks


def _source(group: Group, rolled: Rolled, members: Integers) -> Source:
    trace, test = group.trace, slice(rolled.first, None)
    past, load = trace.values[members, : rolled.first], trace.values[members, test]
    known = ~np.isnan(past)
    peak = np.array([np.quantile(row[has], PEAK) if has.any() else 0.0 for row, has in zip(past, known, strict=True)])
    came = rolled.actual[:, members, test]
    expected = {
        PREDICTIVE: (rolled.median[:, members, test], rolled.upper[:, members, test]),
        PERFECT: (came, came),
    }
    clock = (trace.starts[members] + rolled.first * trace.grid.step_seconds) % 86_400
    return Source(trace.grid, clock, load, peak, expected)


def _mixes(sources: dict[Kind, list[Source]]) -> list[tuple[str, list[Source]]]:
    """One cluster for what is real, one for what can be foreseen, one for noise; of several grids the most common."""
    mixes = []
    foreseen = sources.get(Kind.PREDICTABLE, []) + sources.get(Kind.UNTAUGHT, [])
    for name, mix in (
        ("real traces", sources.get(Kind.REAL, [])),
        ("predictable families", foreseen),
        ("noise", sources.get(Kind.NOISE, [])),
    ):
        by_grid: dict[int, list[Source]] = {}
        for each in mix:
            if (each.peak > 0).any():
                by_grid.setdefault(each.grid.step_seconds, []).append(each)
        if by_grid:
            mixes.append((name, max(by_grid.values(), key=lambda some: sum(each.load.size for each in some))))
    return mixes
