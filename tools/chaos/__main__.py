"""`python -m tools.chaos --nodes 3 --minutes 10`: real nodes, real clients, real faults; see `docs/chaos.md`."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from tools.chaos import isolation
from tools.chaos.clients import java_missing
from tools.chaos.course import REPLICAS, Plan, Run
from tools.chaos.faults import OF_DISK, Kind
from tools.chaos.report import show, summary
from tools.chaos.screen import Screen


def main(
    nodes: Annotated[int, typer.Option(help="How many nodes.", min=3, max=5)] = 3,
    minutes: Annotated[float, typer.Option(help="Minutes of harm.", min=0.1)] = 5.0,
    seed: Annotated[int | None, typer.Option(help="Draws the faults; a new one if not given.")] = None,
    kinds: Annotated[str | None, typer.Option(help=f"Of {', '.join(k.value for k in Kind)}; commas between.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The end as JSON on standard output.")] = False,
    directory: Annotated[Path | None, typer.Option(help="Where all is kept; must not exist yet.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the directory even if all was well.")] = False,
    no_java: Annotated[bool, typer.Option("--no-java", help="librdkafka only.")] = False,
    loopback: Annotated[bool, typer.Option("--loopback", help="No namespaces: relays on the loopback device.")] = False,
    rate: Annotated[float, typer.Option(help="Records a second of each producer.", min=1.0)] = 40.0,
    pause: Annotated[float, typer.Option(help="Seconds between faults of one sort, at most.", min=0.1)] = 8.0,
    round_seconds: Annotated[float, typer.Option("--round", help="Seconds of harm until all must be well.")] = 60.0,
    setting: Annotated[list[str] | None, typer.Option("--set", help="A node's setting, KEY=VALUE.")] = None,
) -> None:
    console = Console(stderr=as_json)
    isolated = isolation.inside()
    if not isolated and not loopback:
        obstacle = isolation.obstacle()
        if not obstacle:
            raise typer.Exit(isolation.again_inside("tools.chaos", sys.argv[1:]))
        console.print(
            f"left out: full disks, and relays on the loopback device are the network, for {obstacle}", highlight=False
        )
    wanted = list(Kind) if kinds is None else [Kind(each) for each in kinds.split(",")]
    possible = [kind for kind in wanted if isolated or kind not in OF_DISK]
    if nodes <= REPLICAS and kinds is None:
        possible.remove(Kind.DRAIN)  # no node can be spared, so the cluster refuses
    if not possible:
        raise typer.BadParameter("none of these faults is possible here", param_hint="--kinds")
    lacking = "--no-java" if no_java else java_missing()
    if lacking:
        console.print(f"left out: the Java clients, for {lacking}", highlight=False)
    where = directory or Path(tempfile.mkdtemp(prefix="sprawl-chaos-")) / "run"
    plan = Plan(
        directory=where,
        nodes=nodes,
        seconds=minutes * 60,
        seed=random.SystemRandom().randrange(1 << 31) if seed is None else seed,
        kinds=tuple(possible),
        isolated=isolated,
        java=not lacking,
        rate=rate,
        pause=pause,
        round_seconds=round_seconds,
        settings=dict(each.split("=", 1) for each in setting or []),
    )
    console.print(f"seed {plan.seed}, {nodes} nodes, in {where}", highlight=False, soft_wrap=True)
    run = Run(
        plan,
        (lambda _: None)
        if console.is_terminal
        else (lambda line: console.print(line, highlight=False, soft_wrap=True)),
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with Screen(run, console):
        outcome = run.go()
    show(plan, outcome, console)
    if as_json:
        print(json.dumps(summary(plan, outcome)))
    if not outcome.problems and not keep and directory is None:
        shutil.rmtree(where.parent, ignore_errors=True)
    raise typer.Exit(1 if outcome.problems else 0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Once: what follows is the orderly end."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app()
