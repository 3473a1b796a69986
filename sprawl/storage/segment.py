"""One segment file: batches behind each other, in Kafka's format, from a base offset on.

In: buffers to append, places to read. Out: whole batches with right checksums, or `DamagedError` naming the place.
Knows its file and nothing else: which place an offset has is the index's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sprawl.runtime import File
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.records import LOG_OVERHEAD, BatchHeader, check_crc, read_header

SUFFIX: Final = ".log"
DELETED: Final = ".deleted"
CLEANED: Final = ".cleaned"
"""Of a file that may take a segment's place: it counts for nothing until it has its name."""


class DamagedError(Exception):
    """The file holds bytes that are no batch, or not the batch they say they are."""

    def __init__(self, segment: Segment, position: int, reason: str) -> None:
        super().__init__(f"{segment.file.path} at byte {position}: {reason}")
        self.segment = segment.base_offset
        self.position = position
        self.reason = reason


class TornError(DamagedError):
    """The file ends within a batch: so ends a write that was under way when the process died."""

    def __init__(self, segment: Segment, position: int) -> None:
        super().__init__(segment, position, "the file ends within a batch")


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
    reads: int = 0
    """How often records were read from the file, for clients or replicas."""

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


def checked(segment: Segment, view: memoryview, position: int, pos: int) -> BatchHeader:
    """The header of the batch at `pos` of `view`, which was read at `position`. Raises `DamagedError`."""
    try:
        header = read_header(view, pos)
    except ProtocolError as error:
        raise DamagedError(segment, position + pos, str(error)) from None
    if not check_crc(view, pos, header):
        raise DamagedError(segment, position + pos, "the checksum does not match")
    return header


def size_at(data: memoryview, pos: int) -> int:
    """Of the batch at `pos`, as it says itself; 0 if that is not in `data`."""
    return LOG_OVERHEAD + int.from_bytes(data[pos + 8 : pos + 12], "big", signed=True) if len(data) >= pos + 12 else 0
