"""Three whole nodes in one simulated world: they find each other, agree, replicate, and outlive one of them."""

from __future__ import annotations

import asyncio

from sprawl.runtime.simulated import Simulation
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    CreatableTopic,
    CreateTopicsRequest,
    CreateTopicsResponse,
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
)
from tools.simulate.cluster import SimulatedCluster, connected


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
