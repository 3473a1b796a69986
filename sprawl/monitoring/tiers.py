"""What the cloud tier does, in numbers: under Kafka's names (KIP-405, KIP-963) where Kafka has them.

In: a node's tiering, and its partitions. Out: metrics, read when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from sprawl.observability.metrics import Gauge, Registry, Rows
from sprawl.partitions.partition import Partition
from sprawl.tiering import Tiering
from sprawl.tiers.catalog import SegmentState
from sprawl.tiers.counters import TierCounters

_KAFKA: Final = "kafka_server_brokertopicmetrics_remote"
_COUNTED: Final[tuple[tuple[str, str, Callable[[TierCounters], int]], ...]] = (
    (f"{_KAFKA}copybytes_total", "Bytes uploaded to the cloud tier.", lambda c: c.copied_bytes),
    (f"{_KAFKA}copyrequests_total", "Segments uploaded to the cloud tier.", lambda c: c.copied_segments),
    (f"{_KAFKA}copyerrors_total", "Rounds of uploading that failed, and are tried again.", lambda c: c.copy_errors),
    (f"{_KAFKA}fetchbytes_total", "Bytes read from the cloud tier.", lambda c: c.fetched_bytes),
    (f"{_KAFKA}fetchrequests_total", "Requests to read from the cloud tier.", lambda c: c.fetch_requests),
    (f"{_KAFKA}fetcherrors_total", "Reads from the cloud tier that failed.", lambda c: c.fetch_errors),
    (f"{_KAFKA}deleterequests_total", "Segments deleted from the cloud tier.", lambda c: c.deleted_segments),
    ("sprawl_tier_copies_refused_total", "Uploads that were void: another leads.", lambda c: c.copies_refused),
    ("sprawl_tier_swept_objects_total", "Objects deleted that belonged to nothing.", lambda c: c.swept_objects),
    ("sprawl_tier_damaged_reads_total", "Reads with a wrong checksum; not served.", lambda c: c.damaged_chunks),
    ("sprawl_tier_backups_total", "Sections of the cluster's backup that were put.", lambda c: c.backups),
    ("sprawl_tier_backup_errors_total", "Rounds of the backup that failed.", lambda c: c.backup_errors),
    ("sprawl_tier_cache_hits_total", "Chunks read from the cache.", lambda c: c.cache_hits),
    ("sprawl_tier_cache_misses_total", "Chunks that had to be fetched.", lambda c: c.cache_misses),
    ("sprawl_tier_placed_segments_total", "Segments fetched and kept as a whole.", lambda c: c.placed_segments),
    ("sprawl_tier_released_segments_total", "Such that cooled down.", lambda c: c.released_segments),
)


class TierMetrics:
    def __init__(self, registry: Registry, tiering: Tiering, partitions: Callable[[], Iterable[Partition]]) -> None:
        self._tiering = tiering
        self._partitions = partitions
        for name, text, read in _COUNTED:
            registry.counter(name, text).follow(lambda read=read: read(tiering.counters))  # type: ignore[misc]
        registry.gauge(
            "sprawl_tier_usable", "Whether the object store was found fit for use.", lambda: float(tiering.usable)
        )
        registry.gauge(
            "sprawl_tier_backup_age_seconds",
            "How long ago this node's part of the cluster's backup was last up to date; -1: never.",
            lambda: tiering.backup_age,
        )
        registry.gauge("sprawl_tier_cache_bytes", "Bytes of the cache on the disk.", lambda: tiering.cached_bytes)
        registry.counter(
            "sprawl_tier_records_refused_total", "Void records of the tier's topic, of leaders that were replaced."
        ).follow(lambda: tiering.catalogs.refused)
        labels = ("topic", "partition")
        for name, text, rows in (
            (f"{_KAFKA}logsizebytes", "Bytes of a partition in the cloud tier, at its leader.", self._sizes),
            (f"{_KAFKA}copylagbytes", "Bytes of closed segments that are not uploaded yet.", self._lag_bytes),
            (f"{_KAFKA}copylagsegments", "Closed segments that are not uploaded yet.", self._lag_segments),
            ("sprawl_tier_segments_deleting", "Segments whose objects wait to be deleted.", self._deleting),
        ):
            registry.table(Gauge.KIND, name, text, labels, rows)

    def lag_bytes(self) -> int:
        """Of all partitions led here."""
        return int(sum(size for _, size in self._lag_bytes()))

    def _tiered(self) -> list[Partition]:
        return [each for each in self._partitions() if each.leading and each.config.remote_storage_enable]

    def _sizes(self) -> Rows:
        return [
            (_labels(each), self._tiering.catalogs[(each.topic_id, each.index)].size_bytes) for each in self._tiered()
        ]

    def _lag_bytes(self) -> Rows:
        return [(_labels(each), sum(self._waiting(each))) for each in self._tiered()]

    def _lag_segments(self) -> Rows:
        return [(_labels(each), len(self._waiting(each))) for each in self._tiered()]

    def _waiting(self, partition: Partition) -> list[int]:
        end = self._tiering.catalogs[(partition.topic_id, partition.index)].end_offset
        return [each.size for each in partition.log.segments.all[:-1] if each.next_offset > end]

    def _deleting(self) -> Rows:
        found = []
        for each in self._tiered():
            doomed = self._tiering.catalogs[(each.topic_id, each.index)].in_state(SegmentState.DELETE_STARTED)
            found.append((_labels(each), float(len(doomed))))
        return found


def _labels(partition: Partition) -> tuple[str, str]:
    return partition.topic, str(partition.index)
