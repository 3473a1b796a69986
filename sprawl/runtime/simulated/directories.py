"""The file system as one simulated process sees it.

In: paths. Out: names, files, small files whole. Never an operation of a dead process. What the interface says blocks
makes the process's next turn late.
"""

from __future__ import annotations

import posixpath
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from sprawl.runtime.simulated.files import SimulatedFile
from sprawl.runtime.simulated.names import normal
from sprawl.runtime.simulated.trace import Event

if TYPE_CHECKING:
    from sprawl.runtime.simulated.disk import Disk
    from sprawl.runtime.simulated.node import Process


class SimulatedFileSystem:
    __slots__ = ("_process",)

    def __init__(self, process: Process) -> None:
        self._process = process

    def open(self, path: str, *, create: bool = False) -> SimulatedFile:
        disk = self._disk()
        if create and not disk.names.exists(path):
            inode = disk.new_inode(path, self._process.clock.wall_ms())
            self._changed(path)
        else:
            inode = disk.names.get(path)
        return SimulatedFile(self._process, path, inode)

    def exists(self, path: str) -> bool:
        return self._disk().names.exists(path)

    def list(self, directory: str) -> list[str]:
        return self._disk().names.entries(directory)

    def make_dirs(self, path: str) -> None:
        self._disk().names.make_dirs(path)
        self._changed(path)

    def rename(self, old: str, new: str) -> None:
        disk = self._disk()
        replaced = disk.names.below(new) if normal(old) != normal(new) else []
        disk.names.rename(old, new)
        disk.give_space(sum(len(inode.data) for inode in replaced))
        self._changed(new)

    def remove(self, path: str) -> None:
        disk = self._disk()
        inode = disk.names.get(path)
        disk.names.remove(path)
        disk.give_space(len(inode.data))
        self._changed(path)

    def remove_tree(self, path: str) -> None:
        disk = self._disk()
        gone = disk.names.below(path)
        disk.names.remove_tree(path)
        disk.give_space(sum(len(inode.data) for inode in gone))
        self._changed(path)

    def sync_dir(self, path: str) -> None:
        disk = self._disk()
        self._process.loop.charge(disk.sync_time(0))
        error = disk.sync_error(path)
        if error is not None:
            raise error
        disk.names.sync(path)

    def read_bytes(self, path: str) -> bytes:
        disk = self._disk()
        inode = disk.names.get(path)
        disk.fail_read(path)
        return bytes(inode.data)

    def write_atomic(self, path: str, data: bytes) -> None:
        disk = self._disk()
        self._process.loop.charge(disk.sync_time(len(data)))
        error = disk.sync_error(path)
        if error is not None:
            raise error
        disk.take_space(len(data), path)
        old = disk.names.get(path) if disk.names.exists(path) else None
        inode = disk.new_inode(path, self._process.clock.wall_ms())
        inode.replace(data)
        disk.names.sync(posixpath.dirname(normal(path)))
        disk.give_space(len(old.data) if old is not None else 0)
        self._process.trace(Event.APPEND, len(data), zlib.crc32(data))

    def free_bytes(self, path: str) -> int:
        disk = self._disk()
        if not disk.names.exists(path):
            raise FileNotFoundError(path)
        return max(0, disk.capacity - disk.used)

    def modified_ms(self, path: str) -> int:
        return self._disk().names.get(path).modified_ms

    def lock(self, path: str) -> Callable[[], None]:
        disk = self._disk()
        self.open(path, create=True)
        key = normal(path)
        if key in disk.locks:
            raise BlockingIOError(f"{path} is locked by another process")
        mine = object()
        disk.locks[key] = mine
        self._process.locks.append(key)

        def release() -> None:
            if disk.locks.get(key) is mine:
                del disk.locks[key]

        return release

    def _disk(self) -> Disk:
        self._process.check()
        return self._process.node.disk

    def _changed(self, path: str) -> None:
        self._process.trace(Event.NAMES, zlib.crc32(path.encode()), 0)
