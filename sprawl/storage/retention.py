"""Which segments a log no longer keeps. Pure: segments and limits in, a number of segments out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Extent(Protocol):
    """What retention looks at in a segment."""

    @property
    def size(self) -> int: ...

    @property
    def max_timestamp(self) -> int:
        """Milliseconds; of the newest record, or of the file where no record has one."""
        ...

    @property
    def next_offset(self) -> int: ...


def expired(
    segments: Sequence[Extent],
    *,
    retention_ms: int,
    retention_bytes: int,
    now_ms: int,
    high_watermark: int,
    log_start_offset: int,
) -> int:
    """How many segments, from the oldest on, are to go. -1 as a limit means none.

    A segment goes if all its records are too old, if without it the log is still as large as it may be, or if
    DeleteRecords moved the start behind it; and never before all of it is committed.
    """
    total = sum(segment.size for segment in segments)
    count = 0
    for segment in segments:
        too_old = retention_ms >= 0 and now_ms - segment.max_timestamp > retention_ms
        too_much = retention_bytes >= 0 and total - segment.size >= retention_bytes
        cut_off = segment.next_offset <= log_start_offset
        if segment.next_offset > high_watermark or not (too_old or too_much or cut_off):
            break
        total -= segment.size
        count += 1
    return count
