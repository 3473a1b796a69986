"""Recompression, for topics whose `compression.type` is not `producer`."""

from __future__ import annotations

from sprawl_protocol.compression import Codec
from sprawl_protocol.primitives import Buffer
from sprawl_protocol.records import BatchHeader, build_batch, records_of


def recompressed(
    records: Buffer, position: int, header: BatchHeader, codec: Codec, level: int | None, limit: int
) -> bytearray:
    """The same records with the same producer id, epoch and sequence, compressed as the topic wants them.

    The batch has been walked before; `limit` bounds what it may decompress to, in bytes.
    """
    return build_batch(
        list(records_of(records, position, limit)),
        base_offset=0,
        compression=codec,
        compression_level=level,
        producer_id=header.producer_id,
        producer_epoch=header.producer_epoch,
        base_sequence=header.base_sequence,
    )
