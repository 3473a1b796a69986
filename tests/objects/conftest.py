"""Where the tests' objects are: directories on both runtimes, and moto's S3 server."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.conftest import Place, RealPlace, SimulatedPlace

REGION = "us-east-1"
_numbers = itertools.count(1)


@pytest.fixture(params=["real", "simulated", "simulated-2"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = RealPlace(str(tmp_path)) if request.param == "real" else SimulatedPlace(seed=len(request.param))
    yield made
    made.close()


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealPlace]:
    made = RealPlace(str(tmp_path))
    yield made
    made.close()


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """A server that speaks S3, in a thread of this process."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def aws_environment(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, user: str = "tester", secret: str = "secret-1"
) -> None:
    """As a person would set it for any AWS tool; nothing of this machine's own settings gets through."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", user)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)


async def make_bucket(name: str) -> None:
    from aiobotocore.session import get_session

    async with get_session().create_client("s3") as client:
        await client.create_bucket(Bucket=name)


def new_bucket() -> str:
    return f"bucket-{next(_numbers)}"
