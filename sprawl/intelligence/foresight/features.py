"""What a forecast looks at: the past of a series, its place in the day and the week, its topic, the simple answers.

In: windows of the past, one row each, whose last column is now; the newest known value stands in for what nobody
counted. Out: a matrix with one row of features each, and the level and scale by which they and the target are
measured, so that one model serves a partition with three records a step and one with three million. Column `now` is
the last that is looked at: what a window holds is all that the features know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sprawl.intelligence.foresight.grid import Array, Grid, Integers, Mask

_LAGS: Final = (1, 2, 3, 4, 5, 6, 8, 11)
_MEANS: Final = (3, 6, 12, 36)
_MEDIANS: Final = (5, 15)
_LINES: Final = (4, 8, 16)
_DAYS: Final = (1, 2, 3, 7)
_SPIKE: Final = 40.0
_LEAST: Final = 12
"""Of a window so many columns must be known for its features to be used."""


@dataclass(frozen=True, slots=True)
class Recent:
    """What the horizons share."""

    window: Array
    """[row, step], filled."""
    level: Array
    scale: Array
    shared: Array
    """[row, feature], in scales about the level."""


def look_back(window: Array, grid: Grid) -> Recent:
    """The features that do not depend on the horizon. `window` is `[row, grid.history]`."""
    day = window[:, -grid.day :]
    hours = window[:, -36:]
    now = window[:, -1]
    level = _mean(window[:, -6:])
    typical = _mean(day)
    scale = 0.5 * _usual(np.diff(day, axis=1)) + 0.5 * _usual(np.diff(hours, axis=1)) + 0.01 * _usual(day) + 1e-9
    columns = [now, *(window[:, -1 - lag] for lag in _LAGS)]
    columns += [_mean(window[:, -width:]) for width in _MEANS]
    columns += [np.median(window[:, -width:], axis=1) for width in _MEDIANS]
    columns += [typical, window[:, -12:].max(axis=1), window[:, -12:].min(axis=1), hours.max(axis=1), day.max(axis=1)]
    about = (np.stack(columns, axis=1) - level[:, None]) / scale[:, None]
    spreads = np.stack(
        [window[:, -6:].std(axis=1), window[:, -12:].std(axis=1), hours.std(axis=1), day.std(axis=1)]
        + [_slope(window[:, -width:]) * width for width in _LINES],
        axis=1,
    )
    logs = np.stack(
        [np.log1p(typical), np.log(level / (typical + 1e-9) + 1e-3), np.log(typical / scale + 1e-3)], axis=1
    )
    return Recent(window, level, scale, np.hstack([about, spreads / scale[:, None], logs]))


def ahead(recent: Recent, times: Array, horizon: int, grid: Grid, topic: Array, simple: Array) -> Array:
    """All features for one horizon.

    `times`: UTC seconds of now. `topic`: [row, 2], the row's share of its topic and by how many scales the topic's
    other partitions stand off their levels. `simple`: [row, baseline], what the baselines expect.
    """
    window, level, scale = recent.window, recent.level[:, None], recent.scale[:, None]
    columns = []
    changes, seasons = [], []
    for days in range(1, 8):
        then = _around(window, days * grid.day)
        at = _at(window, days * grid.day - horizon)
        near = _around(window, days * grid.day - horizon)
        changes.append(near - then)
        seasons.append(near)
        if days in _DAYS:
            columns += [at - level[:, 0], near - then, near - level[:, 0]]
    every = np.stack(changes, axis=1)
    known = np.maximum((~np.isnan(every)).sum(axis=1), 1)
    columns += [np.nansum(every[:, :3], axis=1) / np.minimum(known, 3), np.nansum(every, axis=1) / known]
    columns.append(np.nansum(np.stack(seasons, axis=1) - level, axis=1) / known)
    hours = np.stack([_at(window, hours * grid.hour - horizon % grid.hour) for hours in range(1, 25)], axis=1)
    columns += [hours[:, 0] - level[:, 0], hours[:, 1] - level[:, 0]]
    columns += [hours[:, :6].mean(axis=1) - level[:, 0], hours.mean(axis=1) - _mean(window[:, -grid.day :])]
    about = np.stack(columns, axis=1) / scale
    then = times + horizon * grid.step_seconds
    clock = 2 * np.pi * (then % 86_400) / 86_400
    calendar = np.stack([np.sin(clock), np.cos(clock), then // 86_400 % 7, then % 3600 / 60], axis=1)
    return np.hstack([recent.shared, about, calendar, topic, (simple - level) / scale])


def topic_context(last: Array, topics: Integers) -> Array:
    """`[series, 2]`: each series' share of its topic, and how far the topic's other series stand off their last hour.

    `last` is `[series, >= 37]`, the end of each window; `topics` numbers each series' topic.
    """
    now = last[:, -1]
    unit = np.abs(np.diff(last[:, -37:], axis=1)).mean(axis=1) + 0.01 * last[:, -37:].mean(axis=1) + 1e-9
    off = np.clip((now - last[:, -13:-1].mean(axis=1)) / unit, -20, 20)
    level = last[:, -6:].mean(axis=1)
    known = ~np.isnan(off)
    count = np.bincount(topics, weights=known)
    total = np.bincount(topics, weights=np.where(known, off, 0.0))
    whole = np.bincount(topics, weights=np.where(known, level, 0.0))
    others = (total[topics] - np.where(known, off, 0.0)) / np.maximum(count[topics] - known, 1)
    return np.stack([level / np.maximum(whole[topics], 1e-9), others], axis=1)


def names(simple: int) -> list[str]:
    """Of the columns of `ahead`, in their order."""
    shared = ["now", *(f"lag {lag}" for lag in _LAGS), *(f"mean {width}" for width in _MEANS)]
    shared += [*(f"median {width}" for width in _MEDIANS), "mean day", "max 12", "min 12", "max 36", "max day"]
    shared += ["deviation 6", "deviation 12", "deviation 36", "deviation day", *(f"slope {width}" for width in _LINES)]
    shared += ["log day's mean", "log level to day's mean", "log day's mean to scale"]
    of_days = [f"{what} {days}d ago" for days in _DAYS for what in ("target", "change", "season")]
    rest = [
        "mean change 3 days",
        "mean change",
        "mean season",
        "hour ago",
        "two hours ago",
        "six hours",
        "hour's shape",
    ]
    calendar = ["clock sine", "clock cosine", "weekday", "minute", "share of topic", "topic's deviation"]
    return [*shared, *of_days, *rest, *calendar, *(f"baseline {number}" for number in range(simple))]


def usable(window: Array) -> Mask:
    usable: Mask = np.all(~np.isnan(window[:, -_LEAST:]), axis=1)
    return usable


def _at(window: Array, steps: int) -> Array:
    """The value so many steps ago."""
    value: Array = window[:, -1 - steps]
    return value


def _around(window: Array, steps: int) -> Array:
    """The mean of three values about so many steps ago, none of them from the future."""
    last = max(0, steps - 1)
    mean: Array = window[:, -1 - steps - 1 : window.shape[1] - last].mean(axis=1)
    return mean


def _mean(part: Array) -> Array:
    """Of what is known; NaN stands only at the front of a window, where the series had not begun."""
    known = ~np.isnan(part)
    mean: Array = np.where(known, part, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return mean


def _usual(part: Array) -> Array:
    """How large values usually are: their mean, in which no spike counts for more than `_SPIKE` times a robust mean."""
    sizes = np.abs(part)
    robust = _mean(np.sqrt(sizes)) ** 2
    return _mean(np.minimum(sizes, _SPIKE * robust[:, None]))


def _slope(points: Array) -> Array:
    x = np.arange(points.shape[1]) - (points.shape[1] - 1) / 2
    slope: Array = points @ x / (x @ x)
    return slope
