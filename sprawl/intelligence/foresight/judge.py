"""From answers to a forecast: which answer is followed, and how far above it the upper quantile must stand.

In, at each step: what was counted, what the tuned baselines and the model (if there is one) expect. Out: a `Forecast`.
Every answer is remembered until its time has come, and then judged; nothing is judged before.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from sprawl.intelligence.foresight.conformal import Calibration
from sprawl.intelligence.foresight.grid import Array, Grid, Integers
from sprawl.intelligence.foresight.selection import Selection, Source


@dataclass(frozen=True, slots=True)
class Answers:
    """What is expected at each horizon, made at one step."""

    baselines: Array
    """[horizon, baseline, series]"""
    model: Array
    """[horizon, series], NaN without a model."""
    spread: Array
    """[horizon, series]: by how much the upper quantile stands above the median, before calibration."""
    scale: Array
    """[series]"""


@dataclass(frozen=True, slots=True)
class Forecast:
    median: Array
    """[horizon, series]"""
    upper: Array
    source: Integers
    """[horizon, series], each a `Source`."""
    baseline: Integers
    """[horizon, series]: the number of the best recent baseline."""


class Judge:
    def __init__(self, series: int, baselines: int, grid: Grid) -> None:
        self._horizons = grid.horizons
        self._selection = Selection(len(self._horizons), baselines, series, grid)
        self._calibration = Calibration(len(self._horizons), series)
        self._past: deque[tuple[Answers, Forecast]] = deque(maxlen=max(self._horizons))

    def step(self, came: Array, answers: Answers) -> Forecast:
        for number, horizon in enumerate(self._horizons):
            if len(self._past) >= horizon:
                then, promised = self._past[-horizon]
                self._selection.learn(number, then.baselines[number], then.model[number], came)
                self._calibration.learn(number, promised.upper[number], came, then.scale)
        forecast = self._forecast(answers)
        self._past.append((answers, forecast))
        return forecast

    def _forecast(self, answers: Answers) -> Forecast:
        best = np.stack([self._selection.best(number) for number in range(len(self._horizons))])
        source = np.stack([self._selection.sources(number) for number in range(len(self._horizons))])
        source = np.where(np.isnan(answers.model), int(Source.BASELINE), source)
        baseline = np.take_along_axis(answers.baselines, best[:, None], axis=1)[:, 0]
        blend = (answers.model + baseline) / 2
        median = np.where(source == Source.MODEL, answers.model, np.where(source == Source.BLEND, blend, baseline))
        median = np.maximum(median, 0.0)
        upper = median + answers.spread + self._calibration.offset * answers.scale
        return Forecast(median, np.maximum(upper, 0.0), source, best)
