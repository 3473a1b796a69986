"""What a node may ask of the outside world. Units: wall time in milliseconds, monotonic time in seconds."""

from __future__ import annotations

import asyncio
import random
import ssl
from abc import abstractmethod
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any, Protocol, TypeVar

Buffer = bytes | bytearray | memoryview
P = TypeVar("P", bound=asyncio.BaseProtocol)
R = TypeVar("R")


class Clock(Protocol):
    def wall_ms(self) -> int:
        """Milliseconds since the Unix epoch; may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back. The same clock as `loop.time()`."""
        ...


class Listener(Protocol):
    @property
    def port(self) -> int: ...

    def close(self) -> None:
        """Stop accepting; open connections stay."""
        ...

    async def wait_closed(self) -> None: ...


class Datagram(Protocol):
    """An UDP endpoint."""

    @property
    def port(self) -> int: ...

    async def send(self, payload: bytes, host: str, port: int) -> None:
        """Best effort: what can't be sent is lost without an error. Not for empty payloads: asyncio drops those.

        `host` is an address. Raises `ConnectionError` once closed.
        """
        ...

    async def receive(self) -> tuple[bytes, tuple[str, int]]:
        """Payload and (host, port) of the sender. Raises `ConnectionError` once closed."""
        ...

    def close(self) -> None: ...


class Network(Protocol):
    async def listen(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        *,
        backlog: int = 1024,
        tls: ssl.SSLContext | None = None,
    ) -> Listener:
        """Serve TCP; port 0 picks a free one. Raises `OSError` if the address cannot be had."""
        ...

    async def connect(
        self, factory: Callable[[], P], host: str, port: int, *, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.Transport, P]:
        """Raises `OSError` if nobody answers there."""
        ...

    async def datagram(self, host: str, port: int) -> Datagram: ...


class File(Protocol):
    """An append-only file with positioned reads. Not for concurrent appends from several tasks at one await."""

    @property
    def path(self) -> str: ...

    @property
    def size(self) -> int:
        """Bytes written so far, synced or not."""
        ...

    def append(self, buffers: Sequence[Buffer]) -> int:
        """Write all buffers at the end (one `writev`), into the page cache; return the bytes written.

        All or nothing: on `OSError` (ENOSPC among them) the file is cut back to its former size.
        """
        ...

    def read_now(self, offset: int, size: int) -> bytes | bytearray | None:
        """Up to `size` bytes if they can be had without blocking on the disk, else None. Empty at end of file."""
        ...

    async def read(self, offset: int, size: int) -> bytes | bytearray:
        """Up to `size` bytes, off the event loop if the disk must be asked; short only at end of file."""
        ...

    async def sync(self) -> None:
        """fdatasync, off the event loop: everything appended before the call is on stable storage after it.

        Raises `OSError`; after that nothing about the file's unsynced part may be believed.
        """
        ...

    async def rewrite(self, offset: int) -> None:
        """Write the bytes from `offset` on once more, in place, off the event loop.

        After a sync that failed they may be in the page cache only, and clean there, so that no later sync would write
        them. Nothing is durable before the next `sync`. Raises `OSError`.
        """
        ...

    def truncate(self, size: int) -> None:
        """Cut the end off. `size` beyond the present size is a `ValueError`, as is anything done to a closed file."""
        ...

    def close(self) -> None:
        """Reads and syncs under way still end well."""
        ...


class FileSystem(Protocol):
    def open(self, path: str, *, create: bool = False) -> File:
        """Open for appending and reading. Raises `FileNotFoundError` unless `create`."""
        ...

    def exists(self, path: str) -> bool: ...

    def list(self, directory: str) -> list[str]:
        """Names (not paths) in `directory`, sorted. Raises `FileNotFoundError`."""
        ...

    def make_dirs(self, path: str) -> None:
        """With all parents; no error if it exists."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Atomic within one file system; replaces `new`. Durable once `sync_dir` of the parent has returned."""
        ...

    def remove(self, path: str) -> None:
        """A file. Raises `FileNotFoundError`."""
        ...

    def remove_tree(self, path: str) -> None:
        """A directory with all that is in it. Raises `FileNotFoundError`."""
        ...

    def sync_dir(self, path: str) -> None:
        """Make creations, renames and removals in `path` durable (fsync of the directory). Blocks; cold path only.

        A file's own bytes are `File.sync`'s business; a file whose name was never made durable is gone after a crash.
        """
        ...

    def read_bytes(self, path: str) -> bytes:
        """A small file, whole."""
        ...

    def write_atomic(self, path: str, data: bytes) -> None:
        """Replace a small file so that a crash leaves the old or the new content, durable on return."""
        ...

    def free_bytes(self, path: str) -> int: ...

    def modified_ms(self, path: str) -> int: ...

    def lock(self, path: str) -> Callable[[], None]:
        """Take an exclusive lock on `path`; return what releases it. Raises `BlockingIOError` if it is held."""
        ...


class KeyValueStore(Protocol):
    """An ordered map of bytes to bytes (RocksDB). Contents may be stale or gone after a crash: always derivable."""

    def get(self, key: bytes) -> bytes | None: ...

    def write(self, changes: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Apply puts and deletes (None) as one batch, atomically."""
        ...

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end, ascending. Not a snapshot: writes during the scan may be seen or not."""
        ...

    def scan_back(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """The same pairs, descending."""
        ...

    def delete_range(self, start: bytes, end: bytes) -> None: ...

    def flush(self) -> None:
        """Everything written so far survives a crash once this has returned. Blocks; cold path only."""
        ...

    def close(self) -> None: ...


class SmallState(MutableMapping[str, Any]):
    """JSON values by name, durable when set (SQLite). For what an operator may want to read with any SQLite tool.

    Blocks; cold path only. Raises `OSError` if the file is damaged or the disk fails.
    """

    __slots__ = ()

    @abstractmethod
    def close(self) -> None: ...


class Runtime(Protocol):
    """All of the above, for one node."""

    @property
    def clock(self) -> Clock: ...

    @property
    def rng(self) -> random.Random:
        """For jitter and choices. Never for secrets."""
        ...

    @property
    def network(self) -> Network: ...

    @property
    def files(self) -> FileSystem: ...

    @property
    def boot_id(self) -> str:
        """Of the machine's present run. Another one than before: the machine was down, and what was not synced may be
        lost. The same: only processes died, and every write is still there. Empty where the system does not say."""
        ...

    def token_bytes(self, size: int) -> bytes:
        """Cryptographically strong under the real runtime; seeded under simulation."""
        ...

    def open_kv(self, path: str) -> KeyValueStore:
        """Raises `OSError` if the store is damaged beyond opening; the caller removes and rebuilds it."""
        ...

    def open_state(self, path: str) -> SmallState: ...

    async def in_thread(self, work: Callable[[], R]) -> R:
        """Run blocking or CPU-heavy work off the event loop."""
        ...
