"""What a simulated cluster did by itself stands in `__sprawl_events`, once, with its reason, whoever died meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from sprawl.runtime.simulated import Simulation
from sprawl.wire.client import ClientError
from sprawl_protocol.messages import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    UnregisterBrokerRequest,
    UnregisterBrokerResponse,
)
from sprawl_protocol.records import Record, build_batch, headers, records_of
from tests.test_reassignment_simulated import Operator
from tools.simulate.clients import TOPIC
from tools.simulate.cluster import DIRECTORY, SimulatedCluster

EVENTS = "__sprawl_events"
Told = list[dict[str, Any]]
Story = Callable[[Operator, SimulatedCluster], Coroutine[None, None, None]]


async def told(operator: Operator) -> Told:
    """Everything that is committed in the topic; nothing if it cannot be read now."""
    found: Told = []
    try:
        while True:
            leaders = await operator.links.leaders(EVENTS)
            wanted = FetchPartition(partition=0, fetch_offset=len(found), partition_max_bytes=1 << 20)
            request = FetchRequest(session_epoch=-1, topics=[FetchTopic(topic=EVENTS, partitions=[wanted])])
            client = await operator.links.to(leaders[0])
            answer = await client.request(request, version=12, expect=FetchResponse)
            data = bytes(answer.responses[0].partitions[0].records or b"")
            if not data:
                return found
            found += [json.loads(bytes(each.value or b"")) for at, _ in headers(data) for each in records_of(data, at)]
    except (ClientError, OSError, KeyError):
        return []


async def until_told(operator: Operator, holds: Callable[[Told], bool]) -> Told:
    while not holds(found := await told(operator)):
        await asyncio.sleep(0.5)
    assert max(Counter(each["id"] for each in found).values()) == 1, "an event is told once"
    return found


def of(found: Told, kind: str, subject: str) -> Told:
    return [each for each in found if (each["kind"], each["subject"]) == (kind, subject)]


def tell(story: Story, seed: int = 7, nodes: int = 3, settings: dict[str, str] | None = None) -> None:
    with Simulation(seed, strict=False) as world:
        cluster = SimulatedCluster(world, nodes, {"leader.imbalance.check.interval.seconds": "5", **(settings or {})})

        async def whole() -> None:
            cluster.start()
            operator = Operator(world, cluster)
            await operator.make_topic(1, 2, 3)
            await operator.until(lambda now: now.leader_id == 1 and len(now.isr_nodes) == 3)
            while await operator.voters() != [1, 2, 3]:
                await asyncio.sleep(0.1)
            await story(operator, cluster)
            cluster.stop()

        world.run(whole(), limit=300)


def test_a_death_and_a_return_are_told_with_their_leaders() -> None:
    async def story(operator: Operator, cluster: SimulatedCluster) -> None:
        cluster.members[1].kill()
        await operator.until(lambda now: now.leader_id == 2)
        found = await until_told(operator, lambda found: bool(of(found, "leader", f"{TOPIC}-0")))
        (fenced,) = of(found, "fenced", "node 1")
        (elected,) = of(found, "leader", f"{TOPIC}-0")
        assert fenced["reason"] == "the controller has not heard of it in time"
        assert (elected["before"], elected["after"]) == (1, 2)
        assert elected["reason"] == "node 1 led: it is fenced"
        cluster.members[1].start()
        await operator.until(lambda now: now.leader_id == 1)
        found = await until_told(operator, lambda found: len(of(found, "leader", f"{TOPIC}-0")) == 2)
        assert of(found, "unfenced", "node 1")
        assert of(found, "leader", f"{TOPIC}-0")[1]["reason"] == "the preferred leader is in sync and leads again"

    tell(story)


def test_a_drain_is_told_from_its_beginning_to_its_end() -> None:
    async def story(operator: Operator, cluster: SimulatedCluster) -> None:
        await operator.make_topic(1, 2, 3)
        await operator.set(4, "3", "sprawl.weight", "0")
        found = await until_told(operator, lambda found: bool(of(found, "drain-begun", "node 3")))
        assert not of(found, "drained", "node 3"), "three replicas on two nodes there cannot be"
        await operator.set(4, "3", "sprawl.weight", None)
        await until_told(operator, lambda found: bool(of(found, "drain-ended", "node 3")))

    tell(story)


def test_a_node_that_goes_for_good_is_told_to_the_end() -> None:
    async def story(operator: Operator, cluster: SimulatedCluster) -> None:
        cluster.members[3].kill()
        found = await until_told(operator, lambda found: bool(of(found, "voter-removed", "node 3")))
        (added,) = of(found, "voter-added", "node 4")
        assert added["reason"] == "in the place of node 3: it is fenced"
        assert of(found, "voter-removed", "node 3")[0]["voters"] == [1, 2, 4]
        await operator.until(lambda now: sorted(now.replica_nodes) == [1, 2, 4])
        await operator.ask(UnregisterBrokerRequest(broker_id=3), UnregisterBrokerResponse)
        found = await until_told(operator, lambda found: bool(of(found, "unregistered", "node 3")))
        (move,) = of(found, "move", f"{TOPIC}-0")
        assert move["reason"] == "node left"

    tell(story, nodes=4, settings={"sprawl.quorum.voter.grace.ms": "3000", "sprawl.rebuild.grace.ms": "4000"})


def test_a_node_that_is_drained_is_empty_in_the_end() -> None:
    async def story(operator: Operator, cluster: SimulatedCluster) -> None:
        await operator.set(4, "2", "sprawl.weight", "0")
        found = await until_told(operator, lambda found: bool(of(found, "drained", "node 2")))
        kinds = [each["kind"] for each in found if each["kind"] in ("drain-begun", "move", "drained")]
        assert kinds[0] == "drain-begun"
        assert kinds.count("drained") == 1

    tell(story, nodes=4)


def test_damage_and_its_repair_are_told() -> None:
    async def story(operator: Operator, cluster: SimulatedCluster) -> None:
        await produce(operator, 50)
        struck = cluster.members[1]
        struck.kill()
        disk = struck.machine.disk
        (path,) = (
            f"{DIRECTORY}/{name}/00000000000000000000.log"
            for name in disk.names.entries(DIRECTORY)
            if name.startswith(f"{TOPIC}-0")
        )
        disk.corrupt(path, 100, 1)
        struck.start()
        found = await until_told(operator, lambda found: bool(of(found, "repaired", f"{TOPIC}-0")))
        (damaged,) = of(found, "damaged", f"{TOPIC}-0")
        assert damaged["broker"] == 1
        (back,) = of(found, "repaired", f"{TOPIC}-0")
        assert back["broker"] == 1

    tell(story)


async def produce(operator: Operator, count: int) -> None:
    for _ in range(count):
        records = PartitionProduceData(index=0, records=build_batch([Record(0, 0, b"k", b"v" * 1000)]))
        topic = TopicProduceData(name=TOPIC, partition_data=[records])
        request = ProduceRequest(acks=-1, timeout_ms=5000, topic_data=[topic])
        client = await operator.links.to("n1")
        answer = await client.request(request, version=9, expect=ProduceResponse)
        assert not answer.responses[0].partition_responses[0].error_code


@pytest.mark.parametrize("seed", range(30, 33))
def test_whoever_dies_no_death_is_forgotten_and_none_told_twice(seed: int) -> None:
    """The controller, and the leader of the event topic, among others, in the midst of telling."""

    async def story(operator: Operator, cluster: SimulatedCluster) -> None:
        deaths = 0
        for number in range(6):
            member = cluster.members[number % 3 + 1]
            member.kill()
            deaths += 1
            await operator.until(lambda now, dead=member.node_id: dead not in now.isr_nodes)  # type: ignore[misc]
            await asyncio.sleep(operator.rng.random())
            member.start()
            await operator.until(lambda now: len(now.isr_nodes) == 3)
        found = await until_told(operator, lambda found: len(_deaths(found)) >= deaths)
        assert len(_deaths(found)) == deaths

    tell(story, seed)


def _deaths(found: Told) -> Told:
    """A node that is back before it was missed has started anew."""
    return [each for each in found if each["kind"] in ("fenced", "restarted")]
