"""Gossip beside the quorum, in whole simulated clusters: who is gone is fenced soon, and nobody is on hearsay alone."""

from __future__ import annotations

import asyncio

import pytest

from sprawl.runtime.simulated import Simulation
from sprawl_protocol.messages import (
    DescribeQuorumRequest,
    DescribeQuorumRequestPartitionData,
    DescribeQuorumRequestTopicData,
    DescribeQuorumResponse,
    MetadataRequest,
    MetadataResponse,
)
from tools.simulate.cluster import SimulatedCluster, connected

SLOW = {"broker.session.timeout.ms": "9000"}
"""As in Kafka: without gossip it takes so long until a node is fenced."""


async def brokers_seen(world: Simulation, name: str) -> set[int]:
    client = await connected(world.driver.runtime, [name])
    answer = await client.request(MetadataRequest(topics=[]), version=12, expect=MetadataResponse)
    await client.close()
    return {broker.node_id for broker in answer.brokers}


async def fenced_after(world: Simulation, observer: str, victim: int, limit: float) -> float:
    """Seconds from now until `observer` tells clients nothing of `victim` any more."""
    clock = world.driver.runtime.clock
    began = clock.monotonic()
    while clock.monotonic() < began + limit:
        if victim not in await brokers_seen(world, observer):
            return clock.monotonic() - began
        await asyncio.sleep(0.02)
    return float("inf")


async def controller(world: Simulation) -> int:
    client = await connected(world.driver.runtime, ["n1", "n2", "n3"])
    asked = DescribeQuorumRequestTopicData(
        topic_name="__cluster_metadata", partitions=[DescribeQuorumRequestPartitionData(partition_index=0)]
    )
    answer = await client.request(DescribeQuorumRequest(topics=[asked]), expect=DescribeQuorumResponse)
    await client.close()
    return answer.topics[0].partitions[0].leader_id


@pytest.mark.parametrize("seed", range(4))
def test_a_killed_node_is_fenced_within_two_seconds(seed: int) -> None:
    async def story() -> None:
        cluster.start()
        await asyncio.sleep(8)
        assert await brokers_seen(world, "n1") == {1, 2, 3}
        leader = await controller(world)
        victim = next(node for node in (3, 2, 1) if node != leader)
        cluster.members[victim].kill()
        took.append(await fenced_after(world, f"n{leader}", victim, 20))
        cluster.stop()

    took: list[float] = []
    with Simulation(seed, strict=False) as world:
        cluster = SimulatedCluster(world, 3, SLOW)
        world.run(story(), limit=100)
    assert took[0] < 2, f"fenced after {took[0]:.2f} s"
