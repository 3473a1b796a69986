"""How good forecasts were: errors against the baselines', coverage, with intervals.

MASE: each series' mean absolute error, measured in that of the last value at the same horizon before the first
origin; the mean over the series of a family. The best baseline is the one that was best in the test itself, family by
family: what nobody could have known beforehand counts against the model. Intervals are bootstrapped over series and
days together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from sprawl.intelligence.foresight.baselines import Kind
from sprawl.intelligence.foresight.grid import HORIZON_MINUTES, Array, Integers
from sprawl.intelligence.foresight.selection import Source
from tools.forecast.rolling import Rolled

_DRAWS: Final = 400
HORIZONS: Final = tuple(f"{minutes}m" for minutes in HORIZON_MINUTES)


@dataclass(frozen=True, slots=True)
class Score:
    mase: float
    mase_by_baseline: dict[str, float]
    best_baseline: str
    ratio: float
    """To the best baseline: below 1 is better than it."""
    interval: tuple[float, float]
    """Of the ratio: nine in ten."""
    wape: float
    wape_of_best_baseline: float
    coverage: float
    """How many values were not above their .9 quantile."""
    worst_coverage: tuple[float, float]
    """Of single series the least and the most."""
    sources: dict[str, float]
    """How often which answer was followed."""


def score(rolled: Rolled, horizon: int, series: Integers, day: int) -> Score | None:
    """Of some of the series, at one horizon (counted from 0)."""
    test = slice(rolled.first, None)
    actual, median = rolled.actual[horizon, series, test], rolled.median[horizon, series, test]
    upper = rolled.upper[horizon, series, test]
    rivals = rolled.baselines[horizon][:, series, test]
    known = ~(np.isnan(actual) | np.isnan(median) | np.isnan(rivals).any(axis=0))
    enough = (known.sum(axis=1) >= day // 4) & (rolled.naive[horizon, series] > 0)
    if not enough.any():
        return None
    actual, median, upper, known = actual[enough], median[enough], upper[enough], known[enough]
    rivals, naive = rivals[:, enough], rolled.naive[horizon, series][enough]
    ours = _by_day(np.abs(median - actual), known, day)
    theirs = np.stack([_by_day(np.abs(each - actual), known, day) for each in rivals])
    counts = _by_day(np.ones(actual.shape), known, day)
    mases = [_mase(each, counts, naive) for each in theirs]
    best = int(np.argmin(mases))
    mase = _mase(ours, counts, naive)
    covered = np.where(known, actual <= upper, False).sum(axis=1) / known.sum(axis=1)
    sources = rolled.source[horizon, series, test][enough]
    whole = np.abs(np.where(known, actual, 0)).sum()
    return Score(
        mase=mase,
        mase_by_baseline={kind.value: each for kind, each in zip(Kind, mases, strict=True)},
        best_baseline=list(Kind)[best].value,
        ratio=mase / max(mases[best], 1e-12),
        interval=_interval(ours, theirs[best], counts, naive),
        wape=float(ours.sum() / max(whole, 1e-12)),
        wape_of_best_baseline=float(min(each.sum() for each in theirs) / max(whole, 1e-12)),
        coverage=float(np.where(known, actual <= upper, False).sum() / known.sum()),
        worst_coverage=(float(covered.min()), float(covered.max())),
        sources={each.name.lower(): float((sources == each).mean()) for each in Source},
    )


def overall(scores: list[Score]) -> float:
    """The geometric mean of the families' ratios."""
    return float(np.exp(np.mean([np.log(max(each.ratio, 1e-6)) for each in scores]))) if scores else float("nan")


def _by_day(values: Array, known: Array, day: int) -> Array:
    """[series, day]: sums of what is known."""
    days = -(-values.shape[1] // day)
    padded = np.zeros((len(values), days * day))
    padded[:, : values.shape[1]] = np.where(known, values, 0.0)
    return np.asarray(padded.reshape(len(values), days, day).sum(axis=2))


def _mase(errors: Array, counts: Array, naive: Array) -> float:
    return float(np.mean(errors.sum(axis=1) / np.maximum(counts.sum(axis=1), 1) / naive))


def _interval(ours: Array, theirs: Array, counts: Array, naive: Array) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    series, days = ours.shape
    ratios = []
    for _ in range(_DRAWS):
        rows, columns = rng.integers(0, series, series), rng.integers(0, days, days)
        drawn = [each[rows][:, columns] for each in (ours, theirs, counts)]
        below = _mase(drawn[1], drawn[2], naive[rows])
        if below > 0:
            ratios.append(_mase(drawn[0], drawn[2], naive[rows]) / below)
    low, high = np.quantile(ratios, [0.05, 0.95]) if ratios else (float("nan"), float("nan"))
    return float(low), float(high)
