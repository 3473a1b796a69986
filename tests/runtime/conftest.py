"""The same contract for both runtimes: a test that takes `place` runs once on each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from sprawl.runtime import Runtime
from sprawl.runtime.real import RealRuntime, run
from sprawl.runtime.simulated import Simulation

T = TypeVar("T")
Scenario = Callable[[Runtime], Coroutine[Any, Any, T]]


class Place(Protocol):
    directory: str

    def run(self, scenario: Scenario[T]) -> T: ...


class RealPlace:
    def __init__(self, directory: str) -> None:
        self.directory = directory
        self._runtime = RealRuntime()

    def run(self, scenario: Scenario[T]) -> T:
        async def limited() -> T:
            async with asyncio.timeout(20):
                return await scenario(self._runtime)

        return run(limited())

    def close(self) -> None:
        self._runtime.close()


class SimulatedPlace:
    def __init__(self, seed: int) -> None:
        self.directory = "/data"
        self._world = Simulation(seed)
        self._node = self._world.node("broker")
        self._node.runtime.files.make_dirs(self.directory)

    def run(self, scenario: Scenario[T]) -> T:
        return self._world.run(scenario(self._node.runtime), on=self._node)

    def close(self) -> None:
        self._world.close()


@pytest.fixture(params=["real", "simulated", "simulated-2"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = RealPlace(str(tmp_path)) if request.param == "real" else SimulatedPlace(seed=len(request.param))
    yield made
    made.close()
