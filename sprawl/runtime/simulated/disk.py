"""The disk of one simulated machine: it outlives the processes that use it, and fails as a test asks.

In: what the file system, the key-value stores and the small state do; faults. Out: times, drawn by seed, and errors.
Faults are attributes, to be changed at any moment. Never forgets what was synced, unless told to.
"""

from __future__ import annotations

import errno
import os
import random
from typing import Final

from sprawl.runtime.simulated.inodes import Inode
from sprawl.runtime.simulated.names import Names

_SECONDS_PER_BYTE: Final = 1e-9


class Disk:
    def __init__(self, rng: random.Random) -> None:
        self.capacity = 1 << 40
        self.used = 0
        self.sync_seconds = (0.0003, 0.004)
        self.read_seconds = (0.00005, 0.001)
        self.slowness = 1.0
        """Every time is multiplied by this."""
        self.cold_reads = 0.05
        """Share of reads that the page cache can't answer."""
        self.tearing = 0.5
        """Chance that of the unsynced bytes a power failure leaves, some sectors are garbage."""
        self.failing_syncs = 0
        """So many of the next syncs fail with EIO, and what they should have synced is lost."""
        self.failing_reads = 0
        self.failing_appends = 0
        self.names = Names()
        self.locks: dict[str, object] = {}
        self._rng = rng

    def corrupt(self, path: str, offset: int, mask: int = 0x01) -> None:
        """Flip bits of one byte of a file; or, for a key-value store or small state, damage it beyond opening."""
        files = self.names.below(path)
        for inode in files:
            if inode.store is not None or inode.state is not None:
                inode.damaged = True
        if len(files) == 1 and files[0].store is None and files[0].state is None:
            files[0].flip(offset, mask)

    def wipe(self) -> None:
        """A new, empty disk in the place of the old."""
        self.names = Names()
        self.used = 0

    def heal(self) -> None:
        self.slowness = 1.0
        self.failing_syncs = self.failing_reads = self.failing_appends = 0

    def lose_power(self) -> None:
        self.names.lose_power(self._rng)
        self.locks.clear()
        for inode in self.names.inodes():
            inode.lose_power(self._rng, self.tearing)
        self.used = sum(len(inode.data) for inode in self.names.inodes())

    def sync_time(self, size: int) -> float:
        least, most = self.sync_seconds
        return self.slowness * (least + self._rng.random() * (most - least) + size * _SECONDS_PER_BYTE)

    def read_time(self, size: int) -> float:
        least, most = self.read_seconds
        return self.slowness * (least + self._rng.random() * (most - least) + size * _SECONDS_PER_BYTE)

    def is_cold(self) -> bool:
        return self._rng.random() < self.cold_reads

    def take_space(self, size: int, path: str) -> None:
        if self.used + size > self.capacity:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        self.used += size

    def give_space(self, size: int) -> None:
        self.used = max(0, self.used - size)

    def fail_append(self, path: str) -> None:
        if self.failing_appends:
            self.failing_appends -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    def fail_read(self, path: str) -> None:
        if self.failing_reads:
            self.failing_reads -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    def sync_error(self, path: str) -> OSError | None:
        if self.failing_syncs:
            self.failing_syncs -= 1
            return OSError(errno.EIO, os.strerror(errno.EIO), path)
        return None

    def new_inode(self, path: str, modified_ms: int) -> Inode:
        inode = Inode()
        inode.modified_ms = modified_ms
        self.names.create(path, inode)
        return inode
