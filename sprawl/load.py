"""How loaded this node is, as gossip tells the others.

In: what the process, the disk and the partitions count, and when. Out: a digest with the rates between two looks. What
nobody counts is unknown, and so is every rate at the first look. Reads nothing by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import nlargest
from uuid import UUID

from sprawl.overlay.digest import MOST_PARTITIONS, Digest, HotPartition

PartitionKey = tuple[UUID, int]


@dataclass(frozen=True, slots=True)
class Counts:
    """What a process has counted since its start; None for what the system does not tell."""

    cpu_seconds: float | None = None
    net_in: float | None = None
    net_out: float | None = None
    """Bytes, of the whole machine but for its loopback."""
    disk_written: float | None = None
    """Bytes."""
    loop_lag: float | None = None
    """Seconds: the worst since the last look."""


class LoadMeter:
    def __init__(self) -> None:
        self._counts = Counts()
        self._sizes: Mapping[PartitionKey, int] = {}
        self._at: float | None = None

    def look(
        self, now: float, counts: Counts, disk_free: float | None, partitions: Iterable[tuple[PartitionKey, int]]
    ) -> Digest:
        """`partitions`: those that this node leads, each with the size of its log in bytes."""
        before, sizes_before = self._counts, self._sizes
        seconds = None if self._at is None or now <= self._at else now - self._at
        self._counts, self._sizes, self._at = counts, dict(partitions), now
        return Digest(
            cpu=_rate(before.cpu_seconds, counts.cpu_seconds, seconds),
            net_in=_rate(before.net_in, counts.net_in, seconds),
            net_out=_rate(before.net_out, counts.net_out, seconds),
            disk_free=disk_free,
            disk_write=_rate(before.disk_written, counts.disk_written, seconds),
            loop_lag_ms=None if counts.loop_lag is None else counts.loop_lag * 1000,
            hottest=() if seconds is None else _hottest(sizes_before, self._sizes, seconds),
        )


def _rate(before: float | None, after: float | None, seconds: float | None) -> float | None:
    if before is None or after is None or seconds is None:
        return None
    return max(0.0, after - before) / seconds


def _hottest(
    before: Mapping[PartitionKey, int], after: Mapping[PartitionKey, int], seconds: float
) -> tuple[HotPartition, ...]:
    """A partition that was not there at the last look is not known to be hot; one that shrank was cut."""
    grown = ((size - before[key], key) for key, size in after.items() if size > before.get(key, size))
    return tuple(HotPartition(*key, growth / seconds) for growth, key in nlargest(MOST_PARTITIONS, grown))
