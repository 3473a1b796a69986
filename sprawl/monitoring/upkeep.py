"""What goes over a node's files in the background, in numbers: compaction and the scrubber.

In: both. Out: metrics, under the names of Kafka's log cleaner where it has them.
"""

from __future__ import annotations

from sprawl.observability.metrics import Registry
from sprawl.storage.cleaner import Cleaner
from sprawl.storage.scrubber import Scrubber


def measure_upkeep(registry: Registry, cleaner: Cleaner, scrubber: Scrubber) -> None:
    done = cleaner.counters
    for name, text, read in (
        ("sprawl_compaction_runs_total", "Runs of compaction over a log.", lambda: done.runs),
        ("sprawl_compaction_freed_bytes_total", "Bytes that compaction has freed.", lambda: done.bytes_freed),
        ("sprawl_compaction_failures_total", "Runs of compaction that failed.", lambda: done.failures),
        ("sprawl_scrub_bytes_total", "Bytes that were read only to be checked.", lambda: scrubber.bytes_read),
        ("sprawl_scrub_damaged_total", "Logs found damaged by that.", lambda: scrubber.found_damaged),
    ):
        registry.counter(name, text).follow(read)
    registry.gauge(
        "kafka_log_logcleanermanager_uncleanable_partitions_count",
        "Logs that could not be compacted, and are left alone for a while.",
        lambda: cleaner.set_aside,
    )
    registry.gauge(
        "kafka_log_logcleanermanager_max_dirty_percent",
        "The largest share of a log that may be compacted, and was not yet.",
        cleaner.max_dirty_percent,
    )
