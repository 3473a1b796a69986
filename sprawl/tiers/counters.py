"""What the tier has done since the node started. Counted here, shown by the metrics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class TierCounters:
    copied_bytes: int = 0
    copied_segments: int = 0
    copy_errors: int = 0
    copies_refused: int = 0
    """Finished, and void: another leads by now."""
    deleted_segments: int = 0
    swept_objects: int = 0
    """That no record spoke of."""
    fetched_bytes: int = 0
    fetch_requests: int = 0
    fetch_errors: int = 0
    damaged_chunks: int = 0
    """Bytes that came with a wrong checksum: not served."""
    backups: int = 0
    """Sections of the cluster's backup that were put."""
    backup_errors: int = 0
    last_backup: float = -1.0
    """When all of it was last up to date, by the monotonic clock; -1: never."""
    cache_hits: int = 0
    cache_misses: int = 0
    placed_segments: int = 0
    """Brought to this node's disk as a whole, for they are read often."""
    released_segments: int = 0
    """Of those, such as are not any more."""
