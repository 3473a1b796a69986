"""Manifests: what is found by them in a segment, and what is refused before it is uploaded."""

from __future__ import annotations

import random
from uuid import UUID

import pytest

from sprawl.tiers.manifest import BadSegment, Manifest, ManifestBuilder, Origin
from sprawl.tiers.segments import TierSegment
from sprawl_protocol.records import Record, build_batch

ORIGIN = Origin("cluster", "orders", UUID(int=7), 3, 6, {"retention.ms": "5"}, 4, 1, 99)
CHUNK = 1000


def batches(sizes: list[int], base: int = 100) -> list[bytes]:
    rng, found = random.Random(1), []
    for n, size in enumerate(sizes):
        value = rng.randbytes(size)
        found.append(bytes(build_batch([Record(0, 1000 + 10 * n, None, value)], base_offset=base + n)))
    return found


def built(data: bytes, base: int, end: int) -> Manifest:
    builder = ManifestBuilder(base, end, CHUNK)
    for at in range(0, len(data), CHUNK):
        builder.feed(data[at : at + CHUNK])
    return builder.finish(ORIGIN, TierSegment("id", base, end, 0, -1, ((4, base),)), b"states")


@pytest.mark.parametrize("sizes", [[10] * 50, [3000, 10, 10, 2500, 10], [900] * 7, [1], [5000], [932, 1, 1]])
def test_every_offset_is_found_from_its_chunk_on(sizes: list[int]) -> None:
    parts = batches(sizes)
    data = b"".join(parts)
    manifest = built(data, 100, 100 + len(sizes))
    assert manifest.segment.size == len(data)
    position = 0
    for n, part in enumerate(parts):
        chunk = manifest.chunks[manifest.chunk_of(100 + n)]
        assert 0 <= chunk.position <= position
        assert position - chunk.position < 2 * CHUNK + len(part)
        assert chunk.offset <= 100 + n
        position += len(part)
    assert Manifest.parse(manifest.pack()) == manifest


def test_a_time_is_found_in_the_first_chunk_that_has_it() -> None:
    manifest = built(b"".join(batches([900] * 7)), 100, 107)
    assert manifest.segment.max_timestamp == 1060
    assert manifest.chunk_with_time(0) == 0
    number = manifest.chunk_with_time(1031)
    assert number is not None
    assert manifest.chunks[number].max_timestamp >= 1031 > manifest.chunks[number - 1].max_timestamp
    assert manifest.chunk_with_time(1061) is None


def test_damaged_or_foreign_bytes_are_not_uploaded() -> None:
    data = b"".join(batches([500] * 4))
    flipped = bytearray(data)
    flipped[700] ^= 1
    for bad in (bytes(flipped), data[:-5], data[10:], b"\0" * 2000, data + data[:600]):
        with pytest.raises(BadSegment):
            built(bad, 100, 104)
    with pytest.raises(BadSegment):
        built(data, 100, 103)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"format":2}', b"\xff\xff"])
def test_what_is_no_manifest_is_refused(raw: bytes) -> None:
    with pytest.raises(BadSegment):
        Manifest.parse(raw)
