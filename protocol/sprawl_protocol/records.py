"""The records inside a batch: read one by one (`records_of`), written into a batch (`build_batch`).

What a batch is from outside (header, checksum, stamps) is in `batches.py`, and can be had from here too.

A record: its length, attributes (a byte, unused), timestamp less the batch's base timestamp, offset less the base
offset, key, value, number of headers, headers of name and value. All numbers are zigzag varints; a length of -1 is
null. Timestamps are 64 bits wide and wrap around, as in Java.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from crc32c import crc32c

from sprawl_protocol.batches import (
    CONTROL,
    HEADER_SIZE,
    LOG_OVERHEAD,
    MAGIC,
    NO_PRODUCER_ID,
    NO_SEQUENCE,
    NO_TIMESTAMP,
    TRANSACTIONAL,
    BatchHeader,
    check_crc,
    headers,
    pack_batch,
    read_header,
    stamp,
    stamp_log_append_time,
)
from sprawl_protocol.compression import Codec, compress, decompress
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.primitives import INT64_MAX, INT64_MIN, Buffer

__all__ = [
    "HEADER_SIZE",
    "LEAST_RECORD",
    "LOG_OVERHEAD",
    "MAGIC",
    "NO_PRODUCER_ID",
    "NO_SEQUENCE",
    "NO_TIMESTAMP",
    "BatchHeader",
    "Record",
    "build_batch",
    "check_crc",
    "content_of",
    "crc32c",
    "headers",
    "pack_records",
    "read_header",
    "read_varint",
    "records_of",
    "stamp",
    "stamp_log_append_time",
]

LEAST_RECORD: Final = 7
"""Bytes of a record with nothing in it."""
_NAME_ERRORS: Final = "surrogateescape"
"""Names of record headers should be UTF-8. Those that are not are kept as they are: Kafka takes them too."""


@dataclass(slots=True)
class Record:
    offset: int
    timestamp: int
    """Milliseconds since the epoch; -1 for none."""
    key: Buffer | None
    value: Buffer | None
    headers: list[tuple[str, Buffer | None]] = field(default_factory=list)


def records_of(buf: Buffer, pos: int = 0, limit: int | None = None) -> Iterator[Record]:
    """The records of the batch at `pos`, in memory of the batch or of its decompressed content.

    `limit` bounds what it may decompress to. Raises `ProtocolError`, at the latest with the last record.
    """
    header = read_header(buf, pos)
    content = content_of(buf, pos, header, limit)
    base_offset, base_timestamp = header.base_offset, header.base_timestamp
    append_time = header.max_timestamp if header.log_append_time else None
    at = 0
    try:
        for _ in range(header.record_count):
            size, at = read_varint(content, at)
            end = at + size
            if size < 0 or end > len(content):
                raise ProtocolError(f"a record of {size} bytes where {len(content) - at} are left")
            timestamp, at = read_varint(content, at + 1)
            timestamp += base_timestamp
            offset, at = read_varint(content, at)
            key, at = _field(content, at, end)
            value, at = _field(content, at, end)
            if content[at]:
                extra, at = _record_headers(content, at, end)
            else:
                extra = []
                at += 1
            if at != end:
                raise ProtocolError(f"a record of {size} bytes whose fields take {size + at - end}")
            if append_time is not None:
                timestamp = append_time
            elif not INT64_MIN <= timestamp <= INT64_MAX:
                timestamp = _wrapped(timestamp)
            yield Record(base_offset + offset, timestamp, key, value, extra)
    except IndexError:
        raise ProtocolError("a batch that ends within a record") from None
    if at != len(content):
        raise ProtocolError(f"{len(content) - at} bytes behind the last record of a batch")


def content_of(buf: Buffer, pos: int, header: BatchHeader, limit: int | None = None) -> memoryview:
    """The decompressed records of a batch: as many as it says may be in there. Raises `ProtocolError`."""
    body = memoryview(buf)[pos + HEADER_SIZE : pos + header.size]
    content = memoryview(decompress(header.compression, body, limit)) if header.codec_number else body
    if not 0 <= header.record_count * LEAST_RECORD <= len(content):
        raise ProtocolError(f"{header.record_count} records in {len(content)} bytes")
    return content


def read_varint(content: memoryview, at: int) -> tuple[int, int]:
    """A zigzag varint of at most 64 bits, and where it ends. Raises `ProtocolError`, `IndexError` at the end."""
    value = content[at]
    at += 1
    if value > 0x7F:
        value &= 0x7F
        shift = 7
        while True:
            byte = content[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += 7
            if shift > 63:
                raise ProtocolError("a varint of more than 64 bits")
        if value >= 1 << 64:
            raise ProtocolError("a varint of more than 64 bits")
    return (value >> 1) ^ -(value & 1), at


def _field(content: memoryview, at: int, end: int) -> tuple[memoryview | None, int]:
    size, at = read_varint(content, at)
    if size < 0:
        if size != -1:
            raise ProtocolError(f"a field of {size} bytes")
        return None, at
    after = at + size
    if after > end:
        raise ProtocolError(f"a field of {size} bytes where {end - at} are left of its record")
    return content[at:after], after


def _record_headers(content: memoryview, at: int, end: int) -> tuple[list[tuple[str, Buffer | None]], int]:
    count, at = read_varint(content, at)
    if not 0 <= count <= end - at:
        raise ProtocolError(f"{count} record headers where {end - at} bytes are left")
    found: list[tuple[str, Buffer | None]] = []
    for _ in range(count):
        name, at = _field(content, at, end)
        if name is None:
            raise ProtocolError("a record header without a name")
        value, at = _field(content, at, end)
        found.append((str(name, "utf-8", _NAME_ERRORS), value))
    return found, at


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
    content = bytearray()
    for delta, record in enumerate(records):
        _put_record(content, record, record.timestamp - base_timestamp, delta)
    return pack_batch(
        compress(compression, content, compression_level) if compression else content,
        base_offset=base_offset,
        leader_epoch=leader_epoch,
        attributes=int(compression) | (TRANSACTIONAL if transactional else 0) | (CONTROL if control else 0),
        last_offset_delta=len(records) - 1,
        base_timestamp=base_timestamp,
        max_timestamp=max([record.timestamp for record in records]),
        producer_id=producer_id,
        producer_epoch=producer_epoch,
        base_sequence=base_sequence,
        record_count=len(records),
    )


def pack_records(records: Sequence[Record], base_offset: int, base_timestamp: int, compression: Codec) -> Buffer:
    """What follows the header of a batch whose records keep the offsets that they have."""
    content = bytearray()
    for record in records:
        _put_record(content, record, record.timestamp - base_timestamp, record.offset - base_offset)
    return compress(compression, content, None) if compression else content


def _put_record(out: bytearray, record: Record, timestamp_delta: int, offset_delta: int) -> None:
    key, value = record.key, record.value
    head = (
        b"\0"
        + _varint(timestamp_delta)
        + _varint(offset_delta)
        + (_NULL if key is None else _varint(len(key)) + key)
        + (_NULL if value is None else _varint(len(value)))
    )
    tail = _record_headers_of(record) if record.headers else b"\0"
    out += _varint(len(head) + (0 if value is None else len(value)) + len(tail))
    out += head
    if value is not None:
        out += value
    out += tail


def _record_headers_of(record: Record) -> bytes:
    out = bytearray(_varint(len(record.headers)))
    for name, value in record.headers:
        encoded = name.encode("utf-8", _NAME_ERRORS)
        out += _varint(len(encoded))
        out += encoded
        out += _NULL if value is None else _varint(len(value))
        out += value or b""
    return bytes(out)


def _varint(value: int) -> bytes:
    zigzag = (value << 1) ^ (value >> 63)
    if zigzag < 0x80:
        return _ONE_BYTE[zigzag]
    if zigzag < 0x4000:
        return bytes((zigzag & 0x7F | 0x80, zigzag >> 7))
    value = _wrapped(value)
    zigzag = (value << 1) ^ (value >> 63)
    out = bytearray()
    while zigzag >= 0x80:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


def _wrapped(value: int) -> int:
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)


_ONE_BYTE: Final = [bytes((byte,)) for byte in range(0x80)]
_NULL: Final = b"\x01"
