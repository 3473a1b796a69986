"""Metadata records: what the metadata log consists of.

Names, numbers and fields are Kafka's, so that its tools can read the log. Each record is written behind a frame of
three unsigned varints: the frame's version (1), the record's number, the record's version.
In: a record. Out: its bytes; and back. A record that this node does not know, or knows only in older versions, is an
error and never skipped: everything behind it would be built on a gap.
"""

from __future__ import annotations

from typing import ClassVar, Final
from uuid import UUID

from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.message import (
    Struct,
    array,
    boolean,
    field,
    int8,
    int16,
    int32,
    int64,
    string,
    uint16,
    uuid,
)
from sprawl_protocol.primitives import Buffer

NO_ID: Final = UUID(int=0)
FRAME_VERSION: Final = 1
NO_CHANGE: Final = -2
"""A `PartitionChangeRecord.leader` that leaves the leader as it is."""
NO_LEADER: Final = -1


class UnreadableRecordError(Exception):
    """A metadata record that this node cannot take into account, and so must not go on behind."""


class NewerRecordError(UnreadableRecordError):
    """It is whole, but of a kind or a version that this node does not know."""


class MetadataRecord(Struct):
    """A kind of record. It is written in its `MAX_VERSION`."""

    __slots__ = ()
    RECORD_KEY: ClassVar[int]

    def __init_subclass__(cls, key: int, **other: object) -> None:
        super().__init_subclass__(**other)  # type: ignore[arg-type]
        cls.RECORD_KEY = key


class BrokerEndpoint(Struct):
    name: str = field(string, default="")
    host: str = field(string, default="")
    port: int = field(uint16, default=0)
    security_protocol: int = field(int16, default=0)


class BrokerFeature(Struct):
    name: str = field(string, default="")
    min_supported_version: int = field(int16, default=0)
    max_supported_version: int = field(int16, default=0)


class RegisterBrokerRecord(MetadataRecord, key=0, versions="0-3", flexible="0+"):
    broker_id: int = field(int32, default=0)
    is_migrating_zk_broker: bool = field(boolean, "2+", default=False)
    incarnation_id: UUID = field(uuid, default=NO_ID)
    broker_epoch: int = field(int64, default=0)
    end_points: list[BrokerEndpoint] = field(array(BrokerEndpoint), default_factory=list)
    features: list[BrokerFeature] = field(array(BrokerFeature), default_factory=list)
    rack: str | None = field(string, default=None, nullable="0+")
    fenced: bool = field(boolean, default=True)
    in_controlled_shutdown: bool = field(boolean, "1+", default=False)
    log_dirs: list[UUID] = field(array(uuid), "3+", default_factory=list, tag=0, tagged="3+")


class UnregisterBrokerRecord(MetadataRecord, key=1, versions="0", flexible="0+"):
    broker_id: int = field(int32, default=0)
    broker_epoch: int = field(int64, default=0)


class TopicRecord(MetadataRecord, key=2, versions="0", flexible="0+"):
    name: str = field(string, default="")
    topic_id: UUID = field(uuid, default=NO_ID)


class PartitionRecord(MetadataRecord, key=3, versions="0-2", flexible="0+"):
    partition_id: int = field(int32, default=-1)
    topic_id: UUID = field(uuid, default=NO_ID)
    replicas: list[int] = field(array(int32), default_factory=list)
    isr: list[int] = field(array(int32), default_factory=list)
    removing_replicas: list[int] = field(array(int32), default_factory=list)
    adding_replicas: list[int] = field(array(int32), default_factory=list)
    leader: int = field(int32, default=NO_LEADER)
    leader_recovery_state: int = field(int8, default=0, tag=0, tagged="0+")
    leader_epoch: int = field(int32, default=-1)
    partition_epoch: int = field(int32, default=-1)
    directories: list[UUID] = field(array(uuid), "1+", default_factory=list)
    eligible_leader_replicas: list[int] | None = field(
        array(int32), "2+", default=None, nullable="2+", tag=1, tagged="2+"
    )
    last_known_elr: list[int] | None = field(array(int32), "2+", default=None, nullable="2+", tag=2, tagged="2+")


class ConfigRecord(MetadataRecord, key=4, versions="0", flexible="0+"):
    """`value` None: the setting is removed."""

    resource_type: int = field(int8, default=0)
    resource_name: str = field(string, default="")
    name: str = field(string, default="")
    value: str | None = field(string, default="", nullable="0+")


