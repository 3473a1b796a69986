"""An open file of a simulated process.

In: appends, reads, syncs. Out: what the page cache has; after a crash of the machine, what `Inode.lose_power` left.
Never anything once the process is dead: every operation of a dead process raises.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sprawl.runtime.interface import Buffer
from sprawl.runtime.simulated.inodes import Inode
from sprawl.runtime.simulated.trace import Event

if TYPE_CHECKING:
    from sprawl.runtime.simulated.node import Process

_SECONDS_PER_APPEND: Final = 3e-6
_SECONDS_PER_BYTE: Final = 3e-10


class SimulatedFile:
    __slots__ = ("_closed", "_inode", "_path", "_process")

    def __init__(self, process: Process, path: str, inode: Inode) -> None:
        self._process = process
        self._path = path
        self._inode = inode
        self._closed = False

    @property
    def path(self) -> str:
        return self._path

    @property
    def size(self) -> int:
        return len(self._inode.data)

    def append(self, buffers: Sequence[Buffer]) -> int:
        self._check()
        disk = self._process.node.disk
        data = b"".join(buffers)
        disk.fail_append(self._path)
        disk.take_space(len(data), self._path)
        self._inode.data += data
        self._inode.modified_ms = self._process.clock.wall_ms()
        self._process.loop.charge(_SECONDS_PER_APPEND + len(data) * _SECONDS_PER_BYTE)
        self._process.trace(Event.APPEND, len(data), zlib.crc32(data))
        return len(data)

    def read_now(self, offset: int, size: int) -> bytes | bytearray | None:
        self._check()
        if offset >= len(self._inode.data) or size <= 0:
            return b""
        if self._process.node.disk.is_cold():
            return None
        self._process.node.disk.fail_read(self._path)
        return self._inode.data[offset : offset + size]

    async def read(self, offset: int, size: int) -> bytes | bytearray:
        ready = self.read_now(offset, size)
        if ready is not None:
            return ready
        inode, disk = self._inode, self._process.node.disk

        def fetch() -> bytes:
            disk.fail_read(self._path)
            return bytes(inode.data[offset : offset + size])

        return await self._process.later(disk.read_time(size), fetch)

    async def sync(self) -> None:
        self._check()
        inode, disk = self._inode, self._process.node.disk
        size = len(inode.data)

        def finish() -> None:
            error = disk.sync_error(self._path)
            if error is not None:
                inode.doom(size)
                raise error
            inode.synced(size)
            self._process.trace(Event.SYNC, inode.stable, 0)

        await self._process.later(disk.sync_time(size - inode.stable), finish)

    async def rewrite(self, offset: int) -> None:
        self._check()
        disk, inode = self._process.node.disk, self._inode

        def again() -> None:
            disk.fail_append(self._path)
            inode.rewrite(offset)

        await self._process.later(disk.read_time(self.size - offset), again)

    def truncate(self, size: int) -> None:
        self._check()
        if size > len(self._inode.data):
            raise ValueError(f"{self._path} has {len(self._inode.data)} bytes, it cannot be cut to {size}")
        self._process.node.disk.give_space(len(self._inode.data) - size)
        self._inode.truncate(size)

    def close(self) -> None:
        self._closed = True

    def _check(self) -> None:
        self._process.check()
        if self._closed:
            raise ValueError(f"{self._path} is closed")
