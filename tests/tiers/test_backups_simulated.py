"""The cluster's backup keeps step with what it has in the tier, whoever leads; nobody writes over their successor."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sprawl.objects.contract import Listed
from sprawl.objects.probe import MARKER, Marker
from sprawl.objects.store import Store
from sprawl.tiers.backup import Section
from sprawl.tiers.backup_reading import Backup, read_backup
from sprawl.tiers.restore import plan_restore
from sprawl.tiers.segments import ROOT
from tests.tiers.test_tier_faults import bad_day
from tests.tiers.world import TieredWorld, tell
from tools.simulate.clients import TOPIC
from tools.simulate.objects import InMemory

OFTEN = {"sprawl.tier.backup.interval.ms": "500"}


async def backup(world: TieredWorld) -> Backup:
    return await read_backup(await world.open_store("s3://shared/prefix", world.world.driver.runtime))


def told(found: Backup, world: TieredWorld) -> list[tuple[str, int]]:
    leader = world.leader
    assert leader is not None
    backed = found.tier.get((leader.topic_id, 0))
    return [] if backed is None else [(each.segment.id, each.end_offset) for each in backed.segments]


def test_it_has_all_that_is_in_the_tier_after_leaders_came_and_went() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start(3)
        world.produce()
        for node in (1, 2, 3):
            await world.acknowledged(len(world.seen.acknowledged) + 80)
            world.cluster.members[node].restart()
        await world.acknowledged(len(world.seen.acknowledged) + 80)
        await world.stop_producing()
        await world.settled()
        await asyncio.sleep(5)
        found, leader = await backup(world), world.leader
        assert leader is not None
        assert told(found, world) == [(each.segment.id, each.end_offset) for each in world.catalog().chain]
        extent = found.extents[(leader.topic_id, 0)]
        assert (extent.leader_epoch, extent.start) == (leader.leader_epoch, leader.log.log_start_offset)
        assert extent.committed == leader.high_watermark
        (topic,) = [each for each in found.cluster.topics if each.name == TOPIC]
        assert (topic.id, topic.replicas, len(topic.leader_epochs)) == (leader.topic_id, 3, 1)
        assert topic.configs["remote.storage.enable"] == "true"

    tell(41, story, nodes=3, settings=OFTEN)


@pytest.mark.parametrize("seed", range(2))
def test_at_any_moment_of_a_bad_day_the_cluster_could_be_restored(seed: int) -> None:
    async def story(world: TieredWorld) -> None:
        await world.start(3, {"retention.bytes": "20000"})
        world.produce()
        await world.acknowledged(100)
        runtime = world.world.driver.runtime
        store = Store(InMemory(world.bucket, runtime), runtime)
        await world.until(lambda: any(name.endswith("/tier-0.json") for name in world.bucket.names()))
        bad_day(world)
        started = 0
        for moment in range(60):
            await asyncio.sleep(0.5 + runtime.rng.random())
            if moment % 15 == 5:
                node = world.cluster.members[1 + moment // 15 % 3]
                node.kill()
                await asyncio.sleep(2)
                node.restart()
            plan = plan_restore(await read_backup(store), {each.key: each.size for each in await all_objects(store)})
            assert plan.damages == []
            (topic,) = [each for each in plan.topics if each.topic.name == TOPIC]
            (partition,) = topic.partitions
            ends = [each.end_offset for each in partition.segments]
            assert [each.segment.base_offset for each in partition.segments][1:] == ends[:-1], "one follows another"
            started = max(started, partition.start)
        assert started > 0, "retention has deleted something"
        world.faults.heal()
        await world.stop_producing()
        await world.settled()
        await asyncio.sleep(10)
        assert told(await backup(world), world) == [
            (each.segment.id, each.end_offset) for each in world.catalog().chain
        ]

    tell(50 + seed, story, nodes=3, settings=OFTEN, limit=1000)


async def all_objects(store: Store) -> list[Listed]:
    found: list[Listed] = []
    after: str | None = None
    while True:
        page = await store.list(ROOT, after=after)
        found += page.objects
        if page.after is None:
            return found
        after = page.after


def test_a_section_of_a_later_epoch_is_not_replaced() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start()
        world.produce()
        await world.acknowledged(100)
        await world.until(lambda: any(name.startswith("backup/") for name in world.bucket.names()))
        key = next(name for name in world.bucket.names() if name.endswith("/cluster.json"))
        mine = Section.parse(world.bucket.objects[key][0], key)
        store = await world.open_store("s3://shared/prefix", world.world.driver.runtime)
        await store.put(key, replace(mine, epoch=mine.epoch + 5).pack())
        later = world.bucket.objects[key]
        await world.make_topic(1, {}, "another")
        await asyncio.sleep(5)
        assert world.bucket.objects[key] == later, "a controller that was replaced does not write"
        await world.stop_producing()

    tell(42, story, settings=OFTEN)


def test_one_that_was_removed_or_damaged_by_hand_is_written_anew() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start()
        world.produce()
        await world.acknowledged(100)
        await world.until(lambda: any(name.endswith("/cluster.json") for name in world.bucket.names()))
        await world.stop_producing()
        await asyncio.sleep(3)
        keys = [name for name in world.bucket.names() if name.startswith("backup/")]
        for key in keys:
            del world.bucket.objects[key]
        await asyncio.sleep(3)
        assert [name for name in world.bucket.names() if name.startswith("backup/")] == keys
        await backup(world)

    tell(43, story, settings=OFTEN)


def test_a_cluster_whose_bucket_was_taken_over_touches_nothing_there() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start()
        world.produce()
        await world.acknowledged(100)
        await world.until(lambda: world.tiering(1).counters.backups > 0)
        store = await world.open_store("s3://shared/prefix", world.world.driver.runtime)
        await store.put(MARKER, Marker("N" * 22, 0).pack())
        await asyncio.sleep(2)
        assert not world.tiering(1).usable
        names = world.bucket.names()
        await world.acknowledged(len(world.seen.acknowledged) + 200)
        await asyncio.sleep(30)
        assert world.bucket.names() == names
        await world.stop_producing()
        await world.read_back()

    tell(44, story, settings=OFTEN)
