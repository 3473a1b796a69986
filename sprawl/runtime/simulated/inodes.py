"""A file's bytes, as the page cache has them and as the disk would have them after a power failure.

In: appends, truncations, completed syncs. Out: the bytes; and after `lose_power`, one of the states that a disk may be
found in, drawn by seed: what was synced is there, what was not may be there, in part, or as garbage. Never less than
what was synced, unless the disk failed (`doom`) or a test damaged it (`flip`).
"""

from __future__ import annotations

import random
from typing import Final

SECTOR: Final = 512
_TORN_MOST: Final = 8


class Inode:
    """`data[:stable]` is on the disk; `undone` is what the disk still has there instead of `data[stable:]`."""

    __slots__ = ("_doomed", "_stable", "_undone", "damaged", "data", "modified_ms", "state", "store")

    def __init__(self) -> None:
        self.data = bytearray()
        self.modified_ms = 0
        self.damaged = False
        self.store: object | None = None  # a key-value store that lives here instead of bytes
        self.state: dict[str, str] | None = None  # or small state
        self._stable = 0
        self._undone = b""
        self._doomed: list[tuple[int, int]] = []

    @property
    def stable(self) -> int:
        return self._stable

    def truncate(self, size: int) -> None:
        if size < self._stable:
            self._undone = bytes(self.data[size : self._stable]) + self._undone
            self._stable = size
        del self.data[size:]
        self._doomed = [(start, min(end, size)) for start, end in self._doomed if start < size]

    def rewrite(self, offset: int) -> None:
        """The bytes from `offset` on are dirty again: the next sync writes also those of a sync that failed."""
        again = [max(start, offset) for start, end in self._doomed if end > offset]
        self._doomed = [(start, min(end, offset)) for start, end in self._doomed if start < offset]
        if again and not self._undone:
            self._stable = min(self._stable, *again)

    def synced(self, size: int) -> None:
        """A sync that began when the file had `size` bytes has succeeded."""
        self._stable = max(self._stable, min(size, len(self.data)))
        self._undone = b""

    def doom(self, size: int) -> None:
        """A sync failed: the kernel calls the pages clean, but they never reach the disk, whatever is synced later."""
        if size > self._stable:
            self._doomed.append((self._stable, size))

    def replace(self, data: bytes) -> None:
        """New content, at once on the disk."""
        self.data[:] = data
        self._stable = len(data)
        self._undone = b""
        self._doomed.clear()

    def flip(self, offset: int, mask: int) -> None:
        self.data[offset] ^= mask

    def lose_power(self, rng: random.Random, tearing: float) -> None:
        unsynced = len(self.data) - self._stable
        if self._undone and rng.random() < 0.5:
            self.data[self._stable :] = self._undone
        elif unsynced:
            chance = rng.random()
            kept = 0 if chance < 0.3 else unsynced if chance < 0.5 else rng.randrange(unsynced + 1)
            del self.data[self._stable + kept :]
            if kept and rng.random() < tearing:
                self._tear(rng)
        for start, end in self._doomed:
            self._spoil(start, min(end, len(self.data)), rng)
        self._doomed.clear()
        self._stable = len(self.data)
        self._undone = b""

    def _tear(self, rng: random.Random) -> None:
        """Sectors reach the disk in any order: some of those kept never did."""
        first, last = self._stable // SECTOR, (len(self.data) - 1) // SECTOR
        for _ in range(rng.randrange(1, _TORN_MOST + 1)):
            sector = rng.randrange(first, last + 1)
            start = max(sector * SECTOR, self._stable)
            self._spoil(start, min((sector + 1) * SECTOR, len(self.data)), rng)

    def _spoil(self, start: int, end: int, rng: random.Random) -> None:
        if end > start:
            size = end - start
            self.data[start:end] = bytes(size) if rng.random() < 0.5 else rng.randbytes(size)
