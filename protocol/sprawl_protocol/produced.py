"""What a producer sent: the checks on the records field of a Produce request that need nothing but its bytes.

In: the field. Out: positions and headers of its batches. Raises `ApiError` with Kafka's code for each kind of refusal
(`LogValidator`, `ProduceRequest.validateRecords`). The topic's own limits are somebody else's business.
"""

from __future__ import annotations

import struct
from typing import Final

from sprawl_protocol.compression import Codec
from sprawl_protocol.errors import ApiError, ErrorCode, ProtocolError
from sprawl_protocol.primitives import Buffer
from sprawl_protocol.records import HEADER_SIZE, LOG_OVERHEAD, MAGIC, BatchHeader, check_crc, read_header

_LENGTH_AT: Final = 8
_MAGIC_AT: Final = 16
_LENGTH: Final = struct.Struct(">i")
_CODECS: Final = frozenset(Codec)


def validate_produce(buf: Buffer) -> list[tuple[int, BatchHeader]]:
    """Exactly one batch, whole and undamaged, of records that a client may send."""
    if len(buf) > _MAGIC_AT and buf[_MAGIC_AT] < MAGIC:
        raise ApiError(
            ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT,
            f"record format {buf[_MAGIC_AT]}; since Kafka 4.0 only format {MAGIC} is taken: use a newer client",
        )
    try:
        header = read_header(buf)
    except ProtocolError as error:
        raise ApiError(ErrorCode.CORRUPT_MESSAGE, str(error)) from None
    if header.size != len(buf):
        _refuse_what_follows(buf, header)
    if not check_crc(buf, 0, header):
        raise ApiError(ErrorCode.CORRUPT_MESSAGE, f"the batch's checksum is not the {header.crc:#010x} it says")
    if header.record_count <= 0 or header.last_offset_delta != header.record_count - 1:
        raise ApiError(
            ErrorCode.INVALID_RECORD,
            f"a batch of {header.record_count} records whose last offset delta is {header.last_offset_delta}",
        )
    if header.is_control:
        raise ApiError(ErrorCode.INVALID_RECORD, "a client may not write control records")
    if header.codec_number not in _CODECS:
        raise ApiError(
            ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, f"compression codec {header.codec_number} is not known"
        )
    if header.log_append_time:
        raise ApiError(ErrorCode.INVALID_TIMESTAMP, "only the broker may mark a batch with log append time")
    _check_producer(header)
    return [(0, header)]


def _refuse_what_follows(buf: Buffer, header: BatchHeader) -> None:
    left = len(buf) - header.size
    if left >= HEADER_SIZE and _LENGTH.unpack_from(buf, header.size + _LENGTH_AT)[0] + LOG_OVERHEAD <= left:
        raise ApiError(ErrorCode.INVALID_RECORD, "a produce request holds exactly one batch for each partition")
    raise ApiError(ErrorCode.CORRUPT_MESSAGE, f"{left} bytes behind the batch")


def _check_producer(header: BatchHeader) -> None:
    if header.producer_id < 0:
        if header.is_transactional:
            raise ApiError(ErrorCode.INVALID_RECORD, "a transactional batch without a producer id")
        return
    if header.base_sequence < 0:
        raise ApiError(ErrorCode.INVALID_RECORD, f"producer id {header.producer_id} with no sequence number")
    if header.producer_epoch < 0:
        raise ApiError(ErrorCode.INVALID_RECORD, f"producer id {header.producer_id} with no epoch")
