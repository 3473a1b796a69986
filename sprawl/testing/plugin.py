"""The pytest plugin: clusters as fixtures, set up by the marker `sprawl`.

In: `@pytest.mark.sprawl(nodes=3, **settings)`, whose arguments are those of `Cluster`. Out: the fixtures
`sprawl_cluster`, a cluster for each test, and `sprawl_session` with `sprawl_topic`, a cluster for all of them and a
topic for each test. Nothing of Sprawl is imported before a test asks for a cluster.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from sprawl.testing import Cluster

_MARKER = "sprawl"
_TOPIC_NAME = 200
"""The longest name for a test's topic; Kafka allows 249."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(nodes=1, settings=None, **keywords): the cluster of this test's sprawl_cluster; arguments "
        "as for sprawl.testing.Cluster",
    )


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("sprawl_session_nodes", "how many nodes the cluster of sprawl_session has", default="1")


@pytest.fixture
def sprawl_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A cluster for this test alone."""
    from sprawl.testing import Cluster

    arguments, keywords = _wishes(request)
    with Cluster(*arguments, **keywords) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def _sprawl_session(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    from sprawl.testing import Cluster

    with Cluster(int(request.config.getini("sprawl_session_nodes"))) as cluster:
        yield cluster


@pytest.fixture
def sprawl_session(_sprawl_session: Cluster) -> Iterator[Cluster]:
    """A cluster that all tests share; what a test did to it is made good after it, but for topics and groups."""
    yield _sprawl_session
    _sprawl_session.heal()


@pytest.fixture
def sprawl_topic(request: pytest.FixtureRequest, sprawl_session: Cluster) -> Iterator[str]:
    """The name of a topic of `sprawl_session` that this test has for itself."""
    name = f"{re.sub('[^A-Za-z0-9._-]', '-', request.node.name)[:_TOPIC_NAME]}-{_numbers(request.config)()}"
    sprawl_session.create_topic(name)
    yield name
    sprawl_session.heal()
    if name in sprawl_session.topics():
        sprawl_session.delete_topic(name)


def _wishes(request: pytest.FixtureRequest) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The marker's arguments; the one nearest to the test wins, key by key."""
    keywords: dict[str, Any] = {}
    arguments: tuple[Any, ...] = ()
    for marker in reversed(list(request.node.iter_markers(_MARKER))):
        arguments = marker.args or arguments
        keywords.update(marker.kwargs)
    if arguments:
        keywords.pop("nodes", None)
    return arguments, keywords


_NUMBERS = pytest.StashKey[Callable[[], int]]()


def _numbers(config: pytest.Config) -> Callable[[], int]:
    """Numbers that are used once a session: parameters may differ in what topic names cannot have."""
    import itertools

    return config.stash.setdefault(_NUMBERS, itertools.count(1).__next__)
