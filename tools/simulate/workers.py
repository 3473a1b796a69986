"""Worlds in several processes at once.

In: pieces of work that can be pickled. Out: their results, as they come. A world needs nothing of another, so it does
not matter which process runs it.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Final, TypeVar

from tools.simulate.faults import Kind
from tools.simulate.run import Outcome, plan, simulate

T = TypeVar("T")

_WORLDS_PER_PROCESS: Final = 100
"""A process is replaced then, so that nothing can pile up."""


def world_of(seed: int, seconds: float, pace: str | None, kinds: list[Kind] | None) -> Outcome:
    return simulate(plan(seed, seconds, pace=pace, kinds=kinds))


def results(work: Sequence[Callable[[], T]], jobs: int) -> Iterator[T]:
    if jobs == 1:
        for each in work:
            yield each()
        return
    with ProcessPoolExecutor(
        jobs,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_quiet,
        max_tasks_per_child=_WORLDS_PER_PROCESS,
    ) as pool:
        waiting: set[Future[T]] = {pool.submit(each) for each in work}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()


def _quiet() -> None:
    logging.disable(logging.CRITICAL)
