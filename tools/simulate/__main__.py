"""Whole clusters with faults, seed after seed: `python -m tools.simulate --seeds 100 --hours 2 --jobs 2`.

Each seed is a world of its own (`run.py`), with its share of the hours. A seed that fails is printed with the command
that replays it, after it was made smaller. `--mutants` plants bugs instead, and tells which seeds catch which.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Annotated, Final, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tools.simulate.faults import Kind
from tools.simulate.ledger import keep
from tools.simulate.mutants import MUTANTS, Verdict, caught_by
from tools.simulate.run import Outcome, Plan, plan, simulate
from tools.simulate.shrink import shrink
from tools.simulate.workers import results, world_of

_USUAL_SECONDS: Final = 60.0
_ENOUGH: Final = 0.95
"""Share of the planted bugs that must be caught."""

console = Console()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Worlds:
    """What all seeds of a run have in common."""

    seconds: float
    pace: str | None
    kinds: list[Kind] | None

    def plan(self, seed: int, only: list[int] | None = None) -> Plan:
        return plan(seed, self.seconds, pace=self.pace, only=only, kinds=self.kinds)

    def command(self, seed: int, only: Iterable[int] | None = None) -> str:
        kinds = "" if self.kinds is None else " --kinds " + ",".join(kind.value for kind in self.kinds)
        pace = "" if self.pace is None else f" --pace {self.pace}"
        narrowed = "" if only is None else " --only '" + ",".join(map(str, only)) + "'"
        return f"python -m tools.simulate --seed {seed} --seconds {self.seconds!r}{pace}{kinds}{narrowed}"


def main(
    seeds: Annotated[int, typer.Option(help="How many seeds.", min=1)] = 20,
    first: Annotated[int, typer.Option(help="The first seed.", min=0)] = 0,
    hours: Annotated[float | None, typer.Option(help="Virtual hours of faults, over all seeds; a minute each.")] = None,
    jobs: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
    seed: Annotated[int | None, typer.Option(help="Run this seed only.")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Virtual seconds of faults per seed, on average.", min=1.0)
    ] = None,
    only: Annotated[str | None, typer.Option(help="With --seed: of its faults, those with these numbers.")] = None,
    kinds: Annotated[str | None, typer.Option(help="Kinds of faults to draw from, with commas between.")] = None,
    pace: Annotated[str | None, typer.Option(help="Of all worlds: dense, calm or quiet; drawn otherwise.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="Append a line per seed to this file.")] = None,
    commit: Annotated[str, typer.Option(help="For the ledger: what is being run.")] = "",
    verbose: Annotated[bool, typer.Option("--verbose", help="With --seed: what the nodes say.")] = False,
    no_shrink: Annotated[bool, typer.Option("--no-shrink", help="Don't make failing seeds smaller.")] = False,
    mutants: Annotated[bool, typer.Option("--mutants", help="Plant bugs, and see whether they are caught.")] = False,
) -> None:
    if not verbose:
        logging.disable(logging.CRITICAL)
    drawn = None if kinds is None else [Kind(each) for each in kinds.split(",")]
    if mutants:
        raise typer.Exit(_mutants(first, seeds, jobs))
    if seed is not None:
        length = seconds or _USUAL_SECONDS
        numbers = None if only is None else [int(each) for each in only.split(",") if each]
        raise typer.Exit(_one(plan(seed, length, pace=pace, only=numbers, kinds=drawn), verbose=verbose))
    length = seconds or (hours * 3600 / seeds if hours is not None else _USUAL_SECONDS)
    worlds = Worlds(length, pace, drawn)
    note = None if ledger is None else partial(keep, ledger, commit)
    raise typer.Exit(_many(range(first, first + seeds), worlds, jobs, note, shrinking=not no_shrink))


# -- one seed ---------------------------------------------------------------------------------------------------------


def _one(wanted: Plan, *, verbose: bool) -> int:
    if verbose:
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    console.print(f"seed {wanted.seed}: {wanted.nodes} nodes, {wanted.partitions} partitions, {wanted.settings}")
    for fault in wanted.faults:
        console.print(f"  {fault.at:8.3f} s  {fault.kind.value:<15} for {fault.length:.3f} s")
    began = perf_counter()
    outcome = simulate(wanted)
    _report([outcome], perf_counter() - began)
    return 1 if outcome.problem else 0


# -- many -------------------------------------------------------------------------------------------------------------


def _many(
    seeds: Iterable[int],
    worlds: Worlds,
    jobs: int,
    note: Callable[[str, Outcome], None] | None,
    *,
    shrinking: bool,
) -> int:
    began = perf_counter()
    outcomes: list[Outcome] = []
    work = [partial(world_of, seed, worlds.seconds, worlds.pace, worlds.kinds) for seed in seeds]
    for outcome in _shown(work, jobs, "seeds"):
        outcomes.append(outcome)
        if note is not None:
            note(worlds.command(outcome.seed), outcome)
        if outcome.problem:
            console.print(f"[red]seed {outcome.seed}[/]: {outcome.problem}", highlight=False)
            console.print(f"  {worlds.command(outcome.seed)}", highlight=False, soft_wrap=True)
    _report(outcomes, perf_counter() - began)
    failed = [outcome for outcome in outcomes if outcome.problem]
    if shrinking and failed:
        _smaller(min(failed, key=lambda outcome: outcome.virtual_seconds), worlds)
    return 1 if failed else 0


def _smaller(outcome: Outcome, worlds: Worlds) -> None:
    sort = _sort(outcome.problem)

    def fails(numbers: Iterable[int]) -> bool:
        return _sort(simulate(worlds.plan(outcome.seed, list(numbers))).problem) == sort

    whole = worlds.plan(outcome.seed).faults
    with console.status(f"making seed {outcome.seed} smaller: {len(whole)} faults"):
        found = shrink(range(len(whole)), fails)
    console.print(f"seed {outcome.seed} fails with {len(found.faults)} of its {len(whole)} faults:", highlight=False)
    for number in found.faults:
        fault = whole[number]
        console.print(f"  {number}: at {fault.at:.3f} s {fault.kind.value} for {fault.length:.3f} s", highlight=False)
    console.print(f"  {worlds.command(outcome.seed, found.faults)}", highlight=False, soft_wrap=True)


def _sort(problem: str) -> str:
    """Failures of one sort: the same error, whatever the numbers in it."""
    return "".join(each for each in problem.split(":")[0] if not each.isdigit())


def _report(outcomes: list[Outcome], took: float) -> None:
    fired: Counter[Kind] = Counter()
    for outcome in outcomes:
        fired.update(outcome.fired)
    table = Table("fault", "fired", title="faults")
    for kind in Kind:
        table.add_row(kind.value, str(fired[kind]))
    console.print(table)
    virtual = sum(outcome.virtual_seconds for outcome in outcomes)
    cpu = sum(outcome.cpu_seconds for outcome in outcomes)
    failed = [outcome for outcome in outcomes if outcome.problem]
    console.print(
        f"{len(outcomes)} seeds, {virtual / 3600:.2f} simulated hours in {took:.0f} s "
        f"({virtual / took:.0f} x real time; {virtual / max(cpu, 1e-9):.0f} x a core's own), "
        f"{sum(outcome.events for outcome in outcomes)} events, {sum(fired.values())} faults; "
        f"{sum(outcome.acknowledged for outcome in outcomes)} records acknowledged, "
        f"{sum(outcome.commits for outcome in outcomes)} offsets committed, "
        f"{sum(outcome.compared for outcome in outcomes)} batches compared",
        highlight=False,
    )
    for outcome in failed:
        console.print(f"[red]failed[/]: seed {outcome.seed}: {outcome.problem}", highlight=False)
    if not failed:
        console.print("[green]all was well[/]")


def _shown(work: Sequence[Callable[[], T]], jobs: int, what: str) -> Iterator[T]:
    """Results as they come, with progress."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(what, total=len(work))
        for result in results(work, jobs):
            progress.advance(bar)
            yield result


# -- planted bugs -----------------------------------------------------------------------------------------------------


def _mutants(first: int, seeds: int, jobs: int) -> int:
    work = [partial(caught_by, mutant.name, first, seeds) for mutant in MUTANTS]
    found: dict[str, Verdict] = {}
    for verdict in _shown(work, jobs, "mutants"):
        found[verdict.mutant] = verdict
        by = "[red]no seed[/]" if verdict.seed is None else f"seed {verdict.seed}: {verdict.problem[:70]}"
        console.print(f"{verdict.mutant} is caught by {by}", highlight=False, soft_wrap=True)
    caught = sum(verdict.seed is not None for verdict in found.values())
    console.print("| planted bug | caught by seed | as |\n|---|---:|---|")
    for mutant in MUTANTS:
        verdict = found[mutant.name]
        by = "none" if verdict.seed is None else str(verdict.seed)
        console.print(
            f"| {mutant.name} | {by} | {verdict.problem[:70]} |", markup=False, highlight=False, soft_wrap=True
        )
    console.print(f"{caught} of {len(MUTANTS)} planted bugs are caught within {seeds} seeds", highlight=False)
    return 0 if caught >= _ENOUGH * len(MUTANTS) else 1


if __name__ == "__main__":
    typer.run(main)
