"""The codecs of record batches: gzip, snappy, lz4 (frame format), zstd.

In: bytes and a limit. Out: bytes of at most that many, or a `ProtocolError`; a decompression bomb costs no more than
the limit. Snappy comes in two dresses: the raw block that librdkafka writes, and the blocks with a header that Java's
`SnappyOutputStream` writes (magic 0x82 "SNAPPY" 0); both are read, the second is written, as Kafka does.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final

import cramjam

from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.primitives import Buffer

MAX_DECOMPRESSED: Final = 64 * 1024 * 1024
MAX_RATIO: Final = 100
_ALWAYS_ALLOWED: Final = 1024 * 1024
"""A small batch of repetitive records may be smaller than its ratio suggests."""

_XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER: Final = _XERIAL_MAGIC + struct.pack(">ii", 1, 1)
_XERIAL_BLOCK: Final = 32 * 1024
_LENGTH: Final = struct.Struct(">i")


class Codec(IntEnum):
    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


def limit_for(compressed_size: int) -> int:
    """How large `compressed_size` bytes may become."""
    return min(MAX_DECOMPRESSED, max(MAX_RATIO * compressed_size, _ALWAYS_ALLOWED))


def compress(codec: Codec, data: Buffer, level: int | None = None) -> bytes:
    match codec:
        case Codec.NONE:
            return bytes(data)
        case Codec.GZIP:
            return bytes(cramjam.gzip.compress(data, level=6 if level is None or level < 0 else level))
        case Codec.SNAPPY:
            return _compress_snappy(data)
        case Codec.LZ4:
            return bytes(cramjam.lz4.compress(data, level=9 if level is None else level))
        case Codec.ZSTD:
            return bytes(cramjam.zstd.compress(data, level=3 if level is None else level))


def decompress(codec: Codec, data: Buffer, limit: int | None = None) -> Buffer:
    """Raises `ProtocolError` if the data is damaged or would become larger than `limit` bytes."""
    allowed = limit_for(len(data)) if limit is None else limit
    match codec:
        case Codec.NONE:
            return data
        case Codec.GZIP:
            return _into(cramjam.gzip.decompress_into, codec, data, allowed)
        case Codec.SNAPPY:
            return _decompress_snappy(data, allowed)
        case Codec.LZ4:
            return _into(cramjam.lz4.decompress_into, codec, data, allowed)
        case Codec.ZSTD:
            return _into(cramjam.zstd.decompress_into, codec, data, allowed)


def _into(work: Callable[[Any, Any], int], codec: Codec, data: Buffer, limit: int) -> memoryview:
    """Decompress into a buffer that doubles until it is large enough or at the limit."""
    size = min(limit, max(4 * len(data), 64 * 1024))
    while True:
        out = bytearray(size)
        try:
            written = work(data, out)
        except (cramjam.DecompressionError, ValueError) as error:
            if size >= limit or not _may_be_short_of_room(error):
                raise ProtocolError(
                    f"{codec.name.lower()} data of {len(data)} bytes is damaged or becomes more than {limit} bytes"
                ) from None
            size = min(limit, size * 4)
        else:
            return memoryview(out)[:written]


def _may_be_short_of_room(error: Exception) -> bool:
    words = str(error).lower()
    return "write" in words or "buffer" in words or "small" in words or "full" in words


def _compress_snappy(data: Buffer) -> bytes:
    view = memoryview(data)
    out = bytearray(_XERIAL_HEADER)
    for start in range(0, len(view), _XERIAL_BLOCK):
        block = bytes(cramjam.snappy.compress_raw(view[start : start + _XERIAL_BLOCK]))
        out += _LENGTH.pack(len(block)) + block
    return bytes(out)


def _decompress_snappy(data: Buffer, limit: int) -> Buffer:
    view = memoryview(data)
    if view[: len(_XERIAL_MAGIC)] != _XERIAL_MAGIC:
        return _snappy_block(view, limit)
    out = bytearray()
    pos = len(_XERIAL_HEADER)
    while pos < len(view):
        try:
            (size,) = _LENGTH.unpack_from(view, pos)
        except struct.error:
            raise ProtocolError("snappy data ends within a block's length") from None
        pos += _LENGTH.size
        if not 0 <= size <= len(view) - pos:
            raise ProtocolError(f"a snappy block of {size} bytes where {len(view) - pos} are left")
        out += _snappy_block(view[pos : pos + size], limit - len(out))
        pos += size
    return out


def _snappy_block(block: memoryview, limit: int) -> Buffer:
    try:
        size = cramjam.snappy.decompress_raw_len(block)
        if size > limit:
            raise ProtocolError(f"snappy data of {len(block)} bytes becomes {size} bytes, more than {limit}")
        return bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError as error:
        raise ProtocolError(f"snappy data is damaged: {error}") from None
