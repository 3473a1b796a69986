"""What a producer may append: the checks between receipt and the log.

In: the records field of a Produce request and the partition it is for. Out: a writable buffer and the headers of its
batches, ready to be stamped with offsets. Raises `ApiError` with Kafka's code for each kind of refusal.
"""

from __future__ import annotations

from typing import Final

from sprawl.config.topics import TopicConfig
from sprawl.partitions.convert import recompressed
from sprawl.partitions.partition import Partition
from sprawl_protocol.compression import Codec, limit_for
from sprawl_protocol.errors import ApiError, ErrorCode, ProtocolError
from sprawl_protocol.primitives import Buffer
from sprawl_protocol.produced import validate_produce, validate_records_inside
from sprawl_protocol.records import BatchHeader, records_of

_ZSTD_SINCE_PRODUCE = 7
_NO_LIMIT = 2**63 - 1
_ALWAYS_WALKED: Final = 32
"""Batches of so few records are walked record by record, which costs less than 20 us; larger ones only where the
topic's settings need it. A producer of nonsense under a right checksum is not worth half a microsecond of each record
of all others."""

_CODEC_OF: Final[dict[str, Codec | None]] = {
    "producer": None,
    "uncompressed": Codec.NONE,
    "gzip": Codec.GZIP,
    "snappy": Codec.SNAPPY,
    "lz4": Codec.LZ4,
    "zstd": Codec.ZSTD,
}
"""What the topic setting `compression.type` asks for; None keeps what the producer chose."""


def check_produce(
    records: Buffer | None, partition: Partition, produce_version: int, now_ms: int
) -> tuple[memoryview, list[tuple[int, BatchHeader]]]:
    if records is None or not len(records):
        raise ApiError(ErrorCode.INVALID_RECORD, f"{partition}: the request holds no records for this partition")
    config = partition.config
    batches = validate_produce(records)
    position, header = batches[0]
    if header.size > config.max_message_bytes:
        raise ApiError(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"{partition}: a batch of {header.size} bytes; max.message.bytes is {config.max_message_bytes}: "
            "send smaller batches or raise it",
        )
    if header.size > config.max_segment_bytes:
        raise ApiError(
            ErrorCode.RECORD_LIST_TOO_LARGE,
            f"{partition}: a batch of {header.size} bytes; segment.bytes is {config.max_segment_bytes}",
        )
    if header.compression == Codec.ZSTD and produce_version < _ZSTD_SINCE_PRODUCE:
        raise ApiError(
            ErrorCode.UNSUPPORTED_COMPRESSION_TYPE,
            f"zstd needs Produce version {_ZSTD_SINCE_PRODUCE} or newer, this is version {produce_version} (KIP-110)",
        )
    if header.is_transactional:
        raise ApiError(ErrorCode.INVALID_TXN_STATE, f"{partition}: this broker serves no transactions yet")
    codec = _CODEC_OF[config.compression_type]
    recompress = codec is not None and codec != header.compression
    oldest = header.base_timestamp
    limit = min(limit_for(header.size), config.max_decompressed_message_bytes)
    if recompress or header.record_count <= _ALWAYS_WALKED or config.message_timestamp_before_max_ms < _NO_LIMIT:
        oldest = validate_records_inside(records, position, header, limit).oldest
    if config.compacts:
        _check_keys(records, position, limit, partition)
    if not config.log_append_time:
        _check_timestamps(oldest, header, config, now_ms, partition)
    if recompress:
        assert codec is not None
        records = recompressed(records, position, header, codec, config.compression_level, limit)
        batches = validate_produce(records)
    view = records if isinstance(records, memoryview) else memoryview(records)
    return (memoryview(bytearray(view)) if view.readonly else view), batches


def _check_keys(records: Buffer, position: int, limit: int, partition: Partition) -> None:
    try:
        keyless = next((each.offset for each in records_of(records, position, limit) if each.key is None), None)
    except ProtocolError as error:
        raise ApiError(ErrorCode.INVALID_RECORD, f"{partition}: {error}") from None
    if keyless is not None:
        raise ApiError(
            ErrorCode.INVALID_RECORD,
            f"{partition}: record {keyless} of the batch has no key, and compaction (cleanup.policy) would drop it: "
            "give every record a key",
        )


def _check_timestamps(oldest: int, header: BatchHeader, config: TopicConfig, now_ms: int, partition: Partition) -> None:
    """message.timestamp.after.max.ms and .before.max.ms (KIP-937). A record without a time is not held to them."""
    if header.max_timestamp - now_ms > config.message_timestamp_after_max_ms:
        raise ApiError(
            ErrorCode.INVALID_TIMESTAMP,
            f"{partition}: a record's timestamp {header.max_timestamp} is more than "
            f"message.timestamp.after.max.ms={config.message_timestamp_after_max_ms} ahead of the broker's {now_ms}",
        )
    if oldest >= 0 and now_ms - oldest > config.message_timestamp_before_max_ms:
        raise ApiError(
            ErrorCode.INVALID_TIMESTAMP,
            f"{partition}: a record's timestamp {oldest} is more than "
            f"message.timestamp.before.max.ms={config.message_timestamp_before_max_ms} behind the broker's {now_ms}",
        )
