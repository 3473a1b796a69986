"""Groups and offsets as records of `__consumer_offsets`, in the formats that Apache Kafka gave them.

In: an offset or a generation of a group, or that there is none any more. Out: the key and value bytes, and back.
Kafka's own tools decode what is written here (`kafka-dump-log --offsets-decoder`, the console consumer's formatters),
and what Kafka wrote can be read: both sides begin with a two-byte version, which for keys tells the kind as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct as Packing
from typing import Final
from uuid import UUID

from sprawl.groups.exchange import StoredGroup, StoredMember
from sprawl.groups.log import KeyValue
from sprawl.groups.offsets import UNKNOWN_TOPIC_ID, CommittedOffset
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.message import Struct, array, binary, field, int32, int64, string, uuid
from sprawl_protocol.primitives import Buffer


class OffsetCommitKey(Struct, versions="0-1", flexible="none"):
    group: str = field(string, default="")
    topic: str = field(string, default="")
    partition: int = field(int32, default=0)


class OffsetCommitValue(Struct, versions="0-4", flexible="4+"):
    offset: int = field(int64, default=0)
    leader_epoch: int = field(int32, "3+", default=-1, ignorable=True)
    metadata: str = field(string, default="")
    commit_timestamp: int = field(int64, default=0)
    expire_timestamp: int = field(int64, "1", default=-1, ignorable=True)
    topic_id: UUID = field(uuid, "4+", default=UNKNOWN_TOPIC_ID, tagged="4+", tag=0, ignorable=True)


class GroupMetadataKey(Struct, versions="2", flexible="none"):
    group: str = field(string, default="")


class MemberMetadata(Struct):
    member_id: str = field(string, default="")
    group_instance_id: str | None = field(string, "3+", nullable="3+", default=None, ignorable=True)
    client_id: str = field(string, default="")
    client_host: str = field(string, default="")
    rebalance_timeout: int = field(int32, "1+", default=-1, ignorable=True)
    session_timeout: int = field(int32, default=0)
    subscription: Buffer = field(binary, default=b"")
    assignment: Buffer = field(binary, default=b"")


class GroupMetadataValue(Struct, versions="0-4", flexible="4+"):
    protocol_type: str = field(string, default="")
    generation: int = field(int32, default=0)
    protocol: str | None = field(string, nullable="0+", default=None)
    leader: str | None = field(string, nullable="0+", default=None)
    current_state_timestamp: int = field(int64, "2+", default=-1, ignorable=True)
    members: list[MemberMetadata] = field(array(MemberMetadata), default_factory=list)


@dataclass(frozen=True, slots=True)
class OffsetRecord:
    group_id: str
    topic: str
    partition: int
    committed: CommittedOffset | None
    """None: deleted."""


@dataclass(frozen=True, slots=True)
class GroupRecord:
    group_id: str
    stored: StoredGroup | None
    """None: deleted."""


GroupsRecord = OffsetRecord | GroupRecord

_VERSION: Final = Packing(">h")
_OFFSET_KEYS: Final = (0, 1)
_GROUP_KEY: Final = 2
_OFFSET_KEY_WRITTEN: Final = 1
_OFFSET_VALUE_WRITTEN: Final = 4
"""The first with room for a topic id; known to Kafka since 3.5 (KIP-915)."""
_OFFSET_VALUE_WITH_EXPIRY: Final = 1
"""The only one with room for a retention that the client chose."""
_GROUP_VALUE_WRITTEN: Final = 3


def encode(record: GroupsRecord) -> KeyValue:
    if isinstance(record, OffsetRecord):
        key = OffsetCommitKey(group=record.group_id, topic=record.topic, partition=record.partition)
        value = None if record.committed is None else _encode_offset(record.committed)
        return _versioned(key, _OFFSET_KEY_WRITTEN), value
    group_key = _versioned(GroupMetadataKey(group=record.group_id), _GROUP_KEY)
    if record.stored is None:
        return group_key, None
    return group_key, _versioned(_metadata_of(record.stored), _GROUP_VALUE_WRITTEN)


def decode(key: bytes, value: bytes | None) -> GroupsRecord | None:
    """None for kinds of records that are not known here. Raises `ProtocolError` for those that are, but are damaged."""
    kind = _version_of(key)
    if kind in _OFFSET_KEYS:
        offset_key = OffsetCommitKey.parse(key, kind, _VERSION.size)
        committed = None if value is None else _decode_offset(value)
        return OffsetRecord(offset_key.group, offset_key.topic, offset_key.partition, committed)
    if kind == _GROUP_KEY:
        group_key = GroupMetadataKey.parse(key, kind, _VERSION.size)
        return GroupRecord(group_key.group, None if value is None else _decode_group(value))
    return None


def _encode_offset(committed: CommittedOffset) -> bytes:
    value = OffsetCommitValue(
        offset=committed.offset,
        leader_epoch=committed.leader_epoch,
        metadata=committed.metadata,
        commit_timestamp=committed.committed_ms,
        expire_timestamp=-1 if committed.expires_ms is None else committed.expires_ms,
        topic_id=committed.topic_id,
    )
    return _versioned(value, _OFFSET_VALUE_WRITTEN if committed.expires_ms is None else _OFFSET_VALUE_WITH_EXPIRY)


def _decode_offset(value: bytes) -> CommittedOffset:
    found = OffsetCommitValue.parse(value, _version_of(value), _VERSION.size)
    return CommittedOffset(
        offset=found.offset,
        leader_epoch=found.leader_epoch,
        metadata=found.metadata,
        committed_ms=found.commit_timestamp,
        expires_ms=None if found.expire_timestamp < 0 else found.expire_timestamp,
        topic_id=found.topic_id,
    )


def _metadata_of(stored: StoredGroup) -> GroupMetadataValue:
    return GroupMetadataValue(
        protocol_type=stored.protocol_type,
        generation=stored.generation,
        protocol=stored.protocol_name,
        leader=stored.leader,
        current_state_timestamp=stored.since_ms,
        members=[
            MemberMetadata(
                member_id=member.member_id,
                group_instance_id=member.instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                rebalance_timeout=member.rebalance_timeout_ms,
                session_timeout=member.session_timeout_ms,
                subscription=member.subscription,
                assignment=member.assignment,
            )
            for member in stored.members
        ],
    )


def _decode_group(value: bytes) -> StoredGroup:
    found = GroupMetadataValue.parse(value, _version_of(value), _VERSION.size)
    return StoredGroup(
        protocol_type=found.protocol_type,
        generation=found.generation,
        protocol_name=found.protocol,
        leader=found.leader,
        since_ms=found.current_state_timestamp,
        members=tuple(
            StoredMember(
                member_id=member.member_id,
                instance_id=member.group_instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                rebalance_timeout_ms=(
                    member.rebalance_timeout if member.rebalance_timeout >= 0 else member.session_timeout
                ),
                session_timeout_ms=member.session_timeout,
                subscription=bytes(member.subscription),
                assignment=bytes(member.assignment),
            )
            for member in found.members
        ),
    )


def _versioned(message: Struct, version: int) -> bytes:
    return _VERSION.pack(version) + message.encode(version)


def _version_of(data: bytes) -> int:
    if len(data) < _VERSION.size:
        raise ProtocolError(f"{len(data)} bytes are too few for the version that a record begins with")
    (version,) = _VERSION.unpack_from(data)
    return int(version)
