"""A broker's settings of what goes over its files in the background: compaction, by Kafka's names, and the scrubber."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sprawl.config.definitions import ConfigType, at_least, setting

_NO_LIMIT: Final = 1.7976931348623157e308


@dataclass(frozen=True, kw_only=True)
class CleanerConfig:
    log_cleaner_enable: bool = setting(
        ConfigType.BOOLEAN, True, "Whether topics with `cleanup.policy=compact` are compacted."
    )
    log_cleaner_backoff_ms: int = setting(
        ConfigType.LONG, 15_000, "How often logs are looked for that are to be compacted.", allowed=at_least(0)
    )
    log_cleaner_dedupe_buffer_size: int = setting(
        ConfigType.LONG,
        134_217_728,
        "Memory for the keys of the log that is being compacted, some 200 bytes each. What does not fit waits for the "
        "next run.",
        allowed=at_least(1),
    )
    log_cleaner_io_max_bytes_per_second: float = setting(
        ConfigType.DOUBLE, _NO_LIMIT, "How much compaction reads and writes, together."
    )
    sprawl_scrub_interval_ms: int = setting(
        ConfigType.LONG,
        604_800_000,
        "How often every closed segment is read and checked, so that damage is found while another replica has the "
        "records. -1: never.",
        allowed=at_least(-1),
    )
    sprawl_scrub_bytes_per_second: int = setting(
        ConfigType.LONG, 10_485_760, "How fast closed segments are read for that.", allowed=at_least(1)
    )
