"""A simulated cluster of three nodes with a cloud tier and one topic, whose records everybody knows.

In: a seed. Out: a cluster with records in memory, on disks and in the bucket; a look at whether all is well again; and
what clients read. Record number n has the value n, so that whatever is served can be judged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Final
from unittest import mock

from sprawl.config.identity import STATE_FILE
from sprawl.objects.contract import ObjectStore
from sprawl.objects.store import Policy, Store
from sprawl.partitions.partition import Partition
from sprawl.runtime import Runtime
from sprawl.runtime.simulated import Simulation
from sprawl.tiering import Tiering
from sprawl.tiers.catalog import Catalog, SegmentState
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    CreatableReplicaAssignment,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
    ElectLeadersRequest,
    ElectLeadersResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
)
from sprawl_protocol.records import check_crc, headers, records_of
from tools.simulate.clients import TOPIC, Links, Producer, Seen
from tools.simulate.cluster import DIRECTORY, Member, SimulatedCluster
from tools.simulate.objects import Bucket, InMemory

NODES: Final = 3
VICTIM: Final = 1
SETTINGS: Final = {
    "remote.log.storage.system.enable": "true",
    "sprawl.tier.url": "s3://shared/prefix",
    "sprawl.tier.delete.grace.ms": "3000",
    "sprawl.tier.orphan.grace.ms": "20000",
    "log.retention.check.interval.ms": "500",
    "remote.log.manager.task.interval.ms": "200",
    "broker.heartbeat.interval.ms": "200",
    "metadata.log.max.record.bytes.between.snapshots": "2000",
}
_TOPIC_SETTINGS: Final = {
    "remote.storage.enable": "true",
    "internal.segment.bytes": "9000",
    "local.retention.bytes": "30000",
    "file.delete.delay.ms": "500",
    "retention.ms": "-1",
}
_POLICY: Final = Policy(deadline=10.0, attempt=3.0)
_LOOK: Final = 0.1
_STATE: Final = f"{DIRECTORY}/{STATE_FILE}"


class World:
    def __init__(self, simulation: Simulation, replicas: int = NODES) -> None:
        self.simulation = simulation
        self.runtime = simulation.driver.runtime
        self.bucket = Bucket()
        self.cluster = SimulatedCluster(simulation, NODES, SETTINGS)
        self.links = Links(self.runtime, [member.name for member in self.cluster.members.values()])
        self.seen = Seen()
        self._replicas = replicas
        self._producing: asyncio.Task[None] | None = None

    @property
    def victim(self) -> Member:
        return self.cluster.members[VICTIM]

    async def open_store(self, url: str, runtime: Runtime) -> ObjectStore:
        return Store(InMemory(self.bucket, runtime), runtime, _POLICY)

    def patched(self) -> mock._patch[Callable[..., object]]:
        return mock.patch("sprawl.node.open_store", self.open_store)

    async def start(self) -> None:
        self.cluster.start()
        wanted = [CreatableTopicConfig(name=key, value=value) for key, value in _TOPIC_SETTINGS.items()]
        nodes = [VICTIM, *(each for each in self.cluster.members if each != VICTIM)][: self._replicas]
        assignment = [CreatableReplicaAssignment(partition_index=0, broker_ids=nodes)]
        topic = CreatableTopic(
            name=TOPIC, num_partitions=-1, replication_factor=-1, assignments=assignment, configs=wanted
        )
        while True:
            try:
                client = await self.links.any()
                request = CreateTopicsRequest(topics=[topic], timeout_ms=2000)
                answer = (await client.request(request, expect=CreateTopicsResponse)).topics[0]
                if answer.error_code in (0, ErrorCode.TOPIC_ALREADY_EXISTS):
                    return
            except (ClientError, OSError):
                pass
            await asyncio.sleep(_LOOK)

    async def produced(self, count: int) -> None:
        """So many more records are acknowledged."""
        wanted = len(self.seen.acknowledged) + count
        if self._producing is None:
            self._producer = Producer(
                self.runtime, [each.name for each in self.cluster.members.values()], 0, self.seen, pause=0.01
            )
        self._producing = asyncio.create_task(self._producer.run())
        while len(self.seen.acknowledged) < wanted:
            if self._producing.done():
                self._producing.result()
            await asyncio.sleep(0.02)
        self._producing.cancel()
        await asyncio.gather(self._producing, return_exceptions=True)
        self._producer._leader = ""

    @property
    def end(self) -> int:
        """Exclusive: the offset behind the last acknowledged record."""
        return max(self.seen.acknowledged.values()) + 1

    # -- looking inside ------------------------------------------------------------------------------------------

    def partition(self, node_id: int) -> Partition | None:
        member = self.cluster.members[node_id]
        parts = None if member.node is None or not member.up else member.node.parts
        return None if parts is None else parts.partitions.find(TOPIC, 0)

    @property
    def replicas(self) -> dict[int, Partition]:
        found = {node_id: self.partition(node_id) for node_id in self.cluster.members}
        return {node_id: each for node_id, each in found.items() if each is not None}

    @property
    def leader(self) -> Partition | None:
        led = [each for each in self.replicas.values() if each.leading]
        return max(led, key=lambda each: each.leader_epoch, default=None)

    def tiering(self, node_id: int) -> Tiering | None:
        node = self.cluster.members[node_id].node
        return None if node is None or node.parts is None else node.parts.tiering

    @property
    def catalog(self) -> Catalog:
        for node_id, partition in self.replicas.items():
            tiering = self.tiering(node_id)
            if partition is self.leader and tiering is not None:
                return tiering.catalogs[(partition.topic_id, 0)]
        return Catalog()

    def unwell(self) -> str:
        """What is not as it should be; empty if all is."""
        for member in self.cluster.members.values():
            if not member.up or member.node is None or not member.node.ready:
                return f"node {member.node_id} is down" + (f": {member.endings[-1]}" if member.endings else "")
        leader = self.leader
        if leader is None or leader.insync is None or not leader.established:
            return "nobody leads"
        if len(self.replicas) < self._replicas or len(leader.insync.isr) < self._replicas:
            return f"in sync are {sorted(leader.insync.isr)}"
        for partition in self._all_partitions():
            if partition.log.damaged is not None:
                return f"{partition} is damaged: {partition.log.damaged}"
        return ""

    def _all_partitions(self) -> list[Partition]:
        found = []
        for member in self.cluster.members.values():
            if member.node is not None and member.node.parts is not None:
                found += list(member.node.parts.partitions)
        return found

    def uploaded(self) -> bool:
        """All that can be in the tier is."""
        leader, catalog = self.leader, self.catalog
        if leader is None or not leader.established:
            return False
        due = leader.log.next_closed(max(catalog.end_offset, 0), leader.last_stable_offset)
        return due is None and {each.state for each in catalog.entries} <= {SegmentState.COPY_FINISHED}

    # -- the victim's state file, which has no bytes here ----------------------------------------------------------

    def state_of_victim(self) -> dict[str, str]:
        return dict(self.victim.machine.disk.names.get(_STATE).state or {})

    def put_back(self, state: dict[str, str]) -> bool:
        """While the victim is down. False if it is what it was."""
        inode = self.victim.machine.disk.names.get(_STATE)
        changed = inode.state != state
        inode.state = dict(state)
        return changed

    def forgotten(self, before: dict[str, str]) -> str:
        """What the victim promised, by its state of then, and would promise to another now; empty if nothing."""
        then, now = (json.loads(state.get("quorum", "{}")) for state in (before, self.state_of_victim()))
        if then.get("voted_id", -1) < 0 or now.get("epoch", 0) > then["epoch"]:
            return ""
        same = (now.get("epoch"), now.get("voted_id")) == (then["epoch"], then["voted_id"])
        return "" if same else f"not noticed: its vote in epoch {then['epoch']} is forgotten"

    async def elect_controller(self) -> None:
        """A new epoch of the metadata quorum, in which the victim has voted, or learned of a leader."""
        for member in self.cluster.members.values():
            parts = None if member.node is None else member.node.parts
            if parts is not None and parts.quorum.leading:
                member.restart()
                break
        await asyncio.sleep(5)
        await self.until(lambda: not self.unwell())

    async def until(self, holds: Callable[[], bool], patience: float = 60.0) -> bool:
        for _ in range(int(patience / _LOOK)):
            if holds():
                return True
            await asyncio.sleep(_LOOK)
        return holds()

    # -- reading ----------------------------------------------------------------------------------------------------

    async def elect_victim(self) -> None:
        """The victim leads again, if it can."""
        for _ in range(20):
            partition = self.partition(VICTIM)
            if partition is not None and partition.leading:
                return
            try:
                client = await self.links.any()
                await client.request(ElectLeadersRequest(topic_partitions=None), expect=ElectLeadersResponse)
            except (ClientError, OSError):
                pass
            await asyncio.sleep(0.25)

    async def read(self, patience: float = 15.0) -> tuple[str, str]:
        """(what was wrong in what clients were given, why they were not given everything): empty strings if nothing.

        From the first record to the last acknowledged one, from whoever leads. What is refused is asked for again.
        """
        truth = {offset: value for value, offset in self.seen.acknowledged.items()}
        offset, until = 0, self.end
        refusal, deadline = "", self.simulation.now + patience
        while offset < until:
            if self.simulation.now > deadline:
                return "", refusal or "no answer"
            wanted = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=1 << 16)
            request = FetchRequest(max_wait_ms=500, min_bytes=1, topics=[FetchTopic(topic=TOPIC, partitions=[wanted])])
            try:
                leader = (await self.links.leaders(TOPIC))[0]
                client = await self.links.to(leader)
                answer = await client.request(request, version=12, expect=FetchResponse)
            except (ClientError, OSError, KeyError, IndexError):
                await asyncio.sleep(_LOOK)
                continue
            data = answer.responses[0].partitions[0] if answer.responses else None
            if data is None or data.error_code:
                code = answer.error_code if data is None else data.error_code
                if code == ErrorCode.OFFSET_OUT_OF_RANGE:
                    return f"offset {offset} is said not to be there", ""
                refusal = f"offset {offset}: {ErrorCode(code).name}"
                await asyncio.sleep(_LOOK)
                continue
            wrong, offset = _judge(bytes(data.records or b""), truth, offset)
            if wrong:
                return wrong, ""
        return "", ""


def _judge(records: bytes, truth: dict[int, int], offset: int) -> tuple[str, int]:
    for position, header in headers(records):
        if not check_crc(records, position, header):
            return f"a wrong checksum at offset {header.base_offset}", offset
        for each in records_of(records, position):
            if each.offset < offset:
                continue
            if each.offset > offset:
                return f"offset {each.offset} where {offset} is due", offset
            value = int(bytes(each.value or b""))
            if truth.get(offset, value) != value:
                return f"offset {offset} has {value}, not {truth[offset]}", offset
            offset += 1
    return "", offset
