"""What happened in a simulation, in order, as one hash: two runs are the same run if their digests agree.

In: events as small numbers (what, where, how much). Out: a digest, and on request the events themselves as lines, to
find the first at which two runs part. Never a name or number that differs between processes: no `id()`, no hash of a
string, no real time.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from enum import IntEnum
from typing import Final

_PACK: Final = struct.Struct("<dBqqq").pack
_CHUNK: Final = 1 << 16


class Event(IntEnum):
    TURN = 1  # a node's loop ran its ready callbacks: how many
    SEGMENT = 2  # bytes arrived on a TCP connection: connection, size, checksum
    DATAGRAM = 3  # a datagram arrived: port, size, checksum
    APPEND = 4  # bytes were appended to a file: size, checksum
    SYNC = 5  # a file's sync ended: bytes stable
    NAMES = 6  # a directory changed: checksum of the path
    CRASH = 7  # a node died: how
    FAULT = 8  # the world changed: checksum of the description
    NOTE = 9  # a test or a node had something to say


class Trace:
    __slots__ = ("_hash", "_pending", "count", "lines")

    def __init__(self, *, record: bool) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._pending = bytearray()
        self.count = 0
        self.lines: list[str] | None = [] if record else None

    def add(self, now: float, event: Event, a: int, b: int = 0, c: int = 0) -> None:
        self.count += 1
        self._pending += _PACK(now, event, a, b, c)
        if len(self._pending) >= _CHUNK:
            self._hash.update(self._pending)
            self._pending.clear()
        if self.lines is not None:
            self.lines.append(f"{now:.9f} {event.name.lower()} {a} {b} {c}")

    def text(self, now: float, event: Event, node: int, text: str) -> None:
        self.add(now, event, node, zlib.crc32(text.encode()))
        if self.lines is not None:
            self.lines[-1] += f" {text}"

    def digest(self) -> str:
        self._hash.update(self._pending)
        self._pending.clear()
        return self._hash.hexdigest()
