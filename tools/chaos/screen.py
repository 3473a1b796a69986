"""What a person sees during a run: the nodes, the fault that is on, how fast the clients are, what happened last."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tools.chaos.course import Run
from tools.chaos.nodes import Node

_EVERY: Final = 0.5
_PLAIN_EVERY: Final = 10.0


class Screen:
    """A context manager: shows until it is left. A thread of its own; whoever is no terminal gets a line at times."""

    def __init__(self, run: Run, console: Console) -> None:
        self._run = run
        self._console = console
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)
        self._ready: dict[int, bool] = {}
        self._before: tuple[float, Counter[str]] = (time.monotonic(), Counter())
        self._rates: Counter[str] = Counter()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(10)

    def _show(self) -> None:
        if not self._console.is_terminal:
            while not self._end.wait(_PLAIN_EVERY):
                self._measure()
                self._console.print(self._line(), highlight=False, soft_wrap=True)
            return
        with Live(console=self._console, auto_refresh=False) as live:
            while not self._end.wait(_EVERY):
                self._measure()
                live.update(self._picture(), refresh=True)

    def _measure(self) -> None:
        then, counts = self._before
        now = time.monotonic()
        if now - then < 1.0:
            return
        fresh = self._run.counts
        self._rates = Counter({what: int((fresh[what] - counts[what]) / (now - then)) for what in ("acked", "polled")})
        self._before = (now, fresh)
        self._ready = {
            node.number: node.running and not node.frozen and node.ready() for node in self._run.cluster.nodes
        }

    def _line(self) -> str:
        nodes = " ".join(f"{node.number}:{self._state(node)}" for node in self._run.cluster.nodes)
        return f"{self._head()} | {nodes} | {self._speed()} | {self._faults()}"

    def _picture(self) -> Group:
        table = Table("node", "state", "address", box=None, pad_edge=False)
        for node in self._run.cluster.nodes:
            state = self._state(node)
            table.add_row(str(node.number), Text(state, "green" if state == "ready" else "red"), node.bootstrap)
        recent = Text("\n".join(self._run.timeline.recent), style="dim", overflow="ellipsis", no_wrap=True)
        return Group(Text(self._head(), "bold"), table, self._speed(), Text(self._faults(), "yellow"), recent)

    def _head(self) -> str:
        run = self._run
        passed = time.monotonic() - run.timeline.began
        wrong = f", {len(run.outcome.problems)} PROBLEMS" if run.outcome.problems else ""
        return f"{passed:6.0f} s  round {run.round}, {run.stage}{wrong}"

    def _speed(self) -> str:
        counts = self._before[1]
        return (
            f"{counts['acked']} acknowledged ({self._rates['acked']}/s), {counts['unknown']} unknown, "
            f"{counts['polled']} read ({self._rates['polled']}/s)"
        )

    def _faults(self) -> str:
        now = [lane.now for lane in self._run.nemesis.lanes if lane.now]
        return "fault now: " + (", ".join(now) or "none")

    def _state(self, node: Node) -> str:
        if not node.running:
            return "down"
        if node.frozen:
            return "frozen"
        state = "ready" if self._ready.get(node.number) else "not ready"
        return f"{state}, disk full" if node.full else state
