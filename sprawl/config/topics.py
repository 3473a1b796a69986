"""A topic's settings: Kafka's keys with Kafka's meaning, and `sprawl.durability`.

In: a topic's own values as text, and the broker's settings, which give the defaults. Out: a `TopicConfig` with typed
values, or an `ApiError` with INVALID_CONFIG. Each key is declared once, below: from there come parsing, checks, the
answers of DescribeConfigs and the documentation. Keys that do not act (yet) are accepted, checked, and say why.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from sprawl.config.definitions import (
    HOURS,
    MINUTES,
    ConfigType,
    Definition,
    InvalidValueError,
    Synonym,
    at_least,
    attribute,
    between,
    definitions_of,
    either,
    enums_of,
    list_of,
    one_of,
    setting,
)
from sprawl_protocol.errors import ApiError, ErrorCode

if TYPE_CHECKING:
    from sprawl.config.broker import BrokerConfig

INT, LONG, DOUBLE, BOOLEAN, STRING, LIST = (
    ConfigType.INT,
    ConfigType.LONG,
    ConfigType.DOUBLE,
    ConfigType.BOOLEAN,
    ConfigType.STRING,
    ConfigType.LIST,
)
FOREVER: Final = 2**63 - 1

_LAG: Final = "a closed segment is uploaded as soon as it is committed"
_SHARE: Final = "share groups are not built yet"


class Durability(Enum):
    """When an offset of a replica may count towards the high watermark."""

    FSYNC = "fsync"
    """Once it is on stable storage."""
    DISK = "disk"
    """Once it is written to the page cache, as Kafka does."""
    MEMORY = "memory"
    """At once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicConfig:
    cleanup_policy: tuple[str, ...] = setting(
        LIST,
        ("delete",),
        "What happens to old segments: `delete` by time and size, `compact` to the newest record of each key, or "
        "both. Empty: nothing.",
        allowed=list_of("compact", "delete"),
        synonyms=["log.cleanup.policy"],
    )
    compression_type: str = setting(
        STRING,
        "producer",
        "How batches are stored: as the producer sent them, or recompressed.",
        allowed=one_of("uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"),
        synonyms=["compression.type"],
    )
    compression_gzip_level: int = setting(
        INT,
        -1,
        "The level if `compression.type` is `gzip`; -1 is the library's default.",
        allowed=either("from 1 to 9, or -1", lambda value: 1 <= value <= 9 or value == -1),
        synonyms=["compression.gzip.level"],
    )
    compression_lz4_level: int = setting(
        INT, 9, "The level if `compression.type` is `lz4`.", allowed=between(1, 17), synonyms=["compression.lz4.level"]
    )
    compression_zstd_level: int = setting(
        INT,
        3,
        "The level if `compression.type` is `zstd`.",
        allowed=between(-131072, 22),
        synonyms=["compression.zstd.level"],
    )
    delete_retention_ms: int = setting(
        LONG,
        86_400_000,
        "How long a tombstone stays after compaction.",
        allowed=at_least(0),
        synonyms=["log.cleaner.delete.retention.ms"],
    )
    errors_deadletterqueue_group_enable: bool = setting(
        BOOLEAN, False, "Whether share groups may use this topic as their dead letter queue.", inert=_SHARE
    )
    file_delete_delay_ms: int = setting(
        LONG,
        60_000,
        "How long a removed segment's file stays before it is deleted.",
        allowed=at_least(0),
        synonyms=["log.segment.delete.delay.ms"],
    )
    flush_messages: int = setting(
        LONG,
        FOREVER,
        "Synchronise to stable storage after so many records.",
        allowed=at_least(1),
        synonyms=["log.flush.interval.messages"],
    )
    flush_ms: int = setting(
        LONG,
        FOREVER,
        "Synchronise to stable storage after so long.",
        allowed=at_least(0),
        synonyms=["log.flush.interval.ms", "log.flush.scheduler.interval.ms"],
    )
    follower_replication_throttled_replicas: tuple[str, ...] = setting(
        LIST, (), "Replicas whose fetching is throttled: `partition:broker` pairs, or `*`."
    )
    index_interval_bytes: int = setting(
        INT,
        4096,
        "How many bytes of records one entry of the message index covers.",
        allowed=at_least(0),
        synonyms=["log.index.interval.bytes"],
    )
    internal_segment_bytes: int | None = setting(
        INT, None, "A segment size below the public minimum, for tests.", allowed=at_least(1), internal=True
    )
    leader_replication_throttled_replicas: tuple[str, ...] = setting(
        LIST, (), "Replicas whose serving is throttled: `partition:broker` pairs, or `*`."
    )
    local_retention_bytes: int = setting(
        LONG,
        -2,
        "How many bytes stay local once uploaded; -2 means `retention.bytes`.",
        allowed=at_least(-2),
        synonyms=["log.local.retention.bytes"],
    )
    local_retention_ms: int = setting(
        LONG,
        -2,
        "How long records stay local once uploaded; -2 means `retention.ms`.",
        allowed=at_least(-2),
        synonyms=["log.local.retention.ms"],
    )
    max_compaction_lag_ms: int = setting(
        LONG,
        FOREVER,
        "The longest a record stays uncompacted.",
        allowed=at_least(1),
        synonyms=["log.cleaner.max.compaction.lag.ms"],
    )
    max_decompressed_message_bytes: int = setting(
        INT,
        2_147_483_639,
        "The largest size a batch may have once decompressed, where the broker decompresses it; never above 64 MiB.",
        allowed=at_least(1),
        synonyms=["max.decompressed.message.bytes"],
    )
    max_message_bytes: int = setting(
        INT,
        1_048_588,
        "The largest record batch accepted, compressed as sent.",
        allowed=at_least(0),
        synonyms=["message.max.bytes"],
    )
    message_timestamp_after_max_ms: int = setting(
        LONG,
        3_600_000,
        "How far a record's timestamp may lie ahead of the broker's clock.",
        allowed=at_least(0),
        synonyms=["log.message.timestamp.after.max.ms"],
    )
    message_timestamp_before_max_ms: int = setting(
        LONG,
        FOREVER,
        "How far a record's timestamp may lie behind the broker's clock.",
        allowed=at_least(0),
        synonyms=["log.message.timestamp.before.max.ms"],
    )
    message_timestamp_type: str = setting(
        STRING,
        "CreateTime",
        "Whose time a record carries: the producer's, or the broker's at append.",
        allowed=one_of("CreateTime", "LogAppendTime"),
        synonyms=["log.message.timestamp.type"],
    )
    min_cleanable_dirty_ratio: float = setting(
        DOUBLE,
        0.5,
        "The share of uncompacted bytes at which compaction starts.",
        allowed=between(0, 1),
        synonyms=["log.cleaner.min.cleanable.ratio"],
    )
    min_compaction_lag_ms: int = setting(
        LONG,
        0,
        "The shortest a record stays uncompacted.",
        allowed=at_least(0),
        synonyms=["log.cleaner.min.compaction.lag.ms"],
    )
    min_insync_replicas: int = setting(
        INT,
        1,
        "How many replicas must have a record before `acks=all` is answered.",
        allowed=at_least(1),
        synonyms=["min.insync.replicas"],
    )
    preallocate: bool = setting(
        BOOLEAN,
        False,
        "Whether a new segment's file is created at its full size.",
        synonyms=["log.preallocate"],
        inert="segment files grow by appending; a file system with extents gains nothing from more",
    )
    remote_copy_lag_bytes: int = setting(
        LONG,
        -1,
        "How many bytes stay behind before upload.",
        allowed=at_least(-2),
        synonyms=["log.remote.copy.lag.bytes"],
        inert=_LAG,
    )
    remote_copy_lag_ms: int = setting(
        LONG,
        0,
        "How long records wait before upload.",
        allowed=at_least(-2),
        synonyms=["log.remote.copy.lag.ms"],
        inert=_LAG,
    )
    remote_log_copy_disable: bool = setting(BOOLEAN, False, "Stop uploading, keep reading.")
    remote_log_delete_on_disable: bool = setting(
        BOOLEAN, False, "Delete what was uploaded when the tier is turned off."
    )
    remote_storage_enable: bool = setting(BOOLEAN, False, "Whether closed segments go to the object store.")
    retention_bytes: int = setting(
        LONG,
        -1,
        "Oldest segments go once a partition is larger than this; -1: no limit.",
        synonyms=["log.retention.bytes"],
    )
    retention_ms: int = setting(
        LONG,
        604_800_000,
        "Segments go once their newest record is older than this; -1: never.",
        allowed=at_least(-1),
        synonyms=[
            "log.retention.ms",
            Synonym("log.retention.minutes", MINUTES),
            Synonym("log.retention.hours", HOURS),
        ],
    )
    segment_bytes: int = setting(
        INT,
        1_073_741_824,
        "A new segment starts before one grows beyond this.",
        allowed=at_least(1_048_576),
        synonyms=["log.segment.bytes"],
    )
    segment_index_bytes: int = setting(
        INT,
        10_485_760,
        "The size of a segment's index file.",
        allowed=at_least(4),
        synonyms=["log.index.size.max.bytes"],
        inert="the message index is kept in RocksDB, which needs no size set beforehand",
    )
    segment_jitter_ms: int = setting(
        LONG,
        0,
        "Up to so much is subtracted from `segment.ms`, so that segments do not all roll at once.",
        allowed=at_least(0),
        synonyms=["log.roll.jitter.ms", Synonym("log.roll.jitter.hours", HOURS)],
    )
    segment_ms: int = setting(
        LONG,
        604_800_000,
        "A new segment starts once one is older than this.",
        allowed=at_least(1),
        synonyms=["log.roll.ms", Synonym("log.roll.hours", HOURS)],
    )
    unclean_leader_election_enable: bool = setting(
        BOOLEAN,
        False,
        "Whether a replica that may lack records can become the leader.",
        synonyms=["unclean.leader.election.enable"],
    )
    sprawl_durability: Durability = setting(
        STRING,
        Durability.FSYNC,
        "When a record counts as stored on a replica: `fsync` on stable storage, `disk` in the page cache, "
        "`memory` at once (survives the loss of the node by replication only).",
        enum=Durability,
        synonyms=["sprawl.durability"],
    )

    @property
    def durability(self) -> Durability:
        return self.sprawl_durability

    @property
    def deletes(self) -> bool:
        """Whether old segments are deleted by time and size."""
        return "delete" in self.cleanup_policy

    @property
    def compacts(self) -> bool:
        return "compact" in self.cleanup_policy

    @property
    def roll_ms(self) -> int:
        """How old a segment may become before the next one is begun."""
        return min(self.segment_ms, self.max_compaction_lag_ms) if self.compacts else self.segment_ms

    @property
    def max_segment_bytes(self) -> int:
        return self.segment_bytes if self.internal_segment_bytes is None else self.internal_segment_bytes

    @property
    def local_ms(self) -> int:
        """How long records of a tiered topic stay local."""
        return self.retention_ms if self.local_retention_ms == -2 else self.local_retention_ms

    @property
    def local_bytes(self) -> int:
        return self.retention_bytes if self.local_retention_bytes == -2 else self.local_retention_bytes

    @property
    def log_append_time(self) -> bool:
        return self.message_timestamp_type == "LogAppendTime"

    @property
    def compression_level(self) -> int | None:
        """The level for `compression_type`; None if it has none."""
        match self.compression_type:
            case "gzip":
                return None if self.compression_gzip_level == -1 else self.compression_gzip_level
            case "lz4":
                return self.compression_lz4_level
            case "zstd":
                return self.compression_zstd_level
            case _:
                return None

    @classmethod
    def of(
        cls,
        overrides: Mapping[str, str],
        broker: Mapping[str, str] | BrokerConfig | None = None,
    ) -> TopicConfig:
        """The topic's own values over the broker's. Raises `ApiError(INVALID_CONFIG)`."""
        values = dict(_defaults(broker))
        for name, text in overrides.items():
            values[attribute(name)] = _parse(name, text)
        config = cls(**values)
        _check_together(config)
        return config

    def value_of(self, name: str) -> Any:
        return getattr(self, attribute(name))


