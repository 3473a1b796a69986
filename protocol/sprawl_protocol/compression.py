"""The codecs of record batches: gzip, snappy, lz4 (frame format), zstd.

In: bytes and a limit. Out: at most that many bytes, or a `ProtocolError`; a decompression bomb costs no more memory
than the limit. What is written is what Apache Kafka's own reader takes, which is less than the formats allow:

- snappy comes in two dresses, the raw block that librdkafka writes and the framed blocks of Java's
  `SnappyOutputStream` (magic 0x82 "SNAPPY" 0). Both are read, the second is written.
- lz4 frames may let a block refer to the one before it. Java refuses those ("Dependent block stream is
  unsupported"), and cramjam writes no others; so the frame is written here, around blocks that cramjam compressed.
  Any frame is read.
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
ALWAYS_ALLOWED: Final = 1024 * 1024
"""A batch of zeros shrinks 1,000-fold in gzip and 10,000-fold in zstd and is no attack. Clients fill batches of up to
1 MB (librdkafka's default, and what `max.message.bytes` allows), so that much is let through whatever the ratio."""

_FIRST_GUESS: Final = 8
_LEAST_ROOM: Final = 16 * 1024
_GROWTH: Final = 4
_NO_ROOM: Final = "failed to write whole buffer"
"""What cramjam says when the data are fine and the output is too short for them."""

_XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER: Final = _XERIAL_MAGIC + struct.pack(">ii", 1, 1)
_XERIAL_BLOCK: Final = 32 * 1024
_XERIAL_LENGTH: Final = struct.Struct(">i")

_LZ4_HEADER: Final = bytes.fromhex("04224d18 60 40 82")
"""Magic; version 1 with independent blocks and no checksums (the batch has one); blocks of 64 KiB; header checksum."""
_LZ4_BLOCK: Final = 64 * 1024
_LZ4_LENGTH: Final = struct.Struct("<I")
_LZ4_STORED: Final = 0x8000_0000
_LZ4_END: Final = bytes(4)
_LZ4_DEFAULT_LEVEL: Final = 9
"""Kafka's default, which its writer takes to mean the fast compressor; any other level is for the high one."""


class Codec(IntEnum):
    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


def limit_for(compressed_size: int) -> int:
    """How large `compressed_size` bytes may become."""
    return min(MAX_DECOMPRESSED, max(MAX_RATIO * compressed_size, ALWAYS_ALLOWED))


def compress(codec: Codec, data: Buffer, level: int | None = None) -> Buffer:
    """`level` as in Kafka's `compression.gzip.level`, `.lz4.level` and `.zstd.level`; none is the codec's default."""
    match codec:
        case Codec.NONE:
            return data
        case Codec.GZIP:
            return memoryview(cramjam.gzip.compress(data, level=6 if level is None or level < 0 else level))
        case Codec.SNAPPY:
            return _compress_snappy(memoryview(data))
        case Codec.LZ4:
            return _compress_lz4(memoryview(data), _LZ4_DEFAULT_LEVEL if level is None else level)
        case Codec.ZSTD:
            return memoryview(cramjam.zstd.compress(data, level=3 if level is None else level))


def decompress(codec: Codec, data: Buffer, limit: int | None = None) -> Buffer:
    """Raises `ProtocolError` if the data are damaged or would become larger than `limit` bytes (`limit_for` them)."""
    allowed = limit_for(len(data)) if limit is None else limit
    match codec:
        case Codec.NONE:
            return data
        case Codec.GZIP:
            return _decompress_into(cramjam.gzip.decompress_into, codec, data, allowed)
        case Codec.SNAPPY:
            return _decompress_snappy(memoryview(data), allowed)
        case Codec.LZ4:
            return _decompress_into(cramjam.lz4.decompress_into, codec, data, allowed)
        case Codec.ZSTD:
            return _decompress_into(cramjam.zstd.decompress_into, codec, data, allowed)


def _decompress_into(work: Callable[[Any, Any], int], codec: Codec, data: Buffer, limit: int) -> Buffer:
    """Into a buffer that grows until the output fits or the limit is reached, and begins again each time.

    A ratio of up to eight takes one pass; what begins again costs at most a third more than its last pass. The copy
    that gives room back costs 20 us for a MiB. (Shrinking the buffer in place costs 1,300: it keeps glibc from ever
    learning that memory of this size comes and goes, so that each buffer is mapped, faulted in and unmapped anew.)
    """
    room = min(limit, max(_FIRST_GUESS * len(data), _LEAST_ROOM))
    while True:
        out = bytearray(room)
        try:
            written = work(data, out)
        except cramjam.DecompressionError as error:
            if str(error) != _NO_ROOM:
                raise ProtocolError(f"{codec.name.lower()} data of {len(data)} bytes are damaged: {error}") from None
        else:
            found = memoryview(out)[:written]
            return found if 2 * written >= room else bytes(found)
        if room >= limit:
            raise ProtocolError(f"{codec.name.lower()} data of {len(data)} bytes become more than the {limit} allowed")
        room = min(limit, _GROWTH * room)
        del out  # before the next one is made


# -- snappy ------------------------------------------------------------------------------------------------------


def _compress_snappy(view: memoryview) -> bytearray:
    out = bytearray(_XERIAL_HEADER)
    for start in range(0, len(view), _XERIAL_BLOCK):
        block = cramjam.snappy.compress_raw(view[start : start + _XERIAL_BLOCK])
        out += _XERIAL_LENGTH.pack(len(block))
        out += memoryview(block)
    return out


def _decompress_snappy(view: memoryview, limit: int) -> Buffer:
    if bytes(view[: len(_XERIAL_MAGIC)]) != _XERIAL_MAGIC:
        return _snappy_block(view, 0, limit)
    if len(view) < len(_XERIAL_HEADER):
        raise ProtocolError(f"snappy data of {len(view)} bytes end within their header")
    out = bytearray()
    pos = len(_XERIAL_HEADER)
    while pos < len(view):
        if len(view) - pos < _XERIAL_LENGTH.size:
            raise ProtocolError("snappy data end within a block's length")
        (size,) = _XERIAL_LENGTH.unpack_from(view, pos)
        pos += _XERIAL_LENGTH.size
        if not 0 < size <= len(view) - pos:
            raise ProtocolError(f"a snappy block of {size} bytes where {len(view) - pos} are left")
        out += _snappy_block(view[pos : pos + size], len(out), limit)
        pos += size
    return out


def _snappy_block(block: memoryview, before: int, limit: int) -> Buffer:
    """A block says at its beginning how large it becomes. `before`: what the blocks before it became."""
    try:
        size = before + cramjam.snappy.decompress_raw_len(block)
        if size > limit:
            raise ProtocolError(f"snappy data become {size} bytes or more; {limit} are allowed")
        return memoryview(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError as error:
        raise ProtocolError(f"snappy data are damaged in a block of {len(block)} bytes: {error}") from None


# -- lz4 ---------------------------------------------------------------------------------------------------------


def _compress_lz4(view: memoryview, level: int) -> bytearray:
    work = _lz4_block_fast if level == _LZ4_DEFAULT_LEVEL else _lz4_block_high
    out = bytearray(_LZ4_HEADER)
    for start in range(0, len(view), _LZ4_BLOCK):
        piece = view[start : start + _LZ4_BLOCK]
        block = work(piece, level)
        if len(block) < len(piece):
            out += _LZ4_LENGTH.pack(len(block))
            out += block
        else:
            out += _LZ4_LENGTH.pack(len(piece) | _LZ4_STORED)
            out += piece
    out += _LZ4_END
    return out


def _lz4_block_fast(piece: memoryview, level: int) -> memoryview:
    return memoryview(cramjam.lz4.compress_block(piece, store_size=False))


def _lz4_block_high(piece: memoryview, level: int) -> memoryview:
    """cramjam's block function knows no levels, its frame function does: the block out of a frame of one block."""
    frame = memoryview(cramjam.lz4.compress(piece, level=level))
    start = len(_LZ4_HEADER) + _LZ4_LENGTH.size
    (size,) = _LZ4_LENGTH.unpack_from(frame, len(_LZ4_HEADER))
    return piece if size & _LZ4_STORED else frame[start : start + size]
