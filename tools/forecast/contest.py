"""The balancers' contest: the same traffic, several clusters by lot, and each balancer at its own best.

In: sources (`replay`). Out: for each balancer its minutes of overload, bytes and moves. The reactive and the
predictive balancer are tuned alike: each is tried with the same limits on the first third of the first lot, and keeps
the one with the fewest minutes of overload for all the rest. Judged is what neither was tuned on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sprawl.intelligence.balance.cluster import Cluster
from sprawl.intelligence.balance.policy import Settings
from sprawl.intelligence.foresight.grid import Array
from tools.forecast.hotspots import Hotspots
from tools.forecast.hotspots import judge as judge_hotspots
from tools.forecast.replay import FULL, Outcome, Source, Traffic, cluster_for, run, traffic

LIMITS: Final = (0.8, 0.9, 0.95)
NOBODY: Final = "none"
REACTIVE: Final = "reactive"
PREDICTIVE: Final = "predictive"
PERFECT: Final = "perfect foresight"
"""What the predictive balancer would make of forecasts that are always right: what no better model could beat."""
_DRAWS: Final = 400


@dataclass(frozen=True, slots=True)
class Stake:
    """How much work a contest may be."""

    lots: int = 3
    most_days: int = 14


QUICK: Final = Stake(1, 3)


@dataclass(frozen=True, slots=True)
class Tally:
    """Of one balancer, over all lots."""

    limit: float
    overload_minutes: float
    leader_moves: int
    replica_moves: int
    copied: float
    undone: int

    @property
    def undone_share(self) -> float:
        return self.undone / max(self.leader_moves + self.replica_moves, 1)


@dataclass(frozen=True, slots=True)
class Contest:
    name: str
    partitions: int
    nodes: int
    days: float
    lots: int
    full: float
    tallies: dict[str, Tally]
    ratio: float
    """Overload minutes of the predictive to those of the reactive balancer; 1 if neither had any."""
    interval: tuple[float, float]
    bytes_ratio: float
    hotspots: Hotspots | None
    daily: dict[str, Array]
    """[day]: overload minutes."""


Tell = Callable[[float], None]


def hold(
    name: str, sources: Sequence[Source], seed: int, stake: Stake, full: float = FULL, tell: Tell = lambda part: None
) -> Contest | None:
    """None if the sources are too short."""
    lots = [_lot(sources, np.random.default_rng([seed, lot]), stake, full) for lot in range(stake.lots)]
    worlds = [each for each in lots if each is not None]
    if not worlds:
        return None
    load, cluster = worlds[0]
    grid = load.grid
    third = load.load.shape[1] // 3
    rivals = (REACTIVE, PREDICTIVE)
    rounds = len(rivals) * len(LIMITS) / 3 + 4 * len(worlds)
    done = 0.0
    limits = dict.fromkeys((NOBODY, REACTIVE, PREDICTIVE, PERFECT), LIMITS[-1])
    for rival in rivals:
        trials = []
        for limit in LIMITS:
            outcome = _run(_window(load, slice(0, third)), cluster, rival, limit)
            trials.append((outcome.overload.sum(), outcome.moves, limit))
            done += 1 / 3
            tell(done / rounds)
        limits[rival] = min(trials)[2]
    limits[PERFECT] = limits[PREDICTIVE]
    outcomes: dict[str, list[Outcome]] = {rival: [] for rival in limits}
    for number, (each, on) in enumerate(worlds):
        judged = _window(each, slice(third, None)) if number == 0 else each
        for rival, limit in limits.items():
            outcomes[rival].append(_run(judged, on, rival, limit))
            done += 1
            tell(done / rounds)
    minutes = grid.step_seconds / 60
    tallies = {rival: _tally(each, limits[rival], minutes) for rival, each in outcomes.items()}
    daily = {rival: np.hstack([_daily(one, grid.day) for one in each]) * minutes for rival, each in outcomes.items()}
    ours, theirs = tallies[PREDICTIVE], tallies[REACTIVE]
    return Contest(
        name=name,
        partitions=len(load.load),
        nodes=len(cluster.capacity),
        days=load.load.shape[1] / grid.day,
        lots=len(worlds),
        full=full,
        tallies=tallies,
        ratio=_ratio(ours.overload_minutes, theirs.overload_minutes),
        interval=_interval(daily[PREDICTIVE], daily[REACTIVE], seed),
        bytes_ratio=_ratio(ours.copied, theirs.copied),
        hotspots=judge_hotspots(load.load, load.expected[PREDICTIVE][0], grid),
        daily=daily,
    )


def _lot(
    sources: Sequence[Source], rng: np.random.Generator, stake: Stake, full: float
) -> tuple[Traffic, Cluster] | None:
    load = traffic(sources, rng, stake.most_days)
    return None if load is None else (load, cluster_for(load.load, rng, full))


def _window(load: Traffic, part: slice) -> Traffic:
    expected = {name: (low[..., part], high[..., part]) for name, (low, high) in load.expected.items()}
    return replace(load, load=load.load[:, part], expected=expected)


def _run(load: Traffic, cluster: Cluster, rival: str, limit: float) -> Outcome:
    forecast = {NOBODY: None, REACTIVE: "now"}.get(rival, rival)
    return run(load, cluster, forecast, Settings(limit=limit))


def _tally(outcomes: Sequence[Outcome], limit: float, minutes: float) -> Tally:
    return Tally(
        limit,
        float(sum(each.overload.sum() for each in outcomes)) * minutes,
        sum(each.leader_moves for each in outcomes),
        sum(each.replica_moves for each in outcomes),
        sum(each.copied for each in outcomes),
        sum(each.undone for each in outcomes),
    )


def _daily(outcome: Outcome, day: int) -> Array:
    days = -(-len(outcome.overload) // day)
    padded = np.zeros(days * day)
    padded[: len(outcome.overload)] = outcome.overload
    return np.asarray(padded.reshape(days, day).sum(axis=1))


def _ratio(ours: float, theirs: float) -> float:
    """To nothing at all: 1 if we had nothing either; otherwise as if they had had one minute."""
    return 1.0 if ours == theirs else ours / max(theirs, 1.0)


def _interval(ours: Array, theirs: Array, seed: int) -> tuple[float, float]:
    """Nine in ten, drawn over days."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(ours), (_DRAWS, len(ours)))
    ratios = [_ratio(float(ours[days].sum()), float(theirs[days].sum())) for days in drawn]
    low, high = np.quantile(ratios, [0.05, 0.95])
    return float(low), float(high)
