"""Metadata records as Kafka record batches: the form they have in the log and in snapshots alike.

Data batches carry metadata records and are taken whole or not at all: what is proposed together is one batch. Control
batches carry what the quorum itself has to say (KIP-595, KIP-630, KIP-853): a new leader, the voters, the ends of a
snapshot. In: records or control messages, with their place. Out: bytes; and back.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sprawl.quorum.records import MetadataRecord, NewerRecordError, UnreadableRecordError, decode, encode
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.messages import (
    KRaftVersionRecord,
    LeaderChangeMessage,
    SnapshotFooterRecord,
    SnapshotHeaderRecord,
    VotersRecord,
)
from sprawl_protocol.primitives import Buffer
from sprawl_protocol.records import Record, build_batch, check_crc, headers, records_of

Control = LeaderChangeMessage | SnapshotHeaderRecord | SnapshotFooterRecord | KRaftVersionRecord | VotersRecord

_CONTROL_TYPES: Final[dict[int, type[Control]]] = {
    2: LeaderChangeMessage,
    3: SnapshotHeaderRecord,
    4: SnapshotFooterRecord,
    5: KRaftVersionRecord,
    6: VotersRecord,
}
_TYPE_OF: Final = {kind: number for number, kind in _CONTROL_TYPES.items()}
_KEY: Final = struct.Struct(">hh")
_VERSION: Final = struct.Struct(">h")
MAX_BATCH_BYTES: Final = 64 * 1024 * 1024
"""What one batch may decompress to; no batch of ours is compressed."""


@dataclass(frozen=True, slots=True)
class MetadataBatch:
    """One batch as read: either `records` or `controls`, never both."""

    base_offset: int
    last_offset: int
    epoch: int
    timestamp_ms: int
    records: list[MetadataRecord]
    controls: list[Control]


def data_batch(records: Sequence[MetadataRecord], base_offset: int, epoch: int, now_ms: int) -> bytearray:
    return build_batch(
        [Record(0, now_ms, None, encode(record)) for record in records], base_offset=base_offset, leader_epoch=epoch
    )


def control_batch(controls: Sequence[Control], base_offset: int, epoch: int, now_ms: int) -> bytearray:
    return build_batch(
        [
            Record(0, now_ms, _KEY.pack(0, _TYPE_OF[type(control)]), control.encode(control.version))
            for control in controls
        ],
        base_offset=base_offset,
        leader_epoch=epoch,
        control=True,
    )


def read_batches(buffer: Buffer) -> Iterator[MetadataBatch]:
    """Every batch in `buffer`, each checked. Raises `UnreadableRecordError`, naming the offset."""
    try:
        found = headers(buffer)
    except ProtocolError as problem:
        raise UnreadableRecordError(f"a record batch of the metadata log is malformed: {problem}") from problem
    for position, header in found:
        where = f"offset {header.base_offset} of the metadata log"
        if not check_crc(buffer, position, header):
            raise UnreadableRecordError(f"the batch at {where} has a wrong checksum")
        records: list[MetadataRecord] = []
        controls: list[Control] = []
        try:
            for record in records_of(buffer, position, MAX_BATCH_BYTES):
                where = f"offset {record.offset} of the metadata log"
                if header.is_control:
                    controls.append(_control_of(record))
                else:
                    records.append(decode(record.value or b""))
        except NewerRecordError as problem:
            raise NewerRecordError(
                f"the record at {where} cannot be read: {problem}. A newer version of this software wrote it; start "
                "that version. The record is not skipped, because all behind it depends on it"
            ) from problem
        except (UnreadableRecordError, ProtocolError) as problem:
            raise UnreadableRecordError(f"the record at {where} cannot be read: {problem}") from problem
        yield MetadataBatch(
            header.base_offset,
            header.last_offset,
            header.partition_leader_epoch,
            header.max_timestamp,
            records,
            controls,
        )


def _control_of(record: Record) -> Control:
    if record.key is None or record.value is None or len(record.key) < _KEY.size or len(record.value) < _VERSION.size:
        raise UnreadableRecordError("a control record without a type or a version")
    _, number = _KEY.unpack_from(record.key)
    kind = _CONTROL_TYPES.get(number)
    if kind is None:
        raise NewerRecordError(f"control record type {number} is unknown to this node")
    (version,) = _VERSION.unpack_from(record.value)
    if not kind.MIN_VERSION <= version <= kind.MAX_VERSION:
        raise NewerRecordError(
            f"{kind.__name__} has version {version}, this node reads {kind.MIN_VERSION} to {kind.MAX_VERSION}"
        )
    return kind.parse(record.value, version)