TOPIC_DEFINITIONS: Final[Mapping[str, Definition]] = definitions_of(TopicConfig)
"""Every topic key, by name."""
_ENUMS: Final = enums_of(TopicConfig)


def validate_topic_config(name: str, value: str | None) -> None:
    """Refuse an unknown key, a value its key cannot have, and what is not built yet. Raises `ApiError`."""
    if value is None:
        raise ApiError(ErrorCode.INVALID_CONFIG, f"{name}: a topic setting needs a value; delete the key to unset it.")
    _parse(name, value)


def validate_topic_configs(
    overrides: Mapping[str, str | None], broker: Mapping[str, str] | BrokerConfig | None = None
) -> None:
    """Each value by itself, then those that must fit together. Raises `ApiError`."""
    for name, value in overrides.items():
        validate_topic_config(name, value)
    TopicConfig.of({name: value for name, value in overrides.items() if value is not None}, broker)


def check_tier(config: TopicConfig, broker: BrokerConfig, *, internal: bool) -> None:
    """Raises `ApiError` if a topic is to be tiered that cannot be, or on a node that has no tier."""
    if config.remote_storage_enable and internal:
        raise ApiError(
            ErrorCode.INVALID_CONFIG, "Internal topics stay on the disk: remote.storage.enable is not theirs."
        )
    if config.remote_storage_enable and not broker.remote_log_storage_system_enable:
        raise ApiError(
            ErrorCode.INVALID_CONFIG,
            "Tiered storage is disabled in the broker: remote.storage.enable needs "
            "remote.log.storage.system.enable=true, and sprawl.tier.url, on every node.",
        )


