"""How even placement is, how little moves when a node joins or leaves, how long it takes: `python -m tools.placement`.

All is computed in this process, as the controller would; no broker is started. Exit code 1 if a target is missed.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from time import perf_counter
from typing import Annotated, Final
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from sprawl.overlay.dht import Candidate, Load, Move, load_of, propose, rebalance, ring_view
from sprawl.overlay.shares import portion, whole

NODES: Final = (3, 5, 10, 30, 100, 1000)
PARTITIONS: Final = (100, 10_000, 100_000, 1_000_000)
QUICK: Final = 10_000
REPLICA_TARGET: Final = 1.05
LEADER_TARGET: Final = 1.08
MOVEMENT_TARGET: Final = 1.05

_EXAMPLES: Final = """\
Examples:

    python -m tools.placement --quick                        (ten seconds)

    python -m tools.placement --nodes 100 --nodes 1000 --weights mixed --topic-partitions 50

    python -m tools.placement --nodes 5 --ring               (each node's part of the ring)
"""

Assignments = dict[tuple[UUID, int], tuple[int, ...]]


class Weights(StrEnum):
    ALIKE = "alike"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class Evenness:
    """The worst of all nodes: what it has over its fair share. Within: by no more than the target, or than rounding."""

    replicas: float
    leaders: float
    within: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line of the table."""

    nodes: int
    partitions: int
    fresh: Evenness
    place_s: float
    joined: Evenness
    join_moved: int
    join_ideal: int
    left: Evenness | None
    leave_moved: int
    leave_ideal: int
    rebalance_s: float

    @property
    def met(self) -> bool:
        sides = [self.fresh, self.joined] + ([self.left] if self.left else [])
        return all(side.within for side in sides) and _within(self.join_moved, self.join_ideal) and self.leave_met

    @property
    def leave_met(self) -> bool:
        return self.left is None or _within(self.leave_moved, self.leave_ideal)


def cluster(count: int, weights: Weights) -> list[Candidate]:
    """One node per host, in three racks, or five if there are that many nodes."""
    racks = 3 if count < 5 else 5
    cycle = (1.0,) if weights is Weights.ALIKE else (1.0, 2.0, 0.5, 1.0)
    return [Candidate(one, cycle[one % len(cycle)], f"host-{one}", f"rack-{one % racks}") for one in range(count)]


def measure(count: int, partitions: int, factor: int, weights: Weights, topic_partitions: int) -> Outcome:
    candidates = cluster(count, weights)
    began = perf_counter()
    before = _placed(candidates, partitions, factor, topic_partitions)
    place_s = perf_counter() - began

    joined = cluster(count + 1, weights)
    began = perf_counter()
    joining = rebalance(before, joined)
    rebalance_s = perf_counter() - began
    share = partitions * portion(joined, factor).replicas[-1]

    fewer = candidates[1:]
    can_leave = len(fewer) >= factor
    leaving = rebalance(before, fewer) if can_leave else []
    return Outcome(
        count,
        partitions,
        evenness(before.values(), candidates, factor),
        place_s,
        evenness(_after(before, joining), joined, factor),
        _copied(joining),
        whole(share),
        evenness(_after(before, leaving), fewer, factor) if can_leave else None,
        _copied(leaving),
        sum(candidates[0].id in replicas for replicas in before.values()),
        rebalance_s,
    )


def evenness(assignments: Iterable[tuple[int, ...]], candidates: Sequence[Candidate], factor: int) -> Evenness:
    rows = list(assignments)
    fair, load = portion(candidates, factor), load_of(rows)
    replicas = _worst(load.replicas, candidates, fair.replicas, len(rows), REPLICA_TARGET)
    leaders = _worst(load.leaders, candidates, fair.leaders, len(rows), LEADER_TARGET)
    return Evenness(replicas[0], leaders[0], replicas[1] and leaders[1])


def _worst(
    has: Mapping[int, int], candidates: Sequence[Candidate], portions: Sequence[float], partitions: int, target: float
) -> tuple[float, bool]:
    """The worst ratio, and whether all are within the target or less than one above their share."""
    shares = {one.id: partitions * part for one, part in zip(candidates, portions, strict=True)}
    within = all(has.get(node, 0) <= max(target * share, ceil(share - 1e-6)) for node, share in shares.items())
    return max(has.get(node, 0) / share for node, share in shares.items()), within


def _placed(candidates: Sequence[Candidate], partitions: int, factor: int, topic_partitions: int) -> Assignments:
    """Topic after topic, each aware of what is there already."""
    placed: Assignments = {}
    replicas: Counter[int] = Counter()
    leaders: Counter[int] = Counter()
    size = topic_partitions or partitions
    for number, first in enumerate(range(0, partitions, size)):
        topic_id = UUID(int=(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)
        rows = propose(topic_id, range(min(size, partitions - first)), factor, candidates, Load(replicas, leaders))
        placed.update(((topic_id, partition), row) for partition, row in enumerate(rows))
        added = load_of(rows)
        replicas.update(added.replicas)
        leaders.update(added.leaders)
    return placed


def _after(assignments: Assignments, moves: Sequence[Move]) -> Iterable[tuple[int, ...]]:
    return {**assignments, **{(move.topic_id, move.partition): move.new for move in moves}}.values()


def _copied(moves: Sequence[Move]) -> int:
    return sum(len(set(move.new) - set(move.old)) for move in moves)


def _within(moved: int, ideal: int) -> bool:
    return moved <= max(MOVEMENT_TARGET * ideal, ideal + 1)


def _table(outcomes: Sequence[Outcome], title: str) -> Table:
    table = Table(
        title=title, caption="even: the worst node's count over its fair share; moved: replicas, and over ideal"
    )
    heads = ("nodes", "partitions", "replicas even", "leaders even", "place s")
    joins = ("join: moved", "/ ideal", "replicas even", "leaders even")
    leaves = ("leave: moved", "/ ideal", "replicas even", "leaders even")
    for head in (*heads, *joins, *leaves, "rebalance s", "met"):
        table.add_column(head, justify="right")
    for one in outcomes:
        table.add_row(
            f"{one.nodes:,}",
            f"{one.partitions:,}",
            *_even(one.fresh),
            f"{one.place_s:.2f}",
            f"{one.join_moved:,}",
            _ratio(one.join_moved, one.join_ideal),
            *_even(one.joined),
            *((f"{one.leave_moved:,}", _ratio(one.leave_moved, one.leave_ideal)) if one.left else ("-", "-")),
            *(_even(one.left) if one.left else ("-", "-")),
            f"{one.rebalance_s:.2f}",
            "[green]yes" if one.met else "[red]no",
        )
    return table


def _even(side: Evenness) -> tuple[str, str]:
    return f"{side.replicas:.3f}", f"{side.leaders:.3f}"


def _ratio(moved: int, ideal: int) -> str:
    return f"{moved / ideal:.3f}" if ideal else ("1.000" if not moved else "-")


def _ring_table(count: int, weights: Weights) -> Table:
    table = Table(title=f"The ring of {count} nodes")
    for head in ("node", "rack", "host", "weight", "asked first", "fair share"):
        table.add_column(head, justify="right")
    for row in ring_view(cluster(count, weights)):
        table.add_row(
            str(row.id), row.rack, row.host, f"{row.weight:g}", f"{row.hash_share:.2%}", f"{row.fair_share:.2%}"
        )
    return table


def main(
    nodes: Annotated[list[int] | None, typer.Option(help="Numbers of nodes; may be given several times.")] = None,
    max_partitions: Annotated[int, typer.Option(help="Leave out the sizes above this.", min=1)] = PARTITIONS[-1],
    factor: Annotated[int, typer.Option("--replication", help="Replicas of each partition.", min=1)] = 3,
    weights: Annotated[Weights, typer.Option(help="Whether nodes are alike, or weigh 1, 2, 0.5, 1 in turn.")] = (
        Weights.ALIKE
    ),
    topic_partitions: Annotated[int, typer.Option(help="Partitions of a topic; 0 is one topic for all.", min=0)] = 0,
    quick: Annotated[bool, typer.Option("--quick", help=f"Only up to {QUICK:,} partitions.")] = False,
    ring: Annotated[bool, typer.Option("--ring", help="Show each node's part of the ring instead.")] = False,
) -> None:
    """Place partitions on clusters of many sizes, let a node join and one leave, and show how even and how cheap."""
    console = Console(width=None if sys.stdout.isatty() else 180)
    counts = [count for count in (nodes or NODES) if count >= factor]
    if ring:
        for count in counts:
            console.print(_ring_table(count, weights))
        return
    limit = min(max_partitions, QUICK) if quick else max_partitions
    sizes = [size for size in PARTITIONS if size <= limit] or [limit]
    outcomes = []
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("placing", total=len(counts) * len(sizes))
        for count in counts:
            for size in sizes:
                progress.update(task, description=f"{size:,} partitions on {count:,} nodes")
                outcomes.append(measure(count, size, factor, weights, topic_partitions))
                progress.advance(task)
    missed = sum(not one.met for one in outcomes)
    console.print(_table(outcomes, f"Placement, {factor} replicas, weights {weights.value}"))
    console.print("[red]Targets missed: " + str(missed) if missed else "[green]All targets met.")
    raise typer.Exit(1 if missed else 0)


if __name__ == "__main__":
    command = typer.Typer(add_completion=False, rich_markup_mode="rich")
    command.command(epilog=_EXAMPLES)(main)
    command(prog_name="python -m tools.placement")
