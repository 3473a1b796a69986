"""What a producer sent: the checks on the records field of a Produce request that need nothing but its bytes.

In: the field. Out: positions and headers of its batches. Raises `ApiError` with Kafka's code for each kind of refusal
(`ProduceRequest.validateRecords`, `LogValidator`). The topic's own limits are somebody else's business.

`validate_produce` reads the header and the checksum: 1.2 us for a batch whatever is in it, plus the checksum.
`validate_records_inside` walks the records as well, about 0.5 us for each (`python -m tools.bench.records`), which for
small records is more than all else a broker does with them. Kafka always walks them. What it guards against is not
damage, which the checksum finds, but a producer that writes nonsense under a right checksum, for consumers to stumble
over.

Kinder than Kafka: a base offset other than 0 is taken, since it is overwritten. Stricter: bytes behind the batch, which
Kafka cuts off without a word, attributes that mean nothing, and offsets inside that are not 0, 1, 2, ... are refused.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple, NoReturn

from sprawl_protocol.batches import (
    CONTROL,
    HEADER_SIZE,
    LOG_APPEND_TIME,
    LOG_OVERHEAD,
    MAGIC,
    TRANSACTIONAL,
    BatchHeader,
    check_crc,
    read_header,
)
from sprawl_protocol.compression import Codec
from sprawl_protocol.errors import ApiError, ErrorCode, ProtocolError
from sprawl_protocol.primitives import INT64_MAX, INT64_MIN, Buffer
from sprawl_protocol.records import LEAST_RECORD, content_of, read_varint

_LENGTH_AT: Final = 8
_LENGTH: Final = struct.Struct(">i")
_MAGIC_AT: Final = 16
_PLAIN_ATTRIBUTES: Final = frozenset(int(codec) | flag for codec in Codec for flag in (0, TRANSACTIONAL))
_KNOWN_CODECS: Final = frozenset(int(codec) for codec in Codec)


class TimeSpan(NamedTuple):
    """The oldest and the newest timestamp of a batch's records."""

    oldest: int
    newest: int


def validate_produce(buf: Buffer) -> list[tuple[int, BatchHeader]]:
    """Exactly one batch, whole and undamaged, of records that a client may send."""
    try:
        header = read_header(buf)
    except ProtocolError:
        _refuse_header(buf)
    if header.size != len(buf):
        raise ApiError(
            ErrorCode.INVALID_RECORD,
            f"{len(buf) - header.size} bytes follow the batch; a produce request holds exactly one batch for each "
            "partition",
        )
    if not check_crc(buf, 0, header):
        raise ApiError(
            ErrorCode.CORRUPT_MESSAGE,
            f"the batch's checksum is not the {header.crc:#010x} it says: it was damaged on its way; send it again",
        )
    if header.record_count <= 0 or header.last_offset_delta != header.record_count - 1:
        raise ApiError(
            ErrorCode.INVALID_RECORD,
            f"a batch of {header.record_count} records whose last offset delta is {header.last_offset_delta}",
        )
    if header.attributes not in _PLAIN_ATTRIBUTES:
        _refuse_attributes(header)
    if not header.codec_number and header.record_count * LEAST_RECORD > len(buf) - HEADER_SIZE:
        raise ApiError(
            ErrorCode.INVALID_RECORD, f"{header.record_count} records in {len(buf) - HEADER_SIZE} bytes cannot be"
        )
    if header.producer_id >= 0:
        if header.base_sequence < 0 or header.producer_epoch < 0:
            raise ApiError(
                ErrorCode.INVALID_RECORD,
                f"producer id {header.producer_id} with epoch {header.producer_epoch} and sequence "
                f"{header.base_sequence}; both begin at 0",
            )
    elif header.producer_id != -1 or header.attributes & TRANSACTIONAL:
        raise ApiError(
            ErrorCode.INVALID_RECORD,
            f"producer id {header.producer_id}; a transactional batch has one of 0 or more, any other that or -1",
        )
    return [(0, header)]


def _refuse_header(buf: Buffer) -> NoReturn:
    """Why the header is none, in the order in which Kafka looks, which decides between its two codes."""
    size = len(buf)
    if size <= _MAGIC_AT:
        raise ApiError(ErrorCode.INVALID_RECORD, f"{size} bytes hold no record batch; a produce request has one")
    magic = buf[_MAGIC_AT]
    announced = _LENGTH.unpack_from(buf, _LENGTH_AT)[0] + LOG_OVERHEAD
    if magic > MAGIC:
        raise ApiError(ErrorCode.CORRUPT_MESSAGE, f"record format {magic} is not known, only {MAGIC}")
    if magic < MAGIC:
        raise ApiError(
            ErrorCode.INVALID_RECORD,
            f"record format {magic}; since Kafka 4.0 only format {MAGIC} is taken: use a newer client",
        )
    if announced < HEADER_SIZE:
        raise ApiError(
            ErrorCode.CORRUPT_MESSAGE, f"a batch that says it has {announced} bytes; its header alone has {HEADER_SIZE}"
        )
    if announced > size:
        raise ApiError(ErrorCode.INVALID_RECORD, f"a batch that says it has {announced} bytes, and only {size} came")
    raise ApiError(ErrorCode.INVALID_RECORD, "a batch with a negative last offset delta")


