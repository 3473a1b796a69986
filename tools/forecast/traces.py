"""Traces as the evaluation wants them: families of series on one grid of equal steps, NaN where nothing was counted.

In: a directory with *.csv or *.csv.gz of `series,timestamp,count`, of whatever resolution, in whatever order, with gaps
and with lines that are no such thing. Times are seconds or milliseconds since 1970, or ISO 8601. Out: a `Family` a file
(one for each length of step, if a file has several), and notes on what had to be left out, and why.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
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
_COLUMNS: Final = ("series", "timestamp", "count")
_MILLISECONDS: Final = 1e11
"""A timestamp beyond is in milliseconds."""


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


@dataclass(frozen=True, slots=True)
class Traces:
    families: tuple[Family, ...]
    notes: tuple[str, ...]


def read(directory: Path) -> Traces:
    files = sorted(each for each in directory.iterdir() if each.name.endswith((".csv", ".csv.gz")))
    families: list[Family] = []
    notes: list[str] = [] if files else [f"no *.csv or *.csv.gz in {directory}"]
    for file in files:
        rows, bad, why = _rows(file)
        if bad:
            notes.append(f"{file.name}: {bad} lines are no series,timestamp,count and were left out")
        if why:
            notes.append(f"{file.name}: breaks off ({why}); what came before it counts")
        families += _families(file.name.removesuffix(".gz").removesuffix(".csv"), rows, bad, notes)
    return Traces(tuple(families), tuple(notes))


def _rows(file: Path) -> tuple[dict[str, Array], int, str]:
    """Per series its (timestamp, count) rows, in order of time; how many lines were no such thing; why it broke off."""
    points: dict[str, array[float]] = defaultdict(lambda: array("d"))
    columns = list(_COLUMNS)
    bad, first = 0, True
    lines = _lines(file)
    while True:
        try:
            row = next(lines, None)
        except (csv.Error, EOFError, OSError, zlib.error) as error:
            return _in_order(points), bad, str(error) or type(error).__name__
        if row is None:
            return _in_order(points), bad, ""
        names = [each.strip().lower().removeprefix("\ufeff") for each in row]
        if first and set(_COLUMNS) <= set(names):
            columns = names
        elif row:
            point = _point(row, columns)
            if point is None:
                bad += 1
            else:
                points[point[0]].extend(point[1:])
        first = False


def _in_order(points: dict[str, array[float]]) -> dict[str, Array]:
    pairs = {name: np.array(each).reshape(-1, 2) for name, each in sorted(points.items())}
    return {name: each[np.argsort(each[:, 0], kind="stable")] for name, each in pairs.items()}


def _point(row: list[str], columns: list[str]) -> tuple[str, float, float] | None:
    if len(row) < len(columns):
        return None
    series, timestamp, count = (row[columns.index(name)].strip() for name in _COLUMNS)
    try:
        at, counted = _seconds(timestamp), float(count)
    except ValueError:
        return None
    if not (np.isfinite(at) and np.isfinite(counted) and counted >= 0 and at >= 0):
        return None
    return series, at / 1000 if at > _MILLISECONDS else at, counted


def _seconds(timestamp: str) -> float:
    try:
        return float(timestamp)
    except ValueError:
        moment = datetime.fromisoformat(timestamp)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _lines(file: Path) -> Iterator[list[str]]:
    with file.open("rb") as raw, io.TextIOWrapper(_unpacked(raw, file), errors="replace") as text:
        yield from csv.reader(line.replace("\0", "") for line in text)


def _unpacked(raw: BinaryIO, file: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if file.suffix == ".gz" else raw


def _families(name: str, rows: dict[str, Array], bad: int, notes: list[str]) -> list[Family]:
    by_step: dict[int, dict[str, Array]] = defaultdict(dict)
    left_out: dict[str, list[str]] = defaultdict(list)
    for series, points in rows.items():
        steps = np.diff(points[:, 0])
        native = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
        step = FINEST if native <= FINEST * 1.2 else int(-(-native // FINEST) * FINEST)
        if not native or (points[-1, 0] - points[0, 0]) / step < LEAST_STEPS:
            left_out[f"shorter than {LEAST_STEPS} steps of {max(step, FINEST) // 60} minutes"].append(series)
        elif step > COARSEST:
            left_out[f"one value in {native / 3600:.1f} hours is too few to foresee half an hour"].append(series)
        else:
            by_step[step][series] = points
    families = []
    for step, each in sorted(by_step.items()):
        family = _on_grid(name if len(by_step) == 1 else f"{name}@{step // 60}m", Grid(step), each, bad)
        kept = set(family.series) if family is not None else set()
        left_out[f"fewer than {LEAST_STEPS} steps have a value"] += [series for series in each if series not in kept]
        if family is not None:
            families.append(family)
    for why, names in left_out.items():
        if names:
            some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            notes.append(f"{name}: left out {some}: {why}")
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
