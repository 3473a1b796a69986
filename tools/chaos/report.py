"""What is told at the end of a run: a table for people, JSON for programs."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from tools.chaos.course import Outcome, Plan


def summary(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    return {
        "result": "violated" if outcome.problems else "passed",
        "problems": outcome.problems,
        "nodes": plan.nodes,
        "seconds": plan.seconds,
        "seed": plan.seed,
        "operations": {name: outcome.counts[name] for name in ("sent", "acked", "unknown", "fail", "fatal", "polled")},
        "records": outcome.records,
        "faults": {kind.value: outcome.fired[kind] for kind in plan.kinds},
        "skipped": {kind.value: number for kind, number in outcome.skipped.items()},
        "unread_flips": outcome.unread_flips,
        "settled_seconds": [round(each, 1) for each in outcome.settled],
        "longest_gap_seconds": {str(partition): round(gap, 2) for partition, gap in outcome.gaps.items()},
        "directory": str(plan.directory),
    }


def show(plan: Plan, outcome: Outcome, console: Console) -> None:
    told = summary(plan, outcome)
    operations = told["operations"]
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("records sent", f"{operations['sent']:,}")
    table.add_row("acknowledged", f"{operations['acked']:,}")
    table.add_row("outcome unknown", f"{operations['unknown']:,}")
    table.add_row("failed for sure", f"{operations['fail']:,}")
    table.add_row("producers that gave up", str(operations["fatal"]))
    table.add_row("read by groups", f"{operations['polled']:,}")
    table.add_row("in the log at the end", f"{told['records']:,}")
    fired = ", ".join(f"{kind} {number}" for kind, number in told["faults"].items())
    table.add_row("faults", f"{sum(outcome.fired.values())}: {fired}")
    if told["skipped"]:
        table.add_row("skipped", ", ".join(f"{kind} {number}" for kind, number in told["skipped"].items()))
    if outcome.unread_flips:
        table.add_row("flipped bits nobody read", str(outcome.unread_flips))
    settled = outcome.settled or [0.0]
    table.add_row("all well after a round", f"{max(settled):.1f} s at the latest, of {len(outcome.settled)} rounds")
    gaps = ", ".join(f"{partition}: {gap} s" for partition, gap in told["longest_gap_seconds"].items())
    table.add_row("longest without an acknowledgement", gaps)
    table.add_row("seed", str(plan.seed))
    table.add_row("result", "[red]violated[/]" if outcome.problems else "[green]passed[/]")
    console.print(table, highlight=False)
    for problem in outcome.problems:
        console.print(f"[red]-[/] {problem}", highlight=False, soft_wrap=True)
    if outcome.problems:
        console.print(f"timeline, journals, logs and disks are in {plan.directory}", highlight=False, soft_wrap=True)
