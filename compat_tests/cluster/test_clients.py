"""Every client on a cluster of three nodes, by way of the nodes' own addresses and behind a single one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka.admin import AdminClient

from compat_tests.cluster.journeys import CLIENTS, Journey
from compat_tests.cluster.nodes import Cluster
from compat_tests.cluster.proxy import Proxy

Journeys = Callable[[str], Journey]


def each_client(feature: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "client", [pytest.param(each, marks=pytest.mark.feature(feature, client=each)) for each in CLIENTS]
    )


@each_client("a cluster, talking to its nodes")
def test_a_client_writes_and_reads_replicated_topics(
    cluster: Cluster, journeys: Journeys, client: str, new_name: Callable[[], str]
) -> None:
    journeys(client)(cluster.nodes[0].bootstrap, new_name())


@each_client("a cluster behind one address")
def test_a_client_needs_no_other_address_than_that_of_a_proxy(
    proxy: Proxy, journeys: Journeys, client: str, new_name: Callable[[], str]
) -> None:
    journeys(client)(proxy.address, new_name())


def test_clients_behind_a_proxy_are_told_its_address_alone_and_reach_every_node(proxy: Proxy) -> None:
    for _ in range(6):
        told = AdminClient({"bootstrap.servers": proxy.address}).list_topics(timeout=20)
        assert {f"{each.host}:{each.port}" for each in told.brokers.values()} == {proxy.address}
        assert len(told.brokers) == 1, "clients that keep one broker per address would look for the others"
    assert set(proxy.carried) == set(proxy.targets), "connections were not spread over all nodes"
