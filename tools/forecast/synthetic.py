"""Made-up families of load, each for one thing that load does; all of it drawn from one seed.

Out: families on one grid, as if one cluster carried them all. `NOISE` cannot be foreseen by anybody: there a model must
do no harm. `UNTAUGHT` is kept from the model while it learns. The others are what a forecast is for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from sprawl.intelligence.foresight.grid import Array, Grid
from tools.forecast.traces import Family

NOISE: Final = ("noise", "walk")
UNTAUGHT: Final = "markets"
_START: Final = 1_700_438_400
"""A Monday, 00:00 UTC."""
_DAY: Final = 288


def make(seed: int, series: int, days: int) -> list[Family]:
    """Each family has so many series."""
    families = []
    for number, (name, shape) in enumerate(_SHAPES.items()):
        rng = np.random.default_rng([seed, number])
        values = np.maximum(shape(rng, series, days * _DAY), 0.0)
        counted = rng.poisson(np.minimum(values, 1e9)).astype(np.float64)
        names = tuple(f"{name}_{each:02}" for each in range(series))
        families.append(Family(name, Grid(), np.full(series, _START), names, counted, real=False))
    return families


def _regions(rng: np.random.Generator, series: int, steps: int) -> Array:
    """A day's wave in one of three regions, weaker on weekends, with slow weather on top."""
    phase = rng.integers(0, 3, (series, 1)) * 8 + rng.normal(0, 0.5, (series, 1))
    wave = np.exp(rng.uniform(0.5, 1.6, (series, 1)) * np.cos(2 * np.pi * (_hours(steps) - 14 - phase) / 24))
    weekend = 1 - rng.uniform(0.1, 0.5, (series, 1)) * (_weekday(steps) >= 5)
    return _sizes(rng, series) * wave * weekend * np.exp(_weather(rng, series, steps, 0.97, 0.15))


def _office(rng: np.random.Generator, series: int, steps: int) -> Array:
    """Working hours with sharp ends, a dip at noon, next to nothing at night and on weekends."""
    hours = (_hours(steps) - rng.integers(0, 3, (series, 1)) * 8 + rng.normal(0, 0.3, (series, 1))) % 24
    busy = _edge(hours - 8.5, 0.25) * _edge(17.5 - hours, 0.4) * (1 - 0.35 * np.exp(-(((hours - 12.5) / 0.6) ** 2)))
    return _sizes(rng, series) * (0.08 + busy * (_weekday(steps) < 5)) * np.exp(_weather(rng, series, steps, 0.95, 0.1))


def _jobs(rng: np.random.Generator, series: int, steps: int) -> Array:
    """Batch jobs on the clock: every one, two, three, six or twelve hours, for ten minutes to an hour."""
    every = rng.choice([12, 24, 36, 72, 144], (series, 1))
    place = (np.arange(steps) - rng.integers(0, 144, (series, 1))) % every
    length = rng.integers(2, 9, (series, 1))
    runs = np.cumsum(place == 0, axis=1)
    vigour = np.take_along_axis(rng.lognormal(0, 0.2, (series, steps)), runs % steps, axis=1)
    burst = (place < length) * rng.uniform(2, 8, (series, 1)) * vigour
    return np.asarray(_sizes(rng, series) * (0.3 + burst) * np.exp(_weather(rng, series, steps, 0.9, 0.1)))


def _launches(rng: np.random.Generator, series: int, steps: int) -> Array:
    """At times nobody knows a rise over one to three hours to a multiple, and its slow end."""
    out = np.ones((series, steps))
    for each in range(series):
        for start in rng.integers(0, steps, max(1, steps // _DAY)):
            rise, last, height = rng.integers(12, 36), rng.integers(24, 96), rng.uniform(1.5, 6)
            x = np.arange(steps) - start
            out[each] += height * np.clip(x / rise, 0, 1) * np.exp(-np.maximum(x - rise - last, 0) / 18) * (x >= 0)
    return _sizes(rng, series) * out * np.exp(_weather(rng, series, steps, 0.9, 0.08))


def _siblings(rng: np.random.Generator, series: int, steps: int) -> Array:
    """One cause moves all partitions of a topic, some 10 to 25 minutes after the first."""
    cause = np.zeros(steps + 8)
    for start in rng.integers(0, steps, 4 * steps // _DAY):
        x = np.arange(steps + 8) - start
        cause += rng.uniform(1, 5) * (x >= 0) * np.exp(-x.clip(0) / rng.uniform(3, 12))
    delay = rng.choice([0, 0, 2, 3, 4, 5], series)
    share = rng.uniform(0.5, 1.5, (series, 1))
    moved = np.stack([cause[8 - late : 8 - late + steps] for late in delay])
    return _sizes(rng, series) * (1 + share * moved) * np.exp(_weather(rng, series, steps, 0.9, 0.1))


def _noise(rng: np.random.Generator, series: int, steps: int) -> Array:
    """Independent at every step."""
    return _sizes(rng, series) * rng.lognormal(0, rng.uniform(0.1, 0.6, (series, 1)), (series, steps))


def _walk(rng: np.random.Generator, series: int, steps: int) -> Array:
    """Where it goes next does not depend on where it came from; a weak pull keeps it in bounds."""
    return _sizes(rng, series) * np.exp(_weather(rng, series, steps, 0.999, 1.0))


def _markets(rng: np.random.Generator, series: int, steps: int) -> Array:
    """An opening and a closing rush on weekdays, somewhere on the globe."""
    hours = (_hours(steps) - rng.choice([0, 7, 14], (series, 1)) + rng.normal(0, 0.05, (series, 1))) % 24
    is_open = _edge(hours - 9.5, 0.05) * _edge(16 - hours, 0.05) * (_weekday(steps) < 5)
    rush = 1 + 3 * np.exp(-np.abs(hours - 9.5) / 0.5) + 2 * np.exp(-np.abs(16 - hours) / 0.4)
    return np.asarray(_sizes(rng, series) * (0.1 + is_open * rush) * np.exp(_weather(rng, series, steps, 0.95, 0.2)))


_SHAPES: Final[dict[str, Callable[[np.random.Generator, int, int], Array]]] = {
    "regions": _regions,
    "office": _office,
    "jobs": _jobs,
    "launches": _launches,
    "siblings": _siblings,
    "noise": _noise,
    "walk": _walk,
    UNTAUGHT: _markets,
}


def _sizes(rng: np.random.Generator, series: int) -> Array:
    return rng.lognormal(6.5, 0.8, (series, 1))


def _hours(steps: int) -> Array:
    return np.arange(steps) / 12.0


def _weekday(steps: int) -> Array:
    return np.asarray(np.arange(steps) // _DAY % 7, dtype=np.float64)


def _edge(x: Array, width: Array | float) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(x / width)))


def _weather(rng: np.random.Generator, series: int, steps: int, keep: float, spread: float) -> Array:
    """An autoregression with the given standard deviation."""
    shocks = rng.normal(0, spread * np.sqrt(1 - keep**2), (series, steps))
    shocks[:, 0] /= np.sqrt(1 - keep**2)
    for step in range(1, steps):
        shocks[:, step] += keep * shocks[:, step - 1]
    return np.asarray(shocks)
