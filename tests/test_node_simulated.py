"""A whole node on a simulated machine that is killed and loses power, under an idempotent load.

What was acknowledged is there afterwards, once, in order; what was not may be there once too. The same seed is the
same story.
"""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from sprawl.config.broker import BrokerConfig
from sprawl.node import Node
from sprawl.runtime.simulated import NodeDownError, SimulatedNode, SimulatedRuntime, Simulation
from sprawl.wire.client import ClientError, KafkaClient
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    CreatableTopic,
    CreateTopicsRequest,
    CreateTopicsResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    InitProducerIdRequest,
    InitProducerIdResponse,
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from sprawl_protocol.records import Record, build_batch, headers, records_of

PORT = 9092
TOPIC = "orders"
CONFIG = {
    "listeners": "PLAINTEXT://broker:9092",
    "log.dirs": "/data",
    "sprawl.insecure": "true",
    "offsets.topic.num.partitions": "1",
}


@dataclasses.dataclass
class Load:
    """What the producer knows. Values are numbers, in the order they were first sent."""

    producer_id: int = -1
    acknowledged: dict[int, int] = dataclasses.field(default_factory=dict)
    """Value to offset."""
    next_value: int = 0
    created: bool = False


async def serve(runtime: SimulatedRuntime) -> None:
    node = Node(BrokerConfig.of(CONFIG), runtime)
    await node.start()
    await node.failed()


async def connected(runtime: SimulatedRuntime) -> KafkaClient:
    while True:
        client = KafkaClient(runtime)
        try:
            return await client.connect("broker", PORT)
        except (ClientError, OSError):
            await asyncio.sleep(0.05)


async def produce_all(runtime: SimulatedRuntime, load: Load, count: int) -> None:
    """One batch at a time, again and again until it is acknowledged, as an idempotent producer does."""
    client = await connected(runtime)
    while load.next_value < count:
        try:
            if not load.created:
                made = await client.request(
                    CreateTopicsRequest(topics=[CreatableTopic(name=TOPIC, num_partitions=1, replication_factor=1)]),
                    expect=CreateTopicsResponse,
                )
                load.created = made.topics[0].error_code in (0, int(ErrorCode.TOPIC_ALREADY_EXISTS))
            if load.producer_id < 0:
                given = await client.request(
                    InitProducerIdRequest(transactional_id=None), expect=InitProducerIdResponse
                )
                load.producer_id = given.producer_id if given.error_code == 0 else -1
                continue
            await send_next(client, runtime, load)
            await asyncio.sleep(0.02)  # so that the load outlives several lives of the broker
        except (ClientError, OSError):
            await client.close()
            client = await connected(runtime)


async def send_next(client: KafkaClient, runtime: SimulatedRuntime, load: Load) -> None:
    value = load.next_value
    batch = build_batch(
        [Record(0, runtime.clock.wall_ms(), None, b"%d" % value)],
        producer_id=load.producer_id,
        producer_epoch=0,
        base_sequence=value,
    )
    data = PartitionProduceData(index=0, records=bytes(batch))
    request = ProduceRequest(
        acks=-1, timeout_ms=5_000, topic_data=[TopicProduceData(name=TOPIC, partition_data=[data])]
    )
    answer = (await client.request(request, version=12, expect=ProduceResponse)).responses[0].partition_responses[0]
    if answer.error_code == 0:
        load.acknowledged[value] = answer.base_offset
        load.next_value += 1
    else:
        assert ErrorCode(answer.error_code).retriable, f"{ErrorCode(answer.error_code).name}: {answer.error_message}"
        await asyncio.sleep(0.05)


async def read_all(runtime: SimulatedRuntime, until: int) -> list[tuple[int, int]]:
    """(offset, value) of every record up to offset `until`."""
    client = await connected(runtime)
    found: list[tuple[int, int]] = []
    offset = 0
    while offset < until:
        wanted = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=1 << 20)
        request = FetchRequest(max_wait_ms=500, min_bytes=1, topics=[FetchTopic(topic=TOPIC, partitions=[wanted])])
        answer = (await client.request(request, version=12, expect=FetchResponse)).responses[0].partitions[0]
        assert answer.error_code == 0, ErrorCode(answer.error_code).name
        data = bytes(answer.records or b"")
        for position, _ in headers(data):
            found += [(r.offset, int(bytes(r.value or b""))) for r in records_of(data, position) if r.offset >= offset]
        assert found and found[-1][0] >= offset, f"nothing at offset {offset}, where something was acknowledged"
        offset = found[-1][0] + 1
    await client.close()
    return found


async def disturb(node: SimulatedNode, world: Simulation, *, power: bool) -> None:
    """Let the node live for a while and end, again and again."""
    while True:
        life = node.run(serve(node.runtime))
        await asyncio.sleep(0.5 + world.driver.runtime.rng.random() * 3)
        (node.crash if power else node.kill)()
        await asyncio.gather(life, return_exceptions=True)
        await asyncio.sleep(0.2)
        node.boot()


async def story(world: Simulation, load: Load, *, power: bool) -> list[tuple[int, int]]:
    broker, client = world.node("broker"), world.node("client")
    trouble = asyncio.create_task(disturb(broker, world, power=power))
    await client.run(produce_all(client.runtime, load, count=400))
    trouble.cancel()
    await asyncio.gather(trouble, return_exceptions=True)
    if not broker.process.alive:
        broker.boot()
    else:
        (broker.crash if power else broker.kill)()
        broker.boot()
    last_life = broker.run(serve(broker.runtime))
    found = await client.run(read_all(client.runtime, until=max(load.acknowledged.values()) + 1))
    broker.kill()
    with pytest.raises(NodeDownError):
        await last_life
    return found


def play(seed: int, *, power: bool) -> tuple[Load, list[tuple[int, int]], str]:
    load = Load()
    with Simulation(seed, strict=False) as world:
        found = world.run(story(world, load, power=power))
        return load, found, world.trace.digest()


@pytest.mark.parametrize("power", [False, True], ids=["killed", "power failure"])
@pytest.mark.parametrize("seed", range(4))
def test_acknowledged_records_survive_once_and_in_order(seed: int, power: bool) -> None:
    load, found, _ = play(seed, power=power)
    assert [offset for offset, _ in found] == list(range(len(found))), "offsets have no gaps"
    values = [value for _, value in found]
    assert values == sorted(set(values)), "every record once, in the order it was sent"
    by_value = {value: offset for offset, value in found}
    for value, offset in load.acknowledged.items():
        assert by_value.get(value) == offset, f"value {value} was acknowledged at offset {offset}"


def test_the_same_seed_is_the_same_story() -> None:
    assert play(11, power=True)[2] == play(11, power=True)[2]