def _refuse_attributes(header: BatchHeader) -> NoReturn:
    attributes = header.attributes
    if attributes & CONTROL:
        raise ApiError(ErrorCode.INVALID_RECORD, "a client may not write control records")
    if header.codec_number not in _KNOWN_CODECS:
        raise ApiError(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"compression codec {header.codec_number} is not known")
    if attributes & LOG_APPEND_TIME:
        raise ApiError(
            ErrorCode.INVALID_TIMESTAMP, "a client may not mark a batch with log append time, only the broker"
        )
    raise ApiError(ErrorCode.INVALID_RECORD, f"batch attributes {attributes:#06x} have bits with no meaning here")


def validate_records_inside(buf: Buffer, pos: int, header: BatchHeader, limit: int | None = None) -> TimeSpan:
    """The batch holds as many well-formed records as its header says, numbered from 0 on, and nothing else.

    `limit` bounds what it may decompress to. Raises `ApiError` (INVALID_RECORD).
    """
    if header.record_count <= 0:
        raise ApiError(ErrorCode.INVALID_RECORD, f"a batch of {header.record_count} records")
    try:
        lowest, highest = _walk(content_of(buf, pos, header, limit), header.record_count)
    except ProtocolError as error:
        raise ApiError(ErrorCode.INVALID_RECORD, f"the batch's content is not valid: {error}") from None
    span = TimeSpan(header.base_timestamp + lowest, header.base_timestamp + highest)
    if span.oldest < INT64_MIN or span.newest > INT64_MAX:
        raise ApiError(ErrorCode.INVALID_TIMESTAMP, f"timestamps from {span.oldest} to {span.newest}")
    return span


def _walk(content: memoryview, count: int) -> tuple[int, int]:
    """The least and the greatest timestamp delta.

    The loop is long because a call costs as much as two of its varints: those of one or two bytes are read in place.
    No field is compared with the record's end, since one that is too long makes the fields end elsewhere.
    """
    total = len(content)
    lowest, highest = INT64_MAX, INT64_MIN
    at = 0
    index = 0
    try:
        for index in range(count):
            byte = content[at]
            at += 1
            if byte > 0x7F:
                more = content[at]
                at += 1
                if more < 0x80:
                    byte += (more - 1) << 7
                else:
                    byte, at = _long_varint(content, at - 2)
            end = at + (byte >> 1)
            if byte & 1 or end > total:
                raise ProtocolError(f"record {index} is longer than the batch")
            at += 1  # attributes, which have no meaning
            byte = content[at]
            at += 1
            if byte > 0x7F:
                more = content[at]
                at += 1
                if more < 0x80:
                    byte += (more - 1) << 7
                else:
                    byte, at = _long_varint(content, at - 2)
            byte = (byte >> 1) ^ -(byte & 1)
            if byte > highest:
                highest = byte
            if byte < lowest:
                lowest = byte
            byte = content[at]
            at += 1
            if byte > 0x7F:
                more = content[at]
                at += 1
                if more < 0x80:
                    byte += (more - 1) << 7
                else:
                    byte, at = _long_varint(content, at - 2)
            if byte != index + index:
                raise ProtocolError(f"record {index} has offset delta {(byte >> 1) ^ -(byte & 1)}")
            byte = content[at]
            at += 1
            if byte > 0x7F:
                more = content[at]
                at += 1
                if more < 0x80:
                    byte += (more - 1) << 7
                else:
                    byte, at = _long_varint(content, at - 2)
            if not byte & 1:
                at += byte >> 1
            elif byte != 1:
                raise ProtocolError(f"record {index} has a key of negative length")
            byte = content[at]
            at += 1
            if byte > 0x7F:
                more = content[at]
                at += 1
                if more < 0x80:
                    byte += (more - 1) << 7
                else:
                    byte, at = _long_varint(content, at - 2)
            if not byte & 1:
                at += byte >> 1
            elif byte != 1:
                raise ProtocolError(f"record {index} has a value of negative length")
            at = _past_record_headers(content, at, end) if content[at] else at + 1
            if at != end:
                raise ProtocolError(f"record {index} ends {end - at:+d} bytes from where its fields do")
    except IndexError:
        raise ProtocolError(f"the batch ends within record {index}") from None
    if at != total:
        raise ProtocolError(f"{total - at} bytes follow the last record")
    return lowest, highest


def _long_varint(content: memoryview, at: int) -> tuple[int, int]:
    """A varint as it stands there, not yet zigzagged back."""
    value, at = read_varint(content, at)
    return (value << 1) ^ (value >> 63), at


def _past_record_headers(content: memoryview, at: int, end: int) -> int:
    count, at = read_varint(content, at)
    if not 0 <= count <= end - at:
        raise ProtocolError(f"{count} record headers where {end - at} bytes are left")
    for _ in range(count):
        size, at = read_varint(content, at)
        if size < 0:
            raise ProtocolError("a record header without a name")
        at += size
        size, at = read_varint(content, at)
        if size < -1:
            raise ProtocolError(f"a record header's value of {size} bytes")
        at += max(size, 0)
    return at
