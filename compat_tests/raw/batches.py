"""Record batches built and read by kafka-python's code, and ways to spoil them."""

from __future__ import annotations

import struct
from typing import Any

from kafka.record import MemoryRecords
from kafka.record.default_records import DefaultRecordBatchBuilder

from compat_tests.moments import LATELY

NO_PRODUCER = (-1, -1, -1)


def batch(
    *values: bytes | None,
    producer: tuple[int, int, int] = NO_PRODUCER,
    timestamp: int = LATELY,
    codec: int = 0,
) -> bytes:
    """One v2 batch of these values; `producer` is (id, epoch, first sequence)."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=False,
        producer_id=producer[0],
        producer_epoch=producer[1],
        base_sequence=producer[2],
        batch_size=1 << 30,
    )
    for number, value in enumerate(values):
        builder.append(number, timestamp=timestamp + number, key=None, value=value, headers=[])
    return bytes(builder.build())


def records(data: bytes | None) -> list[Any]:
    """Every whole record in fetched bytes."""
    memory = MemoryRecords(bytes(data or b""))
    found: list[Any] = []
    while (one := memory.next_batch()) is not None:
        found.extend(one)
    return found


def spoiled(data: bytes, position: int = -1) -> bytes:
    """The same batch with one byte changed, so that its CRC is wrong."""
    changed = bytearray(data)
    changed[position] ^= 0xFF
    return bytes(changed)


def with_magic(data: bytes, magic: int) -> bytes:
    changed = bytearray(data)
    changed[16] = magic
    return bytes(changed)


def with_length(data: bytes, length: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(">i", changed, 8, length)
    return bytes(changed)
