"""Makes a failing seed smaller: fewer faults, and less time after the last of them.

In: a plan's seed, and a way to run it with some of its faults only. Out: the fewest faults found with which it still
fails in the same way, within a bounded number of runs. The way is delta debugging: leave out halves, then quarters, and
so on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

MOST_RUNS: Final = 80

Fails = Callable[[Sequence[int]], bool]


@dataclass(frozen=True, slots=True)
class Shrunk:
    faults: tuple[int, ...]
    """Their numbers in the plan."""
    runs: int


def shrink(numbers: Sequence[int], fails: Fails, most_runs: int = MOST_RUNS) -> Shrunk:
    """`fails`: whether the seed still fails with these faults only. It does with all of `numbers`."""
    kept = list(numbers)
    runs = 0
    pieces = 2
    while kept and runs < most_runs:
        size = max(1, len(kept) // pieces)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            runs += 1
            if fails(rest):
                kept = rest
                pieces = max(2, pieces - 1)
                break
            if runs >= most_runs:
                break
        else:
            if size == 1:
                break
            pieces *= 2
    return Shrunk(tuple(kept), runs)
