"""The settings that groups and their coordinator obey, taken out of the broker's configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from sprawl.config.broker import BrokerConfig
from sprawl.groups.exchange import GroupLimits

_MINUTE_MS: Final = 60_000
_SNAPSHOT_BYTES: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class GroupSettings:
    limits: GroupLimits = field(default_factory=GroupLimits)
    offset_metadata_max_bytes: int = 4096
    offsets_retention_ms: int = 7 * 24 * 60 * _MINUTE_MS
    retention_check_interval_ms: int = 600_000
    commit_timeout_ms: int = 5_000
    partitions: int = 50
    """Of `__consumer_offsets`, if it has to be made."""
    replication_factor: int = 3
    segment_bytes: int = 100 * 1024 * 1024
    snapshot_bytes: int = _SNAPSHOT_BYTES
    """A partition of the log is written anew and trimmed once it has grown by this much (and by its live state)."""
    load_retry_ms: int = 1_000

    @classmethod
    def of(cls, config: BrokerConfig) -> GroupSettings:
        return cls(
            limits=GroupLimits(
                min_session_timeout_ms=config.group_min_session_timeout_ms,
                max_session_timeout_ms=config.group_max_session_timeout_ms,
                initial_rebalance_delay_ms=config.group_initial_rebalance_delay_ms,
                max_size=config.group_max_size,
            ),
            offset_metadata_max_bytes=config.offset_metadata_max_bytes,
            offsets_retention_ms=config.offsets_retention_minutes * _MINUTE_MS,
            retention_check_interval_ms=config.offsets_retention_check_interval_ms,
            commit_timeout_ms=config.offsets_commit_timeout_ms,
            partitions=config.offsets_topic_num_partitions,
            replication_factor=config.offsets_topic_replication_factor,
            segment_bytes=config.offsets_topic_segment_bytes,
        )

    @property
    def topic_config(self) -> dict[str, str]:
        """Of `__consumer_offsets`. Nothing is deleted by age or size: the journal trims what it has written anew."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": "-1",
            "retention.bytes": "-1",
            "segment.bytes": str(self.segment_bytes),
        }
