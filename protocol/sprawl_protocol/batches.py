"""Record batches, version 2, from outside: headers, checksums, stamps.

A batch stays opaque bytes on its way through a broker. Its header is read (`read_header`), its checksum compared
(`check_crc`), and at its place in the log it is stamped: base offset and leader epoch lie outside of what the
checksum covers, so that stamping costs nothing. The records inside are the business of `records.py`.

    offset  size  field
    0       8     base offset
    8       4     batch length: bytes from here on, less these four
    12      4     partition leader epoch
    16      1     magic (2)
    17      4     CRC-32C of everything from byte 21 on
    21      2     attributes: 0-2 codec, 3 log append time, 4 transactional, 5 control, 6 delete horizon
    23      4     last offset delta
    27      8     base timestamp
    35      8     max timestamp
    43      8     producer id
    51      2     producer epoch
    53      4     base sequence
    57      4     record count
    61            records, compressed as a whole

Format: Kafka's documentation, "Message Format"; KIP-98.
"""

from __future__ import annotations

import struct
from typing import Final

from crc32c import crc32c

from sprawl_protocol.compression import Codec
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.primitives import Buffer

HEADER_SIZE: Final = 61
LOG_OVERHEAD: Final = 12
"""Base offset and batch length: what the batch length does not count."""
MAGIC: Final = 2
NO_PRODUCER_ID: Final = -1
NO_SEQUENCE: Final = -1
NO_TIMESTAMP: Final = -1

CODEC_MASK: Final = 0x07
LOG_APPEND_TIME: Final = 0x08
TRANSACTIONAL: Final = 0x10
CONTROL: Final = 0x20
DELETE_HORIZON: Final = 0x40

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_STAMP_OFFSET: Final = struct.Struct(">q")
_STAMP_EPOCH: Final = struct.Struct(">i")
_CRC: Final = struct.Struct(">I")
_CRC_AT: Final = 17
_CRC_FROM: Final = 21
_ATTRIBUTES: Final = struct.Struct(">h")
_MAX_TIMESTAMP_AT: Final = 35
_TIMESTAMP: Final = struct.Struct(">q")


class BatchHeader:
    """A batch's first 61 bytes. Made by `read_header` only."""

    __slots__ = (
        "attributes",
        "base_offset",
        "base_sequence",
        "base_timestamp",
        "batch_length",
        "crc",
        "last_offset_delta",
        "magic",
        "max_timestamp",
        "partition_leader_epoch",
        "producer_epoch",
        "producer_id",
        "record_count",
    )

    base_offset: int
    batch_length: int
    partition_leader_epoch: int
    magic: int
    crc: int
    attributes: int
    last_offset_delta: int
    base_timestamp: int
    max_timestamp: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    record_count: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return LOG_OVERHEAD + self.batch_length

    @property
    def last_offset(self) -> int:
        return self.base_offset + self.last_offset_delta

    @property
    def next_offset(self) -> int:
        return self.base_offset + self.last_offset_delta + 1

    @property
    def last_sequence(self) -> int:
        """Sequences wrap to 0 behind 2^31 - 1. -1 if there are none."""
        if self.base_sequence < 0:
            return NO_SEQUENCE
        return (self.base_sequence + self.last_offset_delta) & 0x7FFFFFFF

    @property
    def codec_number(self) -> int:
        return self.attributes & CODEC_MASK

    @property
    def compression(self) -> Codec:
        """Raises `ProtocolError` for a number that no codec has."""
        try:
            return Codec(self.attributes & CODEC_MASK)
        except ValueError:
            raise ProtocolError(f"compression codec {self.attributes & CODEC_MASK} is not known") from None

    @property
    def log_append_time(self) -> bool:
        return bool(self.attributes & LOG_APPEND_TIME)

    @property
    def is_transactional(self) -> bool:
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def is_control(self) -> bool:
        return bool(self.attributes & CONTROL)

    @property
    def has_delete_horizon(self) -> bool:
        """The base timestamp is the time from which on the batch's tombstones may be compacted away (KIP-534)."""
        return bool(self.attributes & DELETE_HORIZON)

    def __repr__(self) -> str:
        return f"BatchHeader({', '.join(f'{name}={getattr(self, name)}' for name in self.__slots__)})"


