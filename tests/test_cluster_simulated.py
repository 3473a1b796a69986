"""Three whole nodes in one simulated world: they find each other, agree, replicate, and outlive one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from sprawl.runtime.simulated import Simulation
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    CreatableTopic,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DescribeQuorumRequest,
    DescribeQuorumRequestPartitionData,
    DescribeQuorumRequestTopicData,
    DescribeQuorumResponse,
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
)
from tools.simulate.clients import Links, Producer, Seen, check, create, read_whole
from tools.simulate.cluster import Member, SimulatedCluster, connected


async def metadata(world: Simulation, names: list[str], topic: str) -> MetadataResponse:
    client = await connected(world.driver.runtime, names)
    answer = await client.request(
        MetadataRequest(topics=[MetadataRequestTopic(name=topic)]), version=12, expect=MetadataResponse
    )
    await client.close()
    return answer


def test_three_nodes_form_a_cluster_and_agree_on_a_topic() -> None:
    async def story() -> None:
        cluster.start()
        client = await connected(world.driver.runtime, ["n2"])
        made = await client.request(
            CreateTopicsRequest(
                topics=[CreatableTopic(name="orders", num_partitions=6, replication_factor=3)], timeout_ms=5000
            ),
            expect=CreateTopicsResponse,
        )
        assert made.topics[0].error_code == 0, (ErrorCode(made.topics[0].error_code), made.topics[0].error_message)
        await asyncio.sleep(1)
        seen = [await metadata(world, [f"n{node}"], "orders") for node in (1, 2, 3)]
        for answer in seen:
            assert {broker.node_id for broker in answer.brokers} == {1, 2, 3}
            assert [sorted(each.isr_nodes) for each in answer.topics[0].partitions] == [[1, 2, 3]] * 6
            assert {each.leader_id for each in answer.topics[0].partitions} == {1, 2, 3}
        cluster.stop()

    with Simulation(1, strict=False) as world:
        cluster = SimulatedCluster(world, 3)
        world.run(story(), limit=60)


PARTITIONS = 3
Trouble = Callable[[Simulation, SimulatedCluster], Coroutine[Any, Any, None]]


async def under_load(world: Simulation, cluster: SimulatedCluster, trouble: Trouble, seconds: float) -> None:
    """Produce to every partition while there is trouble, let all come back, read everything, and judge."""
    cluster.start()
    names = [member.name for member in cluster.members.values()]
    runtime = world.driver.runtime
    links = Links(runtime, names)
    await create(links, partitions=PARTITIONS, replicas=3, min_isr=2)
    seen = [Seen() for _ in range(PARTITIONS)]
    producers = [Producer(runtime, names, partition, seen[partition]) for partition in range(PARTITIONS)]
    tasks = [asyncio.create_task(producer.run()) for producer in producers]
    disturbing = asyncio.create_task(trouble(world, cluster))
    await asyncio.sleep(seconds)
    disturbing.cancel()
    await asyncio.gather(disturbing, return_exceptions=True)
    world.links.heal()
    for member in cluster.members.values():
        if not member.up:
            member.start()
    healed = runtime.clock.monotonic()
    await asyncio.sleep(15)
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for partition, known in enumerate(seen):
        assert known.last_ack > healed, f"partition {partition}: nothing acknowledged once all was well"
        found = await read_whole(links, partition, max(known.acknowledged.values()) + 1)
        check(partition, known, found)
    cluster.stop()


async def kills(world: Simulation, cluster: SimulatedCluster) -> None:
    rng = world.driver.runtime.rng
    while True:
        await asyncio.sleep(1 + rng.random() * 4)
        member = rng.choice(list(cluster.members.values()))
        if member.up:
            member.kill()
            await asyncio.sleep(0.2 + rng.random() * 4)
            member.start()


async def power_failures(world: Simulation, cluster: SimulatedCluster) -> None:
    rng = world.driver.runtime.rng
    while True:
        await asyncio.sleep(1 + rng.random() * 4)
        for member in rng.sample(list(cluster.members.values()), rng.choice([1, 1, 2, 3])):
            member.crash()
        await asyncio.sleep(0.2 + rng.random() * 4)
        for member in cluster.members.values():
            if not member.up:
                member.start()


async def splits(world: Simulation, cluster: SimulatedCluster) -> None:
    rng = world.driver.runtime.rng
    names = [member.name for member in cluster.members.values()]
    while True:
        await asyncio.sleep(1 + rng.random() * 4)
        if rng.random() < 0.5:
            world.links.isolate(rng.choice(names))
        else:
            source, target = rng.sample(names, 2)
            world.links.block(source, target, both_ways=rng.random() < 0.5)
        await asyncio.sleep(0.5 + rng.random() * 5)
        world.links.heal()


@pytest.mark.parametrize("trouble", [kills, power_failures, splits], ids=lambda trouble: trouble.__name__)
@pytest.mark.parametrize("seed", range(2))
def test_nothing_acknowledged_is_lost_or_doubled(trouble: Trouble, seed: int) -> None:
    with Simulation(seed, strict=False) as world:
        cluster = SimulatedCluster(world, 3)
        world.run(under_load(world, cluster, trouble, seconds=30), limit=300)


async def voters_of(world: Simulation, names: list[str]) -> list[int]:
    client = await connected(world.driver.runtime, names)
    answer = await client.request(
        DescribeQuorumRequest(
            topics=[
                DescribeQuorumRequestTopicData(
                    topic_name="__cluster_metadata", partitions=[DescribeQuorumRequestPartitionData(partition_index=0)]
                )
            ]
        ),
        expect=DescribeQuorumResponse,
    )
    await client.close()
    (partition,) = answer.topics[0].partitions
    return sorted(each.replica_id for each in partition.current_voters)


@pytest.mark.parametrize(("nodes", "voters"), [(2, 1), (3, 3), (5, 3)])
def test_the_quorum_has_as_many_voters_as_the_cluster_has_nodes_for(nodes: int, voters: int) -> None:
    async def story() -> None:
        cluster.start()
        await asyncio.sleep(10)
        found = [await voters_of(world, [member.name]) for member in cluster.members.values()]
        assert all(each == found[0] for each in found)
        assert len(found[0]) == voters
        cluster.stop()

    with Simulation(3, strict=False) as world:
        cluster = SimulatedCluster(world, nodes)
        world.run(story(), limit=100)


def test_a_voter_that_is_gone_for_good_is_replaced() -> None:
    async def story() -> None:
        cluster.start()
        await asyncio.sleep(10)
        before = await voters_of(world, ["n1"])
        cluster.members[before[0]].kill()
        await asyncio.sleep(20)
        rest = [member.name for member in cluster.up]
        after = await voters_of(world, rest)
        assert len(after) == 3
        assert before[0] not in after
        cluster.stop()

    with Simulation(4, strict=False) as world:
        cluster = SimulatedCluster(world, 4, {"sprawl.quorum.voter.grace.ms": "5000"})
        world.run(story(), limit=100)


def test_a_controller_whose_disk_is_full_gives_way() -> None:
    """It would refuse every change, and fence nobody."""

    async def story() -> None:
        cluster.start()
        await asyncio.sleep(10)
        links = Links(world.driver.runtime, [member.name for member in cluster.members.values()])
        old = next(each for each in cluster.up if _controls(each))
        old.machine.disk.capacity = old.machine.disk.used
        async with asyncio.timeout(30):
            await create(links, partitions=3, replicas=3, min_isr=2)
        await asyncio.sleep(5)
        assert [each for each in cluster.up if _controls(each)] != [old]
        cluster.stop()

    with Simulation(5, strict=False) as world:
        cluster = SimulatedCluster(world, 3)
        world.run(story(), limit=100)


def _controls(member: Member) -> bool:
    return member.node is not None and member.node.parts is not None and member.node.parts.quorum.leading


@pytest.mark.parametrize("trouble", [None, kills], ids=["calm", "kills"])
def test_any_node_answers_for_all(trouble: Trouble | None) -> None:
    """Every client is told that each broker is where it came in: it speaks to one node, and reaches all partitions."""

    async def calm(world: Simulation, cluster: SimulatedCluster) -> None:
        await asyncio.Event().wait()

    with Simulation(7, strict=False) as world:
        cluster = SimulatedCluster(world, 3, {"sprawl.routing": "any"})
        world.run(under_load(world, cluster, trouble or calm, seconds=15), limit=300)
