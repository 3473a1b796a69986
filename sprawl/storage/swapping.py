"""Closed segments replaced by one file that says the same in less: how compaction changes a log.

In: segments that follow each other, and a file, synced, with batches over just their offsets. Out: the file in their
place. Readers go on; what is cut, deleted or copied away meanwhile has precedence: the swap is not done then.

After a crash at any point the log is the old one or the new one. For that the steps have an order:

    1. the index forgets the places of the first segment, and notes what is to come (durable)
    2. the file gets the first segment's name (durable): this is the moment of the swap
    3. the files of the other segments go
    4. the index learns the new places, and that the swap is done

If the node dies between 2 and 3, `recovery.py` removes what is left of the others: it lies within what the first one
holds. If it dies before 4, look-ups in the segment begin at its beginning, until `mend_swaps` has noted its places.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from sprawl.runtime import File
from sprawl.storage.cutting import LogCutter
from sprawl.storage.index import Change, LogIndex, SegmentFacts
from sprawl.storage.segment import CLEANED, Segment
from sprawl_protocol.records import BatchHeader

log_ = logging.getLogger(__name__)


@dataclass(slots=True)
class Replacement:
    """The file that takes the place of a run of segments, while it is written and afterwards."""

    segment: Segment
    places: list[Change] = field(default_factory=list)

    def pass_by(self, header: BatchHeader, index: LogIndex, interval: int) -> None:
        """The next batch in the file; its size is counted here."""
        segment = self.segment
        if segment.size - segment.last_indexed >= interval:
            self.places += index.place(segment.base_offset, header.base_offset, segment.size, segment.max_timestamp)
            segment.last_indexed = segment.size
        segment.note(header)
        segment.size += header.size

    @property
    def facts(self) -> SegmentFacts:
        segment = self.segment
        return SegmentFacts(segment.size, segment.next_offset, segment.max_timestamp, segment.max_timestamp_base)


class LogSwapper(LogCutter):
    def begin_replacement(self, run: Sequence[Segment]) -> Replacement:
        """An empty file for what shall take the place of `run`. Raises `OSError`."""
        first = run[0]
        path = first.file.path + CLEANED
        if self._files.exists(path):
            self._files.remove(path)
        file: File = self._files.open(path, create=True)
        return Replacement(Segment(first.base_offset, file, 0, first.base_offset, created_ms=first.created_ms))

    def drop_replacement(self, new: Replacement) -> None:
        """It is not wanted. Raises `OSError`."""
        new.segment.file.close()
        self._files.remove(new.segment.file.path)

    async def swap(self, run: Sequence[Segment], new: Replacement) -> bool:
        """Put `new`, which is synced, in the place of `run`. False if that cannot be any more; then it is dropped.

        Raises `OSError`: then the log is as it was, or `failed`.
        """
        if not self._may_swap(run):
            self.drop_replacement(new)
            return False
        base = run[0].base_offset
        self._index_written()
        self.index.forget_places(base)
        self.index.swapping(base, new.facts)
        await self.index.flush()
        if self.index.broken or not self._may_swap(run):
            self.drop_replacement(new)
            return False
        self._put_in_place(run, new.segment)
        for gone in run[1:]:
            self.index.forget_segment(gone.base_offset)
        self.index.write([*new.places, *self.index.closed(base, new.facts), *self.index.swapped(base)])
        return True

    def _may_swap(self, run: Sequence[Segment]) -> bool:
        if self.closed or self.failed is not None or self.damaged is not None or self._cutting is not None:
            return False
        at = self.segments.holding(run[0].base_offset)
        here = self.segments.all[at : at + len(run)]
        if len(here) != len(run) or any(one is not other for one, other in zip(here, run, strict=True)):
            return False
        return all(each.synced >= each.size for each in run)  # nobody is about to sync their files

    def _put_in_place(self, run: Sequence[Segment], new: Segment) -> None:
        path = run[0].file.path
        try:
            self._files.rename(new.file.path, path)
            self._files.sync_dir(self.directory)
        except OSError as error:
            self._fail(f"cannot put a compacted segment in its place: {error}")
            raise
        new.file.close()
        new.file = self._files.open(path)
        new.synced = new.size
        self.segments.replace(run, new)
        self._reading.cut()
        self._tail.forget_before(new.next_offset)
        for gone in run[1:]:
            self._files.remove(gone.file.path)

    async def mend_swaps(self, interval: int) -> None:
        """Note the places of segments whose swap a crash interrupted. Raises `DamagedError`, `OSError`, `CutError`."""
        for base in self.index.swaps():
            segment = self.segments[self.segments.holding(base)]
            if segment.base_offset != base or segment is self.segments.active:
                self.index.write(self.index.swapped(base))
                continue
            read = Replacement(Segment(base, segment.file, 0, base))
            while read.segment.size < segment.size:
                _, batches = await self._reading.batches_at(segment, read.segment.size, read.segment.next_offset)
                for _, header in batches:
                    read.pass_by(header, self.index, interval)
            self.index.write([*read.places, *self.index.closed(base, read.facts), *self.index.swapped(base)])
