"""A compacted topic on three nodes that die, lose power and lose their disks: readers find of each key the newest
record, whichever replica leads."""

from __future__ import annotations

import asyncio

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
)
from sprawl_protocol.records import Record, build_batch, headers, records_of
from tests.test_reassignment_simulated import Operator
from tools.simulate.clients import TOPIC
from tools.simulate.cluster import SimulatedCluster

SETTINGS = {
    "log.cleanup.policy": "compact",
    "log.cleaner.backoff.ms": "300",
    "log.cleaner.min.cleanable.ratio": "0.1",
    "log.cleaner.delete.retention.ms": "1000",
    "log.segment.bytes": str(1024 * 1024),
    "min.insync.replicas": "2",
}
KEYS = 12


class Table:
    """One partition, written and read at whoever leads."""

    def __init__(self, operator: Operator, cluster: SimulatedCluster) -> None:
        self.operator = operator
        self.cluster = cluster
        self.state: dict[bytes, int] = {}
        self.next = 0

    async def write(self, count: int) -> None:
        for _ in range(count):
            key = b"key%d" % (self.next * 5 % KEYS)
            await self._put(Record(0, 1_000 + self.next, key, b"%d " % self.next + bytes(400)))
            self.state[key] = self.next
            self.next += 1

    async def _put(self, record: Record) -> None:
        """Until it is acknowledged; it may be there twice then."""
        data = PartitionProduceData(index=0, records=build_batch([record] * 20))
        while True:
            topic = await self.operator.topic()
            leader = topic.partitions[0].leader_id
            topics = [TopicProduceData(topic_id=topic.topic_id, partition_data=[data])]
            request = ProduceRequest(acks=-1, timeout_ms=2000, topic_data=topics)
            try:
                answer = await self.operator.ask_of(self._name(leader), request, ProduceResponse)
                if not answer.responses[0].partition_responses[0].error_code:
                    return
            except (ClientError, OSError, KeyError):
                pass
            await asyncio.sleep(0.1)

    async def read(self) -> list[tuple[int, bytes, int]]:
        """Offset, key and number of every record, to the end."""
        found: list[tuple[int, bytes, int]] = []
        offset, end = 0, -1
        while end < 0 or offset < end:
            topic = await self.operator.topic()
            part = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=100_000)
            request = FetchRequest(
                max_wait_ms=0,
                min_bytes=0,
                max_bytes=100_000,
                topics=[FetchTopic(topic_id=topic.topic_id, partitions=[part])],
            )
            try:
                answer = await self.operator.ask_of(self._name(topic.partitions[0].leader_id), request, FetchResponse)
                data = answer.responses[0].partitions[0]
            except (ClientError, OSError, KeyError, IndexError):
                await asyncio.sleep(0.1)
                continue
            if data.error_code:
                await asyncio.sleep(0.1)
                continue
            end, records = data.high_watermark, bytes(data.records or b"")
            for pos, header in headers(records):
                assert header.base_offset <= offset, "no offset is left out"
                for one in records_of(records, pos):
                    assert one.key is not None and one.value is not None
                    found.append((one.offset, bytes(one.key), int(bytes(one.value).split()[0])))
                offset = header.next_offset
        return found

    async def check(self) -> int:
        found = await self.read()
        newest: dict[bytes, int] = {}
        for _, key, number in found:
            assert number >= newest.get(key, -1), "never back"
            newest[key] = number
        assert newest == self.state
        return len(found)

    def _name(self, node: int) -> str:
        return self.cluster.members[node].name


@pytest.mark.parametrize("seed", range(3))
def test_the_newest_record_of_each_key_outlives_its_nodes(seed: int) -> None:
    with Simulation(seed, strict=False) as world:
        cluster = SimulatedCluster(world, 3, SETTINGS)

        async def story() -> None:
            cluster.start()
            operator = Operator(world, cluster)
            await operator.make_topic(1, 2, 3)
            await operator.set(2, TOPIC, "internal.segment.bytes", "60000")
            await operator.until(lambda now: len(now.isr_nodes) == 3)
            table = Table(operator, cluster)
            for step in range(6):
                await table.write(60)
                await asyncio.sleep(2.0)
                await table.check()
                victim = cluster.members[(await operator.partition()).leader_id if step % 2 else 1 + step % 3]
                (victim.crash if step in (1, 2) else victim.kill)()
                if step == 3:
                    victim.machine.boot()
                    victim.machine.disk.wipe()
                    cluster.prepare(victim)
                await table.write(5)
                victim.restart()
                await operator.until(lambda now: len(now.isr_nodes) == 3)
            await asyncio.sleep(5.0)
            assert await table.check() < table.next * 20 / 4, "most of it was compacted"
            cluster.stop()

        world.run(story(), limit=600)
