"""Forecasts of a whole trace as they would have been made at the time: rolling origins, a gap before each.

At each origin the baselines are tuned and the trees learn from what was known a gap before it; they then serve until
the next origin. Baselines, selection and calibration go step by step through the whole trace. What the node runs
online is what runs here; only the features of many steps are computed together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from sprawl.intelligence.foresight import trees
from sprawl.intelligence.foresight.baselines import Baselines, Kind
from sprawl.intelligence.foresight.features import Recent, ahead, look_back, topic_context
from sprawl.intelligence.foresight.grid import Array, Grid, Integers, Mask
from sprawl.intelligence.foresight.judge import Answers, Judge
from sprawl.intelligence.foresight.rings import filled
from sprawl.intelligence.foresight.tuning import Tuning, tune

ORIGINS: Final = (0.5, 0.67, 0.84)
GAP: Final = 12
"""Steps between the last target that is learnt from and the origin."""

LEAST_ROWS: Final = 500
"""With fewer nothing is learnt, and the baselines serve."""
_PREPARED, _JUDGED = 0.1, 0.95


@dataclass(frozen=True, slots=True)
class Effort:
    origins: tuple[float, ...] = ORIGINS
    rows: int = 60_000
    rounds: int = trees.ROUNDS


QUICK: Final = Effort((0.6,), 15_000, 80)


@dataclass(frozen=True, slots=True)
class Rolled:
    """All of a trace's forecasts from the first origin on; arrays are `[horizon, series, step]`: when made."""

    first: int
    median: Array
    upper: Array
    source: Integers
    baselines: Array
    """[horizon, kind, series, step], tuned at the origins."""
    actual: Array
    """What came a horizon later, NaN where nobody knows."""
    naive: Array
    """[horizon, series]: the mean error of the last value before the first origin, 0 where nobody knows."""
    learnt: Sequence[trees.Trees]
    """At each origin; none where there was too little to learn from."""


@dataclass(frozen=True, slots=True)
class Trace:
    grid: Grid
    starts: Integers
    values: Array
    """[series, step]"""
    topics: Integers
    taught: Mask
    """Of the other series the model learns nothing."""


Tell = Callable[[float], None]
"""Told which part of the work is done."""


def roll(trace: Trace, effort: Effort, tell: Tell = lambda part: None) -> Rolled:
    horizons = trace.grid.horizons
    series, steps = trace.values.shape
    actual = np.full((len(horizons), series, steps), np.nan)
    for number, horizon in enumerate(horizons):
        actual[number, :, :-horizon] = trace.values[:, horizon:]
    past = _Past(trace, actual)
    tell(_PREPARED)
    origins = [int(steps * share) for share in effort.origins]
    first = origins[0]
    simple = np.full((len(horizons), len(Kind), series, steps), np.nan)
    median, spread = np.full(actual.shape, np.nan), np.zeros(actual.shape)
    scale = np.full((series, steps), np.nan)
    learnt = []
    for turn, (origin, end) in enumerate(zip(origins, [*origins[1:], steps], strict=True)):
        tuning = past.tuning(origin)
        model = _learn(past, tuning, origin, effort)
        tell(_PREPARED + (_JUDGED - _PREPARED) * (turn + 0.5) / len(origins))
        if model is not None:
            learnt.append(model)
        begin = 0 if origin == first else origin
        for each in range(series):
            for number in range(len(horizons)):
                simple[number, :, each, begin:end] = past.simple(tuning, each, number, np.arange(begin, end)).T
            steps_here = np.arange(origin, end)
            recent = past.look_back(each, steps_here)
            scale[each, origin:end] = recent.scale
            for number in range(len(horizons) if model is not None else 0):
                assert model is not None
                table = past.table(recent, tuning, each, number, steps_here)
                low, high = model.quantiles(number, table.features)
                median[number, each, origin:end] = np.maximum(table.base + low * recent.scale, 0.0)
                spread[number, each, origin:end] = (high - low) * recent.scale
        tell(_PREPARED + (_JUDGED - _PREPARED) * (turn + 1) / len(origins))
    upper, source = _judge(trace, simple, median, spread, scale, first)
    errors = np.abs(actual - past.held)[:, :, : first - GAP - max(horizons)]
    known = ~np.isnan(errors)
    naive = np.where(known, errors, 0.0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)
    tell(1.0)
    return Rolled(first, median, upper, source, simple, actual, naive, learnt)


@dataclass(frozen=True, slots=True)
class _Table:
    features: Array
    base: Array


