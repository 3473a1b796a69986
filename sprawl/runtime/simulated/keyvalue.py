"""The twin of the RocksDB store: an ordered map that forgets, from the end, what was not flushed when its process died.

In: batches. Out: lookups and scans. A batch is there whole or not at all. Never more than was written.
"""

from __future__ import annotations

import errno
import os
import random
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sprawl.runtime.simulated.inodes import Inode

if TYPE_CHECKING:
    from sprawl.runtime.simulated.node import Process

Change = tuple[bytes, bytes | None]


class StoreContents:
    """What is in a store, kept by the disk, not by the process."""

    __slots__ = ("_flushed", "_unflushed", "keys", "opened", "values")

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.keys: list[bytes] = []
        self.opened = False
        self._flushed: dict[bytes, bytes] = {}
        self._unflushed: list[Sequence[Change]] = []

    def write(self, changes: Sequence[Change]) -> None:
        for key, value in changes:
            if value is None:
                if self.values.pop(key, None) is not None:
                    del self.keys[bisect_left(self.keys, key)]
            else:
                if key not in self.values:
                    insort(self.keys, key)
                self.values[key] = value
        self._unflushed.append(changes)

    def flush(self) -> None:
        self._settle(len(self._unflushed))

    def process_died(self, rng: random.Random) -> None:
        """There is no write-ahead log: kill -9 loses what power failure loses. A prefix may have been written out."""
        self._settle(0 if rng.random() < 0.5 else rng.randrange(len(self._unflushed) + 1))
        self.values = dict(self._flushed)
        self.keys = sorted(self.values)
        self.opened = False

    def _settle(self, count: int) -> None:
        for changes in self._unflushed[:count]:
            for key, value in changes:
                if value is None:
                    self._flushed.pop(key, None)
                else:
                    self._flushed[key] = value
        self._unflushed.clear()


class SimulatedStore:
    __slots__ = ("_closed", "_contents", "_path", "_process")

    def __init__(self, process: Process, path: str, contents: StoreContents) -> None:
        self._process = process
        self._path = path
        self._contents = contents
        self._closed = False

    def get(self, key: bytes) -> bytes | None:
        self._check()
        return self._contents.values.get(key)

    def write(self, changes: Sequence[Change]) -> None:
        self._check()
        self._contents.write([(bytes(key), None if value is None else bytes(value)) for key, value in changes])

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        contents = self._contents
        while True:
            self._check()
            at = bisect_left(contents.keys, start)
            if at == len(contents.keys) or contents.keys[at] >= end:
                return
            key = contents.keys[at]
            yield key, contents.values[key]
            start = key + b"\0"

    def scan_back(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        contents = self._contents
        while True:
            self._check()
            at = bisect_left(contents.keys, end) - 1
            if at < 0 or contents.keys[at] < start:
                return
            end = contents.keys[at]
            yield end, contents.values[end]

    def delete_range(self, start: bytes, end: bytes) -> None:
        self._check()
        keys = self._contents.keys
        doomed = keys[bisect_left(keys, start) : bisect_left(keys, end)]
        if doomed:
            self._contents.write([(key, None) for key in doomed])

    def flush(self) -> None:
        self._check()
        disk = self._process.node.disk
        self._process.loop.charge(disk.sync_time(0))
        error = disk.sync_error(self._path)
        if error is not None:
            raise error
        if disk.used >= disk.capacity:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
        self._contents.flush()

    def close(self) -> None:
        """RocksDB writes out what is in memory when it is closed."""
        if not self._closed and self._process.alive:
            self._closed = True
            self._contents.flush()
            self._contents.opened = False

    def _check(self) -> None:
        self._process.check()
        if self._closed:
            raise OSError(errno.EBADF, f"the key-value store {self._path} is closed")


def open_store(process: Process, path: str) -> SimulatedStore:
    names = process.node.disk.names
    place = f"{path}/CURRENT"
    if names.exists(place):
        inode = names.get(place)
    else:
        names.make_dirs(path)
        inode = process.node.disk.new_inode(place, process.clock.wall_ms())
        names.sync_entry(place)
        names.sync_entry(path)
    contents = _contents_of(inode)
    if contents is None or inode.damaged:
        raise OSError(errno.EIO, f"cannot open the key-value store {path}: Corruption: CURRENT file is damaged")
    if contents.opened:
        raise OSError(errno.EAGAIN, f"cannot open the key-value store {path}: it is open already")
    contents.opened = True
    process.stores.append(contents)
    return SimulatedStore(process, path, contents)


def _contents_of(inode: Inode) -> StoreContents | None:
    if inode.store is None and not inode.data:
        inode.store = StoreContents()
    return inode.store if isinstance(inode.store, StoreContents) else None
