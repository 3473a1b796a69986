"""Codecs against independent libraries, and against data that lie."""

from __future__ import annotations

import gzip
import os
import random
import resource
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable

import lz4.frame
import pytest
import snappy
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.codec import lz4_decode, snappy_decode, snappy_encode

from sprawl_protocol.compression import ALWAYS_ALLOWED, MAX_DECOMPRESSED, Codec, compress, decompress, limit_for
from sprawl_protocol.errors import ProtocolError

MIB = 1024 * 1024


def unsnapped(block: bytes) -> bytes:
    """A raw snappy block by the format's description: Python's snappy packages all go through cramjam."""
    size = shift = pos = 0
    while True:
        byte, pos = block[pos], pos + 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    out = bytearray()
    while pos < len(block):
        tag, pos = block[pos], pos + 1
        length = (tag >> 2) + 1
        if tag & 3 == 0:
            if length > 60:
                extra = length - 60
                length = int.from_bytes(block[pos : pos + extra], "little") + 1
                pos += extra
            out += block[pos : pos + length]
            pos += length
            continue
        if tag & 3 == 1:
            length = (tag >> 2 & 7) + 4
            offset = tag >> 5 << 8 | block[pos]
            pos += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            offset = int.from_bytes(block[pos : pos + width], "little")
            pos += width
        for _ in range(length):
            out.append(out[-offset])
    assert len(out) == size
    return bytes(out)


def unframed(data: bytes, read_block: Callable[[bytes], bytes]) -> bytes:
    """Java's framing of snappy blocks."""
    assert data[:16] == b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1)
    out, pos = b"", 16
    while pos < len(data):
        (size,) = struct.unpack_from(">i", data, pos)
        out += read_block(data[pos + 4 : pos + 4 + size])
        pos += 4 + size
    return out


CODECS = [Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD]
JUDGES: dict[Codec, Callable[[bytes], bytes]] = {
    Codec.GZIP: gzip.decompress,
    Codec.SNAPPY: lambda data: unframed(data, unsnapped),
    Codec.LZ4: lz4.frame.decompress,
    Codec.ZSTD: lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
}
SAMPLES = {
    "nothing": b"",
    "a byte": b"x",
    "words": b"the quick brown fox jumps over the lazy dog " * 700,
    "zeros": bytes(300_000),
    "noise": random.Random(7).randbytes(200_000),
    "a block and a byte": b"ab" * 32768 + b"!",
}
texts = st.one_of(
    st.binary(max_size=5000), st.builds(lambda unit, n: unit * n, st.binary(max_size=40), st.integers(0, 4000))
)


@pytest.mark.parametrize("codec", list(Codec))
@given(data=texts)
@settings(max_examples=40, deadline=None)
def test_what_is_compressed_comes_back(codec: Codec, data: bytes) -> None:
    assert decompress(codec, compress(codec, data)) == data


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("codec", CODECS)
def test_others_read_what_is_written(codec: Codec, name: str) -> None:
    assert JUDGES[codec](bytes(compress(codec, SAMPLES[name]))) == SAMPLES[name]


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize(
    ("codec", "write"),
    [
        (Codec.GZIP, gzip.compress),
        (Codec.SNAPPY, snappy.compress),
        (Codec.SNAPPY, lambda data: snappy_encode(data, xerial_compatible=True)),
        (Codec.SNAPPY, lambda data: snappy_encode(data, xerial_compatible=False)),
        (Codec.LZ4, lz4.frame.compress),
        (Codec.LZ4, lambda data: lz4.frame.compress(data, block_linked=False, store_size=False)),
        (Codec.LZ4, lambda data: lz4.frame.compress(data, block_checksum=True, content_checksum=True)),
        (Codec.ZSTD, zstandard.ZstdCompressor().compress),
        (Codec.ZSTD, zstandard.ZstdCompressor(write_content_size=False, write_checksum=True).compress),
    ],
    ids=[
        "gzip",
        "snappy raw, as librdkafka",
        "snappy framed, as Java",
        "snappy raw, as kafka-python",
        "lz4 linked",
        "lz4 as librdkafka",
        "lz4 with checksums",
        "zstd",
        "zstd without size",
    ],
)
def test_what_others_write_is_read(codec: Codec, write: Callable[[bytes], bytes], name: str) -> None:
    assert decompress(codec, write(SAMPLES[name])) == SAMPLES[name]


def test_any_buffer_may_be_given() -> None:
    data = SAMPLES["words"]
    for codec in CODECS:
        packed = bytes(compress(codec, memoryview(bytearray(data))))
        for wrapped in (packed, bytearray(packed), memoryview(b"--" + packed)[2:], memoryview(bytearray(packed))):
            assert decompress(codec, wrapped) == data


def test_lz4_blocks_are_independent_since_java_refuses_others() -> None:
    for level in (None, 1, 12):
        packed = bytes(compress(Codec.LZ4, SAMPLES["words"] * 10, level))
        info = lz4.frame.get_frame_info(packed)
        assert not info["block_linked"]
        assert info["block_size"] == 64 * 1024
        assert lz4_decode(packed) == SAMPLES["words"] * 10


def test_snappy_is_written_as_java_does() -> None:
    packed = bytes(compress(Codec.SNAPPY, bytes(100_000)))
    blocks: list[bytes] = []
    unframed(packed, lambda block: blocks.append(unsnapped(block)) or b"")
    assert [len(block) for block in blocks] == [32768, 32768, 32768, 1696]
    assert snappy_decode(packed) == bytes(100_000)


