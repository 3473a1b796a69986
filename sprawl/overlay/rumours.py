"""Rumours on their way: what this node passes on, and how often it still does.

In: something worth telling about a node. Out: as much as fits into a packet, what was told least often first and of
that the newest. Each is told a bounded number of times, which grows with the logarithm of the cluster, and then no
more; something newer about the same node takes its place (SWIM, section 4.1).
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log10
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_MOST_TIMES: Final = 64


def times_to_tell(multiplier: int, nodes: int) -> int:
    """Told k times each by all, at random, a rumour misses a node with a chance of exp(-k): little even among few."""
    return min(_MOST_TIMES, ceil(multiplier * (1 + log10(nodes))))


class Outbox(Generic[T]):
    """One item a node, in rows by how often it was told."""

    __slots__ = ("_row_of", "_rows", "_size_of")

    def __init__(self, size_of: Callable[[T], int]) -> None:
        self._size_of = size_of
        self._rows: list[dict[int, T]] = [{}]
        self._row_of: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._row_of)

    def put(self, node_id: int, item: T) -> None:
        self.drop(node_id)
        self._rows[0][node_id] = item
        self._row_of[node_id] = 0

    def drop(self, node_id: int) -> None:
        row = self._row_of.pop(node_id, None)
        if row is not None:
            del self._rows[row][node_id]

    def take(self, room: int, limit: int, to: int) -> list[T]:
        """Items of at most `room` bytes in all, each of which counts as told once more; after `limit` times it goes.

        Never what is about `to`, who is to hear them: in a small cluster that would waste much of the telling.
        """
        taken: list[tuple[int, int, T]] = []
        misfits = 0
        for number, row in enumerate(self._rows):
            for node_id in reversed(row):
                if node_id == to:
                    continue
                size = self._size_of(row[node_id])
                if size <= room:
                    room -= size
                    taken.append((number, node_id, row[node_id]))
                elif (misfits := misfits + 1) > _MISFITS:
                    break
            if misfits > _MISFITS:
                break
        for number, node_id, item in taken:
            del self._rows[number][node_id]
            if number + 1 >= limit:
                del self._row_of[node_id]
                continue
            if number + 1 == len(self._rows):
                self._rows.append({})
            self._rows[number + 1][node_id] = item
            self._row_of[node_id] = number + 1
        return [item for _, _, item in taken]


_MISFITS: Final = 3
"""After so many that don't fit the packet counts as full."""
