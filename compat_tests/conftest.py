"""Fixtures every client's tests share: a broker for the whole session, brokers with settings of their own, fresh
topics."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from compat_tests import brokers
from compat_tests.brokers import Server
from compat_tests.matrix import Matrix

MakeTopic = Callable[..., str]
StartBroker = Callable[..., Server]
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "feature(name): which row of the compatibility matrix this test is about")
    config.pluginmanager.register(Matrix(), "compatibility-matrix")


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The broker that most tests share. Nobody stops it."""
    with brokers.server(tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="session")
def bootstrap(broker: Server) -> str:
    return broker.bootstrap


@pytest.fixture
def start_broker(tmp_path: Path) -> Iterator[StartBroker]:
    """Starts a broker of one's own with some settings; stopped at the test's end."""
    running: list[Server] = []

    def start(settings: dict[str, str] | None = None) -> Server:
        one = brokers.server(tmp_path / f"broker-{len(running)}", settings)
        running.append(one)
        one.start()
        return one

    yield start
    for one in running:
        one.stop()


@pytest.fixture(scope="session")
def admin(bootstrap: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})


@pytest.fixture
def new_name(request: pytest.FixtureRequest) -> Callable[[], str]:
    """Names for topics and groups: unique, and telling which test they belong to."""
    test = re.sub(r"\W+", "-", request.node.name).strip("-")[:80]
    return lambda: f"{test}-{next(_numbers)}"


@pytest.fixture
def new_topic(admin: AdminClient, new_name: Callable[[], str]) -> MakeTopic:
    """Creates a topic: `new_topic(partitions=3, config={"retention.ms": "1000"})` gives its name."""

    def create(partitions: int = 1, config: dict[str, str] | None = None) -> str:
        return create_topic(admin, new_name(), partitions, config)

    return create


@pytest.fixture
def topic(new_topic: MakeTopic) -> str:
    """A topic of one partition."""
    return new_topic()


@pytest.fixture
def group(new_name: Callable[[], str]) -> str:
    return new_name()


def create_topic(admin: AdminClient, name: str, partitions: int = 1, config: dict[str, str] | None = None) -> str:
    wanted = NewTopic(name, num_partitions=partitions, replication_factor=1, config=config or {})
    admin.create_topics([wanted], request_timeout=20)[name].result(20)
    return name