@pytest.mark.parametrize(("codec", "low", "high"), [(Codec.GZIP, 1, 9), (Codec.LZ4, 9, 12), (Codec.ZSTD, -5, 19)])
def test_levels_act(codec: Codec, low: int, high: int) -> None:
    rng = random.Random(3)
    data = " ".join(f"user-{rng.randrange(500)} saw /page/{rng.randrange(90)}" for _ in range(4000)).encode()
    fast, small = compress(codec, data, low), compress(codec, data, high)
    assert len(small) < len(fast)
    assert decompress(codec, fast) == decompress(codec, small) == data


def test_gzip_level_minus_one_is_the_default() -> None:
    assert bytes(compress(Codec.GZIP, SAMPLES["words"], -1)) == bytes(compress(Codec.GZIP, SAMPLES["words"]))


# -- limits ------------------------------------------------------------------------------------------------------


def test_limit_is_a_hundredfold_within_bounds() -> None:
    assert limit_for(10) == ALWAYS_ALLOWED
    assert limit_for(100_000) == 10_000_000
    assert limit_for(10 * MIB) == MAX_DECOMPRESSED


@pytest.mark.parametrize("codec", CODECS)
def test_a_megabyte_of_zeros_is_let_through(codec: Codec) -> None:
    assert decompress(codec, compress(codec, bytes(MIB))) == bytes(MIB)


@pytest.mark.parametrize("codec", CODECS)
def test_output_may_be_as_large_as_the_limit_and_not_larger(codec: Codec) -> None:
    for size in (1000, 100_000, 5 * MIB):
        packed = compress(codec, bytes(size))
        assert decompress(codec, packed, size) == bytes(size)
        with pytest.raises(ProtocolError, match=f"{size - 1} (are )?allowed"):
            decompress(codec, packed, size - 1)


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.LZ4, Codec.ZSTD])
def test_a_bomb_is_refused_by_its_ratio(codec: Codec) -> None:
    packed = bytes(compress(codec, bytes(40 * MIB)))
    with pytest.raises(ProtocolError, match=f"more than the {limit_for(len(packed))} allowed"):
        decompress(codec, packed)


def test_a_snappy_block_that_announces_four_gigabytes_is_refused() -> None:
    with pytest.raises(ProtocolError, match="4294967295"):
        decompress(Codec.SNAPPY, b"\xff\xff\xff\xff\x0f" + b"\x00a")


BOMB = """
import resource, sys
from sprawl_protocol.compression import Codec, decompress
from sprawl_protocol.errors import ProtocolError
data = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    decompress(Codec(int(sys.argv[1])), data)
except ProtocolError:
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize("codec", [Codec.GZIP, Codec.ZSTD])
def test_a_bomb_costs_no_more_memory_than_the_limit(codec: Codec) -> None:
    """A gibibyte in one member or frame: measured in a process of its own, where nothing else allocates."""
    packed = _gibibyte_of_zeros(codec)
    limit = limit_for(len(packed)) // MIB
    result = subprocess.run(
        [sys.executable, "-c", BOMB, str(int(codec))], input=packed, capture_output=True, check=True
    )
    assert int(result.stdout) <= limit + 16


def _gibibyte_of_zeros(codec: Codec) -> bytes:
    worker = zlib.compressobj(1, wbits=31) if codec == Codec.GZIP else zstandard.ZstdCompressor(level=1).compressobj()
    piece = bytes(16 * MIB)
    return b"".join(worker.compress(piece) for _ in range(64)) + worker.flush()


# -- damage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", CODECS)
def test_data_cut_short_are_refused(codec: Codec) -> None:
    packed = bytes(compress(codec, SAMPLES["words"]))
    for length in (1, 5, 9, 15, 17, len(packed) // 2, len(packed) - 1):
        with pytest.raises(ProtocolError):
            decompress(codec, packed[:length])


@pytest.mark.parametrize("codec", CODECS)
def test_bytes_behind_the_data_are_refused(codec: Codec) -> None:
    with pytest.raises(ProtocolError):
        decompress(codec, bytes(compress(codec, SAMPLES["words"])) + b"\0\0\0")


@pytest.mark.parametrize("codec", CODECS)
def test_no_data_are_refused(codec: Codec) -> None:
    with pytest.raises(ProtocolError):
        decompress(codec, b"")


@pytest.mark.parametrize("size", [-1, 0, 1000])
def test_a_snappy_block_of_impossible_length_is_refused(size: int) -> None:
    with pytest.raises(ProtocolError, match=f"block of {size}"):
        decompress(Codec.SNAPPY, b"\x82SNAPPY\x00" + struct.pack(">iii", 1, 1, size) + b"abc")


@pytest.mark.parametrize("codec", CODECS)
def test_fuzz(codec: Codec) -> None:
    """Mutated and made-up data for a second: what comes out is right, or a `ProtocolError`, and never too large."""
    seed = int(os.environ.get("SPRAWL_FUZZ_SEED", random.randrange(2**32)))
    rng = random.Random(seed)
    whole = [bytes(compress(codec, sample)) for sample in SAMPLES.values()]
    until = time.monotonic() + float(os.environ.get("SPRAWL_FUZZ_SECONDS", "0.7"))
    while time.monotonic() < until:
        data = bytearray(rng.choice(whole)) if rng.random() < 0.9 else bytearray(rng.randbytes(rng.randrange(60)))
        for _ in range(rng.randrange(4)):
            if data:
                data[rng.randrange(min(len(data), rng.choice([8, 30, 10**6])))] = rng.randrange(256)
        data = data[: rng.randrange(len(data) + 1)] if rng.random() < 0.2 else data
        try:
            assert len(decompress(codec, data, 500_000)) <= 500_000
        except ProtocolError as error:
            assert str(error)
        except BaseException:
            print(f"SPRAWL_FUZZ_SEED={seed} {codec.name} {data.hex()}")
            raise
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2**31
