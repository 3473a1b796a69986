"""Gossip beside the quorum, in whole simulated clusters: who is gone is fenced soon, and nobody is on hearsay alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

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
from tools.simulate.cluster import PORT, Member, SimulatedCluster, connected

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


async def followers(world: Simulation) -> tuple[int, list[int]]:
    """The controller, and the others."""
    leader = await controller(world)
    return leader, [node for node in (1, 2, 3) if node != leader]


def play(world: Simulation, cluster: SimulatedCluster, trouble: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """`trouble`, in a cluster that has been well for a while."""

    async def story() -> None:
        cluster.start()
        await asyncio.sleep(8)
        assert await brokers_seen(world, "n1") == {1, 2, 3}
        await trouble()
        cluster.stop()

    world.run(story(), limit=200)


@pytest.mark.parametrize("seed", range(6))
def test_a_killed_node_is_fenced_within_two_seconds(seed: int) -> None:
    async def trouble() -> None:
        leader, (victim, _) = await followers(world)
        cluster.members[victim].kill()
        took = await fenced_after(world, f"n{leader}", victim, 20)
        assert took < 2, f"fenced after {took:.2f} s"

    with Simulation(seed, strict=False) as world:
        cluster = SimulatedCluster(world, 3, SLOW)
        play(world, cluster, trouble)


@pytest.mark.parametrize("seed", range(2))
def test_a_node_whose_machine_lost_its_network_is_fenced_within_three_seconds(seed: int) -> None:
    async def trouble() -> None:
        leader, (victim, _) = await followers(world)
        world.links.isolate(f"n{victim}")
        took = await fenced_after(world, f"n{leader}", victim, 20)
        assert took < 3, f"fenced after {took:.2f} s"
        world.links.heal()
        await asyncio.sleep(6)
        assert victim in await brokers_seen(world, f"n{leader}")

    with Simulation(seed, strict=False) as world:
        cluster = SimulatedCluster(world, 3, SLOW)
        play(world, cluster, trouble)


def test_a_killed_controller_is_fenced_soon_after_the_next_one_is_elected() -> None:
    async def trouble() -> None:
        leader, (other, _) = await followers(world)
        cluster.members[leader].kill()
        took = await fenced_after(world, f"n{other}", leader, 20)
        assert took < 6, f"fenced after {took:.2f} s; a session is 9 s"

    with Simulation(3, strict=False) as world:
        cluster = SimulatedCluster(world, 3, SLOW)
        play(world, cluster, trouble)


def test_a_node_that_only_loses_udp_is_not_fenced() -> None:
    async def trouble() -> None:
        leader, (victim, _) = await followers(world)
        world.links.isolate(f"n{victim}", tcp=False)
        assert await fenced_after(world, f"n{leader}", victim, 30) == float("inf")

    with Simulation(1, strict=False) as world:
        cluster = SimulatedCluster(world, 3, SLOW)
        play(world, cluster, trouble)


def test_a_node_that_gossip_accuses_is_not_fenced_while_its_heartbeats_arrive(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The third node cannot reach it at all, says so, and is right as far as it knows."""
    caplog.set_level(logging.INFO)

    async def trouble() -> None:
        leader, (victim, accuser) = await followers(world)
        world.links.isolate(f"n{victim}", tcp=False)
        world.links.block(f"n{victim}", f"n{accuser}")
        caplog.clear()
        assert await fenced_after(world, f"n{leader}", victim, 30) == float("inf")
        assert any(f"node {victim} (n{victim}:9092) suspected" in each.getMessage() for each in caplog.records)

    with Simulation(2, strict=False) as world:
        cluster = SimulatedCluster(world, 3, SLOW)
        play(world, cluster, trouble)


def test_a_node_that_does_not_answer_the_controller_is_not_fenced_while_its_heartbeats_arrive(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)

    async def trouble() -> None:
        leader, (victim, _) = await followers(world)
        world.links.isolate(f"n{victim}", tcp=False)
        del world.network.listening[f"n{victim}", PORT]  # no new connections; it goes on with those it has
        caplog.clear()
        assert await fenced_after(world, f"n{leader}", victim, 30) == float("inf")
        assert any(f"node {victim} is doubted, and does not answer" in each.getMessage() for each in caplog.records)

    with Simulation(2, strict=False) as world:
        cluster = SimulatedCluster(world, 3, SLOW)
        play(world, cluster, trouble)


def test_without_its_udp_port_a_node_goes_on_and_says_what_that_costs(caplog: pytest.LogCaptureFixture) -> None:
    async def occupy(member: Member) -> None:
        await member.machine.runtime.network.datagram(member.name, PORT)

    async def story() -> None:
        for member in cluster.members.values():
            await member.machine.run(occupy(member))
        cluster.start()
        await asyncio.sleep(8)
        leader, (victim, _) = await followers(world)
        cluster.members[victim].kill()
        took = await fenced_after(world, f"n{leader}", victim, 20)
        assert 8 < took < 10, f"fenced after {took:.2f} s; a session is 9 s"
        cluster.stop()

    with Simulation(1, strict=False) as world:
        cluster = SimulatedCluster(world, 3, SLOW)
        world.run(story(), limit=200)
    said = [each.getMessage() for each in caplog.records if each.getMessage().startswith("no gossip: UDP port 9092")]
    assert len(said) == 3
    assert "noticed only by its missing heartbeats" in said[0]


def test_a_node_on_its_own_has_no_socket_for_gossip_until_there_is_another() -> None:
    async def story() -> None:
        first, second = cluster.members.values()
        first.config["sprawl.seeds"] = ""
        first.start()
        await asyncio.sleep(5)
        assert ("n1", PORT) not in world.network.datagrams
        second.start()
        await asyncio.sleep(5)
        assert {("n1", PORT), ("n2", PORT)} <= set(world.network.datagrams)
        second.kill()
        took = await fenced_after(world, "n1", 2, 20)
        assert took < 2, f"fenced after {took:.2f} s"
        cluster.stop()

    with Simulation(5, strict=False) as world:
        cluster = SimulatedCluster(world, 2, SLOW)
        world.run(story(), limit=100)
