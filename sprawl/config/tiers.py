"""A broker's settings of the cloud tier, by Kafka's names where Kafka has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sprawl.config.definitions import ConfigType, at_least, setting

INT, LONG, BOOLEAN, STRING = ConfigType.INT, ConfigType.LONG, ConfigType.BOOLEAN, ConfigType.STRING
_GIB: Final = 1024 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class TierConfig:
    remote_log_storage_system_enable: bool = setting(
        BOOLEAN, False, "Whether there is a cloud tier: topics may then be made with `remote.storage.enable=true`."
    )
    sprawl_tier_url: str = setting(
        STRING,
        "",
        "Where the cloud tier is: `s3://bucket/prefix` (endpoint and credentials as for any AWS tool) or "
        "`file:///directory`. Empty: the directory `tier` in the data directory, for a node that is alone.",
    )
    sprawl_tier_cache_bytes: int = setting(
        LONG, _GIB, "How much of what was read from the cloud tier is kept on the disk.", allowed=at_least(0)
    )
    sprawl_tier_idle_ms: int = setting(
        LONG,
        -1,
        "Closed segments that are in the cloud tier and were not read from the disk for so long leave it, before "
        "`local.retention.*` says so; -1: they stay.",
        allowed=at_least(-1),
    )
    sprawl_tier_delete_grace_ms: int = setting(
        LONG, 60_000, "How long objects stay after the log has let go of them.", allowed=at_least(0)
    )
    sprawl_tier_orphan_grace_ms: int = setting(
        LONG,
        3_600_000,
        "How old objects must be that no record of the tier speaks of, and how long a topic must be gone, before "
        "they are deleted.",
        allowed=at_least(1),
    )
    sprawl_tier_uploads_max: int = setting(INT, 4, "How many segments a node uploads at once.", allowed=at_least(1))
    sprawl_tier_upload_timeout_ms: int = setting(
        LONG, 1_800_000, "How long the upload of one segment may take before it is begun anew.", allowed=at_least(1)
    )
    sprawl_tier_backup_interval_ms: int = setting(
        LONG,
        30_000,
        "How often, at most, the cluster's backup in the bucket is brought up to date.",
        allowed=at_least(100),
    )
    remote_log_manager_task_interval_ms: int = setting(
        LONG,
        1000,
        "How often segments are looked for that are to be uploaded or deleted. (Kafka: 30000.)",
        allowed=at_least(1),
    )
    remote_fetch_max_wait_ms: int = setting(
        INT, 500, "How long a fetch waits for the cloud tier before it answers without records.", allowed=at_least(1)
    )
    remote_list_offsets_request_timeout_ms: int = setting(
        LONG, 30_000, "How long a search by time may wait for the cloud tier.", allowed=at_least(1)
    )