def inert_keys(names: Iterable[str]) -> dict[str, str]:
    """Of these topic keys, those that do not act, with the reason."""
    return {
        name: TOPIC_DEFINITIONS[name].inert
        for name in names
        if name in TOPIC_DEFINITIONS and TOPIC_DEFINITIONS[name].inert
    }


def _parse(name: str, text: str) -> Any:
    definition = TOPIC_DEFINITIONS.get(name)
    if definition is None:
        import difflib  # only where somebody mistyped

        near = difflib.get_close_matches(name, TOPIC_DEFINITIONS, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ApiError(ErrorCode.INVALID_CONFIG, f"Unknown topic config name: {name}.{hint}")
    try:
        value = definition.parse(text)
        _check_meaning(name, value)
    except InvalidValueError as problem:
        raise ApiError(ErrorCode.INVALID_CONFIG, f"Invalid value {text} for configuration {name}: {problem}.") from None
    return _ENUMS[name](value) if name in _ENUMS else value


def _check_meaning(name: str, value: Any) -> None:
    """Refuse what would be a promise that cannot be kept yet, and lists of the wrong form."""
    if name.endswith("throttled.replicas") and not _throttle_list(value):
        raise InvalidValueError("must be * or a list of partition:broker pairs, such as 0:1,1:2")


def _throttle_list(items: tuple[str, ...]) -> bool:
    if items in ((), ("*",), ("none",)):
        return True
    return all(len(pair := item.split(":")) == 2 and pair[0].isdecimal() and pair[1].isdecimal() for item in items)


def _check_together(config: TopicConfig) -> None:
    if config.min_compaction_lag_ms > config.max_compaction_lag_ms:
        raise ApiError(
            ErrorCode.INVALID_CONFIG,
            f"min.compaction.lag.ms ({config.min_compaction_lag_ms}) is above "
            f"max.compaction.lag.ms ({config.max_compaction_lag_ms}).",
        )


def _defaults(broker: Mapping[str, str] | BrokerConfig | None) -> Mapping[str, Any]:
    """What the broker's settings give every topic: of each key's synonyms, the first that is set."""
    if broker is None:
        return {}
    from sprawl.config.broker import BrokerConfig  # the other way round it imports Durability from here

    settings = broker if isinstance(broker, BrokerConfig) else BrokerConfig.of(broker)
    values: dict[str, Any] = {}
    for name, definition in TOPIC_DEFINITIONS.items():
        for synonym in definition.synonyms:
            value = synonym.convert(getattr(settings, attribute(synonym.name)))
            if value is not None:
                values[attribute(name)] = value
                break
    return values
