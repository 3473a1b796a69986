"""A real node with a watch over it, and what a client does to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sprawl.config.broker import BrokerConfig
from sprawl.doors import Doors
from sprawl.handlers.context import Handler
from sprawl.monitoring.watch import Watch
from sprawl.node import Node
from sprawl.parts import Parts
from sprawl.runtime.real import RealRuntime
from sprawl.vitals import Vitals, cpu_seconds
from sprawl.wire.client import KafkaClient
from sprawl_protocol.api import ApiKey
from sprawl_protocol.messages import (
    CreatableTopic,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from sprawl_protocol.records import Record, build_batch

Built = tuple[Parts, dict[ApiKey, Handler], Doors]


@dataclass
class Watched:
    node: Node
    watch: Watch
    client: KafkaClient
    runtime: RealRuntime
    built: Built

    def values(self) -> dict[str, float]:
        """As Prometheus would read them: name and labels, number."""
        lines = [line.rsplit(" ", 1) for line in self.node.metrics.render().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    async def create(self, topic: str, partitions: int = 1) -> None:
        request = CreateTopicsRequest(
            topics=[CreatableTopic(name=topic, num_partitions=partitions, replication_factor=1)]
        )
        answer = await self.client.request(request, expect=CreateTopicsResponse)
        assert answer.topics[0].error_code == 0, answer

    async def produce(self, topic: str, count: int, partition: int = 0) -> None:
        records = build_batch([Record(at, 1_000, None, b"value", []) for at in range(count)])
        data = [PartitionProduceData(index=partition, records=records)]
        request = ProduceRequest(
            acks=-1, timeout_ms=30_000, topic_data=[TopicProduceData(name=topic, partition_data=data)]
        )
        answer = await self.client.request(request, expect=ProduceResponse, version=12)
        assert answer.responses[0].partition_responses[0].error_code == 0, answer

    async def delete(self, topic: str) -> None:
        request = DeleteTopicsRequest(topics=[DeleteTopicState(name=topic)], timeout_ms=30_000)
        answer = await self.client.request(request, expect=DeleteTopicsResponse)
        assert answer.responses[0].error_code == 0, answer

    async def coordinated(self, group: str) -> None:
        """Ask for its coordinator until there is one, as clients do."""
        while True:
            request = FindCoordinatorRequest(key_type=0, coordinator_keys=[group])
            answer = await self.client.request(request, expect=FindCoordinatorResponse)
            if not answer.coordinators[0].error_code:
                return
            await asyncio.sleep(0.02)

    async def commit(self, group: str, topic: str, offset: int) -> None:
        """By a consumer without a group."""
        partitions = [OffsetCommitRequestPartition(partition_index=0, committed_offset=offset)]
        request = OffsetCommitRequest(
            group_id=group, topics=[OffsetCommitRequestTopic(name=topic, partitions=partitions)]
        )
        answer = await self.client.request(request, expect=OffsetCommitResponse, version=9)
        assert answer.topics[0].partitions[0].error_code == 0, answer


@asynccontextmanager
async def watched(directory: Path, **settings: str) -> AsyncIterator[Watched]:
    """Looks are taken by the tests themselves."""
    config = {
        "listeners": "PLAINTEXT://127.0.0.1:0",
        "log.dirs": str(directory / "data"),
        "offsets.topic.num.partitions": "1",
        **{name.replace("_", "."): value for name, value in settings.items()},
    }
    runtime = RealRuntime()
    node = Node(BrokerConfig.of(config), runtime)
    Vitals(node.metrics)
    watch = Watch(node.metrics, runtime, cpu_seconds)
    built: list[Built] = []

    def when_built(parts: Parts, routes: dict[ApiKey, Handler], doors: Doors) -> None:
        watch.installed(parts, routes, doors)
        built.append((parts, routes, doors))

    node.when_built = when_built
    await node.start()
    client = KafkaClient(runtime)
    try:
        await client.connect("127.0.0.1", node.addresses[0][2])
        yield Watched(node, watch, client, runtime, built[0])
    finally:
        await client.close()
        await node.stop()
