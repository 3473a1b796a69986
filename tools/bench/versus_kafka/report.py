"""From samples to figures: medians per broker, the ratio Sprawl / Kafka, and whether it is where it must be."""

from __future__ import annotations

import json
import os
import statistics
from collections import defaultdict
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

#: Most a ratio may be, or least, to be where it must; the first targets.
AT_LEAST = {
    "produce 1 KB, MB/s": 0.7,
    "one-record requests/s": 1.5,
    "one-record requests/s, just started": 1.5,
}
AT_MOST = {"produce 1 KB, broker CPU-s/GB": 1.3, "memory after the load, MB": 0.15, "start to first record, s": 0.25}


@dataclass(frozen=True, slots=True)
class Line:
    measure: str
    figures: dict[str, float]
    ratio: float | None
    target: str
    met: bool | None


class Figures:
    """Collects figures by measure and broker."""

    def __init__(self) -> None:
        self._figures: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, measure: str, broker: str, figure: float) -> None:
        self._figures[measure][broker].append(figure)

    def lines(self) -> list[Line]:
        return [self._line(measure, found) for measure, found in self._figures.items()]

    def _line(self, measure: str, found: dict[str, list[float]]) -> Line:
        medians = {broker: statistics.median(figures) for broker, figures in found.items()}
        others = [median for broker, median in medians.items() if broker != "Sprawl"]
        ratio = medians["Sprawl"] / others[0] if "Sprawl" in medians and others and others[0] else None
        target, met = "", None
        if measure in AT_LEAST:
            target = f">= {AT_LEAST[measure]}"
            met = None if ratio is None else ratio >= AT_LEAST[measure]
        elif measure in AT_MOST:
            target = f"<= {AT_MOST[measure]}"
            met = None if ratio is None else ratio <= AT_MOST[measure]
        return Line(measure, medians, ratio, target, met)

    def table(self, rounds: int) -> Table:
        lines = self.lines()
        brokers = sorted({broker for line in lines for broker in line.figures})
        table = Table(title=f"Medians of {rounds} rounds on {os.cpu_count()} cores", title_justify="left")
        table.add_column("measure")
        for broker in brokers:
            table.add_column(broker, justify="right")
        table.add_column("Sprawl / Kafka", justify="right")
        table.add_column("target")
        for line in lines:
            colour = {None: "default", True: "green", False: "red"}[line.met]
            ratio = "" if line.ratio is None else f"[{colour}]{line.ratio:.2f}[/{colour}]"
            figures = (_short(line.figures[broker]) if broker in line.figures else "" for broker in brokers)
            table.add_row(line.measure, *figures, ratio, line.target)
        return table

    def show(self, rounds: int) -> None:
        Console(width=120).print(self.table(rounds))

    def json(self) -> str:
        measures = {
            line.measure: {"medians": line.figures, "ratio": line.ratio, "target": line.target, "met": line.met}
            for line in self.lines()
        }
        return json.dumps(measures, indent=2)


def _short(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
