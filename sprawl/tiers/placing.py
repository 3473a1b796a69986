"""What `Placement` decides, done: hot segments are fetched into the cache, piece by piece, and pinned there.

In: reads from the tier, as they happen. Out: chunks in the cache. It is background work: one request at a time, none
while others wait for the store, and nobody waits for it. What cannot be fetched is given up until it is read again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from sprawl.objects.errors import StoreError
from sprawl.tiers.cache import ChunkCache
from sprawl.tiers.catalogs import Key
from sprawl.tiers.counters import TierCounters
from sprawl.tiers.fetching import Fetching
from sprawl.tiers.manifest import BadSegment
from sprawl.tiers.placement import Placement
from sprawl.tiers.segments import TierSegment

log = logging.getLogger(__name__)

_EVERY: Final = 5.0
_BUSY_PAUSE: Final = 0.5
_KNOWN: Final = 4096


class Placing:
    def __init__(
        self,
        placement: Placement,
        fetching: Fetching,
        cache: ChunkCache,
        now: Callable[[], float],
        counters: TierCounters,
        every: float = _EVERY,
    ) -> None:
        self._placement = placement
        self._fetching = fetching
        self._cache = cache
        self._now = now
        self._counters = counters
        self._every = every
        self._where: OrderedDict[str, tuple[Key, TierSegment]] = OrderedDict()
        self._something_read = asyncio.Event()
        fetching.on_read = self.read

    def read(self, key: Key, segment: TierSegment, taken: int) -> None:
        self._placement.read(segment.id, segment.size, taken, self._now())
        self._where[segment.id] = (key, segment)
        self._where.move_to_end(segment.id)
        self._something_read.set()
        while len(self._where) > _KNOWN:
            self._where.popitem(last=False)

    async def run(self) -> None:
        """Ends with the node. Where nothing is read from the tier, and nothing is placed, nothing happens."""
        while True:
            if not self._placement.placed:
                self._something_read.clear()
                await self._something_read.wait()
            await asyncio.sleep(self._every)
            await self.once()

    async def once(self) -> None:
        decided = self._placement.decide(self._now())
        for segment_id in decided.release:
            self._cache.unpin(segment_id)
            self._counters.released_segments += 1
        for segment_id in decided.fetch:
            found = self._where.get(segment_id)
            try:
                if found is None:
                    raise BadSegment(f"nothing is known of segment {segment_id} any more")
                self._cache.pin(segment_id)
                await self._bring(*found)
                self._counters.placed_segments += 1
            except (StoreError, BadSegment) as problem:
                log.info("a segment that is read often stays in the tier only: %s", problem)
                self._placement.gone(segment_id)
                self._cache.unpin(segment_id)

    async def _bring(self, key: Key, segment: TierSegment) -> None:
        manifest = await self._fetching.manifest(key, segment)
        for number in range(len(manifest.chunks)):
            while self._fetching.busy:  # noqa: ASYNC110 - nobody waits for this, and it waits for a calm moment
                await asyncio.sleep(_BUSY_PAUSE)
            await self._fetching.bring(key, manifest, number)
