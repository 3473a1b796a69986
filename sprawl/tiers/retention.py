"""How much of a tiered log is past `retention.ms` and `retention.bytes`, here and in the tier together. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sprawl.config.topics import TopicConfig
from sprawl.storage.retention import expired
from sprawl.tiers.catalog import Entry


@dataclass(frozen=True, slots=True)
class _Extent:
    size: int
    max_timestamp: int
    next_offset: int


def start_after_retention(
    chain: Sequence[Entry], untiered_bytes: int, config: TopicConfig, now_ms: int, log_start: int
) -> int:
    """Where the log should begin; `log_start` if nothing is past retention.

    `untiered_bytes`: of the log behind the tier's end, which counts for its size, and is not up for deletion.
    """
    if not config.deletes or not chain:
        return log_start
    extents = [_Extent(one.segment.size, _newest(one), one.end_offset) for one in chain]
    end = extents[-1].next_offset
    count = expired(
        [*extents, _Extent(untiered_bytes, now_ms, end + 1)],
        retention_ms=config.retention_ms,
        retention_bytes=config.retention_bytes,
        now_ms=now_ms,
        high_watermark=end,
        log_start_offset=log_start,
    )
    return max(log_start, extents[count - 1].next_offset) if count else log_start


def _newest(entry: Entry) -> int:
    """Of records without a time, when they were uploaded."""
    return entry.segment.max_timestamp if entry.segment.max_timestamp >= 0 else entry.since_ms
