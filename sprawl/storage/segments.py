"""The segment files of one log, in order: which holds an offset, which is written to, when the next one begins."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from sprawl.config.topics import TopicConfig
from sprawl.runtime import FileSystem
from sprawl.storage.segment import DELETED, Segment, base_offset_of, file_name

MAX_OFFSET_DELTA = 2**31 - 1
"""Kafka's offset index counts from the base offset in 32 bits; a segment it could not index is not made."""


class Segments:
    def __init__(self, files: FileSystem, directory: str, segments: list[Segment]) -> None:
        self._files = files
        self._directory = directory
        self._segments = segments

    def __iter__(self) -> Iterator[Segment]:
        return iter(self._segments)

    def __len__(self) -> int:
        return len(self._segments)

    def __getitem__(self, at: int) -> Segment:
        return self._segments[at]

    @property
    def active(self) -> Segment:
        return self._segments[-1]

    @property
    def all(self) -> list[Segment]:
        return self._segments

    @property
    def size_bytes(self) -> int:
        return sum(segment.size for segment in self._segments)

    def holding(self, offset: int) -> int:
        """The number of the segment that holds `offset`, or would."""
        return max(bisect_right(self._segments, offset, key=_base) - 1, 0)

    def after(self, segment: Segment) -> Segment | None:
        at = self.holding(segment.base_offset) + 1
        return self._segments[at] if at < len(self._segments) else None

    def add(self, base_offset: int, now_ms: int) -> Segment:
        """Begin a new active segment. Raises `OSError`."""
        file = self._files.open(f"{self._directory}/{file_name(base_offset)}", create=True)
        segment = Segment(base_offset, file, file.size, base_offset, created_ms=now_ms)
        assert file.size == 0, "a new segment's file is new"
        self._files.sync_dir(self._directory)
        self._segments.append(segment)
        return segment

    def is_full(self, config: TopicConfig, jitter_ms: int, size: int, last_offset: int, timestamp: int) -> bool:
        """Whether a batch of `size` bytes, whose newest record has `timestamp`, begins a new segment.

        segment.ms counts from record to record, as in Kafka: old records produced today roll by their own time.
        """
        active = self.active
        if active.is_empty:
            return False
        return (
            active.size + size > config.max_segment_bytes
            or last_offset - active.base_offset > MAX_OFFSET_DELTA
            or (active.first_timestamp >= 0 and timestamp - active.first_timestamp > config.roll_ms - jitter_ms)
        )

    def is_old(self, config: TopicConfig, jitter_ms: int, now_ms: int) -> bool:
        """Whether the active segment has been written to for so long that it ends even without a further record."""
        return not self.active.is_empty and now_ms - self.active.created_ms > config.roll_ms - jitter_ms

    def take_first(self, count: int) -> list[Segment]:
        """Take the oldest segments out; their files are marked deleted, and are the caller's to remove."""
        taken, self._segments[:count] = self._segments[:count], []
        for segment in taken:
            self._files.rename(segment.file.path, segment.file.path + DELETED)
        return taken

    def replace(self, run: Sequence[Segment], new: Segment) -> None:
        """One segment over the offsets of several, whose files are closed."""
        at = self.holding(run[0].base_offset)
        self._segments[at : at + len(run)] = [new]
        for segment in run:
            segment.file.close()

    def remove_behind(self, segment: Segment) -> None:
        """Remove everything behind `segment`, the newest first, so that what is left never has a gap. Durable then.

        Also files that are not in the list: those of a damaged log that lie behind the damage. Raises `OSError`.
        """
        bases = sorted(base for name in self._files.list(self._directory) if (base := base_offset_of(name)) is not None)
        behind = [base for base in bases if base > segment.base_offset]
        for base in reversed(behind):
            if self.active.base_offset == base:
                self._segments.pop().file.close()
            self._files.remove(f"{self._directory}/{file_name(base)}")
        if behind:
            self._files.sync_dir(self._directory)

    def begin_anew(self, base_offset: int, now_ms: int) -> None:
        """There is one empty segment now, which begins at `base_offset`. Raises `OSError`."""
        file = self._files.open(f"{self._directory}/{file_name(base_offset)}")
        self.close()
        self._segments[:] = [Segment(base_offset, file, file.size, base_offset, created_ms=now_ms)]

    def close(self) -> None:
        for segment in self._segments:
            segment.file.close()


def _base(segment: Segment) -> int:
    return segment.base_offset
