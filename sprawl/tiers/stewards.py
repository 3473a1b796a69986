"""All stewards of a node: one for each tiered partition that it leads, each in its own time.

In: the partitions. Out: rounds, begun whenever a steward has something to do and is not at it already.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable

from sprawl.partitions.partition import Partition
from sprawl.tiers.catalogs import Key
from sprawl.tiers.steward import Steward, Surroundings

log = logging.getLogger(__name__)


class Stewards:
    def __init__(self, partitions: Callable[[], Iterable[Partition]], around: Surroundings, interval: float) -> None:
        """`interval`: seconds between two looks."""
        self._partitions = partitions
        self._around = around
        self._interval = interval
        self._stewards: dict[Key, Steward] = {}
        self._rounds: dict[Key, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Ends with the node."""
        try:
            while True:
                self.look()
                await asyncio.sleep(self._interval)
        finally:
            for task in self._rounds.values():
                task.cancel()
            await asyncio.gather(*self._rounds.values(), return_exceptions=True)

    def look(self) -> None:
        led = {(each.topic_id, each.index): each for each in self._partitions() if each.leading}
        for key in [key for key in self._stewards if key not in led]:
            del self._stewards[key]
        for key, partition in led.items():
            steward = self._stewards.get(key)
            if steward is None or steward.partition is not partition:
                steward = self._stewards[key] = Steward(partition, self._around)
            if key not in self._rounds and steward.due:
                task = self._rounds[key] = asyncio.create_task(steward.round(), name=f"tier {partition}")
                task.add_done_callback(lambda done, key=key: self._ended(key, done))  # type: ignore[misc]

    def _ended(self, key: Key, task: asyncio.Task[None]) -> None:
        self._rounds.pop(key, None)
        if not task.cancelled() and task.exception() is not None:
            log.critical("looking after the tier broke; this is a bug", exc_info=task.exception())
