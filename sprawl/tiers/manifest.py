"""What is put beside the batches of an uploaded segment: all that is needed to read it, and to restore it without us.

In: the segment's bytes, piece by piece (`ManifestBuilder`), each batch checked as it passes. Out: a `Manifest`, JSON.
The segment's bytes are counted in chunks of equal size; of each the manifest has the checksum and its first batch, so
that a reader fetches no more than it needs and believes nothing that it has not checked.

    position  ...chunk 0...|...chunk 1...|...chunk 2...
    batches   [  a  ][  b     ][ c ][   d    ][ e ]         chunk 1: first batch c; chunk 2: first batch e
"""

from __future__ import annotations

import base64
import json
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self
from uuid import UUID

from crc32c import crc32c

from sprawl.runtime import Buffer
from sprawl.tiers.segments import TierSegment
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.records import HEADER_SIZE, LOG_OVERHEAD, check_crc, read_header

CHUNK_BYTES: Final = 1024 * 1024
_FORMAT: Final = 1


class BadSegment(Exception):
    """Its bytes are not the batches they should be: it must not be uploaded, or not be believed."""


@dataclass(frozen=True, slots=True)
class Chunk:
    crc32c: int
    position: int
    """Of the first batch that begins in it; -1 if none does."""
    offset: int
    """The base offset of that batch; -1."""
    max_timestamp: int
    """Of the batches that begin in it; -1."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose records they are, for a restore that has nothing but the bucket."""

    cluster_id: str
    topic: str
    topic_id: UUID
    partition: int
    partitions: int
    configs: Mapping[str, str]
    leader_epoch: int
    node: int
    time_ms: int


@dataclass(frozen=True, slots=True)
class Manifest:
    origin: Origin
    segment: TierSegment
    crc32c: int
    """Of all its bytes."""
    chunk_bytes: int
    chunks: tuple[Chunk, ...]
    producers: bytes | None
    """Producer states at its end; None if they were not known."""

    def pack(self) -> bytes:
        origin = self.origin
        told = {
            "format": _FORMAT,
            "cluster_id": origin.cluster_id,
            "topic": origin.topic,
            "topic_id": str(origin.topic_id),
            "partition": origin.partition,
            "partitions": origin.partitions,
            "configs": dict(origin.configs),
            "leader_epoch": origin.leader_epoch,
            "node": origin.node,
            "time": origin.time_ms,
            "segment": self.segment.told(),
            "crc32c": self.crc32c,
            "chunk_bytes": self.chunk_bytes,
            "chunks": [[c.crc32c, c.position, c.offset, c.max_timestamp] for c in self.chunks],
            "producers": None if self.producers is None else base64.b64encode(self.producers).decode(),
            "aborted_transactions": [],
        }
        return json.dumps(told, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Raises `BadSegment`."""
        try:
            told = json.loads(raw)
            if told["format"] != _FORMAT:
                raise BadSegment(f"a manifest of format {told['format']}, this node knows {_FORMAT}")
            producers = told["producers"]
            origin = Origin(
                str(told["cluster_id"]),
                str(told["topic"]),
                UUID(told["topic_id"]),
                int(told["partition"]),
                int(told["partitions"]),
                {str(name): str(value) for name, value in told["configs"].items()},
                int(told["leader_epoch"]),
                int(told["node"]),
                int(told["time"]),
            )
            return cls(
                origin,
                TierSegment.from_told(told["segment"]),
                int(told["crc32c"]),
                int(told["chunk_bytes"]),
                tuple(Chunk(*map(int, each)) for each in told["chunks"]),
                None if producers is None else base64.b64decode(producers, validate=True),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BadSegment(f"no manifest: {error!r}") from error

    def chunk_of(self, offset: int) -> int:
        """The number of a chunk at or before the batch that holds `offset`, from whose first batch on it is found."""
        begun = [number for number, chunk in enumerate(self.chunks) if chunk.position >= 0]
        at = bisect_right(begun, offset, key=lambda number: self.chunks[number].offset) - 1
        return begun[max(at, 0)]

    def chunk_with_time(self, timestamp: int, behind: int = 0) -> int | None:
        """The first chunk, from number `behind` on, in which a batch begins that has a record as new as that."""
        for number in range(behind, len(self.chunks)):
            if self.chunks[number].max_timestamp >= timestamp:
                return number
        return None


class ManifestBuilder:
    """Fed with a segment's bytes in pieces of `chunk_bytes`, the last one excepted."""

    def __init__(self, base_offset: int, end_offset: int, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._due = base_offset
        """The next batch ends behind this offset."""
        self._end = end_offset
        self._chunk_bytes = chunk_bytes
        self._chunks: list[Chunk] = []
        self._left = b""
        """The beginning of a batch that goes on in the next piece."""
        self._total = 0
        self.size = 0
        self.max_timestamp = -1

    def feed(self, piece: Buffer) -> None:
        """Raises `BadSegment`."""
        assert self.size == len(self._chunks) * self._chunk_bytes, "only the last piece is shorter"
        begin = self.size - len(self._left)
        data = memoryview(self._left + bytes(piece)) if self._left else memoryview(piece)
        first, newest, at = (-1, -1), -1, 0
        while len(data) - at >= HEADER_SIZE:
            size = LOG_OVERHEAD + int.from_bytes(data[at + 8 : at + 12], "big", signed=True)
            if size >= HEADER_SIZE and len(data) - at < size:
                break
            base, timestamp = self._batch(data, at)
            place = (begin + at, base)
            if place[0] >= self.size:
                first = place if first[0] < 0 else first
                newest = max(newest, timestamp)
            else:
                self._note_in_last(place, timestamp)
            at += size
        self._left = bytes(data[at:])
        self._chunks.append(Chunk(crc32c(piece), *first, newest))
        self._total = crc32c(piece, self._total)
        self.size += len(piece)

    def finish(self, origin: Origin, segment: TierSegment, producers: bytes | None) -> Manifest:
        """Raises `BadSegment`."""
        if self._left:
            raise BadSegment(f"the segment ends within a batch, at byte {self.size}")
        if self._due > self._end:
            raise BadSegment(f"the segment goes up to offset {self._due}, not {self._end}")
        found = replace(segment, size=self.size, max_timestamp=self.max_timestamp)
        return Manifest(origin, found, self._total, self._chunk_bytes, tuple(self._chunks), producers)

    def _batch(self, data: memoryview, at: int) -> tuple[int, int]:
        try:
            header = read_header(data, at)
        except ProtocolError as error:
            raise BadSegment(f"no batch where offset {self._due} should be: {error}") from None
        if not check_crc(data, at, header):
            raise BadSegment(f"the batch at offset {header.base_offset} has a wrong checksum")
        if header.next_offset <= self._due:
            raise BadSegment(f"a batch at offset {header.base_offset} where {self._due} is due")
        self._due = header.next_offset
        self.max_timestamp = max(self.max_timestamp, header.max_timestamp)
        return header.base_offset, header.max_timestamp

    def _note_in_last(self, place: tuple[int, int], timestamp: int) -> None:
        """A batch that began in the piece before, or in one before that."""
        number = place[0] // self._chunk_bytes
        chunk = self._chunks[number]
        position, offset = (chunk.position, chunk.offset) if chunk.position >= 0 else place
        self._chunks[number] = Chunk(chunk.crc32c, position, offset, max(chunk.max_timestamp, timestamp))
