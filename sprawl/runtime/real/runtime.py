"""The parts of the real runtime in one hand, with the threads they need.

In: nothing. Out: a `Runtime`. Threads are for what may block only: a few for syncs, a few for reads that miss the
page cache, a few for CPU-heavy work; none of them runs code that touches a node's state.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from sprawl.runtime.interface import KeyValueStore, SmallState
from sprawl.runtime.real.clock import RealClock
from sprawl.runtime.real.directories import RealFileSystem
from sprawl.runtime.real.keyvalue import RocksStore, StoreMemory
from sprawl.runtime.real.network import RealNetwork
from sprawl.runtime.real.state import SqliteState

R = TypeVar("R")

_BOOT_ID: Final = "/proc/sys/kernel/random/boot_id"


class RealRuntime:
    """Threads start when first needed; `close` lets them go (the end of the process does so too)."""

    def __init__(self) -> None:
        self._syncers = ThreadPoolExecutor(4, thread_name_prefix="sprawl-sync")
        self._readers = ThreadPoolExecutor(4, thread_name_prefix="sprawl-read")
        self._workers = ThreadPoolExecutor(2, thread_name_prefix="sprawl-work")
        self._stores: StoreMemory | None = None
        self.clock = RealClock()
        self.rng = random.Random()  # noqa: S311 - jitter and choices
        self.network = RealNetwork()
        self.files = RealFileSystem(self._readers, self._syncers)

    @property
    def boot_id(self) -> str:
        try:
            return self.files.read_bytes(_BOOT_ID).decode().strip()
        except OSError:
            return ""  # no Linux

    def token_bytes(self, size: int) -> bytes:
        return secrets.token_bytes(size)

    def open_kv(self, path: str) -> KeyValueStore:
        if self._stores is None:
            self._stores = StoreMemory()
        return RocksStore(path, self._stores)

    def open_state(self, path: str) -> SmallState:
        return SqliteState(path)

    async def in_thread(self, work: Callable[[], R]) -> R:
        return await asyncio.wrap_future(self._workers.submit(work))

    def close(self) -> None:
        """Wait for what the threads are at, then end them."""
        for pool in (self._workers, self._readers, self._syncers):
            pool.shutdown(wait=True, cancel_futures=True)