class _Past:
    """A trace's features at any step, what the baselines expected, and what came."""

    def __init__(self, trace: Trace, actual: Array) -> None:
        self.trace, self.actual = trace, actual
        self.held = filled(trace.values)
        series, steps = trace.values.shape
        look_back = trace.grid.history
        self._padded = np.hstack([np.full((series, max(look_back, 37) - 1), np.nan), self.held])
        ends = sliding_window_view(self._padded[:, -steps - 36 :], 37, axis=1)
        self._topic = np.stack([topic_context(ends[:, step], trace.topics) for step in range(steps)], axis=1)
        baselines = Baselines(series, trace.grid)
        expected = [baselines.observe(trace.values[:, step]).astype(np.float32) for step in range(steps)]
        self._candidates = np.stack(expected, axis=-1)

    def tuning(self, origin: int) -> Tuning:
        losses = np.full(self._candidates.shape[:3], np.nan)
        for number, horizon in enumerate(self.trace.grid.horizons):
            until = origin - GAP - horizon
            errors = np.abs(self._candidates[:, number, :, :until] - self.actual[number, :, :until])
            known = ~np.isnan(errors)
            losses[:, number] = np.where(known, errors, 0).sum(axis=2) / np.maximum(known.sum(axis=2), 1)
        return tune(losses)

    def simple(self, tuning: Tuning, series: int, number: int, steps: Integers) -> Array:
        """What the tuned baselines expected: `[step, kind]`."""
        chosen = self._candidates[tuning.chosen[number, :, series], number, series]
        return np.asarray(chosen[:, steps].T, dtype=np.float64)

    def look_back(self, series: int, steps: Integers) -> Recent:
        windows = sliding_window_view(self._padded[series], self.trace.grid.history)
        return look_back(windows[steps], self.trace.grid)

    def table(self, recent: Recent, tuning: Tuning, series: int, number: int, steps: Integers) -> _Table:
        grid = self.trace.grid
        simple = self.simple(tuning, series, number, steps)
        base = simple[:, tuning.base[number, series]]
        times = (self.trace.starts[series] + steps * grid.step_seconds).astype(np.float64)
        topic = self._topic[series, steps]
        return _Table(
            ahead(recent, times, grid.horizons[number], grid, topic, np.hstack([simple, base[:, None]])), base
        )


def _learn(past: _Past, tuning: Tuning, origin: int, effort: Effort) -> trees.Trees | None:
    """From rows drawn evenly over the series that may be learnt from; none whose target is later than a gap before."""
    grid, taught = past.trace.grid, np.flatnonzero(past.trace.taught)
    rng = np.random.default_rng(origin)
    tables: list[list[trees.Rows]] = [[] for _ in grid.horizons]
    for each in map(int, taught):
        last = origin - GAP - max(grid.horizons)
        known = np.flatnonzero(~np.isnan(past.trace.values[each, :last]))
        known = known[grid.hour * 3 :]
        if not known.size:
            continue
        steps = np.sort(rng.choice(known, min(len(known), effort.rows // len(taught)), replace=False))
        recent = past.look_back(each, steps)
        for number, horizon in enumerate(grid.horizons):
            table = past.table(recent, tuning, each, number, steps)
            actual = past.actual[number, each, steps]
            rows = ~np.isnan(actual) & ~np.isnan(table.base)
            usual = np.abs(past.actual[number, each, :last] - past.held[each, :last])
            weight = np.minimum(recent.scale / max(float(np.nanmean(usual)), 1e-9), 20.0)
            target = np.clip((actual - table.base) / recent.scale, -50, 50)
            tables[number].append(trees.Rows(table.features[rows].astype(np.float32), target[rows], weight[rows]))
            assert steps.max() + horizon < origin - GAP
    if sum(len(rows.target) for rows in tables[-1]) < LEAST_ROWS:
        return None
    joined = [
        trees.Rows(
            np.vstack([rows.features for rows in parts]),
            np.hstack([rows.target for rows in parts]),
            np.hstack([rows.weight for rows in parts]),
        )
        for parts in tables
    ]
    return trees.learn(joined, effort.rounds)


def _judge(
    trace: Trace, simple: Array, median: Array, spread: Array, scale: Array, first: int
) -> tuple[Array, Integers]:
    """Fills `median` with what was followed; the upper quantiles and the sources. The judge warms up a week before."""
    judge = Judge(len(trace.values), len(Kind), trace.grid)
    upper = np.full(median.shape, np.nan)
    source = np.full(median.shape, -1, dtype=np.int64)
    for step in range(max(0, first - trace.grid.week), trace.values.shape[1]):
        answers = Answers(simple[..., step], median[..., step], spread[..., step], scale[:, step])
        forecast = judge.step(trace.values[:, step], answers)
        if step >= first:
            median[..., step], upper[..., step], source[..., step] = forecast.median, forecast.upper, forecast.source
    return upper, source