class PartitionChangeRecord(MetadataRecord, key=5, versions="0-2", flexible="0+"):
    """None and `NO_CHANGE` leave things as they are. A new leader begins a new leader epoch."""

    partition_id: int = field(int32, default=-1)
    topic_id: UUID = field(uuid, default=NO_ID)
    isr: list[int] | None = field(array(int32), default=None, nullable="0+", tag=0, tagged="0+")
    leader: int = field(int32, default=NO_CHANGE, tag=1, tagged="0+")
    replicas: list[int] | None = field(array(int32), default=None, nullable="0+", tag=2, tagged="0+")
    removing_replicas: list[int] | None = field(array(int32), default=None, nullable="0+", tag=3, tagged="0+")
    adding_replicas: list[int] | None = field(array(int32), default=None, nullable="0+", tag=4, tagged="0+")
    leader_recovery_state: int = field(int8, default=-1, tag=5, tagged="0+")
    eligible_leader_replicas: list[int] | None = field(
        array(int32), "2+", default=None, nullable="2+", tag=6, tagged="2+"
    )
    last_known_elr: list[int] | None = field(array(int32), "2+", default=None, nullable="2+", tag=7, tagged="2+")
    directories: list[UUID] | None = field(array(uuid), "1+", default=None, nullable="1+", tag=8, tagged="1+")


class FenceBrokerRecord(MetadataRecord, key=7, versions="0", flexible="0+"):
    id: int = field(int32, default=0)
    epoch: int = field(int64, default=0)


class UnfenceBrokerRecord(MetadataRecord, key=8, versions="0", flexible="0+"):
    id: int = field(int32, default=0)
    epoch: int = field(int64, default=0)


class RemoveTopicRecord(MetadataRecord, key=9, versions="0", flexible="0+"):
    """All of its partitions and settings go with it."""

    topic_id: UUID = field(uuid, default=NO_ID)


class FeatureLevelRecord(MetadataRecord, key=12, versions="0", flexible="0+"):
    """Level 0: the feature is not in use."""

    name: str = field(string, default="")
    feature_level: int = field(int16, default=0)


class ProducerIdsRecord(MetadataRecord, key=15, versions="0", flexible="0+"):
    """`next_producer_id` is the first of the block to be given out next."""

    broker_id: int = field(int32, default=0)
    broker_epoch: int = field(int64, default=-1)
    next_producer_id: int = field(int64, default=0)


class BrokerRegistrationChangeRecord(MetadataRecord, key=17, versions="0-2", flexible="0+"):
    """`fenced`: -1 unfenced, 0 no change, 1 fenced. `in_controlled_shutdown`: 0 no change, 1 it is."""

    broker_id: int = field(int32, default=0)
    broker_epoch: int = field(int64, default=0)
    fenced: int = field(int8, default=0, tag=0, tagged="0+")
    in_controlled_shutdown: int = field(int8, "1+", default=0, tag=1, tagged="1+")
    log_dirs: list[UUID] = field(array(uuid), "2+", default_factory=list, tag=2, tagged="2+")


class NoOpRecord(MetadataRecord, key=20, versions="0", flexible="0+"):
    """Shows that the log goes on."""


RECORDS: Final[dict[int, type[MetadataRecord]]] = {
    kind.RECORD_KEY: kind
    for kind in (
        RegisterBrokerRecord,
        UnregisterBrokerRecord,
        TopicRecord,
        PartitionRecord,
        ConfigRecord,
        PartitionChangeRecord,
        FenceBrokerRecord,
        UnfenceBrokerRecord,
        RemoveTopicRecord,
        FeatureLevelRecord,
        ProducerIdsRecord,
        BrokerRegistrationChangeRecord,
        NoOpRecord,
    )
}


def encode(record: MetadataRecord) -> bytes:
    """The value of the log record that carries it."""
    version = record.MAX_VERSION
    frame = bytes((FRAME_VERSION, record.RECORD_KEY, version))
    assert max(frame) < 0x80, "each is a varint of one byte"
    return b"".join((frame, *record.build(version)))


def decode(value: Buffer) -> MetadataRecord:
    """Raises `UnreadableRecordError`."""
    if len(value) < 3 or max(value[0], value[1], value[2]) >= 0x80:
        raise UnreadableRecordError("it does not begin with a frame of three small varints")
    frame, key, version = value[0], value[1], value[2]
    if frame != FRAME_VERSION:
        raise NewerRecordError(f"its frame has version {frame}, this node reads version {FRAME_VERSION}")
    kind = RECORDS.get(key)
    if kind is None:
        raise NewerRecordError(f"record kind {key} is unknown to this node")
    if not kind.MIN_VERSION <= version <= kind.MAX_VERSION:
        raise NewerRecordError(
            f"{kind.__name__} has version {version}, this node reads {kind.MIN_VERSION} to {kind.MAX_VERSION}"
        )
    try:
        return kind.parse(value, version, 3)
    except ProtocolError as problem:
        raise UnreadableRecordError(f"{kind.__name__} version {version} is malformed: {problem}") from problem
