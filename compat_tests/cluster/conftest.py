"""Clusters: one for all tests that break nothing, one behind a proxy, and ones of a test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from compat_tests import brokers
from compat_tests.cluster.journeys import Journey, journey_of
from compat_tests.cluster.nodes import Cluster
from compat_tests.cluster.proxy import Proxy

StartCluster = Callable[..., Cluster]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore"))
            item.add_marker(pytest.mark.timeout(300))
            if brokers.is_kafka():
                item.add_marker(pytest.mark.skip(reason="clusters are started of Sprawl only"))


@pytest.fixture(scope="package")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes that clients talk to directly. Nobody harms it."""
    with Cluster(tmp_path_factory.mktemp("direct")) as running:
        yield running


@pytest.fixture(scope="package")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """The only address of a cluster of three nodes with `sprawl.routing=any`."""
    with Proxy() as before:
        settings = {"sprawl.routing": "any", "advertised.listeners": f"PLAINTEXT://{before.address}"}
        with Cluster(tmp_path_factory.mktemp("any"), settings) as behind:
            before.targets = [("127.0.0.1", each.port) for each in behind.nodes]
            yield before


@pytest.fixture
def start_cluster(tmp_path: Path) -> Iterator[StartCluster]:
    """Starts a cluster of the test's own, which may do to it what it wants; stopped at the test's end."""
    with ExitStack() as stack:
        yield lambda settings=None: stack.enter_context(Cluster(tmp_path / "cluster", settings))


@pytest.fixture(scope="package")
def journeys(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Journey]:
    """The journey of a client, by its folder; what has to be built is built once."""
    built: dict[str, Journey] = {}

    def of(client: str) -> Journey:
        if client not in built:
            built[client] = journey_of(client, tmp_path_factory.mktemp(client))
        return built[client]

    return of
