"""Going over a closed segment from its beginning to its end, every batch checked, without holding anybody up.

For those who work in the background: compaction, and the scrubber.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from sprawl.storage.log import Log
from sprawl.storage.segment import Segment
from sprawl_protocol.records import BatchHeader

_STEP: Final = 32 * 1024
"""Bytes that are looked into before others have their turn."""
_LEAST_PAUSE: Final = 0.01


class Pace:
    """So many bytes a second, taken together."""

    def __init__(self, bytes_per_second: float) -> None:
        self._bytes_per_second = bytes_per_second
        self._debt = 0.0

    async def keep(self, size: int) -> None:
        self._debt += size / self._bytes_per_second
        if self._debt >= _LEAST_PAUSE:
            pause, self._debt = self._debt, 0.0
            await asyncio.sleep(pause)


async def batches(log: Log, segment: Segment, pace: Pace) -> AsyncIterator[tuple[memoryview, int, BatchHeader]]:
    """Bytes, where in them a batch begins, its header.

    Raises `ApiError` where the segment is damaged, which the log knows of then; `OSError`, `CutError`, and `ValueError`
    once the segment is gone.
    """
    position, due, step = 0, segment.base_offset, 0
    while position < segment.size:
        data, found = await log.batches_at(segment, position, due)
        for pos, header in found:
            yield data, pos, header
            position, due, step = position + header.size, header.next_offset, step + header.size
            if step >= _STEP:
                step = 0
                await asyncio.sleep(0)
        await pace.keep(len(data))
