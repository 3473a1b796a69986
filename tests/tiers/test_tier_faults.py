"""The tier on bad days: a store that fails in every way it can, leaders that die in the middle of an upload."""

from __future__ import annotations

import asyncio

import pytest

from sprawl.tiers.catalog import SegmentState
from tests.tiers.world import TieredWorld, tell


def bad_day(world: TieredWorld) -> None:
    faults = world.faults
    faults.unavailable = faults.lost_answers = faults.late = 0.08
    faults.truncated = faults.flipped = 0.1
    faults.lost_deletes = faults.stale_lists = 0.2
    faults.slow = 0.1


@pytest.mark.parametrize("seed", range(2))
def test_no_hole_no_duplicate_no_dangling_reference_and_no_orphan(seed: int) -> None:
    async def story(world: TieredWorld) -> None:
        await world.start(3)
        world.produce()
        await world.acknowledged(50)
        bad_day(world)
        rng = world.world.driver.runtime.rng
        for _ in range(4):
            await asyncio.sleep(2 + 4 * rng.random())
            leader = next((id_ for id_, each in world.replicas().items() if each is world.leader), None)
            if leader is not None:
                member = world.cluster.members[leader]
                (member.crash if rng.random() < 0.3 else member.kill)()
                await asyncio.sleep(1 + 3 * rng.random())
                member.restart()
        await world.acknowledged(len(world.seen.acknowledged) + 50)
        world.faults.heal()
        await world.stop_producing()
        await world.settled()
        await asyncio.sleep(25)  # twice the time after which nobody's objects go
        await world.settled()
        world.check_bucket()
        assert not world.bucket.uploads
        assert world.left_disk()
        await world.read_back()
        assert world.tier_end() > 100

    tell(100 + seed, story, nodes=3, settings={"sprawl.tier.upload.timeout.ms": "30000"}, limit=1000)


@pytest.mark.parametrize("seed", range(2))
def test_reads_through_a_bad_store_give_right_bytes_or_none(seed: int) -> None:
    async def story(world: TieredWorld) -> None:
        await world.start()
        world.produce()
        await world.acknowledged(300)
        await world.stop_producing()
        await world.settled()
        bad_day(world)
        await world.read_back()
        assert world.faults.happened.get("flipped", 0) + world.faults.happened.get("truncated", 0) > 0

    tell(200 + seed, story, settings={"sprawl.tier.cache.bytes": "0"}, limit=1000)


def test_bytes_that_are_damaged_in_the_bucket_are_not_served() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start()
        world.produce()
        await world.acknowledged(300)
        await world.stop_producing()
        await world.settled()
        whole = await world.read_back()
        chain = world.catalog().chain
        logs = sorted(name for name in world.bucket.names() if name.endswith(".log"))
        world.bucket.flip(logs[1], 5)  # the base offset: no batch's checksum covers it
        world.cluster.members[1].restart()
        await world.until(lambda: world.leader is not None and len(world.catalog().chain) == len(chain))
        found, error = await world.read_from(0, chain[1].segment.base_offset)
        assert found == whole[: chain[1].segment.base_offset]
        assert error != 0
        found, _ = await world.read_from(chain[2].segment.base_offset, len(whole))
        assert found == whole[chain[2].segment.base_offset :]

    tell(9, story)


@pytest.mark.parametrize("seed", range(3))
def test_a_leader_that_slept_through_its_upload_cannot_publish_it(seed: int) -> None:
    async def story(world: TieredWorld) -> None:
        await world.start(3)
        world.produce()
        await world.acknowledged(100)
        world.faults.slow, world.faults.slow_seconds = 1.0, 2.0
        await world.until(lambda: SegmentState.COPY_STARTED in world.states())
        former = next(id_ for id_, each in world.replicas().items() if each is world.leader)
        world.cluster.members[former].machine.pause()
        await asyncio.sleep(12)  # others lead, and have deleted what it began
        world.cluster.members[former].machine.resume()
        await asyncio.sleep(8)
        world.faults.heal()
        await world.acknowledged(len(world.seen.acknowledged) + 100)
        await world.stop_producing()
        await world.settled()
        await asyncio.sleep(25)
        world.check_bucket()
        await world.read_back()

    tell(300 + seed, story, nodes=3, limit=1000)
