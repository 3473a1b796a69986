"""Record batches, version 2: headers, checks, stamps, and the records inside.

A batch stays opaque bytes on its way through a broker. Its header is read (`read_header`), its checksum compared
(`check_crc`), and at its place in the log it is stamped: base offset and leader epoch lie outside of what the
checksum covers, so that stamping costs nothing. Only `records_of` looks inside.

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import crc32c as _crc32c

from sprawl_protocol.compression import Codec, compress, decompress
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.primitives import Buffer

HEADER_SIZE: Final = 61
LOG_OVERHEAD: Final = 12
"""Base offset and batch length: what the batch length does not count."""
MAGIC: Final = 2
NO_PRODUCER_ID: Final = -1
NO_SEQUENCE: Final = -1
NO_TIMESTAMP: Final = -1

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_STAMP_OFFSET: Final = struct.Struct(">q")
_STAMP_EPOCH: Final = struct.Struct(">i")
_CRC: Final = struct.Struct(">I")
_CRC_AT: Final = 17
_CRC_FROM: Final = 21
_ATTRIBUTES: Final = struct.Struct(">h")
_MAX_TIMESTAMP_AT: Final = 35
_TIMESTAMP: Final = struct.Struct(">q")

_CODEC_MASK: Final = 0x07
_LOG_APPEND_TIME: Final = 0x08
_TRANSACTIONAL: Final = 0x10
_CONTROL: Final = 0x20
_DELETE_HORIZON: Final = 0x40
_KNOWN_ATTRIBUTES: Final = 0x7F

crc32c = _crc32c.crc32c


class BatchHeader:
    """A batch's first 61 bytes."""

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

    def __init__(
        self,
        base_offset: int,
        batch_length: int,
        partition_leader_epoch: int,
        magic: int,
        crc: int,
        attributes: int,
        last_offset_delta: int,
        base_timestamp: int,
        max_timestamp: int,
        producer_id: int,
        producer_epoch: int,
        base_sequence: int,
        record_count: int,
    ) -> None:
        self.base_offset = base_offset
        self.batch_length = batch_length
        self.partition_leader_epoch = partition_leader_epoch
        self.magic = magic
        self.crc = crc
        self.attributes = attributes
        self.last_offset_delta = last_offset_delta
        self.base_timestamp = base_timestamp
        self.max_timestamp = max_timestamp
        self.producer_id = producer_id
        self.producer_epoch = producer_epoch
        self.base_sequence = base_sequence
        self.record_count = record_count

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
        """Sequences wrap to 0 behind 2^31 - 1."""
        return (self.base_sequence + self.last_offset_delta) & 0x7FFFFFFF

    @property
    def codec_number(self) -> int:
        return self.attributes & _CODEC_MASK

    @property
    def compression(self) -> Codec:
        """Raises `ProtocolError` for a number that no codec has."""
        try:
            return Codec(self.attributes & _CODEC_MASK)
        except ValueError:
            raise ProtocolError(f"compression codec {self.attributes & _CODEC_MASK} is not known") from None

    @property
    def log_append_time(self) -> bool:
        return bool(self.attributes & _LOG_APPEND_TIME)

    @property
    def is_transactional(self) -> bool:
        return bool(self.attributes & _TRANSACTIONAL)

    @property
    def is_control(self) -> bool:
        return bool(self.attributes & _CONTROL)

    @property
    def has_unknown_attributes(self) -> bool:
        return bool(self.attributes & ~_KNOWN_ATTRIBUTES)

    def __repr__(self) -> str:
        return f"BatchHeader({', '.join(f'{name}={getattr(self, name)}' for name in self.__slots__)})"


def read_header(buf: Buffer, pos: int = 0) -> BatchHeader:
    """The header at `pos`, whose batch is known to lie whole in `buf`. Raises `ProtocolError`."""
    if len(buf) - pos < HEADER_SIZE:
        raise ProtocolError(f"a batch header takes {HEADER_SIZE} bytes, {len(buf) - pos} are left")
    header = BatchHeader(*_HEADER.unpack_from(buf, pos))
    if header.magic != MAGIC:
        raise ProtocolError(f"record batch magic {header.magic}; only version {MAGIC} is kept here")
    if not HEADER_SIZE <= header.size <= len(buf) - pos:
        raise ProtocolError(f"a batch of {header.size} bytes where {len(buf) - pos} are left")
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
    header.attributes |= _LOG_APPEND_TIME
    header.max_timestamp = timestamp_ms
    _ATTRIBUTES.pack_into(buf, pos + _CRC_FROM, header.attributes)
    _TIMESTAMP.pack_into(buf, pos + _MAX_TIMESTAMP_AT, timestamp_ms)
    header.crc = crc32c(memoryview(buf)[pos + _CRC_FROM : pos + header.size])
    _CRC.pack_into(buf, pos + _CRC_AT, header.crc)


# -- inside ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Record:
    offset: int
    timestamp: int
    """Milliseconds since the epoch; -1 for none."""
    key: Buffer | None
    value: Buffer | None
    headers: list[tuple[str, Buffer | None]] = field(default_factory=list)


