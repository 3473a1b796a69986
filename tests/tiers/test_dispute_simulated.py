"""A leader that lacks what the tier has: committed records are given up by an operator, or not at all."""

from __future__ import annotations

import asyncio

from tests.tiers.world import TieredWorld, tell
from tools.simulate.clients import TOPIC
from tools.simulate.cluster import DIRECTORY

TOPIC_KIND = 2


def test_a_leader_that_lost_its_log_does_not_empty_the_tier() -> None:
    async def story(world: TieredWorld) -> None:
        await world.start()
        world.produce()
        await world.acknowledged(300)
        await world.until(lambda: world.tier_end() > 150)
        await world.stop_producing()
        await world.settled()
        end, names = world.tier_end(), world.names()
        lose_log(world)
        await world.until(lambda: world.leader is not None and world.leader.established)
        await asyncio.sleep(20)
        assert set(names) <= set(world.names())
        assert world.tier_end() == end, "nothing is cut"
        await world.operator.set(TOPIC_KIND, TOPIC, "unclean.leader.election.enable", "true")
        await world.until(lambda: world.tier_end() < end and not world.doomed())
        assert len(world.names()) < len(names)

    tell(13, story)


def lose_log(world: TieredWorld) -> None:
    """As when somebody removed the partition's directory."""
    member = world.cluster.members[1]
    member.kill()
    member.machine.boot()
    files = member.machine.runtime.files
    files.remove_tree(f"{DIRECTORY}/{TOPIC}-0")
    files.sync_dir(DIRECTORY)
    member.start()
