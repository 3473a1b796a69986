"""Compression codecs: cramjam against the libraries it replaces. Run: `python -m tools.bench.compression`.

A mebibyte of made-up JSON events, as a batch of them would hold. Decompression is measured as the broker does it, with
a limit on what comes out (`sprawl_protocol.compression.decompress`), against the other library's shortest way without.
"""

from __future__ import annotations

import functools
import gzip
import importlib
import json
import random
import zlib
from collections.abc import Callable
from typing import Any

from sprawl_protocol.compression import Codec, compress, decompress
from tools.bench.crc import nanoseconds

MIB = 1024 * 1024


def events() -> bytes:
    rng = random.Random(1)
    lines = (
        json.dumps({"id": rng.randrange(10**9), "user": f"u{rng.randrange(5000)}", "path": f"/a/{rng.randrange(300)}"})
        for _ in range(30_000)
    )
    return "".join(lines).encode()[:MIB]


def others() -> dict[Codec, tuple[str, Callable[[bytes], bytes], Callable[[bytes], bytes]]]:
    found: dict[Codec, tuple[str, Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
        Codec.GZIP: ("zlib", lambda data: gzip.compress(data, 6), lambda data: zlib.decompress(data, 31))
    }
    if lz4 := _maybe("lz4.frame"):
        found[Codec.LZ4] = ("lz4", lambda data: lz4.compress(data, block_linked=False), lz4.decompress)
    if zstd := _maybe("zstandard"):
        found[Codec.ZSTD] = ("zstandard", zstd.ZstdCompressor(level=3).compress, zstd.ZstdDecompressor().decompress)
    return found


def _maybe(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name} is not installed and not compared")
        return None


def main() -> None:
    data = events()
    theirs = others()
    print(f"{'codec':>7} | {'ratio':>5} | {'cramjam: in':>12} | {'out, bounded':>12} | another: in, out")
    for codec in (Codec.GZIP, Codec.SNAPPY, Codec.LZ4, Codec.ZSTD):
        packed = bytes(compress(codec, data))
        into = _speed(functools.partial(compress, codec, data))
        out = _speed(functools.partial(decompress, codec, packed))
        line = f"{codec.name.lower():>7} | {MIB / len(packed):>5.1f} | {into:>7.0f} MB/s | {out:>7.0f} MB/s"
        if codec in theirs:
            name, pack, unpack = theirs[codec]
            into = _speed(functools.partial(pack, data))
            out = _speed(functools.partial(unpack, pack(data)))
            line += f" | {name}: {into:.0f} MB/s, {out:.0f} MB/s"
        print(line)


def _speed(work: Callable[[], object]) -> float:
    return MIB / nanoseconds(work) * 1000


if __name__ == "__main__":
    main()
