"""Reading from the nearest replica (KIP-392), and who leads instead (KIP-951): three simulated nodes, three racks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

import pytest

from sprawl.config.broker import ReplicaSelector
from sprawl.runtime.simulated import Simulation
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from sprawl_protocol.records import Record, build_batch
from tests.test_reassignment_simulated import Operator
from tools.simulate.clients import TOPIC
from tools.simulate.cluster import SimulatedCluster

BY_RACK = {"replica.selector.class": ReplicaSelector.RACK_AWARE.value, "min.insync.replicas": "2"}
AT_LEADERS = {"replica.selector.class": ReplicaSelector.LEADER.value}
Story = Callable[["Reading"], Coroutine[None, None, None]]


class Reading:
    def __init__(self, world: Simulation, cluster: SimulatedCluster) -> None:
        self.cluster = cluster
        self.operator = Operator(world, cluster)

    async def produce(self, name: str, count: int = 1, version: int = 12) -> ProduceResponse:
        records = [Record(i, 0, b"k", str(i).encode()) for i in range(count)]
        data = PartitionProduceData(index=0, records=build_batch(records))
        request = ProduceRequest(
            acks=-1, timeout_ms=5000, topic_data=[TopicProduceData(name=TOPIC, partition_data=[data])]
        )
        client = await self.operator.links.to(name)
        return await client.request(request, expect=ProduceResponse, version=version)

    async def fetch(
        self, name: str, rack: str = "", offset: int = 0, version: int = 12, epoch: int = -1
    ) -> tuple[PartitionData, FetchResponse]:
        wanted = FetchPartition(
            partition=0, fetch_offset=offset, partition_max_bytes=1 << 20, current_leader_epoch=epoch
        )
        request = FetchRequest(
            max_wait_ms=2000,
            min_bytes=1,
            max_bytes=1 << 20,
            session_epoch=-1,
            topics=[FetchTopic(topic=TOPIC, partitions=[wanted])],
            rack_id=rack,
        )
        client = await self.operator.links.to(name)
        answer = await client.request(request, expect=FetchResponse, version=version)
        return answer.responses[0].partitions[0], answer


def tell(story: Story, settings: dict[str, str]) -> None:
    with Simulation(5, strict=False) as world:
        cluster = SimulatedCluster(world, 3, settings)
        for node, member in cluster.members.items():
            member.config["broker.rack"] = f"rack-{node}"

        async def whole() -> None:
            cluster.start()
            reading = Reading(world, cluster)
            await reading.operator.make_topic(1, 2, 3)
            await reading.operator.until(lambda now: now.leader_id == 1 and len(now.isr_nodes) == 3)
            await story(reading)
            cluster.stop()

        world.run(whole(), limit=60)


def test_a_consumer_is_sent_to_the_replica_in_its_rack_and_reads_there() -> None:
    async def story(reading: Reading) -> None:
        await reading.produce("n1", 3)
        told, _ = await reading.fetch("n1", "rack-3")
        assert (told.error_code, told.preferred_read_replica, bytes(told.records or b"")) == (0, 3, b"")
        there, _ = await reading.fetch("n3", "rack-3")
        assert (there.error_code, there.high_watermark, there.preferred_read_replica) == (0, 3, -1)
        assert there.records
        at_home, _ = await reading.fetch("n1", "rack-1")
        assert at_home.preferred_read_replica == -1
        assert at_home.records
        nowhere, _ = await reading.fetch("n1", "rack-9")
        assert nowhere.preferred_read_replica == -1
        assert nowhere.records

    tell(story, BY_RACK)


def test_a_follower_has_new_records_at_once_for_those_who_wait() -> None:
    async def story(reading: Reading) -> None:
        await reading.produce("n1")
        await reading.fetch("n3", offset=0)
        loop = asyncio.get_running_loop()
        waiting = asyncio.create_task(reading.fetch("n3", offset=1))
        await asyncio.sleep(0.1)
        began = loop.time()
        await reading.produce("n1")
        told, _ = await waiting
        assert told.records
        assert loop.time() - began < 0.1

    tell(story, BY_RACK)


def test_without_the_setting_nobody_is_sent_elsewhere_but_followers_may_be_read() -> None:
    async def story(reading: Reading) -> None:
        await reading.produce("n1")
        told, _ = await reading.fetch("n1", "rack-3")
        assert told.preferred_read_replica == -1
        assert told.records
        there, _ = await reading.fetch("n3")
        assert there.records

    tell(story, {"min.insync.replicas": "2"})


def test_a_follower_refuses_what_is_beyond_its_log_and_old_versions() -> None:
    async def story(reading: Reading) -> None:
        await reading.produce("n1")
        beyond, _ = await reading.fetch("n3", offset=50)
        assert beyond.error_code == ErrorCode.OFFSET_OUT_OF_RANGE
        old, _ = await reading.fetch("n3", version=10)
        assert old.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER

    tell(story, BY_RACK)


ANY_NODE = {**BY_RACK, "sprawl.routing": "any"}


@pytest.mark.parametrize(("settings", "here"), [(ANY_NODE, True), ({**ANY_NODE, **AT_LEADERS}, False)])
def test_behind_one_address_a_node_gives_what_it_has_as_a_follower(settings: dict[str, str], here: bool) -> None:
    async def story(reading: Reading) -> None:
        await reading.produce("n1", 3)
        told, _ = await reading.fetch("n3", offset=3)  # and now it has heard that they are committed
        assert told.records == b""
        reading.cluster.members[1].machine.pause()
        try:
            async with asyncio.timeout(0.5):
                there, _ = await reading.fetch("n3", "rack-9", offset=1)
        except TimeoutError:
            assert not here, "the leader sleeps, and was asked"
        else:
            assert here, "nobody but the leader is to be asked"
            assert there.records
            assert there.preferred_read_replica == -1
        reading.cluster.members[1].machine.resume()

    tell(story, settings)


def test_behind_one_address_only_the_leader_says_that_an_offset_does_not_exist() -> None:
    async def story(reading: Reading) -> None:
        await reading.produce("n1", 3)
        for name in ("n1", "n2", "n3"):
            at_end, _ = await reading.fetch(name, offset=3)
            assert (at_end.error_code, at_end.records, at_end.high_watermark) == (0, b"", 3)
            beyond, _ = await reading.fetch(name, offset=4)
            assert beyond.error_code == ErrorCode.OFFSET_OUT_OF_RANGE
            old, _ = await reading.fetch(name, offset=0, version=10)
            assert old.records

    tell(story, ANY_NODE)


def test_a_follower_that_was_thought_to_have_records_and_has_none_is_passed_over() -> None:
    async def story(reading: Reading) -> None:
        await reading.produce("n1", 3)
        await reading.fetch("n3", offset=3)
        node = reading.cluster.members[3].node
        assert node is not None and node.parts is not None
        follower = node.parts.router.replica(TOPIC, UUID(int=0), 0)
        refusal = ApiError(ErrorCode.OFFSET_OUT_OF_RANGE, "it was cut off this moment")
        follower.read_now = raising(refusal)  # type: ignore[method-assign]
        found, _ = await reading.fetch("n3", offset=0)
        assert (found.error_code, found.high_watermark) == (0, 3)
        assert found.records

    tell(story, ANY_NODE)


def raising(refusal: ApiError) -> Callable[..., Any]:
    def read(*_: Any) -> Any:
        raise refusal

    return read


@pytest.mark.parametrize("version", [9, 10])
def test_a_producer_at_the_wrong_node_is_told_who_leads(version: int) -> None:
    async def story(reading: Reading) -> None:
        answer = await reading.produce("n2", version=version)
        data = answer.responses[0].partition_responses[0]
        assert data.error_code == ErrorCode.NOT_LEADER_OR_FOLLOWER
        if version >= 10:
            assert data.current_leader.leader_id == 1
            assert data.current_leader.leader_epoch >= 0
            (node,) = answer.node_endpoints
            assert (node.node_id, node.host, node.port, node.rack) == (1, "n1", 9092, "rack-1")

    tell(story, {"min.insync.replicas": "2"})


def test_a_consumer_with_an_old_epoch_is_told_who_leads() -> None:
    async def story(reading: Reading) -> None:
        while await reading.operator.voters() != [1, 2, 3]:  # before that the others cannot go on without node 1
            await asyncio.sleep(0.1)
        reading.cluster.members[1].kill()
        await reading.operator.until(lambda now: now.leader_id != 1)
        now = await reading.operator.partition()
        name = f"n{now.leader_id}"
        topic_id = (await reading.operator.topic()).topic_id
        wanted = FetchPartition(partition=0, current_leader_epoch=now.leader_epoch - 1, partition_max_bytes=1)
        request = FetchRequest(session_epoch=-1, topics=[FetchTopic(topic_id=topic_id, partitions=[wanted])])
        client = await reading.operator.links.to(name)
        answer = await client.request(request, expect=FetchResponse, version=17)
        told = answer.responses[0].partitions[0]
        assert told.error_code == ErrorCode.FENCED_LEADER_EPOCH
        assert (told.current_leader.leader_id, told.current_leader.leader_epoch) == (now.leader_id, now.leader_epoch)
        assert [node.host for node in answer.node_endpoints] == [name]

    tell(story, {"min.insync.replicas": "2"})
