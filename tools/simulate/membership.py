"""Changes of a simulated cluster that its operators make: nodes that join, replicas that move, leaders that change."""

from __future__ import annotations

import asyncio
import random
from typing import Final

from sprawl.runtime.simulated import Simulation
from sprawl.wire.client import ClientError, KafkaClient
from sprawl_protocol.messages import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ElectLeadersRequest,
    ElectLeadersResponse,
    MetadataRequest,
    MetadataResponse,
    ReassignablePartition,
    ReassignableTopic,
)
from tools.simulate.cluster import PORT, Member, SimulatedCluster

_MOST_NODES: Final = 8
_PATIENCE: Final = 3.0
_TIMEOUT_MS: Final = 2000


class Membership:
    def __init__(self, world: Simulation, cluster: SimulatedCluster) -> None:
        self._world = world
        self._cluster = cluster

    async def join(self, rng: random.Random, length: float) -> bool:
        """A new node, with an empty disk and everyone's address."""
        if len(self._cluster.members) >= _MOST_NODES:
            return False
        await asyncio.sleep(0)
        self._cluster.join().start()
        return True

    async def move(self, rng: random.Random, length: float) -> bool:
        """One partition goes to other nodes."""
        async with _Operator(self._world, self._cluster, rng) as operator:
            return await operator.move()
        return False

    async def elect(self, rng: random.Random, length: float) -> bool:
        """The preferred leaders lead again."""
        async with _Operator(self._world, self._cluster, rng) as operator:
            return await operator.elect()
        return False


class _Operator:
    """Speaks to one node. What goes wrong on the way ends what was begun, and no more."""

    def __init__(self, world: Simulation, cluster: SimulatedCluster, rng: random.Random) -> None:
        self._client = KafkaClient(world.driver.runtime, timeout=_PATIENCE)
        self._members: list[Member] = list(cluster.members.values())
        self._rng = rng

    async def __aenter__(self) -> _Operator:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> bool:
        self._client.abort()
        return kind is not None and issubclass(kind, ClientError | OSError | TimeoutError)

    async def _topics(self) -> MetadataResponse:
        await self._client.connect(self._rng.choice(self._members).name, PORT)
        return await self._client.request(MetadataRequest(topics=None), version=12, expect=MetadataResponse)

    async def move(self) -> bool:
        seen = await self._topics()
        nodes = [member.node_id for member in self._members]
        topics = [topic for topic in seen.topics if topic.partitions]
        if not topics:
            return False
        topic = self._rng.choice(topics)
        partition = self._rng.choice(topic.partitions)
        replicas = self._rng.sample(nodes, min(3, len(nodes)))
        wanted = ReassignablePartition(partition_index=partition.partition_index, replicas=replicas)
        answer = await self._client.request(
            AlterPartitionReassignmentsRequest(
                timeout_ms=_TIMEOUT_MS, topics=[ReassignableTopic(name=topic.name or "", partitions=[wanted])]
            ),
            expect=AlterPartitionReassignmentsResponse,
        )
        return not answer.error_code and not answer.responses[0].partitions[0].error_code

    async def elect(self) -> bool:
        await self._topics()
        answer = await self._client.request(
            ElectLeadersRequest(election_type=0, topic_partitions=None, timeout_ms=_TIMEOUT_MS),
            expect=ElectLeadersResponse,
        )
        return not answer.error_code
