"""What a producer may append: the checks between receipt and the log.

In: the records field of a Produce request and the partition it is for. Out: a writable buffer and the headers of its
batches, ready to be stamped with offsets. Raises `ApiError` with Kafka's code for each kind of refusal.
"""

from __future__ import annotations

from typing import Final

from sprawl.config.topics import TopicConfig
from sprawl.partitions.convert import recompressed
from sprawl.partitions.partition import Partition
from sprawl_protocol.compression import Codec
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.primitives import Buffer
from sprawl_protocol.produced import validate_produce
from sprawl_protocol.records import BatchHeader, records_of

_ZSTD_SINCE_PRODUCE = 7
_NO_LIMIT = 2**63 - 1

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
    if not config.log_append_time:
        _check_timestamps(records, position, header, config, now_ms, partition)
    codec = _CODEC_OF[config.compression_type]
    if codec is not None and codec != header.compression:
        records = recompressed(records, position, header, codec, config.compression_level)
        batches = validate_produce(records)
    view = records if isinstance(records, memoryview) else memoryview(records)
    return (memoryview(bytearray(view)) if view.readonly else view), batches


def _check_timestamps(
    records: Buffer, position: int, header: BatchHeader, config: TopicConfig, now_ms: int, partition: Partition
) -> None:
    """message.timestamp.after.max.ms, .before.max.ms (KIP-937). The header tells the newest; the oldest is inside."""
    if header.max_timestamp - now_ms > config.message_timestamp_after_max_ms:
        raise ApiError(
            ErrorCode.INVALID_TIMESTAMP,
            f"{partition}: a record's timestamp {header.max_timestamp} is more than "
            f"message.timestamp.after.max.ms={config.message_timestamp_after_max_ms} ahead of the broker's {now_ms}",
        )
    before_max = config.message_timestamp_before_max_ms
    if before_max >= _NO_LIMIT:
        return
    oldest = min((record.timestamp for record in records_of(records, position)), default=now_ms)
    if now_ms - oldest > before_max:
        raise ApiError(
            ErrorCode.INVALID_TIMESTAMP,
            f"{partition}: a record's timestamp {oldest} is more than "
            f"message.timestamp.before.max.ms={before_max} behind the broker's {now_ms}",
        )
