"""Chunks of uploaded segments that were fetched lately: the newest in memory, the others on the disk, within a budget.

In: chunks, under a name. Out: the same bytes, if they are still there: who asks checks them. What is cached is lost at
a restart, and whenever the disk does not take it; it was only ever a copy. The disk is asked off the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from typing import Final

from sprawl.runtime import Runtime

log = logging.getLogger(__name__)

Name = tuple[str, int]
"""A segment's id, and the number of the chunk."""
_IN_MEMORY: Final = 16 * 1024 * 1024


class ChunkCache:
    def __init__(self, runtime: Runtime, directory: str, budget: int, in_memory: int = _IN_MEMORY) -> None:
        """`budget`: bytes on the disk. The directory is the cache's own: whatever is in it goes."""
        self._runtime = runtime
        self._files = runtime.files
        self._directory = directory
        self._budget = budget
        self._memory_budget = min(in_memory, budget)
        self._memory: OrderedDict[Name, bytes] = OrderedDict()
        self._memory_bytes = 0
        self._disk: OrderedDict[Name, int] = OrderedDict()
        self._pinned: set[str] = set()
        self.disk_bytes = 0
        self._writing = asyncio.Lock()
        """One change of the directory at a time: what is removed has been written."""

    async def start(self) -> None:
        """Raises `OSError`."""

        def clear() -> None:
            with contextlib.suppress(FileNotFoundError):
                self._files.remove_tree(self._directory)
            self._files.make_dirs(self._directory)

        await self._runtime.in_thread(clear)

    def pin(self, segment_id: str) -> None:
        """What is on the disk of this segment goes last. How much is pinned is for the caller to bound."""
        self._pinned.add(segment_id)

    def unpin(self, segment_id: str) -> None:
        self._pinned.discard(segment_id)

    def holds(self, name: Name) -> bool:
        return name in self._memory or name in self._disk

    def on_disk(self, name: Name) -> bool:
        return name in self._disk

    def get_now(self, name: Name) -> bytes | None:
        """From memory."""
        found = self._memory.get(name)
        if found is not None:
            self._memory.move_to_end(name)
            if name in self._disk:
                self._disk.move_to_end(name)
        return found

    async def get(self, name: Name) -> bytes | None:
        found = self.get_now(name)
        size = self._disk.get(name)
        if found is not None or size is None:
            return found
        self._disk.move_to_end(name)

        def read() -> bytes | None:
            try:
                return self._files.read_bytes(self._path(name))
            except OSError:
                return None

        data = await self._runtime.in_thread(read)
        if data is None:
            self._forget(name)
        else:
            self._remember(name, data)
        return data

    async def put(self, name: Name, data: bytes) -> None:
        self._remember(name, data)
        if name in self._disk or len(data) > self._budget:
            return
        self._disk[name] = len(data)
        self.disk_bytes += len(data)
        gone = []
        while self.disk_bytes > self._budget:
            oldest = next((each for each in self._disk if each[0] not in self._pinned), None) or next(iter(self._disk))
            self._forget(oldest)
            gone.append(oldest)

        def write() -> None:
            self._remove(gone)
            file = self._files.open(self._path(name), create=True)
            try:
                file.truncate(0)
                file.append([data])
            finally:
                file.close()

        try:
            async with self._writing:
                await self._runtime.in_thread(write)
        except OSError as problem:
            log.warning("a chunk is not cached: %s", problem)
            self._forget(name)

    async def drop(self, name: Name) -> None:
        """It is damaged."""
        self._memory_bytes -= len(self._memory.pop(name, b""))
        if name in self._disk:
            self._forget(name)
            async with self._writing:
                await self._runtime.in_thread(lambda: self._remove([name]))

    def _remember(self, name: Name, data: bytes) -> None:
        if name not in self._memory:
            self._memory[name] = data
            self._memory_bytes += len(data)
            while self._memory_bytes > self._memory_budget:
                self._memory_bytes -= len(self._memory.popitem(last=False)[1])

    def _forget(self, name: Name) -> None:
        self.disk_bytes -= self._disk.pop(name, 0)

    def _remove(self, names: list[Name]) -> None:
        for name in names:
            with contextlib.suppress(OSError):
                self._files.remove(self._path(name))

    def _path(self, name: Name) -> str:
        return f"{self._directory}/{name[0]}.{name[1]}"