def records_of(buf: Buffer, pos: int = 0, limit: int | None = None) -> Iterator[Record]:
    """The records of the batch at `pos`. `limit` bounds what it may decompress to. Raises `ProtocolError`."""
    header = read_header(buf, pos)
    body = memoryview(buf)[pos + HEADER_SIZE : pos + header.size]
    content = memoryview(decompress(header.compression, body, limit)) if header.codec_number else body
    reader = _Reader(content)
    if not 0 <= header.record_count <= len(content):
        raise ProtocolError(f"{header.record_count} records in {len(content)} bytes")
    for _ in range(header.record_count):
        yield reader.record(header)
    if reader.pos != len(content):
        raise ProtocolError(f"{len(content) - reader.pos} bytes behind the last record of a batch")


class _Reader:
    """Walks the records of one decompressed batch."""

    __slots__ = ("buf", "pos")

    def __init__(self, buf: memoryview) -> None:
        self.buf = buf
        self.pos = 0

    def varint(self) -> int:
        """A zigzag varint of at most 64 bits."""
        value = shift = 0
        buf, pos = self.buf, self.pos
        try:
            while True:
                byte = buf[pos]
                pos += 1
                value |= (byte & 0x7F) << shift
                if byte < 0x80:
                    break
                shift += 7
                if shift > 63:
                    raise ProtocolError("a varint of more than 64 bits")
        except IndexError:
            raise ProtocolError("a record ends within a varint") from None
        self.pos = pos
        return (value >> 1) ^ -(value & 1)

    def blob(self) -> memoryview | None:
        size = self.varint()
        if size < 0:
            if size != -1:
                raise ProtocolError(f"a field of {size} bytes")
            return None
        end = self.pos + size
        if end > len(self.buf):
            raise ProtocolError(f"a field of {size} bytes where {len(self.buf) - self.pos} are left")
        found = self.buf[self.pos : end]
        self.pos = end
        return found

    def record(self, header: BatchHeader) -> Record:
        size = self.varint()
        end = self.pos + size
        if size < 0 or end > len(self.buf):
            raise ProtocolError(f"a record of {size} bytes where {len(self.buf) - self.pos} are left")
        self.pos += 1  # attributes: none are in use
        timestamp = header.base_timestamp + self.varint()
        offset = header.base_offset + self.varint()
        key, value = self.blob(), self.blob()
        count = self.varint()
        if not 0 <= count <= end - self.pos:
            raise ProtocolError(f"{count} record headers where {end - self.pos} bytes are left")
        extra = [self.header() for _ in range(count)]
        if self.pos != end:
            raise ProtocolError(f"a record of {size} bytes whose fields end {self.pos - end:+d} bytes from there")
        if header.log_append_time:
            timestamp = header.max_timestamp
        return Record(offset, timestamp, key, value, extra)

    def header(self) -> tuple[str, memoryview | None]:
        name = self.blob()
        if name is None:
            raise ProtocolError("a record header without a name")
        try:
            return str(name, "utf-8"), self.blob()
        except UnicodeDecodeError:
            raise ProtocolError("a record header's name that is not UTF-8") from None


# -- building ----------------------------------------------------------------------------------------------------


def build_batch(
    records: Sequence[Record],
    *,
    base_offset: int = 0,
    compression: Codec = Codec.NONE,
    compression_level: int | None = None,
    leader_epoch: int = -1,
    producer_id: int = NO_PRODUCER_ID,
    producer_epoch: int = -1,
    base_sequence: int = NO_SEQUENCE,
    transactional: bool = False,
    control: bool = False,
) -> bytearray:
    """One batch of `records`, numbered from `base_offset` on in the order given; their own offsets do not count."""
    if not records:
        raise ValueError("a batch holds at least one record")
    base_timestamp = records[0].timestamp
    max_timestamp = max(record.timestamp for record in records)
    body = bytearray()
    for delta, record in enumerate(records):
        _put_record(body, record, record.timestamp - base_timestamp, delta)
    content = compress(compression, body, compression_level) if compression else body
    attributes = int(compression) | (_TRANSACTIONAL if transactional else 0) | (_CONTROL if control else 0)
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
        len(records) - 1,
        base_timestamp,
        max_timestamp,
        producer_id,
        producer_epoch,
        base_sequence,
        len(records),
    )
    _CRC.pack_into(batch, _CRC_AT, crc32c(memoryview(batch)[_CRC_FROM:]))
    return batch


def _put_record(out: bytearray, record: Record, timestamp_delta: int, offset_delta: int) -> None:
    body = bytearray(1)
    _put_varint(body, timestamp_delta)
    _put_varint(body, offset_delta)
    _put_blob(body, record.key)
    _put_blob(body, record.value)
    _put_varint(body, len(record.headers))
    for name, value in record.headers:
        _put_blob(body, name.encode())
        _put_blob(body, value)
    _put_varint(out, len(body))
    out += body


def _put_blob(out: bytearray, data: Buffer | None) -> None:
    if data is None:
        out.append(1)  # -1 in zigzag
    else:
        _put_varint(out, len(data))
        out += data


def _put_varint(out: bytearray, value: int) -> None:
    zigzag = (value << 1) ^ (value >> 63)
    while zigzag >= 0x80:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
