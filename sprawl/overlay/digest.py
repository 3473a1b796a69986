"""How loaded a node is, in few bytes, so that every node knows it of every other.

In: what a node measures of itself. Out: a digest, and the same as at most 256 bytes. Rounded: it is a hint for placing
and routing, nobody accounts by it. What is not known is None, never nought.
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
_DISK_UNIT: Final = 1024 * 1024
_UNKNOWN_16: Final = 2**16 - 1
_UNKNOWN_32: Final = 2**32 - 1
_MOST_16: Final = _UNKNOWN_16 - 1
_MOST_32: Final = _UNKNOWN_32 - 1


@dataclass(frozen=True, slots=True)
class HotPartition:
    topic_id: UUID
    partition: int
    bytes_per_s: float
    """Written to its leader; what is read is not counted."""


@dataclass(frozen=True, slots=True)
class Digest:
    cpu: float | None = None
    """Part of the one core that a node's event loop can have, 0 to 1."""
    net_in: float | None = None
    net_out: float | None = None
    """Bytes a second, of the whole machine."""
    disk_free: float | None = None
    """Bytes."""
    disk_write: float | None = None
    """Bytes a second."""
    loop_lag_ms: float | None = None
    """The worst of late."""
    hottest: tuple[HotPartition, ...] = ()
    """The hottest first, as far as known; at most `MOST_PARTITIONS` travel."""


class _Hot(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partition: int = field(int32, default=0)
    rate: int = field(uint32, default=0)


class _Digest(Struct, versions="0", flexible="0+"):
    cpu: int = field(uint16, default=0)
    net_in: int = field(uint32, default=0)
    net_out: int = field(uint32, default=0)
    disk_free: int = field(uint32, default=0)
    disk_write: int = field(uint32, default=0)
    loop_lag_ms: int = field(uint16, default=0)
    hottest: list[_Hot] = field(array(_Hot), default_factory=list)


def encode(digest: Digest) -> bytes:
    """Rates in KiB, the disk in MiB, parts in ten-thousandths; what is beyond the range becomes its end."""
    data = _Digest(
        cpu=_packed(digest.cpu, 1 / _PARTS, _PARTS, _UNKNOWN_16),
        net_in=_packed(digest.net_in, _UNIT, _MOST_32, _UNKNOWN_32),
        net_out=_packed(digest.net_out, _UNIT, _MOST_32, _UNKNOWN_32),
        disk_free=_packed(digest.disk_free, _DISK_UNIT, _MOST_32, _UNKNOWN_32),
        disk_write=_packed(digest.disk_write, _UNIT, _MOST_32, _UNKNOWN_32),
        loop_lag_ms=_packed(digest.loop_lag_ms, 1, _MOST_16, _UNKNOWN_16),
        hottest=[
            _Hot(
                topic_id=one.topic_id,
                partition=one.partition,
                rate=_packed(one.bytes_per_s, _UNIT, _MOST_32, _UNKNOWN_32),
            )
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
        cpu=_unpacked(told.cpu, 1 / _PARTS, _UNKNOWN_16),
        net_in=_unpacked(told.net_in, _UNIT, _UNKNOWN_32),
        net_out=_unpacked(told.net_out, _UNIT, _UNKNOWN_32),
        disk_free=_unpacked(told.disk_free, _DISK_UNIT, _UNKNOWN_32),
        disk_write=_unpacked(told.disk_write, _UNIT, _UNKNOWN_32),
        loop_lag_ms=_unpacked(told.loop_lag_ms, 1, _UNKNOWN_16),
        hottest=tuple(HotPartition(one.topic_id, one.partition, float(one.rate * _UNIT)) for one in told.hottest),
    )


def _packed(value: float | None, unit: float, most: int, unknown: int) -> int:
    """Rounded; what is not a number is not known."""
    if value is None or value != value:
        return unknown
    return round(min(max(value / unit, 0.0), most))


def _unpacked(number: int, unit: float, unknown: int) -> float | None:
    return None if number == unknown else float(number * unit)
