"""Producer ids: unique in the cluster, handed out from blocks that the controller gives to each node."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class ProducerIds:
    """Asks for the next block when the current one is used up; what a crash leaves unused is lost."""

    def __init__(self, allocate_block: Callable[[], Awaitable[tuple[int, int]]]) -> None:
        self._allocate_block = allocate_block
        self._next = 0
        self._end = 0
        self._lock = asyncio.Lock()

    async def take(self) -> int:
        """Raises whatever the controller refuses a block with."""
        async with self._lock:
            if self._next == self._end:
                first, count = await self._allocate_block()
                self._next, self._end = first, first + count
            producer_id = self._next
            self._next += 1
            return producer_id
