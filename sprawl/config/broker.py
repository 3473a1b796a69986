"""A broker's settings: every key that acts, by Kafka's names, and Sprawl's own under `sprawl.`.

In: keys and values as text (`sprawl.config.loading` gathers them from files, variables and the command line).
Out: a `BrokerConfig` with typed values, or a `ConfigError` naming the key. Kafka's keys that have no meaning here are
in `sprawl.config.inert`; this module holds those that act, and those that give topics their defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from typing import Any, Final

from sprawl.config.cleaner import CleanerConfig
from sprawl.config.definitions import (
    Allowed,
    ConfigType,
    Definition,
    InvalidValueError,
    Update,
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
from sprawl.config.errors import ConfigError
from sprawl.config.identity import SECRET_FILE
from sprawl.config.listeners import Endpoint, HttpAddress, Seed, endpoints_of, http_address, seeds_of
from sprawl.config.tiers import TierConfig
from sprawl.config.topics import FOREVER, TOPIC_DEFINITIONS, Durability

INT, SHORT, LONG, DOUBLE, BOOLEAN, STRING, LIST = (
    ConfigType.INT,
    ConfigType.SHORT,
    ConfigType.LONG,
    ConfigType.DOUBLE,
    ConfigType.BOOLEAN,
    ConfigType.STRING,
    ConfigType.LIST,
)
MIB: Final = 1024 * 1024


class ReplicaSelector(Enum):
    """Which replica a leader sends consumers to (KIP-392), by the names of Kafka's classes."""

    LEADER = "org.apache.kafka.common.replica.LeaderSelector"
    RACK_AWARE = "org.apache.kafka.common.replica.RackAwareReplicaSelector"


class Routing(Enum):
    """What addresses clients are told."""

    DIRECT = "direct"
    """The true leaders', as Kafka does."""
    ANY = "any"
    """The one the client came through: a whole cluster behind one address."""


def _topic_default(
    kind: ConfigType, default: Any, topic_key: str, *, allowed: Allowed | None = None, inert: str = ""
) -> Any:
    """A broker key that is the default of a topic key."""
    definition = TOPIC_DEFINITIONS[topic_key]
    return setting(
        kind,
        default,
        f"Default of the topic setting `{topic_key}`.",
        allowed=allowed or definition.allowed,
        inert=inert or definition.inert,
        update=Update.CLUSTER_WIDE,
    )


_RETENTION = either("-1 or at least 1", lambda value: value == -1 or value >= 1)


