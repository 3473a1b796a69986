"""Clients of a simulated cluster, and what they saw.

A producer is idempotent, has one batch per partition in flight, finds leaders by Metadata and sends again until it is
acknowledged, as librdkafka and the Java client do. It writes down what it does, for `tools.history`. The
final reader reads every partition whole, from its leader.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from sprawl.runtime.simulated import SimulatedRuntime
from sprawl.wire.client import ClientError, KafkaClient
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    InitProducerIdRequest,
    InitProducerIdResponse,
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from sprawl_protocol.records import Record, build_batch, headers, records_of
from tools.history.entries import Entry
from tools.history.judge import judge
from tools.simulate.cluster import PORT

TOPIC = "orders"
_TIMEOUT = 3.0
_PAUSE = 0.05
_PATIENCES_MS = (100, 500, 2000)
"""How long a leader may wait for its followers: who is told that it took too long sends again, and again must not get
an answer before the record is safe."""


@dataclass
class Seen:
    """What the producer of one partition did, as `tools.history` reads it."""

    journal: list[Entry] = field(default_factory=lambda: [["client", "producer", {"kind": "idempotent producer"}]])
    acknowledged: dict[int, int] = field(default_factory=dict)
    """Value to offset; -1 where the offset was not told."""
    last_ack: float = 0.0


class Links:
    """One client connection per node, made again when it breaks."""

    def __init__(self, runtime: SimulatedRuntime, names: list[str]) -> None:
        """`names` may grow."""
        self._runtime = runtime
        self._names = names
        self._clients: dict[str, KafkaClient] = {}

    async def to(self, name: str) -> KafkaClient:
        """Raises `ClientError`."""
        client = self._clients.get(name)
        if client is None or not client.connected:
            client = KafkaClient(self._runtime, timeout=_TIMEOUT)
            await client.connect(name, PORT)
            self._clients[name] = client
        return client

    async def any(self) -> KafkaClient:
        while True:
            for name in self._runtime.rng.sample(self._names, len(self._names)):
                try:
                    return await self.to(name)
                except (ClientError, OSError):
                    await asyncio.sleep(_PAUSE)

    async def leaders(self, topic: str) -> dict[int, str]:
        """Partition to the name of the node that leads it, as one of the nodes says."""
        return {index: name for index, (name, _) in (await self.leadership(topic)).items()}

    async def leadership(self, topic: str) -> dict[int, tuple[str, int]]:
        """The same, with the leader epochs."""
        client = await self.any()
        answer = await client.request(
            MetadataRequest(topics=[MetadataRequestTopic(name=topic)]), version=12, expect=MetadataResponse
        )
        hosts = {broker.node_id: broker.host for broker in answer.brokers}
        return {
            each.partition_index: (hosts[each.leader_id], each.leader_epoch)
            for each in answer.topics[0].partitions
            if each.leader_id in hosts
        }


async def create(links: Links, *, partitions: int, replicas: int, min_isr: int, topic: str = TOPIC) -> None:
    configs = [CreatableTopicConfig(name="min.insync.replicas", value=str(min_isr))]
    while True:
        try:
            client = await links.any()
            answer = await client.request(
                CreateTopicsRequest(
                    topics=[
                        CreatableTopic(
                            name=topic, num_partitions=partitions, replication_factor=replicas, configs=configs
                        )
                    ],
                    timeout_ms=2000,
                ),
                expect=CreateTopicsResponse,
            )
            if answer.topics[0].error_code in (0, int(ErrorCode.TOPIC_ALREADY_EXISTS)):
                return
        except (ClientError, OSError):
            pass
        await asyncio.sleep(_PAUSE)


class Producer:
    """Sends 0, 1, 2, ... to one partition, each until it is acknowledged."""

    def __init__(
        self,
        runtime: SimulatedRuntime,
        names: list[str],
        partition: int,
        seen: Seen,
        *,
        topic: str = TOPIC,
        pause: float = 0.0,
    ) -> None:
        """`pause`: seconds between two records."""
        self._runtime = runtime
        self._topic = topic
        self._wait = pause
        self._links = Links(runtime, names)
        self._partition = partition
        self._seen = seen
        self._producer_id = -1
        self._leader = ""
        self._epoch = -1
        self._last_sent = -1
        self.next_value = 0

    async def run(self) -> None:
        while True:
            try:
                await self._step()
            except (ClientError, OSError):
                self._leader = ""
                await asyncio.sleep(_PAUSE)
            if self._wait:
                await asyncio.sleep(self._wait * (0.5 + self._runtime.rng.random()))

    async def _step(self) -> None:
        if self._producer_id < 0:
            client = await self._links.any()
            given = await client.request(InitProducerIdRequest(transactional_id=None), expect=InitProducerIdResponse)
            if given.error_code:
                await asyncio.sleep(_PAUSE)
                return
            self._producer_id = given.producer_id
        if not self._leader:
            name, epoch = (await self._links.leadership(self._topic)).get(self._partition, ("", -1))
            if not name or epoch < self._epoch:  # as clients do: what is older than what is known is not believed
                await asyncio.sleep(_PAUSE)
                return
            self._leader, self._epoch = name, epoch
        await self._send(await self._links.to(self._leader))

    async def _send(self, client: KafkaClient) -> None:
        value = self.next_value
        batch = build_batch(
            [Record(0, self._runtime.clock.wall_ms(), None, b"%d" % value)],
            producer_id=self._producer_id,
            producer_epoch=0,
            base_sequence=value,
        )
        data = PartitionProduceData(index=self._partition, records=bytes(batch))
        request = ProduceRequest(
            acks=-1,
            timeout_ms=self._runtime.rng.choice(_PATIENCES_MS),
            topic_data=[TopicProduceData(name=self._topic, partition_data=[data])],
        )
        if value > self._last_sent:
            self._last_sent = value
            self._seen.journal.append(["send", self._runtime.clock.monotonic(), self._partition, value])
        response = await client.request(request, version=12, expect=ProduceResponse)
        answer = response.responses[0].partition_responses[0]
        error = ErrorCode(answer.error_code)
        if error is ErrorCode.NONE or error is ErrorCode.DUPLICATE_SEQUENCE_NUMBER:
            now = self._seen.last_ack = self._runtime.clock.monotonic()
            self._seen.journal.append(["ack", now, self._partition, value, answer.base_offset])
            self._seen.acknowledged[value] = answer.base_offset
            self.next_value += 1
            return
        if not error.retriable:
            raise AssertionError(f"partition {self._partition}: {error.name}: {answer.error_message}")
        self._leader = ""
        await asyncio.sleep(_PAUSE)


async def read_whole(links: Links, partition: int, until: int, *, topic: str = TOPIC) -> list[tuple[int, int]]:
    """(offset, value) of every record, until at least offset `until` was read."""
    found: list[tuple[int, int]] = []
    offset = 0
    while offset < until:
        try:
            leader = (await links.leaders(topic)).get(partition)
            if leader is None:
                await asyncio.sleep(_PAUSE)
                continue
            wanted = FetchPartition(partition=partition, fetch_offset=offset, partition_max_bytes=1 << 20)
            request = FetchRequest(max_wait_ms=500, min_bytes=1, topics=[FetchTopic(topic=topic, partitions=[wanted])])
            client = await links.to(leader)
            answer = await client.request(request, version=12, expect=FetchResponse)
        except (ClientError, OSError):
            await asyncio.sleep(_PAUSE)
            continue
        if answer.error_code:
            await asyncio.sleep(_PAUSE)
            continue
        data = answer.responses[0].partitions[0]
        if data.error_code:
            assert ErrorCode(data.error_code) is not ErrorCode.OFFSET_OUT_OF_RANGE, f"offset {offset} is gone"
            await asyncio.sleep(_PAUSE)
            continue
        records = bytes(data.records or b"")
        for position, _ in headers(records):
            found += [
                (each.offset, int(bytes(each.value or b"")))
                for each in records_of(records, position)
                if each.offset >= offset
            ]
        offset = found[-1][0] + 1 if found else offset
    return found


def last_reading(time: float, found: dict[int, list[tuple[int, int]]]) -> list[Entry]:
    """The journal of who read partitions whole: `found` has (offset, value) of each."""
    journal: list[Entry] = [["client", "reader", {"kind": "reader"}]]
    for index, places in found.items():
        journal.append(["poll", time, [(index, *place) for place in places]])
        journal.append(["end", time, index, places[-1][0] + 1 if places else 0])
    return journal


def check(partition: int, seen: Seen, found: list[tuple[int, int]]) -> None:
    """Nothing acknowledged is lost, nothing is there twice, the order is kept, an offset names one record."""
    reader = last_reading(seen.last_ack, {partition: found})
    problems = judge({"producer": seen.journal, "reader": reader}).problems
    assert not problems, "; ".join(problems)