def read_header(buf: Buffer, pos: int = 0) -> BatchHeader:
    """The header at `pos`, whose batch lies whole in `buf`. Raises `ProtocolError`.

    360 ns; through an `__init__` of 13 arguments it would be 460.
    """
    left = len(buf) - pos
    if left < HEADER_SIZE:
        raise ProtocolError(f"a batch header takes {HEADER_SIZE} bytes, {left} are left")
    header = BatchHeader()
    (
        header.base_offset,
        header.batch_length,
        header.partition_leader_epoch,
        header.magic,
        header.crc,
        header.attributes,
        header.last_offset_delta,
        header.base_timestamp,
        header.max_timestamp,
        header.producer_id,
        header.producer_epoch,
        header.base_sequence,
        header.record_count,
    ) = _HEADER.unpack_from(buf, pos)
    if header.magic != MAGIC:
        raise ProtocolError(f"record batch magic {header.magic}; only version {MAGIC} is kept here")
    if not HEADER_SIZE - LOG_OVERHEAD <= header.batch_length <= left - LOG_OVERHEAD:
        raise ProtocolError(f"a batch of {header.size} bytes where {left} are left")
    if header.last_offset_delta < 0:
        raise ProtocolError(f"a last offset delta of {header.last_offset_delta}")
    return header


def headers(buf: Buffer) -> list[tuple[int, BatchHeader]]:
    """Position and header of each batch in `buf`, which holds whole batches only. Raises `ProtocolError`."""
    found = []
    pos = 0
    while pos < len(buf):
        header = read_header(buf, pos)
        found.append((pos, header))
        pos += header.size
    return found


def check_crc(buf: Buffer, pos: int, header: BatchHeader) -> bool:
    return bool(crc32c(memoryview(buf)[pos + _CRC_FROM : pos + header.size]) == header.crc)


def stamp(buf: memoryview | bytearray, pos: int, base_offset: int, leader_epoch: int) -> None:
    """Write the batch's place into it. Outside of the checksum."""
    _STAMP_OFFSET.pack_into(buf, pos, base_offset)
    _STAMP_EPOCH.pack_into(buf, pos + LOG_OVERHEAD, leader_epoch)


def stamp_log_append_time(buf: memoryview | bytearray, pos: int, header: BatchHeader, timestamp_ms: int) -> None:
    """Make `timestamp_ms` the time of all records of the batch, and the checksum right again."""
    header.attributes |= LOG_APPEND_TIME
    header.max_timestamp = timestamp_ms
    _ATTRIBUTES.pack_into(buf, pos + _CRC_FROM, header.attributes)
    _TIMESTAMP.pack_into(buf, pos + _MAX_TIMESTAMP_AT, timestamp_ms)
    header.crc = crc32c(memoryview(buf)[pos + _CRC_FROM : pos + header.size])
    _CRC.pack_into(buf, pos + _CRC_AT, header.crc)


def pack_batch(
    content: Buffer,
    *,
    base_offset: int,
    leader_epoch: int,
    attributes: int,
    last_offset_delta: int,
    base_timestamp: int,
    max_timestamp: int,
    producer_id: int,
    producer_epoch: int,
    base_sequence: int,
    record_count: int,
) -> bytearray:
    """A batch around `content`, records that are compressed already as `attributes` say."""
    batch = bytearray(HEADER_SIZE)
    batch += content
    _HEADER.pack_into(
        batch,
        0,
        base_offset,
        len(batch) - LOG_OVERHEAD,
        leader_epoch,
        MAGIC,
        0,
        attributes,
        last_offset_delta,
        base_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        record_count,
    )
    _CRC.pack_into(batch, _CRC_AT, crc32c(memoryview(batch)[_CRC_FROM:]))
    return batch
