"""Traces as the evaluation wants them: families of series on one grid of equal steps, NaN where nothing was counted.

In: a directory with *.csv or *.csv.gz of `series,timestamp,count`, of whatever resolution, in whatever order, with gaps
and with lines that are no such thing. Out: a `Family` a file. Lines that cannot be read are counted and left out.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

import numpy as np

from sprawl.intelligence.foresight.grid import Array, Grid, Integers

FINEST: Final = 300
"""Seconds a step: what is finer is averaged."""
COARSEST: Final = 3600
MOST_STEPS: Final = 12_500
"""Of a series only so many of its last steps are used: six weeks at five minutes."""
LEAST_STEPS: Final = 200
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Family:
    name: str
    grid: Grid
    starts: Integers
    """[series]: UTC seconds of the first step."""
    series: tuple[str, ...]
    values: Array
    """[series, step]: the mean of what was counted within each step."""
    bad_lines: int = 0
    real: bool = True


def read(directory: Path) -> list[Family]:
    files = sorted(each for each in directory.iterdir() if each.name.endswith((".csv", ".csv.gz")))
    families = []
    for file in files:
        rows, bad = _rows(file)
        families += _families(file.name.removesuffix(".gz").removesuffix(".csv"), rows, bad)
    return families


def _rows(file: Path) -> tuple[dict[str, Array], int]:
    """Per series its (timestamp, count) rows, in order of time; how many lines were no such thing."""
    points: dict[str, list[tuple[float, float]]] = defaultdict(list)
    bad = 0
    for row in _lines(file):
        try:
            at, count = float(row[1]), float(row[2])
        except (IndexError, ValueError):
            bad += row[:1] != ["series"]
            continue
        if not (np.isfinite(at) and np.isfinite(count) and count >= 0 and at >= 0):
            bad += 1
            continue
        points[row[0]].append((at / 1000 if at > 1e11 else at, count))
    return {name: np.array(sorted(each)) for name, each in sorted(points.items())}, bad


def _lines(file: Path) -> Iterator[list[str]]:
    with file.open("rb") as raw, io.TextIOWrapper(_unpacked(raw, file), errors="replace") as text:
        try:
            yield from csv.reader(line.replace("\0", "") for line in text)
        except (csv.Error, EOFError, OSError):
            return  # a file that breaks off: what came before it counts


def _unpacked(raw: BinaryIO, file: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if file.suffix == ".gz" else raw


def _families(name: str, rows: dict[str, Array], bad: int) -> list[Family]:
    by_step: dict[int, dict[str, Array]] = defaultdict(dict)
    for series, points in rows.items():
        if len(points) < LEAST_STEPS:
            continue
        steps = np.diff(points[:, 0])
        native = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
        step = FINEST if native <= FINEST * 1.2 else int(-(-native // FINEST) * FINEST)
        if native > 0 and step <= COARSEST:
            by_step[step][series] = points
    families = []
    for step, each in sorted(by_step.items()):
        family = _on_grid(name if len(by_step) == 1 else f"{name}@{step // 60}m", Grid(step), each, bad)
        if family is not None:
            families.append(family)
    return families


def _on_grid(name: str, grid: Grid, rows: dict[str, Array], bad: int) -> Family | None:
    step = grid.step_seconds
    first = min(points[0, 0] for points in rows.values())
    last = max(points[-1, 0] for points in rows.values())
    moved = dict.fromkeys(rows, 0)
    if (last - first) // step > MOST_STEPS:
        # Too long, or not of one time: the last weeks of each, moved by whole days so that all end on one day.
        moved = {series: int((last - points[-1, 0]) // _DAY) * _DAY for series, points in rows.items()}
        first = max(last - MOST_STEPS * step, min(rows[series][0, 0] + moved[series] for series in rows))
    start = int(first // step) * step
    values = np.full((len(rows), int((last - start) // step) + 1), np.nan)
    for row, (series, points) in enumerate(rows.items()):
        places = ((points[:, 0] + moved[series] - start) // step).astype(np.int64)
        kept = places >= 0
        counts = np.bincount(places[kept], minlength=values.shape[1])
        sums = np.bincount(places[kept], weights=points[kept, 1], minlength=values.shape[1])
        values[row] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    enough = (~np.isnan(values)).sum(axis=1) >= LEAST_STEPS
    if not enough.any():
        return None
    names = tuple(series for series, kept in zip(rows, enough, strict=True) if kept)
    starts = np.array([start - moved[series] for series in names])
    return Family(name, grid, starts, names, values[enough], bad)
