"""How much of the machine's time went to others than this test and its nodes: a limit in seconds holds for a machine
that has nothing else to do.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

_IDLE = (3, 4)
"""Of the columns of /proc/stat: idle, and waiting for a disk."""


class Neighbours:
    """A context manager: it looks when it is entered and when it is left. `pids` are ours besides this process."""

    def __init__(self, pids: Iterable[int]) -> None:
        self.share = 0.0
        """Of all processors' time, between 0 and 1."""
        self._pids = [os.getpid(), *pids]

    def __enter__(self) -> Self:
        self._before = _machine(), self._own()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        (all_before, busy_before), own_before = self._before
        (all_after, busy_after), own_after = _machine(), self._own()
        others = (busy_after - busy_before) - (own_after - own_before)
        self.share = min(max(others / max(all_after - all_before, 1), 0.0), 1.0)

    def _own(self) -> int:
        return sum(map(_ticks, self._pids))


def _machine() -> tuple[int, int]:
    """Ticks in all, and busy ones."""
    columns = [int(each) for each in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(columns), sum(columns) - sum(columns[each] for each in _IDLE)


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
