"""Keeps to whichever answer was right lately, for each series and horizon.

In: what the model and the tuned baselines had expected, and what came. Out: which of them to follow: the model, the
mean of the model and the best recent baseline, or that baseline alone. Errors fade with a half-life, so that a model
which a change has made worse than the baseline loses its place within hours, and can win it back.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np

from sprawl.intelligence.foresight.grid import Array, Grid, Integers, Mask

_HALF_LIFE_DAYS: Final = 1.5
_CREDIT_DAYS: Final = 0.5
_CREDIT: Final = (0.95, 0.97, 1.0)
"""Until that many days speak for themselves, each `Source` counts as erring so much, in errors of the best baseline."""


class Source(IntEnum):
    MODEL = 0
    BLEND = 1
    BASELINE = 2


class Selection:
    def __init__(self, horizons: int, baselines: int, series: int, grid: Grid) -> None:
        self._keep = 0.5 ** (1 / (_HALF_LIFE_DAYS * grid.day))
        self._credit = _CREDIT_DAYS * grid.day
        self._baselines = np.zeros((horizons, baselines, series))
        self._sources = np.zeros((horizons, len(Source), series))
        self._weight = np.zeros((horizons, series))

    def learn(self, horizon: int, baselines: Array, model: Array, came: Array) -> None:
        """`baselines` `[baseline, series]` and `model` `[series]` were expected of now, `came` came; NaN: unknown."""
        known = ~(np.isnan(came) | np.isnan(baselines).any(axis=0))
        rivals = known & ~np.isnan(model)
        best = np.take_along_axis(baselines, self.best(horizon)[None], axis=0)[0]
        followed = np.abs(np.stack([model, (model + best) / 2, best]) - came)
        self._fade(self._baselines[horizon], np.abs(baselines - came), known)
        self._fade(self._sources[horizon], followed, rivals)
        self._fade(self._weight[horizon], np.ones(len(came)), rivals)

    def best(self, horizon: int) -> Integers:
        """Of each series the number of the baseline that erred least lately."""
        best: Integers = self._baselines[horizon].argmin(axis=0)
        return best

    def sources(self, horizon: int) -> Integers:
        """The `Source` to follow for each series, if there is a model."""
        weight = np.maximum(self._weight[horizon], 1e-9)
        usual = self._sources[horizon, Source.BASELINE] / weight
        usual = np.where(usual > 0, usual, 1.0)
        errors = self._sources[horizon] + self._credit * np.array(_CREDIT)[:, None] * usual
        sources: Integers = errors.argmin(axis=0)
        return sources

    def _fade(self, errors: Array, latest: Array, known: Mask) -> None:
        errors[...] = np.where(known, self._keep * errors + latest, errors)
