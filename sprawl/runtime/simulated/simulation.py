"""A world of simulated nodes: one seed, one course of events.

In: a seed, nodes, a coroutine to run (the test). Out: its result, the errors that no code caught, and the trace. The
same seed and the same code give the same trace, in any process. Never real time, real chance, real I/O.

The test runs on a node of its own, `driver`, which has a runtime too and serves as the place for clients:

    with Simulation(seed=7) as world:
        a, b = world.node("a"), world.node("b")
        world.run(scenario(world, a, b))
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from sprawl.runtime.simulated.fabric import Fabric
from sprawl.runtime.simulated.links import Links
from sprawl.runtime.simulated.loop import SimulatedLoop
from sprawl.runtime.simulated.node import SimulatedNode
from sprawl.runtime.simulated.scheduler import DeadlockError, Scheduler, TimeLimitError
from sprawl.runtime.simulated.trace import Event, Trace

T = TypeVar("T")

DRIVER: Final = "driver"


class UncaughtError(Exception):
    """Errors that reached a loop's exception handler: nobody awaited the task, or a callback raised."""


class Simulation:
    def __init__(self, seed: int, *, record: bool = False, strict: bool = True) -> None:
        """`record` keeps every event as a line; `strict` lets `run` fail on errors that no code caught."""
        self.seed = seed
        self.trace = Trace(record=record)
        self._strict = strict
        self._scheduler = Scheduler(seed, self.trace)
        self.network = Fabric(self._scheduler)
        self.nodes: dict[str, SimulatedNode] = {}
        self.driver = self.node(DRIVER)

    @property
    def links(self) -> Links:
        return self.network.links

    @property
    def now(self) -> float:
        """Virtual seconds since the world began."""
        return self._scheduler.now

    def node(self, name: str) -> SimulatedNode:
        """A new machine, booted, with an empty disk. Its name serves as its host name."""
        if name in self.nodes:
            raise ValueError(f"there is a node {name!r} already")
        node = SimulatedNode(name, len(self.nodes), self.network)
        self.nodes[name] = node
        self.network.add_node(node)
        return node

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Do something to the world at virtual second `when`."""

        def run(_: None) -> None:
            self.note(f"act at {when}")
            act()

        self._scheduler.at(when, run)

    def note(self, text: str) -> None:
        """Make it part of the trace."""
        self.trace.text(self.now, Event.NOTE, 0, text)

    def run(self, main: Coroutine[Any, Any, T], *, on: SimulatedNode | None = None, limit: float = 3600.0) -> T:
        """Let the world run until `main` is done, `limit` virtual seconds at most. The others stay as they are then."""
        node = self.driver if on is None else on
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(firstiter=None, finalizer=_finish_generator)
        try:
            result: T = node.loop.run_for(main, limit)
        except (DeadlockError, TimeLimitError) as error:
            error.add_note(f"seed {self.seed}; waiting:\n{self._waiting()}")
            raise
        except Exception as error:
            error.add_note(f"seed {self.seed}, virtual time {self.now:.6f}")
            raise
        finally:
            sys.set_asyncgen_hooks(*hooks)
        if self._strict:
            self.check_errors()
        return result

    @property
    def errors(self) -> list[tuple[str, dict[str, Any]]]:
        """Node name and asyncio's description of each error that no code caught."""
        return [(loop.name, error) for loop in self._loops() for error in loop.errors]

    def check_errors(self) -> None:
        errors = self.errors
        if errors:
            lines = "\n".join(f"{name}: {error.get('message')}: {error.get('exception')!r}" for name, error in errors)
            first = next((error["exception"] for _, error in errors if "exception" in error), None)
            raise UncaughtError(f"seed {self.seed}: {lines}") from first

    def close(self) -> None:
        """End every process and its tasks, quietly: what their cleanup code wants of the world is refused."""
        for loop in self._loops():
            loop.die()
        hook, sys.unraisablehook = sys.unraisablehook, _ignore
        try:
            for loop in self._loops():
                for _, task in sorted(loop.tasks.items()):
                    work = task.get_coro()
                    if work is not None:
                        with contextlib.suppress(BaseException):
                            work.close()
                loop.tasks.clear()
        finally:
            sys.unraisablehook = hook

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _loops(self) -> list[SimulatedLoop]:
        return [
            process.loop for node in self.nodes.values() for process in [*node.ended, node.process]
        ]  # fmt: skip

    def _waiting(self) -> str:
        tasks = [task for loop in self._loops() if loop.alive for task in asyncio.all_tasks(loop)]
        return "\n".join(sorted(repr(task) for task in tasks))


def _finish_generator(generator: AsyncGenerator[Any, Any]) -> None:
    """An asynchronous generator was left in the middle: finish it on the loop that runs, if any does."""
    loop = asyncio._get_running_loop()
    if loop is not None and not loop.is_closed():
        loop.create_task(generator.aclose())


def _ignore(_: Any) -> None:
    return None
