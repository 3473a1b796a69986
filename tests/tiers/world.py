"""A simulated cluster with a cloud tier: a bucket that all nodes share, its faults, and a topic whose log is tiered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from unittest import mock

from crc32c import crc32c

from sprawl.objects.contract import Condition, ObjectStore
from sprawl.objects.store import Policy, Store
from sprawl.partitions.partition import Partition
from sprawl.runtime import Runtime
from sprawl.runtime.simulated import Simulation
from sprawl.tiering import Tiering
from sprawl.tiers.backup import BACKUP
from sprawl.tiers.catalog import Catalog, SegmentState
from sprawl.tiers.manifest import Manifest
from sprawl.tiers.segments import LOG, MANIFEST, object_name
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopic,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
)
from sprawl_protocol.records import headers, records_of
from tests.test_reassignment_simulated import Operator
from tools.simulate.clients import TOPIC, Producer, Seen, check, read_whole
from tools.simulate.cluster import Member, SimulatedCluster
from tools.simulate.objects import Bucket, Faults, Faulty, InMemory

SETTINGS = {
    "remote.log.storage.system.enable": "true",
    "sprawl.tier.url": "s3://shared/prefix",
    "sprawl.tier.delete.grace.ms": "3000",
    "sprawl.tier.orphan.grace.ms": "10000",
    "log.retention.check.interval.ms": "500",
    "remote.log.manager.task.interval.ms": "200",
    "broker.heartbeat.interval.ms": "200",
}
TIERED = {
    "remote.storage.enable": "true",
    "internal.segment.bytes": "2000",
    "local.retention.bytes": "2000",
    "file.delete.delay.ms": "1000",
    "retention.ms": "-1",
}
POLICY = Policy(deadline=10.0, attempt=3.0)


class TieredWorld:
    def __init__(self, world: Simulation, nodes: int, settings: dict[str, str]) -> None:
        self.world = world
        self.bucket = Bucket()
        self.faults = Faults()
        self.cluster = SimulatedCluster(world, nodes, {**SETTINGS, **settings})
        self.seen = Seen()
        self._producing: asyncio.Task[None] | None = None

    async def open_store(self, url: str, runtime: Runtime) -> ObjectStore:
        assert url == "s3://shared/prefix"
        return Store(Faulty(InMemory(self.bucket, runtime), self.faults, runtime), runtime, POLICY)

    async def start(self, replicas: int = 1, configs: dict[str, str] | None = None) -> None:
        self.cluster.start()
        self.operator = Operator(self.world, self.cluster)
        await self.make_topic(replicas, configs or {})

    async def make_topic(self, replicas: int, configs: dict[str, str], name: str = TOPIC) -> None:
        wanted = [CreatableTopicConfig(name=key, value=value) for key, value in {**TIERED, **configs}.items()]
        topic = CreatableTopic(name=name, num_partitions=1, replication_factor=replicas, configs=wanted)
        while True:
            answer = await self.operator.ask(CreateTopicsRequest(topics=[topic], timeout_ms=2000), CreateTopicsResponse)
            code = answer.topics[0].error_code
            if code in (0, ErrorCode.TOPIC_ALREADY_EXISTS):
                return
            assert ErrorCode(code).retriable or code == ErrorCode.INVALID_REPLICATION_FACTOR, answer.topics[0]
            await asyncio.sleep(0.2)

    async def delete_topic(self, name: str = TOPIC) -> None:
        request = DeleteTopicsRequest(topics=[DeleteTopicState(name=name)], topic_names=[name], timeout_ms=2000)
        while (await self.operator.ask(request, DeleteTopicsResponse)).responses[0].error_code not in (0, 3):
            await asyncio.sleep(0.2)

    # -- load -----------------------------------------------------------------------------------------------

    def produce(self, pause: float = 0.02) -> None:
        producer = Producer(self.world.driver.runtime, self.operator.names, 0, self.seen, pause=pause)
        self._producing = asyncio.create_task(producer.run())

    async def acknowledged(self, count: int) -> None:
        while len(self.seen.acknowledged) < count:
            assert self._producing is not None
            if self._producing.done():
                self._producing.result()
            await asyncio.sleep(0.05)

    async def stop_producing(self) -> None:
        assert self._producing is not None
        if self._producing.done():
            self._producing.result()
        self._producing.cancel()
        await asyncio.gather(self._producing, return_exceptions=True)

    async def read_back(self) -> list[tuple[int, int]]:
        """Everything, from the first record on: nothing is lost, or there twice."""
        until = max(self.seen.acknowledged.values()) + 1
        found = await read_whole(self.operator.links, 0, until)
        check(0, self.seen, found)
        return found

    async def list_offset(self, timestamp: int) -> ListOffsetsPartitionResponse:
        asked = ListOffsetsPartition(partition_index=0, timestamp=timestamp, current_leader_epoch=-1)
        request = ListOffsetsRequest(replica_id=-1, topics=[ListOffsetsTopic(name=TOPIC, partitions=[asked])])
        while True:
            try:
                client = await self.operator.links.to((await self.operator.links.leaders(TOPIC))[0])
                found = (await client.request(request, expect=ListOffsetsResponse)).topics[0].partitions[0]
            except (ClientError, KeyError):
                await asyncio.sleep(0.1)
                continue
            if found.error_code == 0:
                return found
            await asyncio.sleep(0.1)

    async def delete_records(self, before: int) -> int:
        part = DeleteRecordsPartition(partition_index=0, offset=before)
        request = DeleteRecordsRequest(topics=[DeleteRecordsTopic(name=TOPIC, partitions=[part])], timeout_ms=2000)
        client = await self.operator.links.to((await self.operator.links.leaders(TOPIC))[0])
        result = (await client.request(request, expect=DeleteRecordsResponse)).topics[0].partitions[0]
        assert result.error_code == 0
        return result.low_watermark

    async def fetch_at(self, name: str, offset: int) -> list[tuple[int, int]]:
        """From that node, leader or not."""
        wanted = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=1 << 20)
        request = FetchRequest(max_wait_ms=500, min_bytes=1, topics=[FetchTopic(topic=TOPIC, partitions=[wanted])])
        answer = await (await self.operator.links.to(name)).request(request, version=12, expect=FetchResponse)
        data = answer.responses[0].partitions[0]
        assert data.error_code == 0
        records = bytes(data.records or b"")
        return [(r.offset, int(bytes(r.value or b""))) for at, _ in headers(records) for r in records_of(records, at)]

    # -- looking inside -------------------------------------------------------------------------------------

    def replicas(self) -> dict[int, Partition]:
        found = {}
        for node_id, member in self.cluster.members.items():
            partition = _partition_of(member)
            if member.up and partition is not None:
                found[node_id] = partition
        return found

    @property
    def leader(self) -> Partition | None:
        led = [each for each in self.replicas().values() if each.leading]
        return max(led, key=lambda each: each.leader_epoch, default=None)

    def tiering(self, node_id: int) -> Tiering:
        node = self.cluster.members[node_id].node
        assert node is not None
        assert node.parts is not None
        assert node.parts.tiering is not None
        return node.parts.tiering

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            await asyncio.sleep(0.1)

    def catalog(self) -> Catalog:
        """As the leader sees it; an empty one while there is no leader."""
        for node_id, partition in self.replicas().items():
            if partition is self.leader:
                return self.tiering(node_id).catalogs[(partition.topic_id, 0)]
        return Catalog()

    def tier_end(self) -> int:
        return self.catalog().end_offset

    def states(self) -> set[SegmentState]:
        return {entry.state for entry in self.catalog().entries}

    def doomed(self) -> bool:
        return SegmentState.DELETE_STARTED in self.states()

    async def settled(self) -> None:
        """All that can be uploaded is, and what is not needed is gone."""

        def still() -> bool:
            leader = self.leader
            if leader is None or not leader.established:
                return False
            log = leader.log
            return (
                log.next_closed(max(self.tier_end(), 0), leader.last_stable_offset) is None
                and self.states() <= {SegmentState.COPY_FINISHED}
                and leader.log.local_start_offset + 200 > leader.log.log_end_offset - 200
            )

        await self.until(still)

    def names(self) -> list[str]:
        """Of all objects but the cluster's backup, which is written whenever it likes."""
        return [name for name in self.bucket.names() if not name.startswith(BACKUP)]

    def check_bucket(self) -> None:
        """The chain is whole, each of its objects is there as it was uploaded, and there are no others."""
        leader, chain = self.leader, self.catalog().chain
        assert leader is not None
        ends = [leader.log.log_start_offset, *(entry.end_offset for entry in chain)]
        assert [entry.segment.base_offset for entry in chain][1:] == ends[1:-1], "a hole, or an overlap"
        assert not chain or chain[0].segment.base_offset <= ends[0]
        wanted = {"cluster.json"}
        for entry in chain:
            name = object_name(leader.topic_id, 0, entry.segment)
            wanted |= {name + LOG, name + MANIFEST}
            manifest = Manifest.parse(self.bucket.objects[name + MANIFEST][0])
            data = self.bucket.objects[name + LOG][0]
            assert crc32c(data) == manifest.crc32c
            assert len(data) == entry.segment.size
        there = set(self.names())
        assert not wanted - there, "records speak of objects that are not there"
        assert not there - wanted, f"objects that no record speaks of: {sorted(there - wanted)}"

    async def put(self, key: str) -> None:
        await InMemory(self.bucket, self.world.driver.runtime).put(key, b"x", crc32c(b"x"), Condition(), "m")

    async def read_from(self, offset: int, until: int) -> tuple[list[tuple[int, int]], int]:
        """(offset, value) of the records, and the error that came instead of more, or once they were read."""
        found: list[tuple[int, int]] = []
        while True:
            wanted = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=1 << 20)
            request = FetchRequest(max_wait_ms=500, min_bytes=1, topics=[FetchTopic(topic=TOPIC, partitions=[wanted])])
            try:
                client = await self.operator.links.to((await self.operator.links.leaders(TOPIC))[0])
                data = (await client.request(request, version=12, expect=FetchResponse)).responses[0].partitions[0]
            except (ClientError, KeyError):
                continue
            records = bytes(data.records or b"")
            for position, _ in headers(records):
                found += [
                    (each.offset, int(bytes(each.value or b"")))
                    for each in records_of(records, position)
                    if each.offset >= offset
                ]
            offset = found[-1][0] + 1 if found else offset
            if data.error_code or offset > until or (offset == until and not records):
                return found, data.error_code

    async def times(self) -> list[int]:
        """The time of each record, by offset."""
        found: list[int] = []
        while len(found) <= max(self.seen.acknowledged.values()):
            leader = (await self.operator.links.leaders(TOPIC))[0]
            wanted = FetchPartition(partition=0, fetch_offset=len(found), partition_max_bytes=1 << 20)
            request = FetchRequest(max_wait_ms=500, min_bytes=1, topics=[FetchTopic(topic=TOPIC, partitions=[wanted])])
            client = await self.operator.links.to(leader)
            answer = await client.request(request, version=12, expect=FetchResponse)
            data = bytes(answer.responses[0].partitions[0].records or b"")
            for position, _ in headers(data):
                found += [each.timestamp for each in records_of(data, position) if each.offset >= len(found)]
        return found

    def left_disk(self) -> bool:
        """The leader has some of its log in the tier only."""
        return self.leader is not None and self.leader.log.local_start_offset > self.leader.log.log_start_offset


def _partition_of(member: Member) -> Partition | None:
    parts = None if member.node is None else member.node.parts
    return None if parts is None else parts.partitions.find(TOPIC, 0)


@contextmanager
def tiered_world(seed: int, nodes: int = 1, settings: dict[str, str] | None = None) -> Iterator[TieredWorld]:
    with Simulation(seed, strict=False) as world:
        made = TieredWorld(world, nodes, settings or {})
        with mock.patch("sprawl.node.open_store", made.open_store):
            yield made


def tell(
    seed: int,
    story: Callable[[TieredWorld], Coroutine[None, None, None]],
    nodes: int = 1,
    settings: dict[str, str] | None = None,
    limit: float = 300,
) -> None:
    with tiered_world(seed, nodes, settings) as made:

        async def whole() -> None:
            await story(made)
            made.cluster.stop()

        made.world.run(whole(), limit=limit)
