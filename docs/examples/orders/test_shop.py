"""The application's tests, without a container: the fixtures come with Sprawl."""

from __future__ import annotations

import pytest
from shop import count, place

from sprawl.testing import Cluster

ORDERS = [{"customer": "ada"}, {"customer": "bob"}, {"customer": "ada"}]


def test_orders_are_counted_by_customer(sprawl_session: Cluster, sprawl_topic: str) -> None:
    place(sprawl_session.bootstrap_servers, sprawl_topic, ORDERS)
    assert count(sprawl_session.bootstrap_servers, sprawl_topic, sprawl_topic, 3) == {"ada": 2, "bob": 1}


def test_an_order_is_placed_although_the_leader_changes(sprawl_session: Cluster, sprawl_topic: str) -> None:
    fault = sprawl_session.faults.fail("Produce", "NOT_LEADER_OR_FOLLOWER", times=2)
    place(sprawl_session.bootstrap_servers, sprawl_topic, ORDERS[:1])
    assert fault.hits == 2
    assert count(sprawl_session.bootstrap_servers, sprawl_topic, sprawl_topic, 1) == {"ada": 1}


@pytest.mark.sprawl(nodes=3, min_insync_replicas=2)
def test_no_order_is_lost_when_a_broker_dies(sprawl_cluster: Cluster) -> None:
    sprawl_cluster.create_topic("orders", partitions=1, replication_factor=3)
    place(sprawl_cluster.bootstrap_servers, "orders", ORDERS[:2])
    leader = sprawl_cluster.leader("orders")
    assert leader is not None
    leader.kill()
    place(sprawl_cluster.bootstrap_servers, "orders", ORDERS[2:])
    assert count(sprawl_cluster.bootstrap_servers, "orders", "counters", 3) == {"ada": 2, "bob": 1}
