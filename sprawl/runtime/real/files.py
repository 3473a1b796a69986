"""One append-only file: gathered writes at its end, reads that do not block the loop, syncs off the loop.

In: buffers. Out: the same bytes. Never a partial append (it is cut back), never an operation on a file descriptor
that close() has already given back: the descriptor lives until the last sync or read in a thread has returned.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from itertools import islice
from typing import Final, TypeVar

from sprawl.runtime.interface import Buffer

R = TypeVar("R")

_REWRITE_CHUNK: Final = 4 * 1024 * 1024
_IOV_MAX: Final = os.sysconf("SC_IOV_MAX") if hasattr(os, "sysconf") else 1024
_NOWAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)
_UNSUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS})


class RealFile:
    __slots__ = ("_busy", "_closed", "_cut", "_fd", "_lock", "_nowait", "_path", "_readers", "_size", "_syncers")

    def __init__(self, path: str, *, create: bool, readers: Executor, syncers: Executor) -> None:
        self._closed = True  # until it is open, also for __del__
        self._lock = threading.Lock()  # guards _closed and _busy: threads, too, give the descriptor back
        self._busy = 0
        self._path = path
        self._readers = readers
        self._syncers = syncers
        self._nowait = _NOWAIT
        self._cut = False  # an append failed and the file could not be cut back yet
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o644)
        self._closed = False
        self._size = os.fstat(self._fd).st_size

    @property
    def path(self) -> str:
        return self._path

    @property
    def size(self) -> int:
        return self._size

    def append(self, buffers: Sequence[Buffer]) -> int:
        self._check_open()
        if self._cut:
            os.ftruncate(self._fd, self._size)
            self._cut = False
        total = sum(map(len, buffers))
        try:
            if len(buffers) > _IOV_MAX or os.pwritev(self._fd, buffers, self._size) != total:
                self._write_all(buffers)
        except OSError:
            self._cut_back()
            raise
        self._size += total
        return total

    def read_now(self, offset: int, size: int) -> bytes | bytearray | None:
        self._check_open()
        size = min(size, self._size - offset)
        if size <= 0:
            return b""
        if self._nowait is None:
            return None
        buffer = bytearray(size)
        try:
            got = os.preadv(self._fd, [buffer], offset, self._nowait)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            self._nowait = None  # not on this file system
            return None
        return buffer if got == size else None

    async def read(self, offset: int, size: int) -> bytes | bytearray:
        ready = self.read_now(offset, size)
        if ready is not None:
            return ready
        size = min(size, self._size - offset)
        return await self._in_thread(self._readers, lambda: _read_all(self._fd, offset, size))

    async def sync(self) -> None:
        self._check_open()
        await self._in_thread(self._syncers, lambda: os.fdatasync(self._fd))

    async def rewrite(self, offset: int) -> None:
        self._check_open()
        end = self._size
        await self._in_thread(self._syncers, lambda: _rewrite(self._fd, offset, end))

    def truncate(self, size: int) -> None:
        self._check_open()
        if size > self._size:
            raise ValueError(f"{self._path} has {self._size} bytes, it cannot be cut to {size}")
        os.ftruncate(self._fd, size)
        self._size = size
        self._cut = False

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._busy:
                return
        os.close(self._fd)

    def __del__(self) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"{self._path} is closed")

    def _write_all(self, buffers: Sequence[Buffer]) -> None:
        """The rare way: more buffers than one call takes, or a call that wrote less than all (then begun anew)."""
        position = self._size
        left = [memoryview(buffer).cast("B") for buffer in buffers if len(buffer)]
        at = 0
        while at < len(left):
            wrote = os.pwritev(self._fd, list(islice(left, at, at + _IOV_MAX)), position)
            if wrote == 0:
                raise OSError(errno.EIO, "the file takes no more bytes", self._path)
            position += wrote
            while wrote:
                whole = len(left[at])
                if wrote < whole:
                    left[at] = left[at][wrote:]
                    break
                wrote -= whole
                at += 1

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            self._cut = True  # tried again before the next append

    async def _in_thread(self, executor: Executor, work: Callable[[], R]) -> R:
        with self._lock:
            self._busy += 1
        try:
            future = executor.submit(work)
        except RuntimeError:
            self._give_back()
            raise
        future.add_done_callback(self._give_back)  # runs even if the one who waits is cancelled
        return await asyncio.wrap_future(future)

    def _give_back(self, _: Future[R] | None = None) -> None:
        with self._lock:
            self._busy -= 1
            if self._busy or not self._closed:
                return
        os.close(self._fd)


def _read_all(fd: int, offset: int, size: int) -> bytes:
    first = os.pread(fd, size, offset)
    if len(first) == size or not first:
        return first
    parts = [first]
    got = len(first)
    while got < size:
        part = os.pread(fd, size - got, offset + got)
        if not part:
            break
        parts.append(part)
        got += len(part)
    return b"".join(parts)


def _rewrite(fd: int, offset: int, end: int) -> None:
    while offset < end:
        data = _read_all(fd, offset, min(_REWRITE_CHUNK, end - offset))
        if not data:
            return
        at = 0
        while at < len(data):
            at += os.pwrite(fd, memoryview(data)[at:], offset + at)
        offset += len(data)
