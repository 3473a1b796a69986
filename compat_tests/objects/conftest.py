"""A MinIO for all tests here; where there is none, moto's server in its place, and a line that says so."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from compat_tests.objects.minio import SECRET, USER, Minio, NoMinioError, minio
from tests.objects.conftest import aws_environment, moto_endpoint, new_bucket
from tests.runtime.conftest import RealPlace

__all__ = ["moto_endpoint"]


@pytest.fixture(scope="session")
def real_minio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Minio | None]:
    try:
        with minio(tmp_path_factory.mktemp("minio") / "data") as running:
            yield running
    except NoMinioError as error:
        warnings.warn(f"no MinIO, moto's server in its place: {error}", stacklevel=1)
        yield None


@pytest.fixture
def endpoint(request: pytest.FixtureRequest, real_minio: Minio | None, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of an S3 store, with the AWS variables set for it."""
    found: str = real_minio.endpoint if real_minio is not None else request.getfixturevalue("moto_endpoint")
    aws_environment(monkeypatch, found, USER, SECRET)
    return found


@pytest.fixture
def only_minio(endpoint: str, real_minio: Minio | None) -> Minio:
    """For what moto does not do: checking credentials, permissions and clocks."""
    if real_minio is None:
        pytest.skip("needs MinIO (Go to build it, or MINIO=/path/to/minio)")
    return real_minio


@pytest.fixture
def bucket() -> str:
    return new_bucket()


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealPlace]:
    made = RealPlace(str(tmp_path))
    yield made
    made.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Building MinIO takes minutes; a test's time begins after it."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(120, func_only=True))
