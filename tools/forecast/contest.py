"""The balancers' contest: the same traffic, several clusters by lot, the same policy and budget for everybody.

In: sources (`replay`). Out: for each balancer its minutes of overload, bytes and moves. The predictive balancer has the
settings that a node has. The reactive one sees what is, not what is to come, and so wants more room: its limit is tuned
on the first third of the first lot, to the fewest minutes of overload among those limits with which it makes no more
than `_AS_MANY` times the moves of the predictive one. A second reactive one may make as many as its limit calls for.
Judged is what nobody was tuned on.
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
from tools.forecast.replay import FULL, NOW, Outcome, Source, Traffic, cluster_for, run, traffic

LIMITS: Final = (0.75, 0.8, 0.85, 0.9, 0.95)
NOBODY: Final = "none"
REACTIVE: Final = "reactive"
RESTLESS: Final = "reactive, any number of moves"
PREDICTIVE: Final = "predictive"
PERFECT: Final = "perfect foresight"
"""What the predictive balancer would make of forecasts that are always right: what no better model could beat."""
_AS_MANY: Final = 1.2
_DRAWS: Final = 400


@dataclass(frozen=True, slots=True)
class Stake:
    """How much work a contest may be."""

    lots: int = 2
    most_days: int = 10


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
    restless_ratio: float
    """To those of the reactive balancer with any number of moves."""
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
    limits = dict.fromkeys((NOBODY, REACTIVE, RESTLESS, PREDICTIVE, PERFECT), Settings().limit)
    rounds = (1 + len(LIMITS)) / 3 + len(limits) * len(worlds)
    done = 0.0

    def tried(rival: str, limit: float) -> Outcome:
        nonlocal done
        outcome = _run(_window(load, slice(0, third)), cluster, rival, limit)
        done += 1 / 3
        tell(done / rounds)
        return outcome

    most_moves = _AS_MANY * tried(PREDICTIVE, limits[PREDICTIVE]).moves
    trials = [(limit, tried(REACTIVE, limit)) for limit in LIMITS]
    limits[RESTLESS] = _best(trials)
    limits[REACTIVE] = _best([(limit, each) for limit, each in trials if each.moves <= most_moves] or trials[-1:])
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
        restless_ratio=_ratio(ours.overload_minutes, tallies[RESTLESS].overload_minutes),
        interval=_interval(daily[PREDICTIVE], daily[REACTIVE], seed),
        bytes_ratio=_ratio(ours.copied, theirs.copied),
        hotspots=judge_hotspots(load.load, load.expected[PREDICTIVE][1], grid),
        daily=daily,
    )


def _best(trials: Sequence[tuple[float, Outcome]]) -> float:
    """The limit with the fewest minutes of overload; of equals that with the fewest moves."""
    return min(trials, key=lambda trial: (float(trial[1].overload.sum()), trial[1].moves))[0]


def _lot(
    sources: Sequence[Source], rng: np.random.Generator, stake: Stake, full: float
) -> tuple[Traffic, Cluster] | None:
    load = traffic(sources, rng, stake.most_days)
    return None if load is None else (load, cluster_for(load.load, rng, full))


def _window(load: Traffic, part: slice) -> Traffic:
    expected = {name: (low[..., part], high[..., part]) for name, (low, high) in load.expected.items()}
    return replace(load, load=load.load[:, part], expected=expected)


def _run(load: Traffic, cluster: Cluster, rival: str, limit: float) -> Outcome:
    forecast = {NOBODY: None, REACTIVE: NOW, RESTLESS: NOW}.get(rival, rival)
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
