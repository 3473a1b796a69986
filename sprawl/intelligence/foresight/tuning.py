"""Which setting of each baseline suits a series, by its past; and which baseline the model measures from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sprawl.intelligence.foresight.baselines import CANDIDATES, Kind, tuned
from sprawl.intelligence.foresight.grid import Array, Integers


@dataclass(frozen=True, slots=True)
class Tuning:
    chosen: Integers
    """[horizon, kind, series]: the number of a candidate."""
    base: Integers
    """[horizon, series]: the kind that the model's answer is a deviation from."""

    def baselines(self, candidates: Array) -> Array:
        """Of what all candidates expect, `[candidate, horizon, series]`, the chosen: `[horizon, kind, series]`."""
        return np.take_along_axis(candidates.swapaxes(0, 1), self.chosen, axis=1)


def tune(losses: Array) -> Tuning:
    """`losses`: mean absolute errors over the past, `[candidate, horizon, series]`; NaN where there are none."""
    losses = np.where(np.isnan(losses), np.inf, losses)
    _, horizons, series = losses.shape
    chosen = np.zeros((horizons, len(Kind), series), dtype=np.int64)
    for horizon in range(horizons):
        for each in range(series):
            best = tuned(losses[:, horizon, each])
            chosen[horizon, :, each] = [best[kind] for kind in Kind]
    base = np.take_along_axis(losses.swapaxes(0, 1), chosen, axis=1).argmin(axis=1)
    return Tuning(chosen, base)


def untuned(horizons: int, series: int) -> Tuning:
    """For the first day, when there is no past: the middle setting of each kind, measured from the EWMA."""
    kinds = [candidate.kind for candidate in CANDIDATES]
    middle = np.array([kinds.index(kind) + kinds.count(kind) // 2 for kind in Kind])
    chosen = np.broadcast_to(middle[None, :, None], (horizons, len(Kind), series)).copy()
    return Tuning(chosen, np.full((horizons, series), list(Kind).index(Kind.EWMA)))
