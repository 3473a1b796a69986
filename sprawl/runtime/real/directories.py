"""The file system: opening files, naming and removing them, small files whole, locks.

In: paths. Out: `RealFile`s and names. Never leaves a small file half written: `write_atomic` renames a synced copy.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from concurrent.futures import Executor

from sprawl.runtime.real.files import RealFile


class RealFileSystem:
    __slots__ = ("_readers", "_syncers")

    def __init__(self, readers: Executor, syncers: Executor) -> None:
        self._readers = readers
        self._syncers = syncers

    def open(self, path: str, *, create: bool = False) -> RealFile:
        return RealFile(path, create=create, readers=self._readers, syncers=self._syncers)

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def list(self, directory: str) -> list[str]:
        return sorted(os.listdir(directory))  # noqa: PTH208 - names, not paths, are wanted

    def make_dirs(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)  # noqa: PTH103

    def rename(self, old: str, new: str) -> None:
        os.replace(old, new)  # noqa: PTH105

    def remove(self, path: str) -> None:
        os.remove(path)  # noqa: PTH107

    def remove_tree(self, path: str) -> None:
        shutil.rmtree(path)

    def sync_dir(self, path: str) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def read_bytes(self, path: str) -> bytes:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()

    def write_atomic(self, path: str, data: bytes) -> None:
        draft = f"{path}.tmp"
        with open(draft, "wb") as file:  # noqa: PTH123
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)  # noqa: PTH105
        self.sync_dir(os.path.dirname(path) or ".")  # noqa: PTH120

    def free_bytes(self, path: str) -> int:
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize

    def modified_ms(self, path: str) -> int:
        return os.stat(path).st_mtime_ns // 1_000_000  # noqa: PTH116

    def lock(self, path: str) -> Callable[[], None]:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise BlockingIOError(f"{path} is locked by another process") from None
        except OSError:
            os.close(fd)
            raise

        def release() -> None:
            nonlocal fd
            if fd >= 0:
                os.close(fd)
                fd = -1

        return release
