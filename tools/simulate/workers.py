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
"""On average; then they are replaced, so that nothing can pile up."""


def world_of(seed: int, seconds: float, pace: str | None, kinds: list[Kind] | None) -> Outcome:
    return simulate(plan(seed, seconds, pace=pace, kinds=kinds))


def results(work: Sequence[Callable[[], T]], jobs: int) -> Iterator[T]:
    if jobs == 1:
        for each in work:
            yield each()
        return
    # A new pool now and then: with max_tasks_per_child a pool can stop for good (python/cpython#115634).
    for first in range(0, len(work), jobs * _WORLDS_PER_PROCESS):
        yield from _pooled(work[first : first + jobs * _WORLDS_PER_PROCESS], jobs)


def _pooled(work: Sequence[Callable[[], T]], jobs: int) -> Iterator[T]:
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_quiet) as pool:
        waiting: set[Future[T]] = {pool.submit(each) for each in work}
        while waiting:
            done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()


def _quiet() -> None:
    logging.disable(logging.CRITICAL)
