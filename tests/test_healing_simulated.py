"""A simulated cluster that mends itself: nodes that stay away, are drained, or are new; each act leaves its reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sprawl.runtime.simulated import Simulation
from sprawl_protocol.messages import FetchPartition, FetchRequest, FetchResponse, FetchTopic
from sprawl_protocol.records import headers, records_of
from tests.test_reassignment_simulated import Deed, Operator, under_load
from tools.simulate.cluster import SimulatedCluster

EVENTS = "__sprawl_events"
QUICK = {"sprawl.rebuild.grace.ms": "4000", "sprawl.weight.ramp.step.ms": "500"}


async def events(operator: Operator, kind: str) -> list[dict[str, Any]]:
    while not (leaders := await operator.links.leaders(EVENTS)):
        pass
    wanted = FetchPartition(partition=0, fetch_offset=0, partition_max_bytes=1 << 20)
    request = FetchRequest(max_wait_ms=500, min_bytes=1, topics=[FetchTopic(topic=EVENTS, partitions=[wanted])])
    client = await operator.links.to(leaders[0])
    answer = await client.request(request, version=12, expect=FetchResponse)
    data = bytes(answer.responses[0].partitions[0].records or b"")
    found = [json.loads(bytes(each.value or b"")) for at, _ in headers(data) for each in records_of(data, at)]
    return [each for each in found if each["kind"] == kind]


async def one_stays_away(operator: Operator, cluster: SimulatedCluster) -> None:
    cluster.members[2].kill()
    operator.names.remove("n2")
    await operator.until(lambda now: 2 not in now.replica_nodes and len(now.isr_nodes) == 3)
    (move,) = await events(operator, "move")
    assert (move["subject"], move["reason"], sorted(move["after"])) == ("orders-0", "node left", [1, 3, 4])


async def one_is_drained(operator: Operator, cluster: SimulatedCluster) -> None:
    await operator.set(4, "2", "sprawl.weight", "0")
    await operator.until(lambda now: 2 not in now.replica_nodes and len(now.isr_nodes) == 3)
    (move,) = await events(operator, "move")
    assert (move["subject"], move["reason"]) == ("orders-0", "node drained")
    assert not await operator.has_log("n2") or not await operator.moving()


@pytest.mark.parametrize("deed", [one_stays_away, one_is_drained], ids=lambda deed: getattr(deed, "__name__", ""))
def test_a_node_that_goes_is_replaced(deed: Deed) -> None:
    with Simulation(5, strict=False) as world:
        cluster = SimulatedCluster(world, 4, QUICK)
        world.run(under_load(world, cluster, [1, 2, 3], deed), limit=200)
        assert not any(member.endings for member in cluster.members.values())
