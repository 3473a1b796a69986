"""Which segments nobody has read from the disk for a while. Pure: how often each was read, and the time, in.

What was never looked at before counts as read at that moment: so nothing is idle right after a start.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Protocol


class Read(Protocol):
    """What is looked at in a segment."""

    @property
    def base_offset(self) -> int: ...

    @property
    def next_offset(self) -> int: ...

    @property
    def reads(self) -> int:
        """Grows with each read."""
        ...


class IdleSegments:
    """Of all logs of a node."""

    def __init__(self) -> None:
        self._seen: dict[Hashable, dict[int, tuple[int, int]]] = {}
        """Of each log, by base offset: how often a segment had been read when that last changed, and when it did."""

    def count(self, log: Hashable, segments: Sequence[Read], *, until: int, idle_ms: int, now_ms: int) -> int:
        """How many of a log's closed segments, from the oldest on, were not read for `idle_ms`, and end by `until`.

        The last of `segments` is the one that is written to. -1 for `idle_ms`: none is ever idle.
        """
        if idle_ms < 0:
            self._seen.pop(log, None)
            return 0
        before = self._seen.get(log, {})
        seen: dict[int, tuple[int, int]] = {}
        for segment in segments[:-1]:
            known = before.get(segment.base_offset)
            unread = known is not None and known[0] == segment.reads
            seen[segment.base_offset] = known if known is not None and unread else (segment.reads, now_ms)
        self._seen[log] = seen
        count = 0
        for segment in segments[:-1]:
            if segment.next_offset > until or now_ms - seen[segment.base_offset][1] < idle_ms:
                break
            count += 1
        return count

    def keep(self, logs: Iterable[Hashable]) -> None:
        """Forget all others."""
        kept = set(logs)
        for gone in [log for log in self._seen if log not in kept]:
            del self._seen[gone]
