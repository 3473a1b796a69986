"""The simple answers: last value, EWMA, seasonal naive, rolling median, Holt-Winters, a line through the last points.

In: one value of every series a step, NaN where nobody counted. Out: what each candidate expects of every series at
each horizon. The candidates are each kind with each of its settings; who uses them picks the setting per series
(`tuned`). All series advance together, so that a step costs the same few array operations for ten series or two
thousand.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import product
from typing import Final

import numpy as np

from sprawl.intelligence.foresight.grid import Array, Grid


class Kind(Enum):
    LAST = "last value"
    EWMA = "ewma"
    SEASONAL = "seasonal naive"
    MEDIAN = "rolling median"
    HOLT_WINTERS = "holt-winters"
    LINEAR = "linear"


@dataclass(frozen=True, slots=True)
class Candidate:
    kind: Kind
    setting: str = ""


_ALPHAS: Final = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
_SEASONS: Final = ("day", "week", "three days")
_MEDIANS: Final = (3, 5, 9, 15, 31)
_LINES: Final = (4, 8, 16, 32)
_HOLT_WINTERS: Final = tuple(product((0.1, 0.3, 0.6), (0.0, 0.02), (0.1, 0.3)))
_DAMPING: Final = 0.9

CANDIDATES: Final = (
    Candidate(Kind.LAST),
    *(Candidate(Kind.EWMA, f"alpha {alpha}") for alpha in _ALPHAS),
    *(Candidate(Kind.SEASONAL, season) for season in _SEASONS),
    *(Candidate(Kind.MEDIAN, f"of {width}") for width in _MEDIANS),
    *(Candidate(Kind.HOLT_WINTERS, f"alpha {a} beta {b} gamma {c}") for a, b, c in _HOLT_WINTERS),
    *(Candidate(Kind.LINEAR, f"over {width}") for width in _LINES),
)


class Baselines:
    def __init__(self, series: int, grid: Grid) -> None:
        self._grid = grid
        self._past = np.full((grid.week + 1, series), np.nan)
        """The last week, filled with the last known value; row `_now` is the newest."""
        self._now = 0
        self._ewma = np.full((len(_ALPHAS), series), np.nan)
        self._alphas = np.array(_ALPHAS)[:, None]
        self._holt_winters = _HoltWinters(series, grid)

    def observe(self, values: Array) -> Array:
        """Take the step's values; what each candidate now expects: `[candidate, horizon, series]`."""
        self._now = (self._now + 1) % len(self._past)
        last = np.where(np.isnan(values), self._past[self._now - 1], values)
        self._past[self._now] = last
        self._ewma = np.where(np.isnan(self._ewma), last, self._ewma + self._alphas * (last - self._ewma))
        self._holt_winters.observe(values)
        out = np.empty((len(CANDIDATES), len(self._grid.horizons), len(last)))
        recent = self._past[np.arange(self._now - max(*_MEDIANS, *_LINES) + 1, self._now + 1)]
        first = len(_ALPHAS) + 1
        out[0] = last
        out[1:first] = self._ewma[:, None, :]
        for row, width in enumerate(_MEDIANS, first + len(_SEASONS)):
            out[row] = np.median(recent[-width:], axis=0)
        lines = [_line(recent[-width:]) for width in _LINES]
        for column, horizon in enumerate(self._grid.horizons):
            day = [self._ago(days * self._grid.day - horizon) for days in (1, 2, 3, 7)]
            out[first : first + 3, column] = day[0], day[3], (day[0] + day[1] + day[2]) / 3
            row = first + len(_SEASONS) + len(_MEDIANS)
            out[row : row + len(_HOLT_WINTERS), column] = self._holt_winters.expect(horizon)
            out[-len(_LINES) :, column] = [at + slope * horizon for at, slope in lines]
        return np.maximum(np.where(np.isnan(out), last, out), 0.0)

    def _ago(self, steps: int) -> Array:
        row: Array = self._past[(self._now - steps) % len(self._past)]
        return row


def tuned(losses: Array) -> dict[Kind, int]:
    """Of each kind the candidate that lost least; `losses` is one number a candidate."""
    best: dict[Kind, int] = {}
    for index, candidate in enumerate(CANDIDATES):
        if candidate.kind not in best or losses[index] < losses[best[candidate.kind]]:
            best[candidate.kind] = index
    return best


def _line(points: Array) -> tuple[Array, Array]:
    """The least-squares line's value at the last point, and its slope."""
    x = np.arange(len(points)) - (len(points) - 1) / 2
    slope = x @ points / (x @ x)
    return points.mean(axis=0) + slope * x[-1], slope


class _HoltWinters:
    """Additive, with a damped trend and a season of one day, for each setting and series at once.

    During a series' first day the level is the mean so far; a place in the day that was seen n times learns at least
    1/n of what it sees, whatever gamma says.
    """

    def __init__(self, series: int, grid: Grid) -> None:
        self._day = grid.day
        alpha, beta, gamma = np.array(_HOLT_WINTERS).T
        self._alpha, self._beta, self._gamma = alpha[:, None], beta[:, None], gamma[:, None]
        self._level = np.full((len(_HOLT_WINTERS), series), np.nan)
        self._trend = np.zeros((len(_HOLT_WINTERS), series))
        self._season = np.zeros((grid.day, len(_HOLT_WINTERS), series))
        self._seen = np.zeros(series)
        self._place = 0

    def observe(self, values: Array) -> None:
        self._place = (self._place + 1) % self._day
        known = ~np.isnan(values)
        self._level = np.where(np.isnan(self._level), values, self._level)
        season = self._season[self._place]
        alpha = np.maximum(self._alpha * (self._seen >= self._day), 1 / (self._seen + 1) * (self._seen < self._day))
        expected = self._level + _DAMPING * self._trend
        level = np.where(known, expected + alpha * (values - season - expected), expected)
        settled = known & (self._seen >= self._day)
        trend = np.where(settled, self._beta * (level - self._level), 0.0) + (1 - self._beta) * _DAMPING * self._trend
        gamma = np.maximum(self._gamma, 1 / (np.floor(self._seen / self._day) + 1))
        self._season[self._place] = np.where(known, season + gamma * (values - level - season), season)
        self._level = np.where(np.isnan(level), self._level, level)
        self._trend = np.where(known, trend, _DAMPING * self._trend)
        self._seen = self._seen + known

    def expect(self, horizon: int) -> Array:
        damped = _DAMPING * (1 - _DAMPING**horizon) / (1 - _DAMPING)
        expected: Array = self._level + damped * self._trend + self._season[(self._place + horizon) % self._day]
        return expected
