"""A topic larger than the disks of its nodes, in a simulated cluster with a bucket."""

from __future__ import annotations

from tests.tiers.world import TieredWorld, tell


def test_what_left_the_disk_is_read_from_the_tier() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start()
        world.produce()
        await world.acknowledged(300)
        await world.until(world.left_disk)
        await world.stop_producing()
        leader = world.leader
        assert leader is not None
        assert leader.log.log_start_offset == 0
        found = await world.read_back()
        assert [offset for offset, _ in found] == list(range(len(found)))
        assert world.tiering(1).counters.fetched_bytes > 0

    tell(1, story)
