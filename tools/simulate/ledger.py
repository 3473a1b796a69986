"""What was simulated so far, kept over many runs: a JSON line per world, and a table of them.

In: outcomes as they come, with the commit they were run at. Out: a line for each; and `python -m tools.simulate.ledger
FILE...` prints the sums per commit and how often each fault fired, as Markdown.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tools.simulate.faults import Kind
from tools.simulate.run import Outcome

console = Console(soft_wrap=True, highlight=False)


def keep(file: Path, commit: str, command: str, outcome: Outcome) -> None:
    entry = {
        "commit": commit,
        "seed": outcome.seed,
        "command": command,
        "virtual": round(outcome.virtual_seconds, 3),
        "cpu": round(outcome.cpu_seconds, 3),
        "events": outcome.events,
        "acknowledged": outcome.acknowledged,
        "fired": {kind.value: count for kind, count in sorted(outcome.fired.items(), key=lambda each: each[0].value)},
        "problem": outcome.problem,
    }
    with file.open("a") as lines:
        lines.write(json.dumps(entry, separators=(",", ":")) + "\n")


@dataclass
class Sums:
    seeds: int = 0
    first: int = -1
    last: int = -1
    virtual: float = 0.0
    cpu: float = 0.0
    events: int = 0
    acknowledged: int = 0
    fired: Counter[str] = field(default_factory=Counter)
    failed: list[dict[str, Any]] = field(default_factory=list)

    def add(self, entry: dict[str, Any]) -> None:
        self.seeds += 1
        self.first = entry["seed"] if self.first < 0 else min(self.first, entry["seed"])
        self.last = max(self.last, entry["seed"])
        self.virtual += entry["virtual"]
        self.cpu += entry.get("cpu", 0.0)
        self.events += entry["events"]
        self.acknowledged += entry["acknowledged"]
        self.fired.update(entry["fired"])
        if entry["problem"]:
            self.failed.append(entry)

    def row(self, name: str) -> str:
        return (
            f"| {name} | {self.first}-{self.last} | {self.seeds:,} | {self.virtual / 3600:.2f} | {self.cpu:,.0f} "
            f"| {self.events:,} | {self.acknowledged:,} | {self.fired.total():,} | {len(self.failed)} |"
        )


def told(entries: Iterable[dict[str, Any]]) -> Iterator[str]:
    whole = Sums()
    commits: dict[str, Sums] = {}
    for entry in entries:
        commits.setdefault(entry["commit"], Sums()).add(entry)
        whole.add(entry)
    yield "| commit | from, to | seeds | simulated hours | core seconds | events | acknowledged | faults | failed |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|"
    for commit, sums in commits.items():
        yield sums.row(f"`{commit}`")
    yield whole.row("all")
    yield ""
    yield "| fault | fired |"
    yield "|---|---:|"
    for kind in Kind:
        yield f"| {kind.value} | {whole.fired[kind.value]:,} |"
    for entry in whole.failed:
        yield ""
        yield f"Failed at `{entry['commit']}`: {entry['problem']}"
        yield f"`{entry['command']}`"


def main(files: Annotated[list[Path], typer.Argument(help="As --ledger of tools.simulate wrote them.")]) -> None:
    for line in told(json.loads(line) for file in files for line in file.read_text().splitlines()):
        console.print(line, markup=False)


if __name__ == "__main__":
    typer.run(main)
