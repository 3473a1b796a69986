"""The contract, on every store that needs no server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sprawl.objects.directory import Directory
from sprawl.objects.store import Policy, Store
from sprawl.runtime import Runtime
from tests.objects.contract import PART, SCENARIOS, Scenario
from tests.runtime.conftest import Place, RealPlace, SimulatedPlace

POLICY = Policy(part_bytes=PART, deadline=10.0)


@pytest.fixture(params=["real", "simulated", "simulated-2"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = RealPlace(str(tmp_path)) if request.param == "real" else SimulatedPlace(seed=len(request.param))
    yield made
    made.close()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_directory(place: Place, scenario: Scenario) -> None:
    async def run(runtime: Runtime) -> None:
        await scenario(Store(Directory(f"{place.directory}/bucket", runtime), runtime, POLICY))

    place.run(run)