@dataclass(frozen=True, kw_only=True)
class BrokerConfig(TierConfig, CleanerConfig):
    # Who and where
    node_id: int = setting(INT, 1, "This node's number, its own in the cluster.", allowed=at_least(0))
    broker_id: int = setting(INT, -1, "Older name of `node.id`, used if that is not set.", allowed=at_least(-1))
    broker_rack: str | None = setting(STRING, None, "Rack or zone label of this node.")
    log_dirs: tuple[str, ...] | None = setting(LIST, None, "The data directory. One per node.")
    log_dir: tuple[str, ...] = setting(LIST, ("data",), "The data directory if `log.dirs` is not set.")
    listeners: tuple[str, ...] = setting(
        LIST, ("PLAINTEXT://127.0.0.1:9092",), "Where to listen: `NAME://host:port`, several with commas."
    )
    advertised_listeners: tuple[str, ...] | None = setting(
        LIST, None, "The addresses clients are told, by listener name; those of `listeners` if not set."
    )
    listener_security_protocol_map: str = setting(
        STRING,
        "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "Which protocol each listener speaks, by listener name.",
    )
    controller_listener_names: tuple[str, ...] = setting(
        LIST, (), "Listeners of `listeners` that are Kafka's controller's: Sprawl opens none of them."
    )
    sprawl_http_listener: str = setting(STRING, "", "Where status and metrics are served: `host:port`; empty: nowhere.")
    sprawl_metrics_series_max: int = setting(
        INT,
        1000,
        "How many label sets a metric may have; what is beyond is counted together, under `other`.",
        allowed=at_least(1),
    )
    sprawl_alerts_webhook_url: str = setting(
        STRING, "", "Where alerts are told, in the form of Alertmanager's webhooks; empty: nowhere."
    )
    sprawl_insecure: bool = setting(
        BOOLEAN, False, "Allow listening beyond loopback without encryption and authentication."
    )
    sprawl_routing: Routing = setting(
        STRING,
        Routing.DIRECT,
        "`direct`: clients are told the leaders' addresses; `any`: the address they came through.",
        enum=Routing,
    )
    sprawl_host: str = setting(
        STRING, "", "The machine a node is on; replicas keep apart from each other by it. Empty: the machine's name."
    )
    sprawl_seeds: tuple[str, ...] = setting(
        LIST, (), "Kafka addresses of other nodes of the cluster, `host:port`: where a node looks for the others."
    )
    sprawl_expected_nodes: int = setting(
        INT, 1, "At its first start a node is ready once so many nodes have joined.", allowed=at_least(1)
    )
    sprawl_cluster_secret_file: str = setting(
        STRING, "", "What the nodes of a cluster know each other by. Empty: `cluster.secret` in the data directory."
    )
    sprawl_log_level: str = setting(
        STRING, "info", "How much the log says.", allowed=one_of("debug", "info", "warning", "error")
    )
    sprawl_shutdown_timeout_ms: int = setting(
        INT, 5000, "How long a stop may take to drain before connections are cut.", allowed=at_least(0)
    )

    # Connections and requests
    socket_request_max_bytes: int = setting(INT, 100 * MIB, "The largest request accepted.", allowed=at_least(1))
    socket_listen_backlog_size: int = setting(
        INT,
        50,
        "How many connections may wait to be accepted.",
        allowed=at_least(1),
    )
    connections_max_idle_ms: int = setting(
        LONG, 600_000, "A connection without a request for so long is closed; negative: never."
    )
    max_connections: int = setting(
        INT, 2**31 - 1, "How many connections the node keeps; more are closed at once.", allowed=at_least(0)
    )
    max_connections_per_ip: int = setting(
        INT, 2**31 - 1, "How many connections one address may have.", allowed=at_least(0)
    )
    queued_max_requests: int = setting(
        INT,
        500,
        "How many requests of one connection may wait for their answers before no more are read.",
        allowed=at_least(1),
    )
    queued_max_request_bytes: int = setting(
        LONG,
        -1,
        "How many bytes of requests the node may hold before it stops reading; -1: a quarter of `sprawl.memory.bytes`.",
        allowed=_RETENTION,
    )
    sprawl_request_read_timeout_ms: int = setting(
        INT,
        30_000,
        "How long a request that has begun may take to arrive whole before the connection is closed.",
        allowed=at_least(1),
    )
    fetch_max_bytes: int = setting(
        INT, 55 * MIB, "The largest fetch answer, whatever the client asks for.", allowed=at_least(1024)
    )
    max_incremental_fetch_session_cache_slots: int = setting(
        INT, 1000, "How many fetch sessions are kept.", allowed=at_least(0)
    )
    max_request_partition_size_limit: int = setting(
        INT, 2000, "How many partitions one DescribeTopicPartitions answer holds.", allowed=at_least(1)
    )

    # The cluster
    broker_heartbeat_interval_ms: int = setting(
        INT, 400, "How often a node tells the controller that it is alive. (Kafka: 2000.)", allowed=at_least(10)
    )
    broker_session_timeout_ms: int = setting(
        INT, 2000, "How long a node is believed alive after its last heartbeat. (Kafka: 9000.)", allowed=at_least(100)
    )
    sprawl_quorum_voters_max: int = setting(
        INT,
        3,
        "The most nodes that vote on the metadata: 1, 3 or 5, as many as there are nodes for.",
        allowed=between(1, 5),
    )
    sprawl_quorum_voter_grace_ms: int = setting(
        LONG, 60_000, "How long a voter is awaited before another node takes its place.", allowed=at_least(1000)
    )
    sprawl_weight: float = setting(
        DOUBLE,
        1.0,
        "How much of the partitions a node is given, compared with others. 0 empties it, and gives it nothing more.",
        allowed=between(0, 1000),
        update=Update.CLUSTER_WIDE,
    )
    sprawl_weight_ramp: int = setting(
        INT,
        100,
        "Percent of its weight that a node which has just joined is given so far; raised in steps by the controller.",
        allowed=between(1, 100),
        update=Update.CLUSTER_WIDE,
    )
    sprawl_weight_ramp_step_ms: int = setting(
        LONG, 60_000, "How long a step takes at least while a new node's weight is raised.", allowed=at_least(1)
    )
    sprawl_rebuild_grace_ms: int = setting(
        LONG, 600_000, "How long a node is awaited before its replicas are rebuilt on others.", allowed=at_least(1)
    )
    sprawl_rebuild_partitions_max: int = setting(
        INT, 20, "How many partitions are moved at once by the cluster itself; 0: none.", allowed=at_least(0)
    )
    sprawl_rebuild_bytes_per_second: int = setting(
        LONG,
        64 * MIB,
        "Bytes a second that a node copies of replicas that are not in sync yet, of whatever topics.",
        allowed=at_least(1),
    )
    follower_replication_throttled_rate: int = setting(
        LONG,
        FOREVER,
        "Bytes a second that a node copies of replicas that are throttled and not in sync yet.",
        allowed=at_least(0),
        update=Update.CLUSTER_WIDE,
    )
    leader_replication_throttled_rate: int = setting(
        LONG,
        FOREVER,
        "Bytes a second that a node gives to replicas that are throttled and not in sync yet.",
        allowed=at_least(0),
        update=Update.CLUSTER_WIDE,
    )
    auto_leader_rebalance_enable: bool = setting(
        BOOLEAN, True, "Let the first replica of a partition lead again once it is in sync."
    )
    leader_imbalance_check_interval_seconds: int = setting(
        LONG,
        300,
        "How often partitions are looked for whose first replica could lead and does not.",
        allowed=at_least(1),
    )
    replica_selector_class: ReplicaSelector = setting(
        STRING,
        ReplicaSelector.LEADER,
        "Which replica consumers are sent to: the leader, or an in-sync one in their rack (`client.rack`). "
        "With `sprawl.routing=any`: whether the node that a consumer reached gives what it has as a follower.",
        enum=ReplicaSelector,
    )
    replica_fetch_wait_max_ms: int = setting(
        INT, 500, "How long a leader may wait for records before it answers a follower.", allowed=at_least(0)
    )
    replica_fetch_min_bytes: int = setting(
        INT, 1, "How much a leader waits for before it answers a follower.", allowed=at_least(0)
    )
    replica_fetch_max_bytes: int = setting(
        INT, MIB, "How much a follower asks for at once of one partition; one batch comes whole.", allowed=at_least(0)
    )
    replica_fetch_response_max_bytes: int = setting(
        INT, 10 * MIB, "How much a follower asks for at once of one leader.", allowed=at_least(0)
    )
    replica_fetch_backoff_ms: int = setting(
        INT, 200, "How long a follower waits after a failed fetch. (Kafka: 1000.)", allowed=at_least(1)
    )
    controlled_shutdown_enable: bool = setting(
        BOOLEAN, True, "Hand over what a node leads before it stops, so that nobody waits for it to be missed."
    )
    replica_lag_time_max_ms: int = setting(
        LONG, 10_000, "How long a replica may lag behind and still be in sync. (Kafka: 30000.)", allowed=at_least(100)
    )

    # Topics
    auto_create_topics_enable: bool = setting(
        BOOLEAN, False, "Create a topic when a client first asks for it. (Kafka: true.)"
    )
    delete_topic_enable: bool = setting(BOOLEAN, True, "Whether topics can be deleted.")
    num_partitions: int = setting(INT, 1, "Partitions of a topic made without a number.", allowed=at_least(1))
    default_replication_factor: int = setting(
        INT, 1, "Replicas of a partition made without a number.", allowed=at_least(1)
    )

    # Storage
    sprawl_memory_bytes: int = setting(
        LONG,
        64 * MIB,
        "How much of the newest records the node keeps in memory, all partitions together.",
        allowed=at_least(MIB),
    )
    sprawl_disk_reserve_bytes: int = setting(
        LONG,
        16 * MIB,
        "Once the disk was full, writes are refused, with a clear error, until this much is free again.",
        allowed=at_least(0),
    )
    log_retention_check_interval_ms: int = setting(
        LONG, 300_000, "How often old segments are looked for.", allowed=at_least(1)
    )
    metadata_log_segment_bytes: int = setting(
        INT, 1024 * MIB, "Segment size of the metadata log.", allowed=at_least(8 * MIB)
    )
    metadata_log_max_record_bytes_between_snapshots: int = setting(
        LONG, 20 * MIB, "A snapshot of the metadata is taken after so many bytes of records.", allowed=at_least(1)
    )
    metadata_log_max_snapshot_interval_ms: int = setting(
        LONG, 3_600_000, "A snapshot of the metadata is taken at least so often; 0: never.", allowed=at_least(0)
    )
    producer_id_expiration_ms: int = setting(
        INT, 86_400_000, "A partition forgets a producer that has not written for so long.", allowed=at_least(1)
    )

    # Groups
    group_initial_rebalance_delay_ms: int = setting(
        INT, 3000, "How long an empty group waits for more members before its first rebalance."
    )
    group_min_session_timeout_ms: int = setting(INT, 6000, "The shortest session timeout a member may ask for.")
    group_max_session_timeout_ms: int = setting(INT, 1_800_000, "The longest session timeout a member may ask for.")
    group_max_size: int = setting(INT, 2**31 - 1, "How many members a group may have.", allowed=at_least(1))
    offset_metadata_max_bytes: int = setting(INT, 4096, "The largest text kept beside a committed offset.")
    offsets_commit_timeout_ms: int = setting(
        INT, 5000, "How long an offset commit may wait for its replicas.", allowed=at_least(1)
    )
    offsets_retention_minutes: int = setting(
        INT, 10_080, "Offsets of an empty group are dropped after so long.", allowed=at_least(1)
    )
    offsets_retention_check_interval_ms: int = setting(
        LONG, 600_000, "How often old offsets are looked for.", allowed=at_least(1)
    )
    offsets_topic_num_partitions: int = setting(
        INT, 50, "Partitions of `__consumer_offsets`, fixed when it is made.", allowed=at_least(1)
    )
    offsets_topic_replication_factor: int = setting(
        SHORT, 3, "Replicas of `__consumer_offsets`: this many, or as many as there are nodes.", allowed=at_least(1)
    )
    offsets_topic_segment_bytes: int = setting(
        INT, 100 * MIB, "Segment size of `__consumer_offsets`.", allowed=at_least(1)
    )

    # Defaults of topic settings
    log_cleanup_policy: tuple[str, ...] = _topic_default(
        LIST, ("delete",), "cleanup.policy", allowed=list_of("compact", "delete")
    )
    compression_type: str = _topic_default(STRING, "producer", "compression.type")
    compression_gzip_level: int = _topic_default(INT, -1, "compression.gzip.level")
    compression_lz4_level: int = _topic_default(INT, 9, "compression.lz4.level")
    compression_zstd_level: int = _topic_default(INT, 3, "compression.zstd.level")
    log_cleaner_delete_retention_ms: int = _topic_default(LONG, 86_400_000, "delete.retention.ms")
    log_segment_delete_delay_ms: int = _topic_default(LONG, 60_000, "file.delete.delay.ms")
    log_flush_interval_messages: int = _topic_default(LONG, FOREVER, "flush.messages")
    log_flush_interval_ms: int | None = _topic_default(LONG, None, "flush.ms")
    log_flush_scheduler_interval_ms: int = _topic_default(LONG, FOREVER, "flush.ms")
    log_index_interval_bytes: int = _topic_default(INT, 4096, "index.interval.bytes")
    log_index_size_max_bytes: int = _topic_default(INT, 10_485_760, "segment.index.bytes")
    log_local_retention_bytes: int = _topic_default(LONG, -2, "local.retention.bytes")
    log_local_retention_ms: int = _topic_default(LONG, -2, "local.retention.ms")
    log_cleaner_max_compaction_lag_ms: int = _topic_default(LONG, FOREVER, "max.compaction.lag.ms")
    log_cleaner_min_compaction_lag_ms: int = _topic_default(LONG, 0, "min.compaction.lag.ms")
    log_cleaner_min_cleanable_ratio: float = _topic_default(DOUBLE, 0.5, "min.cleanable.dirty.ratio")
    max_decompressed_message_bytes: int = _topic_default(INT, 2_147_483_639, "max.decompressed.message.bytes")
    message_max_bytes: int = _topic_default(INT, 1_048_588, "max.message.bytes")
    log_message_timestamp_after_max_ms: int = _topic_default(LONG, 3_600_000, "message.timestamp.after.max.ms")
    log_message_timestamp_before_max_ms: int = _topic_default(LONG, FOREVER, "message.timestamp.before.max.ms")
    log_message_timestamp_type: str = _topic_default(STRING, "CreateTime", "message.timestamp.type")
    min_insync_replicas: int = _topic_default(INT, 1, "min.insync.replicas")
    log_preallocate: bool = _topic_default(BOOLEAN, False, "preallocate")
    log_remote_copy_lag_bytes: int = _topic_default(LONG, -1, "remote.copy.lag.bytes")
    log_remote_copy_lag_ms: int = _topic_default(LONG, 0, "remote.copy.lag.ms")
    log_retention_bytes: int = _topic_default(LONG, -1, "retention.bytes")
    log_retention_ms: int | None = _topic_default(LONG, None, "retention.ms", allowed=_RETENTION)
    log_retention_minutes: int | None = _topic_default(INT, None, "retention.ms", allowed=_RETENTION)
    log_retention_hours: int = _topic_default(INT, 168, "retention.ms", allowed=_RETENTION)
    log_segment_bytes: int = _topic_default(INT, 1024 * MIB, "segment.bytes")
    log_roll_jitter_ms: int | None = _topic_default(LONG, None, "segment.jitter.ms")
    log_roll_jitter_hours: int = _topic_default(INT, 0, "segment.jitter.ms")
    log_roll_ms: int | None = _topic_default(LONG, None, "segment.ms")
    log_roll_hours: int = _topic_default(INT, 168, "segment.ms")
    unclean_leader_election_enable: bool = _topic_default(BOOLEAN, False, "unclean.leader.election.enable")
    sprawl_durability: Durability = setting(
        STRING,
        Durability.FSYNC,
        "Default of the topic setting `sprawl.durability`.",
        enum=Durability,
        update=Update.CLUSTER_WIDE,
    )

    given: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Every key that was set, known or not, as text."""
    sources: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    """Where each of them came from, in words."""

    @classmethod
    def of(cls, given: Mapping[str, str], sources: Mapping[str, str] | None = None) -> BrokerConfig:
        """Parse and check. Keys that are not here are kept in `given` and otherwise ignored. Raises `ConfigError`."""
        origins = sources or {}
        values: dict[str, Any] = {}
        for name, text in given.items():
            definition = BROKER_DEFINITIONS.get(name)
            if definition is None:
                continue
            try:
                value = definition.parse(text)
            except InvalidValueError as problem:
                shown = "(hidden)" if definition.sensitive else text
                raise ConfigError(name, shown, f"{problem}.", origins.get(name, "")) from None
            values[attribute(name)] = _ENUMS[name](value) if name in _ENUMS else value
        config = cls(**values, given=dict(given), sources=dict(origins))
        config.check()
        return config

    def with_dynamic(self, changes: Mapping[str, str]) -> BrokerConfig:
        """These settings under others that were set while running (IncrementalAlterConfigs on a broker)."""
        merged = {**self.given, **changes}
        return BrokerConfig.of(merged, {**self.sources, **dict.fromkeys(changes, "the cluster's metadata")})

    def check(self) -> None:
        """What must fit together. Raises `ConfigError`."""
        if len(self.log_dirs or self.log_dir) != 1:
            raise self._error("log.dirs", "a node has exactly one data directory; start one node per disk.")
        if self.group_min_session_timeout_ms > self.group_max_session_timeout_ms:
            raise self._error(
                "group.min.session.timeout.ms",
                f"must not be above group.max.session.timeout.ms ({self.group_max_session_timeout_ms}).",
            )
        _ = self.endpoints, self.http, self.seeds

    def _error(self, name: str, problem: str) -> ConfigError:
        return ConfigError(name, self.given.get(name), problem, self.sources.get(name, ""))

    @property
    def id(self) -> int:
        """`node.id`, or `broker.id` where only that is set."""
        if "node.id" not in self.given and self.broker_id >= 0:
            return self.broker_id
        return self.node_id

    @property
    def id_given(self) -> bool:
        return "node.id" in self.given or self.broker_id >= 0

    @property
    def data_dir(self) -> str:
        return (self.log_dirs or self.log_dir)[0]

    @cached_property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The Kafka listeners. Raises `ConfigError`."""
        return endpoints_of(
            self.listeners,
            self.advertised_listeners,
            self.listener_security_protocol_map,
            self.controller_listener_names,
            insecure=self.sprawl_insecure,
            source=self.sources.get("listeners", ""),
        )

    @cached_property
    def http(self) -> HttpAddress | None:
        """Where status is served, if anywhere. Raises `ConfigError`."""
        return http_address(
            self.sprawl_http_listener,
            insecure=self.sprawl_insecure,
            source=self.sources.get("sprawl.http.listener", ""),
        )

    @cached_property
    def seeds(self) -> tuple[Seed, ...]:
        """Where other nodes of the cluster may be found. Raises `ConfigError`."""
        return seeds_of(self.sprawl_seeds, self.sources.get("sprawl.seeds", ""))

    @property
    def secret_file(self) -> str:
        """Where the cluster's secret is."""
        return self.sprawl_cluster_secret_file or f"{self.data_dir}/{SECRET_FILE}"

    @property
    def request_memory_bytes(self) -> int:
        """`queued.max.request.bytes` with its default worked out."""
        if self.queued_max_request_bytes > 0:
            return self.queued_max_request_bytes
        return max(self.sprawl_memory_bytes // 4, self.socket_request_max_bytes)

    def value_of(self, name: str) -> Any:
        return getattr(self, attribute(name))

    def changed(self, **values: Any) -> BrokerConfig:
        """A copy with some attributes replaced: for tests and embedding."""
        copy = replace(self, **values)
        copy.check()
        return copy


BROKER_DEFINITIONS: Final[Mapping[str, Definition]] = definitions_of(BrokerConfig)
"""The broker keys declared here, by name: those that act, and the defaults of topic settings."""
_ENUMS: Final = enums_of(BrokerConfig)


def dynamic_keys() -> Iterable[str]:
    """Broker keys that may be changed while running."""
    return (name for name, definition in BROKER_DEFINITIONS.items() if definition.update is Update.CLUSTER_WIDE)
