"""The learnt answer: gradient-boosted trees, a median and an upper quantile for each horizon, over all partitions.

In: features and targets, both measured in scales. Out: quantiles in scales; the model as LightGBM's own text. Nothing
here is drawn at random but by the seed that LightGBM is given, and one thread learns: the same rows give the same
trees. LightGBM is imported on first use, so that a process which neither learns nor predicts pays nothing for it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sprawl.intelligence.foresight.grid import Array

if TYPE_CHECKING:
    import lightgbm

MEDIAN: Final = 0.5
UPPER: Final = 0.9
QUANTILES: Final = (MEDIAN, UPPER)
ROUNDS: Final = 150
"""As many as 2,000 partitions can be foreseen with in a fifth of a second."""
_HEAD: Final = re.compile(r"^=== horizon (\d+) quantile ([0-9.]+)\n", re.MULTILINE)
_SETTINGS: Final[dict[str, str | int | float | bool]] = {
    "objective": "quantile",
    "num_leaves": 47,
    "learning_rate": 0.08,
    "min_child_samples": 80,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "lambda_l2": 1.0,
    "max_bin": 127,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "seed": 1,
    "verbose": -1,
}


class TreesUnavailableError(Exception):
    """LightGBM cannot be loaded; the baselines serve."""


@dataclass(frozen=True, slots=True)
class Rows:
    """What one horizon learns from."""

    features: Array
    target: Array
    weight: Array


class Trees:
    def __init__(self, boosters: dict[tuple[int, float], lightgbm.Booster]) -> None:
        self._boosters = boosters

    def quantiles(self, horizon: int, features: Array) -> tuple[Array, Array]:
        """The median and the upper quantile, in scales. `horizon` counts the horizons from 0."""
        median, upper = (
            np.asarray(self._boosters[horizon, quantile].predict(features, num_threads=1)) for quantile in QUANTILES
        )
        return median, np.maximum(median, upper)

    def importance(self) -> Array:
        """What each feature gained, summed over the boosters, the whole being 1."""
        gains = [booster.feature_importance("gain") for booster in self._boosters.values()]
        total = np.sum([each / max(each.sum(), 1e-9) for each in gains], axis=0)
        return np.asarray(total / len(gains))

    def to_text(self) -> str:
        return "".join(
            f"=== horizon {horizon} quantile {quantile}\n{booster.model_to_string()}"
            for (horizon, quantile), booster in sorted(self._boosters.items())
        )

    @classmethod
    def from_text(cls, text: str) -> Trees:
        library = _library()
        parts = _HEAD.split(text)[1:]
        if not parts:
            raise ValueError("no trees in this text")
        keys = [(int(horizon), float(quantile)) for horizon, quantile in zip(parts[::3], parts[1::3], strict=True)]
        return cls({key: library.Booster(model_str=part) for key, part in zip(keys, parts[2::3], strict=True)})


def learn(horizons: Sequence[Rows], rounds: int) -> Trees:
    library = _library()
    boosters = {}
    for horizon, rows in enumerate(horizons):
        data = library.Dataset(
            rows.features, rows.target, weight=rows.weight, params=dict(_SETTINGS), free_raw_data=False
        )
        for quantile in QUANTILES:
            boosters[horizon, quantile] = library.train({**_SETTINGS, "alpha": quantile}, data, rounds)
    return Trees(boosters)


def _library() -> Any:
    try:
        import lightgbm
    except (ImportError, OSError) as error:
        raise TreesUnavailableError(
            f"LightGBM cannot be loaded ({error}); the simple baselines serve. "
            "Where libgomp.so.1 is missing, install it: apt-get install libgomp1, or dnf install libgomp."
        ) from error
    return lightgbm
