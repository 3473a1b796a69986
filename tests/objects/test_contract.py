"""The contract, on every store that can be had without leaving this process."""

from __future__ import annotations

import pytest

from sprawl.objects.directory import Directory
from sprawl.objects.opening import open_store
from sprawl.objects.store import Policy, Store
from sprawl.runtime import Runtime
from tests.objects.conftest import aws_environment, make_bucket, new_bucket
from tests.objects.contract import PART, SCENARIOS, Scenario
from tests.runtime.conftest import Place, RealPlace

POLICY = Policy(part_bytes=PART, deadline=10.0)
every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)


@every_scenario
def test_directory(place: Place, scenario: Scenario) -> None:
    async def run(runtime: Runtime) -> None:
        await scenario(Store(Directory(f"{place.directory}/bucket", runtime), runtime, POLICY))

    place.run(run)


@every_scenario
def test_s3(real: RealPlace, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch, scenario: Scenario) -> None:
    aws_environment(monkeypatch, moto_endpoint)
    bucket = new_bucket()

    async def run(runtime: Runtime) -> None:
        await make_bucket(bucket)
        store = await open_store(f"s3://{bucket}/some/prefix", runtime, POLICY)
        try:
            await scenario(store)
        finally:
            await store.close()

    real.run(run)
