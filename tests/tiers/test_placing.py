"""Segments that are read often are fetched as a whole, and stay; those that nobody reads any more may go."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sprawl.tiers.placement import Placement
from sprawl.tiers.placing import Placing
from tests.tiers.test_fetching import KEY, Tier


class Moment:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def all_here(tier: Tier) -> None:
    async with asyncio.timeout(60):
        for number in range(len(tier.manifest.chunks)):
            while not tier.cache.on_disk((tier.manifest.segment.id, number)):
                await asyncio.sleep(0.001)


async def test_a_segment_that_is_read_often_comes_as_a_whole_and_stays_while_others_pass(tmp_path: Path) -> None:
    tier, moment = Tier(tmp_path), Moment()
    await tier.start()
    placing = Placing(Placement(1 << 19), tier.fetching, tier.cache, moment, tier.counters)
    placing.read(KEY, tier.finished, tier.manifest.segment.size)
    await placing.once()
    assert tier.counters.fetched_bytes == 0, "once is not often"
    placing.read(KEY, tier.finished, tier.manifest.segment.size)
    await placing.once()
    await all_here(tier)
    assert tier.counters.placed_segments == 1
    assert tier.counters.fetched_bytes == tier.manifest.segment.size
    for number in range(30):
        await tier.cache.put(("another", number), b"x" * 50_000)
    await all_here(tier)
    assert not tier.cache.on_disk(("another", 0)), "what others read made room"
    moment.now = 7200.0
    await placing.once()
    assert tier.counters.released_segments == 1
    for number in range(30):
        await tier.cache.put(("third", number), b"x" * 50_000)
    assert not tier.cache.on_disk((tier.manifest.segment.id, 0))
    await tier.fetching.stop()


async def test_a_store_that_is_away_costs_a_segment_its_place_and_nothing_else(tmp_path: Path) -> None:
    tier, moment = Tier(tmp_path), Moment()
    await tier.start()
    placement = Placement(1 << 19)
    placing = Placing(placement, tier.fetching, tier.cache, moment, tier.counters)
    for _ in range(2):
        placing.read(KEY, tier.finished, tier.manifest.segment.size)
    tier.bucket.objects.clear()
    await placing.once()
    assert placement.placed == frozenset()
    assert tier.counters.placed_segments == 0
    await tier.fetching.stop()
