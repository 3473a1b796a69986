"""The parts of the simulated runtime in one hand: what a process of a simulated node is given.

In: a process. Out: a `Runtime`, in which time, chance, network and disk are the world's. Never a thread: `in_thread`
does the work after a while, when no other code runs.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from sprawl.runtime.interface import KeyValueStore, SmallState
from sprawl.runtime.simulated.directories import SimulatedFileSystem
from sprawl.runtime.simulated.fabric import Fabric
from sprawl.runtime.simulated.keyvalue import open_store
from sprawl.runtime.simulated.network import SimulatedNetwork
from sprawl.runtime.simulated.state import SimulatedState

if TYPE_CHECKING:
    from sprawl.runtime.simulated.node import Process

R = TypeVar("R")

_THREAD_LEAST: Final = 50e-6
_THREAD_SPREAD: Final = 2e-3


class SimulatedRuntime:
    def __init__(self, process: Process, fabric: Fabric, rng: random.Random) -> None:
        self._process = process
        self._secrets = random.Random(rng.getrandbits(64))  # noqa: S311 - it must be repeatable
        self.clock = process.clock
        self.rng = rng
        self.network = SimulatedNetwork(fabric, process)
        self.files = SimulatedFileSystem(process)

    @property
    def boot_id(self) -> str:
        return f"{self._process.node.name}-{self._process.node.power_failures}"

    def token_bytes(self, size: int) -> bytes:
        return self._secrets.randbytes(size)

    def open_kv(self, path: str) -> KeyValueStore:
        self._process.check()
        return open_store(self._process, path)

    def open_state(self, path: str) -> SmallState:
        return SimulatedState(self._process, path)

    async def in_thread(self, work: Callable[[], R]) -> R:
        self._process.check()
        return await self._process.later(_THREAD_LEAST + self.rng.random() * _THREAD_SPREAD, work)
