"""A closed part of a log, as it is copied elsewhere: batches that will not change, and what must be known with them.

In: an offset, and how far records are decided. Out: the rest of the closed segment that holds the offset, from its
batch on. Replicas close their segments at different offsets; whoever copies next goes on where the last one
stopped, in the middle of a segment if need be.
"""

from __future__ import annotations

from dataclasses import dataclass

from sprawl.runtime import Buffer
from sprawl.storage.epochs import LeaderEpochs
from sprawl.storage.index import LogIndex
from sprawl.storage.reading import LogFiles
from sprawl.storage.segment import Segment
from sprawl.storage.segments import Segments


@dataclass(frozen=True, slots=True)
class ClosedPart:
    segment: Segment
    position: int
    """Where it begins in the segment's file; it ends where the segment does."""
    base_offset: int
    end_offset: int
    """Exclusive."""
    epochs: tuple[tuple[int, int], ...]
    """(leader epoch, first offset in this part), ascending."""
    producers: bytes | None
    """Producer states at its end, as dumped; None if they were not noted."""

    @property
    def size(self) -> int:
        return self.segment.size - self.position

    async def read(self, at: int, size: int) -> Buffer:
        """`at` counts from the part's beginning. Raises `OSError`, `ValueError` once the segment is gone."""
        return await self.segment.file.read(self.position + at, min(size, self.size - at))


def next_closed(segments: Segments, offset: int, until: int) -> Segment | None:
    """The closed segment that holds `offset`, or begins behind it; None if it is not all below `until`."""
    segment = segments[segments.holding(offset)]
    if segment.next_offset <= offset and segment is not segments.active:
        following = segments.after(segment)
        assert following is not None, "behind a closed segment there is another"
        segment = following
    if segment is segments.active or segment.is_empty or segment.next_offset > until:
        return None
    return segment


async def closed_part(
    segments: Segments, files: LogFiles, index: LogIndex, epochs: LeaderEpochs, offset: int, until: int
) -> ClosedPart | None:
    """Raises `DamagedError`, `OSError`, `CutError`."""
    segment = next_closed(segments, offset, until)
    if segment is None:
        return None
    base = max(offset, segment.base_offset)
    position = 0 if base == segment.base_offset else await files.position_of(segment, base)
    return ClosedPart(
        segment,
        position,
        base,
        segment.next_offset,
        epochs.within(base, segment.next_offset),
        index.producers_at(segment.next_offset),
    )
