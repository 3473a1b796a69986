"""Groups on real storage over a simulated disk that crashes: what was acknowledged is there afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

import pytest

from sprawl.config.topics import TopicConfig
from sprawl.groups.exchange import GroupLimits, JoinRequest, Strategy, SyncRequest
from sprawl.groups.leading import Committer
from sprawl.groups.log import TOPIC
from sprawl.groups.offsets import CommittedOffset, TopicPartition
from sprawl.groups.service import GroupService
from sprawl.groups.settings import GroupSettings
from sprawl.partitions.manager import PartitionManager
from sprawl.quorum.image import MetadataImage, PartitionImage, TopicImage
from sprawl.routing.keyed_log import KeyedLog
from sprawl.routing.router import Router
from sprawl.runtime.simulated import NodeDownError, SimulatedRuntime, Simulation
from sprawl.storage.manager import LogManager, StorageSettings
from sprawl_protocol.errors import ApiError, ErrorCode
from tests.groups.script import subscription

PARTITIONS = 2
GROUPS = ("orders", "stock", "search")
STORAGE = StorageSettings(
    memory_bytes=1 << 20, disk_reserve_bytes=0, retention_check_ms=300_000, producer_expiration_ms=86_400_000
)
SETTINGS = GroupSettings(limits=GroupLimits(initial_rebalance_delay_ms=0), snapshot_bytes=3_000, load_retry_ms=10)


def image(epoch: int) -> MetadataImage:
    partitions = tuple(PartitionImage(index, 1, epoch, 0, (1,), (1,)) for index in range(PARTITIONS))
    topic = TopicImage(TOPIC, UUID(int=77), partitions, internal=True)
    return MetadataImage("cluster", offset=epoch, topics={TOPIC: topic}, topics_by_id={topic.id: topic})


class Broker:
    """As much of a node as groups need."""

    def __init__(self, runtime: SimulatedRuntime, epoch: int, *, power_failed: bool = False) -> None:
        self.image = image(epoch)
        self.logs = LogManager(runtime, "/data", STORAGE, power_failed=power_failed)
        config = TopicConfig.of({**SETTINGS.topic_config, "sprawl.durability": "fsync", "segment.bytes": "1048576"})
        self.partitions = PartitionManager(1, self.logs, runtime.clock, lambda *_: config, kept=frozenset())
        router = Router(1, self.partitions, lambda: self.image)
        log = KeyedLog(TOPIC, router, runtime.clock)
        self.groups = GroupService(
            runtime, SETTINGS, 1, log, lambda: self.image, self.partitions.settled, self._no_topic
        )

    async def _no_topic(self, *_: object) -> None:
        raise AssertionError("the topic is there")

    async def start(self) -> None:
        await self.logs.start()
        await self.partitions.start(self.image)
        self.groups.start()
        while (await self._any_offset()) is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
            await asyncio.sleep(0.001)

    async def _any_offset(self) -> ErrorCode:
        for group_id in GROUPS:
            try:
                await self.groups.coordinator.offsets(group_id, stable=False)
            except ApiError as refusal:
                return refusal.code
        return ErrorCode.NONE

    async def committed(self, group_id: str, partition: int) -> int:
        offsets = await self.groups.coordinator.offsets(group_id, stable=True)
        found = offsets.get("t", partition)
        return -1 if found is None else found.offset


class History:
    """What clients saw: the last offset tried and the last acknowledged, by group and partition."""

    def __init__(self) -> None:
        self.tried: dict[tuple[str, int], int] = {}
        self.acknowledged: dict[tuple[str, int], int] = {}
        self.members: dict[str, tuple[str, int, bytes]] = {}


async def commit_on_and_on(broker: Broker, history: History, group_id: str, partition: int) -> None:
    key = (group_id, partition)
    while True:
        offset = history.tried.get(key, -1) + 1
        history.tried[key] = offset
        committed = CommittedOffset(offset, -1, "", 0)
        at: Mapping[TopicPartition, CommittedOffset] = {TopicPartition("t", partition): committed}
        await broker.groups.coordinator.commit(group_id, Committer(), dict(at), ErrorCode.ILLEGAL_GENERATION)
        history.acknowledged[key] = offset


async def rebalance_on_and_on(broker: Broker, history: History, group_id: str) -> None:
    """One member that joins again and again; each generation has another assignment."""
    member_id, round_ = "", 0
    while True:
        request = JoinRequest(
            member_id, None, "c", "/h", 10_000, 10_000, "consumer", (Strategy("range", subscription(["t"])),), "c",
            must_return_with_id=False,
        )  # fmt: skip
        joined = await broker.groups.coordinator.join(group_id, request)
        if joined.error is not ErrorCode.NONE:
            member_id = ""
            continue
        member_id, round_ = joined.member_id, round_ + 1
        assignment = f"{joined.generation}/{round_}".encode()
        sync = SyncRequest(member_id, None, joined.generation, None, None, ((member_id, assignment),))
        synced = await broker.groups.coordinator.sync(group_id, sync)
        if synced.error is ErrorCode.NONE:
            history.members[group_id] = (member_id, joined.generation, synced.assignment)


async def live(runtime: SimulatedRuntime, epoch: int, history: History) -> None:
    broker = Broker(runtime, epoch)
    await broker.start()
    async with asyncio.TaskGroup() as tasks:
        for group_id in GROUPS:
            for partition in range(3):
                tasks.create_task(commit_on_and_on(broker, history, group_id, partition))
        tasks.create_task(rebalance_on_and_on(broker, history, "members"))


async def check(runtime: SimulatedRuntime, epoch: int, history: History, *, power_failed: bool) -> int:
    broker = Broker(runtime, epoch, power_failed=power_failed)
    await broker.start()
    for (group_id, partition), acknowledged in history.acknowledged.items():
        found = await broker.committed(group_id, partition)
        tried = history.tried[(group_id, partition)]
        assert acknowledged <= found <= tried, f"{group_id}-{partition}: {found}, acknowledged {acknowledged}"
    for group_id, (member_id, generation, assignment) in history.members.items():
        described = broker.groups.coordinator.describe(group_id)
        if described.state == "Stable" and described.members[0].member_id == member_id:
            seen = described.members[0].assignment
            newer = int(seen.split(b"/")[0]) > generation
            assert seen == assignment or newer, f"{seen!r} is in the log, {assignment!r} was handed out"
        else:
            raise AssertionError(f"the stable member {member_id} is gone: {described}")
    return sum(history.acknowledged.values())


async def survive(world: Simulation, rounds: int) -> None:
    node = world.node("broker")
    node.runtime.files.make_dirs("/data")
    node.runtime.files.sync_dir("/")
    history = History()
    for epoch in range(rounds):
        runtime = node.runtime if epoch == 0 else node.boot()
        rest = world.driver.runtime.rng.uniform(0.05, 0.8)
        living = node.run(live(runtime, epoch, history))
        await asyncio.sleep(rest)
        power_failed = epoch % 2 == 0
        if power_failed:
            node.crash()
        else:
            node.kill()
        with suppress(NodeDownError):
            await living
        total = await node.run(check(node.boot(), epoch, history, power_failed=power_failed))
        assert total > 0, "nothing was committed at all"
        node.kill()


@pytest.mark.parametrize("seed", range(6))
def test_what_was_acknowledged_survives_crashes(seed: int) -> None:
    with Simulation(seed=seed) as world:
        world.run(survive(world, rounds=4))
