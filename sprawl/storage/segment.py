"""One segment file: batches behind each other, in Kafka's format, from a base offset on.

In: buffers to append, places to read. Out: whole batches with right checksums, or `DamagedError` naming the place.
Knows its file and nothing else: which place an offset has is the index's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sprawl.runtime import Buffer, File
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.records import HEADER_SIZE, BatchHeader, check_crc, read_header

SUFFIX: Final = ".log"
DELETED: Final = ".deleted"


class DamagedError(Exception):
    """The file holds bytes that are no batch, or not the batch they say they are."""

    def __init__(self, segment: Segment, position: int, reason: str) -> None:
        super().__init__(f"{segment.file.path} at byte {position}: {reason}")
        self.segment = segment.base_offset
        self.position = position
        self.reason = reason


def file_name(base_offset: int) -> str:
    return f"{base_offset:020d}{SUFFIX}"


def base_offset_of(name: str) -> int | None:
    stem = name.removesuffix(SUFFIX)
    return int(stem) if name.endswith(SUFFIX) and len(stem) == 20 and stem.isdigit() else None


@dataclass(slots=True)
class Segment:
    base_offset: int
    file: File
    size: int
    """Bytes of valid batches; the file may be longer while it is damaged."""
    next_offset: int
    max_timestamp: int = -1
    max_timestamp_base: int = -1
    created_ms: int = 0
    first_timestamp: int = -1
    """Of the first batch; -1 while there is none."""
    last_indexed: int = 0
    """Position of the newest place in the index."""
    synced: int = 0
    """Bytes known to be on stable storage."""

    @property
    def is_empty(self) -> bool:
        return self.size == 0

    def note(self, header: BatchHeader) -> None:
        """A batch was appended: `size` counts it already or will."""
        if self.first_timestamp < 0:
            self.first_timestamp = header.max_timestamp
        if header.max_timestamp > self.max_timestamp:
            self.max_timestamp = header.max_timestamp
            self.max_timestamp_base = header.base_offset
        self.next_offset = header.next_offset


@dataclass(slots=True)
class Found:
    """Whole batches out of one read."""

    data: memoryview
    position: int
    """Of `data` in the file."""
    next_offset: int
    wanted: int
    """If not zero: nothing fitted, and the first batch takes this many bytes."""


def batches_in(
    segment: Segment, data: Buffer, position: int, offset: int, until: int, room: int, minimum_one: bool
) -> Found:
    """Of `data`, read at `position`, the batches from the one that holds `offset` up to `until`, in `room` bytes.

    Every batch returned has been checked against its checksum. Raises `DamagedError`.
    """
    view = memoryview(data)
    begin = end = 0
    next_offset = offset
    pos = 0
    while len(view) - pos >= HEADER_SIZE:
        size = 12 + int.from_bytes(view[pos + 8 : pos + 12], "big", signed=True)
        if size > len(view) - pos and HEADER_SIZE <= size <= segment.size - position - pos:
            break  # the rest of it was not read
        header = checked(segment, view, position, pos)
        if not segment.base_offset <= header.base_offset <= header.last_offset < segment.next_offset:
            # The checksum does not cover the base offset.
            reason = f"offsets {header.base_offset} to {header.last_offset} where none but this segment's may be"
            raise DamagedError(segment, position + pos, reason)
        if header.base_offset >= until:
            break
        if header.last_offset >= offset:
            if end == 0:
                begin = pos
            if pos + header.size - begin > room and (end or not minimum_one):
                return Found(view[begin:end], position + begin, next_offset, 0)
            end = pos + header.size
            next_offset = header.next_offset
        pos += header.size
    if end:
        return Found(view[begin:end], position + begin, next_offset, 0)
    left = len(view) - pos
    if left < HEADER_SIZE and position + pos + HEADER_SIZE <= segment.size:
        return Found(view[:0], position + pos, offset, HEADER_SIZE)
    if left >= HEADER_SIZE:
        size = 12 + int.from_bytes(view[pos + 8 : pos + 12], "big", signed=True)
        if size > left:
            return Found(view[:0], position + pos, offset, size)
    return Found(view[:0], position + pos, offset, 0)


def checked(segment: Segment, view: memoryview, position: int, pos: int) -> BatchHeader:
    """The header of the batch at `pos` of `view`, which was read at `position`. Raises `DamagedError`."""
    try:
        header = read_header(view, pos)
    except ProtocolError as error:
        raise DamagedError(segment, position + pos, str(error)) from None
    if not check_crc(view, pos, header):
        raise DamagedError(segment, position + pos, "the checksum does not match")
    return header
