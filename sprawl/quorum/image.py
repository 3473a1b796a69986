"""The metadata image: everything that all nodes of a cluster agree on, as of one offset of the metadata log.

An image never changes; `delta.py` makes the next one from it, sharing all that stayed the same. So a reader may keep
one for as long as it likes, and may ask `is` to learn whether a topic or a resource's settings changed between two.
Plain data: nothing here decides, reads or writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

METADATA_TOPIC: Final = "__cluster_metadata"
METADATA_TOPIC_ID: Final = UUID(int=1)
"""Kafka's reserved id of the metadata topic."""
EVENTS_TOPIC: Final = "__sprawl_events"
TIER_TOPIC: Final = "__sprawl_tier"
INTERNAL_TOPICS: Final = frozenset(
    {"__consumer_offsets", "__transaction_state", "__share_group_state", EVENTS_TOPIC, TIER_TOPIC}
)
LOST: Final = UUID(int=1)
"""Kafka's reserved id of the directory of a replica that does not have its data (KIP-858)."""
CLUSTER_WIDE: Final = ""
"""The resource name that broker settings for all brokers are kept under."""
NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})


class ConfigKind(IntEnum):
    """What settings belong to. The numbers are Kafka's."""

    TOPIC = 2
    BROKER = 4
    BROKER_LOGGER = 8
    CLIENT_METRICS = 16
    GROUP = 32


@dataclass(frozen=True, slots=True)
class PartitionImage:
    index: int
    leader: int
    """-1 if there is none."""
    leader_epoch: int
    partition_epoch: int
    replicas: tuple[int, ...]
    isr: tuple[int, ...]
    eligible_leader_replicas: tuple[int, ...] = ()
    last_known_elr: tuple[int, ...] = ()
    directories: tuple[UUID, ...] = ()
    """The directory id of each replica, in the order of `replicas`."""
    adding_replicas: tuple[int, ...] = ()
    removing_replicas: tuple[int, ...] = ()
    recovering: bool = False
    """Whether the leader was elected uncleanly and has not recovered yet."""

    @property
    def lost(self) -> tuple[int, ...]:
        """The replicas that do not have their data, or not all of it, until they have caught up."""
        if LOST not in self.directories:
            return ()
        return tuple(each for each, at in zip(self.replicas, self.directories, strict=True) if at == LOST)


@dataclass(frozen=True, slots=True)
class TopicImage:
    name: str
    id: UUID
    partitions: tuple[PartitionImage, ...]
    internal: bool


@dataclass(frozen=True, slots=True)
class ListenerImage:
    name: str
    host: str
    port: int
    security_protocol: int
    """Kafka's numbers: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL."""


@dataclass(frozen=True, slots=True)
class BrokerImage:
    id: int
    listeners: tuple[ListenerImage, ...]
    rack: str | None
    epoch: int
    """The offset of its registration: higher for each later one."""
    fenced: bool
    incarnation: UUID
    """Of the process: another one at each start."""
    directories: tuple[UUID, ...] = ()
    features: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """The least and greatest level it supports, by feature."""
    shutting_down: bool = False

    @property
    def host(self) -> str:
        return self.listeners[0].host if self.listeners else ""

    @property
    def port(self) -> int:
        return self.listeners[0].port if self.listeners else 0

    @property
    def active(self) -> bool:
        """Whether it may lead and be given replicas."""
        return not self.fenced and not self.shutting_down


@dataclass(frozen=True, slots=True)
class MetadataImage:
    cluster_id: str
    controller_id: int = -1
    """Who leads the quorum; -1 if that is unknown."""
    offset: int = -1
    """Of the last record it contains."""
    epoch: int = 0
    """The quorum's epoch in which that record was written."""
    topics: Mapping[str, TopicImage] = field(default_factory=dict)
    topics_by_id: Mapping[UUID, TopicImage] = field(default_factory=dict)
    brokers: Mapping[int, BrokerImage] = field(default_factory=dict)
    configs: Mapping[ConfigKind, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    features: Mapping[str, int] = field(default_factory=dict)
    """The level each feature is finalized at."""
    next_producer_id: int = 0
    partition_count: int = 0
    lookalikes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Topics with '.' or '_' in their names, by the name they would have in a metric (`_` for `.`)."""

    def config(self, kind: ConfigKind, name: str) -> Mapping[str, str]:
        """The settings kept for a resource; empty if there are none."""
        of_kind = self.configs.get(kind)
        return NO_SETTINGS if of_kind is None else of_kind.get(name, NO_SETTINGS)

    def configured(self, kind: ConfigKind) -> Iterator[str]:
        """The resources of a kind that have settings."""
        return iter(self.configs.get(kind, ()))

    def config_of_topic_changed(self, before: MetadataImage, topic: str) -> bool:
        """Whether the topic's effective settings may differ from those in `before`."""
        return self.config(ConfigKind.TOPIC, topic) is not before.config(ConfigKind.TOPIC, topic) or self.configs.get(
            ConfigKind.BROKER
        ) is not before.configs.get(ConfigKind.BROKER)

    def partition(self, topic_id: UUID, index: int) -> PartitionImage | None:
        topic = self.topics_by_id.get(topic_id)
        if topic is None or not 0 <= index < len(topic.partitions):
            return None
        return topic.partitions[index]
