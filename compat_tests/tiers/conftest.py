"""Brokers with a cloud tier: in MinIO where there is one (moto's server otherwise), and in a directory."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from compat_tests.objects.conftest import bucket, endpoint, only_minio, pytest_collection_modifyitems, real_minio
from tests.objects.conftest import make_bucket, moto_endpoint

__all__ = ["bucket", "endpoint", "moto_endpoint", "only_minio", "pytest_collection_modifyitems", "real_minio"]


@pytest.fixture(params=["minio", "directory"])
def tier_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "directory":
        return f"file://{tmp_path}/tier"
    request.getfixturevalue("only_minio")
    name: str = request.getfixturevalue("bucket")
    asyncio.run(make_bucket(name))
    return f"s3://{name}/sprawl"
