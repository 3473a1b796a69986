"""Virtual time: a heap of what will happen when.

In: acts with their time. Out: they happen, in order of time and, at one time, in the order they were asked for. Time
stands still while an act runs and jumps to the next. Never looks at a real clock.
"""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Final

from sprawl.runtime.simulated.trace import Trace

_COLLECT_EVERY: Final = 200_000
"""Acts between two garbage collections. Python's own times depend on what the process did before, and finalizers run
then: so collection is off during a run, and done at counts that are the same in every run."""

Act = Callable[[Any], None]


class DeadlockError(Exception):
    """Nothing is left to happen, and what was waited for has not."""


class TimeLimitError(Exception):
    """The run took more virtual time than it was given."""


class Scheduler:
    """`rng` is the one source of chance in the world: every draw from it is part of the trace's cause."""

    __slots__ = ("_cancelled", "_heap", "_sequence", "_stopping", "now", "rng", "trace")

    def __init__(self, seed: int, trace: Trace) -> None:
        self.now = 0.0
        self.rng = random.Random(seed)  # noqa: S311 - it must be repeatable
        self.trace = trace
        self._heap: list[tuple[float, int, Act, Any]] = []
        self._sequence = 0
        self._cancelled = 0
        self._stopping = False

    def at(self, when: float, act: Act, argument: Any = None) -> None:
        self._sequence += 1
        heappush(self._heap, (when if when > self.now else self.now, self._sequence, act, argument))

    def after(self, delay: float, act: Act, argument: Any = None) -> None:
        self._sequence += 1
        heappush(self._heap, (self.now + delay, self._sequence, act, argument))

    def timer_cancelled(self) -> None:
        """Cancelled timers stay in the heap until due, but must not outnumber the rest."""
        self._cancelled += 1
        if self._cancelled > 1000 and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if not _is_cancelled(entry[3])]
            heapify(self._heap)
            self._cancelled = 0

    def stop(self) -> None:
        self._stopping = True

    def run(self, limit: float) -> None:
        """Let things happen until `stop` is called. Raises `DeadlockError`, `TimeLimitError`."""
        self._stopping = False
        collecting = gc.isenabled()
        gc.disable()
        gc.freeze()
        try:
            self._run(self.now + limit)
        finally:
            gc.unfreeze()
            if collecting:
                gc.enable()

    def _run(self, end: float) -> None:
        acts = 0
        while not self._stopping:
            if not self._heap:
                raise DeadlockError("nothing is left to happen")
            when, _, act, argument = heappop(self._heap)
            if when > end:
                self.at(when, act, argument)
                raise TimeLimitError(f"not done by virtual time {end:.3f} s")
            self.now = when
            act(argument)
            acts += 1
            if acts % _COLLECT_EVERY == 0:
                gc.collect()


def _is_cancelled(argument: Any) -> bool:
    return isinstance(argument, asyncio.TimerHandle) and argument.cancelled()
