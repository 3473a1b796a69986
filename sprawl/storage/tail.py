"""The hot tail: the newest batches of each log, in memory, under one budget for the node.

In: batches as they are appended (by reference: what a producer sent is not copied on its way through). Out: the same
buffers, to readers. Over budget the oldest batches of all logs go first, but never one that is not in its file yet.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import Final

_OVERHEAD: Final = 320
"""About what one entry costs beside its bytes: the objects around it."""


class TailEntry:
    """One batch in memory. `pinned` is what holding it costs: the whole buffer it lies in."""

    __slots__ = ("base_offset", "buffer", "evicted", "next_offset", "pinned", "written")

    def __init__(self, base_offset: int, next_offset: int, buffer: memoryview) -> None:
        owner = buffer.obj
        size = len(owner) if isinstance(owner, (bytes, bytearray)) else buffer.nbytes
        if size > 2 * buffer.nbytes:
            buffer = memoryview(bytes(buffer))  # a small part must not keep a large request alive
            size = buffer.nbytes
        self.base_offset = base_offset
        self.next_offset = next_offset
        self.buffer = buffer
        self.pinned = size + _OVERHEAD
        self.written = False
        self.evicted = False


class MemoryBudget:
    """What all tails of a node may hold together, in bytes."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._oldest: deque[tuple[Tail, TailEntry]] = deque()

    def add(self, tail: Tail, entry: TailEntry) -> None:
        self.used += entry.pinned
        self._oldest.append((tail, entry))

    def shrink(self) -> None:
        """Evict the oldest written entries until the budget holds."""
        oldest = self._oldest
        while self.used > self.limit and oldest:
            tail, entry = oldest[0]
            if not entry.evicted:
                if not entry.written:
                    return
                tail.evict_through(entry)
            oldest.popleft()


class Tail:
    """One log's part: all batches from some offset on, up to the log end."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._entries: list[TailEntry] = []
        self._first = 0
        """Entries before this index have been evicted; the list is compacted now and then."""

    @property
    def start_offset(self) -> int | None:
        """The first offset held; None if nothing is."""
        return self._entries[self._first].base_offset if self._first < len(self._entries) else None

    def append(self, entry: TailEntry) -> None:
        self._entries.append(entry)
        self._budget.add(self, entry)

    def find(self, offset: int, until: int, max_bytes: int, minimum_one: bool) -> list[TailEntry] | None:
        """The batches from the one that holds `offset` on; None if that one is not here."""
        start = self.start_offset
        if start is None or offset < start:
            return None
        entries = self._entries
        at = bisect_right(entries, offset, lo=self._first, key=_base_offset) - 1
        if entries[at].next_offset <= offset:
            at += 1  # between two batches: compaction leaves such gaps
        found: list[TailEntry] = []
        room = max_bytes
        while at < len(entries):
            entry = entries[at]
            size = entry.buffer.nbytes
            if entry.base_offset >= until or (size > room and (found or not minimum_one)):
                break
            found.append(entry)
            room -= size
            at += 1
        return found

    def evict_through(self, last: TailEntry) -> None:
        while self._first < len(self._entries):
            entry = self._entries[self._first]
            self._drop(entry)
            self._first += 1
            if entry is last:
                break
        if self._first > 512 and self._first * 2 > len(self._entries):
            del self._entries[: self._first]
            self._first = 0

    def forget_before(self, offset: int) -> None:
        """Forget written entries below `offset`: the file says it otherwise now."""
        while self._first < len(self._entries) and self._entries[self._first].next_offset <= offset:
            if not self._entries[self._first].written:
                return
            self.evict_through(self._entries[self._first])

    def truncate(self, offset: int) -> None:
        """Forget entries at or behind `offset`."""
        while len(self._entries) > self._first and self._entries[-1].next_offset > offset:
            self._drop(self._entries.pop())

    def clear(self) -> None:
        for entry in self._entries[self._first :]:
            self._drop(entry)
        self._entries.clear()
        self._first = 0

    def _drop(self, entry: TailEntry) -> None:
        entry.evicted = True
        entry.buffer = _NOTHING
        self._budget.used -= entry.pinned


_NOTHING: Final = memoryview(b"")


def _base_offset(entry: TailEntry) -> int:
    return entry.base_offset
