"""Which partition a key belongs to: as Java's producer decides, so that HTTP and Kafka producers agree.

In: a key's bytes. Out: a number. MurmurHash 2, 32 bits (Austin Appleby, public domain), with Kafka's seed.
"""

from __future__ import annotations

from typing import Final

_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_32: Final = 0xFFFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    mixed = (_SEED ^ len(data)) & _32
    whole = len(data) & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little") * _M & _32
        k = (k ^ k >> 24) * _M & _32
        mixed = (mixed * _M & _32) ^ k
    rest = data[whole:]
    if rest:
        mixed = (mixed ^ int.from_bytes(rest, "little")) * _M & _32
    mixed = (mixed ^ mixed >> 13) * _M & _32
    return mixed ^ mixed >> 15
