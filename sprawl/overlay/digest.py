"""How loaded a node is, in few bytes, so that every node knows it of every other.

In: what a node measures of itself. Out: a digest, and the same as at most 256 bytes. Rounded: it is a hint for placing
and routing, nobody accounts by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sprawl.overlay.messages import MAX_DIGEST_BYTES
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.message import Struct, array, field, int32, uint16, uint32, uuid
from sprawl_protocol.primitives import NO_ID, Buffer

MOST_PARTITIONS: Final = 6
_VERSION: Final = 0
_UNIT: Final = 1024
_PARTS: Final = 10_000
_MOST_RATE: Final = 2**32 - 1
_MOST_LAG: Final = 2**16 - 1


@dataclass(frozen=True, slots=True)
class HotPartition:
    topic_id: UUID
    partition: int
    bytes_per_s: float
    """In and out together."""


@dataclass(frozen=True, slots=True)
class Digest:
    cpu: float = 0.0
    """Part of the one core that a node's event loop can have, 0 to 1."""
    net_in: float = 0.0
    net_out: float = 0.0
    """Bytes a second."""
    disk_free: float = 1.0
    """Part of the disk, 0 to 1."""
    disk_write: float = 0.0
    """Bytes a second."""
    loop_lag_ms: float = 0.0
    hottest: tuple[HotPartition, ...] = ()
    """The hottest first; at most `MOST_PARTITIONS` travel."""


class _Hot(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partition: int = field(int32, default=0)
    rate: int = field(uint32, default=0)


class _Digest(Struct, versions="0", flexible="0+"):
    cpu: int = field(uint16, default=0)
    net_in: int = field(uint32, default=0)
    net_out: int = field(uint32, default=0)
    disk_free: int = field(uint16, default=0)
    disk_write: int = field(uint32, default=0)
    loop_lag_ms: int = field(uint16, default=0)
    hottest: list[_Hot] = field(array(_Hot), default_factory=list)


def encode(digest: Digest) -> bytes:
    """Rates in KiB, parts in ten-thousandths; what is beyond the range becomes its end."""
    data = _Digest(
        cpu=_part(digest.cpu),
        net_in=_rate(digest.net_in),
        net_out=_rate(digest.net_out),
        disk_free=_part(digest.disk_free),
        disk_write=_rate(digest.disk_write),
        loop_lag_ms=_within(digest.loop_lag_ms, _MOST_LAG),
        hottest=[
            _Hot(topic_id=one.topic_id, partition=one.partition, rate=_rate(one.bytes_per_s))
            for one in digest.hottest[:MOST_PARTITIONS]
        ],
    ).encode(_VERSION)
    assert len(data) <= MAX_DIGEST_BYTES
    return data


def decode(data: Buffer) -> Digest:
    """Raises `ProtocolError`."""
    if len(data) > MAX_DIGEST_BYTES:
        raise ProtocolError(f"a digest of {len(data)} bytes; {MAX_DIGEST_BYTES} is the limit")
    told = _Digest.parse(data, _VERSION)
    return Digest(
        cpu=told.cpu / _PARTS,
        net_in=float(told.net_in * _UNIT),
        net_out=float(told.net_out * _UNIT),
        disk_free=told.disk_free / _PARTS,
        disk_write=float(told.disk_write * _UNIT),
        loop_lag_ms=float(told.loop_lag_ms),
        hottest=tuple(HotPartition(one.topic_id, one.partition, float(one.rate * _UNIT)) for one in told.hottest),
    )


def _part(value: float) -> int:
    return _within(value * _PARTS, _PARTS)


def _rate(value: float) -> int:
    return _within(value / _UNIT, _MOST_RATE)


def _within(value: float, most: int) -> int:
    """Rounded; not a number counts as nothing."""
    return round(min(max(value, 0.0), most)) if value == value else 0
