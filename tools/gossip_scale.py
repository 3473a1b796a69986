"""How soon gossip notices a death, how often it is wrong, what it costs: `python -m tools.gossip_scale --nodes 1000`.

The state machines of all nodes on a network of events (tools/gossip_world.py), with the settings that a node uses; one
process, no sockets, the same figures for the same seed. `--charts docs` draws them.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from statistics import mean, median
from typing import Annotated, Final
from uuid import UUID

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from sprawl.membership import DIGEST_SECONDS, SETTINGS
from sprawl.overlay.digest import MOST_PARTITIONS, Digest, HotPartition, encode
from sprawl.overlay.lifeguard import SwimSettings
from sprawl.overlay.members import What
from tools.chart import line_chart
from tools.gossip_world import World

SIZES: Final = (3, 10, 30, 100, 300, 1000)
LOSSES: Final = (0.0, 0.05, 0.1)
HARD_LOSS: Final = 0.2
USUAL_LOSS: Final = 0.05
CALM: Final = 10.0
"""Seconds over which the traffic of a calm cluster is counted; before that, so many for digests to get going."""
CRASH_PAUSE: Final = 2.0
PATIENCE: Final = 60.0
"""After the last crash, for all to know of all."""
TROUBLED: Final = 20.0
STALLING: Final = 20
"""One node in so many stalls again and again; the others never do."""
STALL_EVERY: Final = 20.0
"""Seconds between the stalls of such a node, in the mean."""
STALL_MEAN: Final = 1.0
STALL_MOST: Final = 8.0
STEP: Final = 0.5
_CRASHING: Final = 20
"""Of so many nodes of a cluster, one is killed; small clusters are tried several times."""

Tell = Callable[[float], None]
"""Told how many simulated seconds have passed."""


@dataclass(frozen=True, slots=True)
class Detection:
    """Of crashes, one after the other. Seconds since the crash, and bytes that a node sends in a second."""

    nodes: int
    crashes: int
    suspected: list[float]
    """By the first that did."""
    dead: list[float]
    """For the first that held it so."""
    known: list[float]
    """Until all others did."""
    calm_bytes: float
    calm_packets: float
    sync_bytes: float
    crash_bytes: float


@dataclass(frozen=True, slots=True)
class Mistakes:
    """About nodes that were there all the time: those that never stalled, and those that did."""

    nodes: int
    loss: float
    lifeguard: bool
    well_hours: float
    """Of all nodes that never stalled, together."""
    suspected_well: int
    """Suspicions that the suspect itself had to contradict."""
    dead_well: int
    """Nodes that somebody held dead."""
    stalls: int
    suspected_stalling: int
    dead_stalling: int
    bytes: float

    @property
    def suspicions_per_hour(self) -> float:
        return self.suspected_well / self.well_hours

    @property
    def deaths_per_hour(self) -> float:
        return self.dead_well / self.well_hours


def detection(nodes: int, crashes: int, seed: int, tell: Tell) -> Detection:
    world = calm_world(SETTINGS, nodes, seed)
    world.counts_syncs = True
    run(world, CALM, tell)
    before = sent(world)
    run(world, CALM, tell)
    calm = [(after - first) / CALM / nodes for first, after in zip(before, sent(world), strict=True)]
    began = world.now
    before = sent(world)
    crashed: dict[int, float] = {}
    for node_id in world.rng.sample(sorted(world.machines), crashes):
        world.crash(node_id)
        crashed[node_id] = world.now
        run(world, CRASH_PAUSE, tell)
    survivors = set(world.up)
    ends = world.now + PATIENCE
    while world.now < ends:
        deaths = [one for one in world.seen if one.what is What.DIED and one.by in survivors]
        if len({(one.by, one.node_id) for one in deaths}) >= len(survivors) * crashes:
            break
        run(world, STEP, tell)
    crash_bytes = (sent(world)[0] - before[0]) / (world.now - began) / len(survivors)

    def times(what: What, pick: Callable[[Sequence[float]], float]) -> list[float]:
        seen: dict[int, list[float]] = {node_id: [] for node_id in crashed}
        for one in world.seen:
            if one.what is what and one.node_id in crashed and one.at >= crashed[one.node_id] and one.by in survivors:
                seen[one.node_id].append(one.at - crashed[one.node_id])
        return [pick(found) if found else float("inf") for found in seen.values()]

    return Detection(
        nodes,
        crashes,
        suspected=times(What.SUSPECTED, min),
        dead=times(What.DIED, min),
        known=times(What.DIED, lambda found: max(found) if len(found) >= len(survivors) else float("inf")),
        calm_bytes=calm[0],
        calm_packets=calm[1],
        sync_bytes=calm[2],
        crash_bytes=crash_bytes,
    )


def together(runs: Sequence[Detection]) -> Detection:
    """Of several clusters of one size."""
    return Detection(
        runs[0].nodes,
        sum(one.crashes for one in runs),
        [each for one in runs for each in one.suspected],
        [each for one in runs for each in one.dead],
        [each for one in runs for each in one.known],
        mean(one.calm_bytes for one in runs),
        mean(one.calm_packets for one in runs),
        mean(one.sync_bytes for one in runs),
        mean(one.crash_bytes for one in runs),
    )


def mistakes(nodes: int, loss: float, seed: int, tell: Tell, *, lifeguard: bool, seconds: float = TROUBLED) -> Mistakes:
    world = calm_world(replace(SETTINGS, lifeguard=lifeguard), nodes, seed)
    run(world, DIGEST_SECONDS, tell)
    world.loss = loss
    world.seen.clear()
    before = {node_id: machine.swim.me.incarnation for node_id, machine in world.machines.items()}
    stalls = stall_at_random(world, seconds)
    sent_before = sent(world)[0]
    run(world, seconds, tell)
    suspected = Counter[bool]()
    for node_id, machine in world.machines.items():
        suspected[stalling(node_id)] += machine.swim.me.incarnation - before[node_id]
    dead = Counter(stalling(node_id) for node_id in {one.node_id for one in world.seen if one.what is What.DIED})
    well = sum(not stalling(node_id) for node_id in world.machines)
    return Mistakes(
        nodes,
        loss,
        lifeguard,
        well_hours=well * seconds / 3600,
        suspected_well=suspected[False],
        dead_well=dead[False],
        stalls=stalls,
        suspected_stalling=suspected[True],
        dead_stalling=dead[True],
        bytes=(sent(world)[0] - sent_before) / seconds / nodes,
    )


def calm_world(settings: SwimSettings, nodes: int, seed: int) -> World:
    """A cluster that has been there for long, in which every node tells its load."""
    world = World(settings, seed)
    for node_id in range(nodes):
        world.boot(node_id)
    world.know_all()
    for node_id, machine in world.machines.items():
        machine.swim._next_sync = world.rng.random() * settings.sync_pause(nodes)  # they began long ago
        tell_load(world, node_id, world.rng.random() * DIGEST_SECONDS)
    return world


def tell_load(world: World, node_id: int, after: float) -> None:
    def tell() -> None:
        machine = world.machines[node_id]
        if machine.up:
            machine.swim.set_digest(_FULL, world.now)
            tell_load(world, node_id, DIGEST_SECONDS)

    world.at(world.now + after, tell)


def stall_at_random(world: World, seconds: float) -> int:
    rng: random.Random = world.rng
    count = 0
    for node_id in filter(stalling, world.machines):
        at = rng.expovariate(1 / STALL_EVERY)
        while at < seconds:
            lasts = min(STALL_MOST, rng.expovariate(1 / STALL_MEAN))
            world.at(world.now + at, lambda who=node_id, lasts=lasts: world.stall(who, lasts))  # type: ignore[misc]
            count += 1
            at += rng.expovariate(1 / STALL_EVERY)
    return count


def stalling(node_id: int) -> bool:
    return node_id % STALLING == 0


def sent(world: World) -> tuple[int, int, int]:
    """By all: bytes and packets of UDP, bytes of push-pulls."""
    machines = world.machines.values()
    return (
        sum(machine.sent_bytes for machine in machines),
        sum(machine.sent_packets for machine in machines),
        sum(machine.synced_bytes for machine in machines),
    )


def run(world: World, seconds: float, tell: Tell) -> None:
    ends = world.now + seconds
    while world.now < ends:
        world.run(min(STEP, ends - world.now))
        tell(STEP)


_FULL: Final = encode(
    Digest(
        0.5,
        1e7,
        1e7,
        1e11,
        1e7,
        2.0,
        tuple(HotPartition(UUID(int=one + 2**120), one, 1e6) for one in range(MOST_PARTITIONS)),
    )
)
"""As long as a digest can be."""


# -- what is shown ----------------------------------------------------------------------------------------------------


def detection_table(found: Sequence[Detection]) -> Table:
    table = Table(title="A node is killed: seconds until..., median and worst")
    for name in ("nodes", "crashes", "first suspicion", "first verdict", "all know"):
        table.add_column(name, justify="right")
    for one in found:
        table.add_row(
            str(one.nodes), str(one.crashes), *(_spread(times) for times in (one.suspected, one.dead, one.known))
        )
    return table


def traffic_table(found: Sequence[Detection], troubled: Sequence[Mistakes]) -> Table:
    table = Table(title="What a node sends in a second")
    for name in ("nodes", "packets, calm", "UDP bytes, calm", "push-pull bytes, calm", "UDP bytes, crashes"):
        table.add_column(name, justify="right")
    for one in found:
        table.add_row(
            str(one.nodes),
            f"{one.calm_packets:.1f}",
            f"{one.calm_bytes:,.0f}",
            f"{one.sync_bytes:,.0f}",
            f"{one.crash_bytes:,.0f}",
        )
    for other in troubled:
        if other.lifeguard and other.loss == USUAL_LOSS:
            table.caption = f"{other.nodes} nodes under {other.loss:.0%} loss and stalls: {other.bytes:,.0f} UDP bytes"
    return table


def mistakes_table(found: Sequence[Mistakes]) -> Table:
    table = Table(title="Wrong about nodes that are there (in brackets: per node and hour)")
    for name in ("nodes", "loss", "", "well: suspected", "held dead", "stalls", "stalling: suspected", "held dead"):
        table.add_column(name, justify="right")
    for one in found:
        table.add_row(
            str(one.nodes),
            f"{one.loss:.0%}",
            "Lifeguard" if one.lifeguard else "SWIM",
            f"{one.suspected_well} ({one.suspicions_per_hour:.2f})",
            f"{one.dead_well} ({one.deaths_per_hour:.2f})",
            str(one.stalls),
            str(one.suspected_stalling),
            str(one.dead_stalling),
        )
    return table


def charts(found: Sequence[Detection], wrong: Sequence[Mistakes]) -> dict[str, str]:
    """By file name."""
    soon = {
        "first suspicion, median": [(one.nodes, median(one.suspected)) for one in found],
        "first suspicion, worst": [(one.nodes, max(one.suspected)) for one in found],
        "held dead by the first, median": [(one.nodes, median(one.dead)) for one in found],
        "held dead by all, worst": [(one.nodes, max(one.known)) for one in found],
    }
    cost = {
        "UDP, calm, with digests": [(one.nodes, one.calm_bytes / 1000) for one in found],
        "UDP, while nodes crash": [(one.nodes, one.crash_bytes / 1000) for one in found],
        "push-pulls over TCP": [(one.nodes, one.sync_bytes / 1000) for one in found],
    }
    nodes = wrong[0].nodes
    errors: dict[str, list[tuple[float, float]]] = {}
    for lifeguard, name in ((True, "Lifeguard"), (False, "SWIM alone")):
        mine = [one for one in wrong if one.lifeguard is lifeguard]
        errors[f"suspected, {name}"] = [(one.loss * 100, one.suspicions_per_hour) for one in mine]
        errors[f"held dead, {name}"] = [(one.loss * 100, one.deaths_per_hour) for one in mine]
    return {
        "gossip-detection.svg": line_chart(
            "A node is killed: how soon the others notice", "nodes", "seconds", soon, log_x=True
        ),
        "gossip-mistakes.svg": line_chart(
            f"Wrong about a node that is well ({nodes} nodes, one in {STALLING} stalls every {STALL_EVERY:.0f} s)",
            "packets lost, %",
            "times per node and hour",
            errors,
            log_x=False,
        ),
        "gossip-traffic.svg": line_chart("What a node sends", "nodes", "kB/s", cost, log_x=True),
    }


def _spread(times: Sequence[float]) -> str:
    return f"{median(times):.2f} / {max(times):.2f}"


def main(
    nodes: Annotated[int, typer.Option(help="The largest cluster.", min=3)] = 1000,
    seed: int = 1,
    crashes: Annotated[int, typer.Option(help="Nodes killed in clusters of each size.", min=1)] = 10,
    hard: Annotated[bool, typer.Option("--hard", help="Lose a fifth of all packets, too: twice as long.")] = False,
    charts_in: Annotated[Path | None, typer.Option("--charts", help="Draw the figures there, as SVG.")] = None,
) -> None:
    console = Console(width=110)
    sizes = [*(size for size in SIZES if size < nodes), nodes]
    losses = [*LOSSES, HARD_LOSS] if hard else LOSSES
    found: list[Detection] = []
    wrong: list[Mistakes] = []
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as progress:
        whole = progress.add_task("all", total=len(sizes) + 2 * len(losses))

        def task(what: str, seconds: float) -> Tell:
            bar = progress.add_task(what, total=seconds)
            return lambda passed: progress.advance(bar, passed)

        for size in sizes:
            at_once = min(crashes, max(1, size // _CRASHING))
            runs = ceil(crashes / at_once)
            tell = task(f"{size} nodes, {crashes} crashes", runs * (2 * CALM + at_once * CRASH_PAUSE + 10))
            found.append(together([detection(size, at_once, seed + each, tell) for each in range(runs)]))
            progress.advance(whole)
        for lifeguard in (True, False):
            for loss in losses:
                name = "Lifeguard" if lifeguard else "SWIM alone"
                tell = task(f"{nodes} nodes, {loss:.0%} loss, stalls, {name}", TROUBLED + DIGEST_SECONDS)
                wrong.append(mistakes(nodes, loss, seed, tell, lifeguard=lifeguard))
                progress.advance(whole)
    console.print(detection_table(found), mistakes_table(wrong), traffic_table(found, wrong))
    if charts_in is not None:
        for name, text in charts(found, wrong).items():
            (charts_in / name).write_text(text, encoding="utf-8")
            console.print(f"{charts_in / name}")


if __name__ == "__main__":
    typer.run(main)
