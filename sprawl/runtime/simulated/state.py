"""The twin of the SQLite state: JSON by name, durable when set.

In: JSON values. Out: copies of them. Never loses what was set; a damaged file does not open.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sprawl.runtime.interface import SmallState

if TYPE_CHECKING:
    from sprawl.runtime.simulated.node import Process


class SimulatedState(SmallState):
    __slots__ = ("_closed", "_path", "_process", "_values")

    def __init__(self, process: Process, path: str) -> None:
        process.check()
        self._process = process
        self._path = path
        self._closed = False
        names = process.node.disk.names
        if names.exists(path):
            inode = names.get(path)
        else:
            inode = process.node.disk.new_inode(path, process.clock.wall_ms())
            names.sync_entry(path)
        if inode.state is None and not inode.data:
            inode.state = {}
        if inode.state is None or inode.damaged:
            raise OSError(errno.EIO, f"cannot open the state file {path}: file is not a database")
        self._values = inode.state

    def __getitem__(self, name: str) -> Any:
        self._check()
        return json.loads(self._values[name])

    def __setitem__(self, name: str, value: Any) -> None:
        encoded = json.dumps(value)
        self._check_writable(needs_room=name not in self._values)
        self._values.pop(name, None)  # SQLite gives a replaced row a new place, at the end
        self._values[name] = encoded

    def __delitem__(self, name: str) -> None:
        self._check_writable()
        del self._values[name]

    def __iter__(self) -> Iterator[str]:
        self._check()
        return iter(list(self._values))

    def __len__(self) -> int:
        self._check()
        return len(self._values)

    def close(self) -> None:
        self._closed = True

    def _check(self) -> None:
        self._process.check()
        if self._closed:
            raise OSError(errno.EBADF, f"the state file {self._path} is closed")

    def _check_writable(self, *, needs_room: bool = False) -> None:
        """As on a real disk, what is there can be set again without any room."""
        self._check()
        disk = self._process.node.disk
        self._process.loop.charge(disk.sync_time(0))
        error = disk.sync_error(self._path)
        if error is not None:
            raise error
        if needs_room and disk.used >= disk.capacity:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._path)
