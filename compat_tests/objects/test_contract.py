"""The contract of the object store, on a real MinIO."""

from __future__ import annotations

import pytest

from sprawl.objects.opening import open_store
from sprawl.objects.store import Policy
from sprawl.runtime import Runtime
from tests.objects.conftest import make_bucket
from tests.objects.contract import PART, SCENARIOS, Scenario
from tests.runtime.conftest import RealPlace


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_s3(real: RealPlace, endpoint: str, bucket: str, scenario: Scenario) -> None:
    async def run(runtime: Runtime) -> None:
        await make_bucket(bucket)
        store = await open_store(f"s3://{bucket}/some/prefix", runtime, Policy(part_bytes=PART, deadline=10.0))
        try:
            await scenario(store)
        finally:
            await store.close()

    real.run(run)
