"""Whether the replicas of a partition are the same, batch by batch, as they stand on the disks of stopped nodes.

In: data directories, and where bits were flipped. Out: what differs. Replicas may end at different offsets, if one was
stopped before the other; up to the shorter end they are equal, byte for byte. A flipped bit that nobody has read yet is
no mistake, but is counted: what is damaged is found when it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct

_HEAD = Struct(">qi")
"""Of a batch: base offset, and length of what follows."""


@dataclass(frozen=True, slots=True)
class Flip:
    segment: Path
    at: int
    """The byte."""
    bit: int
    byte: int
    """What it was made."""

    @property
    def there(self) -> bool:
        """Whether nobody has mended it yet."""
        try:
            with self.segment.open("rb") as file:
                file.seek(self.at)
                return file.read(1) == bytes([self.byte])
        except FileNotFoundError:
            return False


@dataclass(frozen=True, slots=True)
class Batch:
    offset: int
    content: bytes
    segment: Path
    position: int

    def covers(self, flip: Flip) -> bool:
        return flip.segment == self.segment and self.position <= flip.at < self.position + len(self.content)


@dataclass(slots=True)
class Comparison:
    problems: list[str] = field(default_factory=list)
    unread: int = 0
    """Flipped bits that are still there."""


def compare(directories: Iterable[Path], topic: str, flips: Iterable[Flip] = ()) -> Comparison:
    copies: dict[str, list[Path]] = {}
    for data in directories:
        for partition in sorted(data.rglob(f"{topic}-*")):
            if partition.is_dir() and any(partition.glob("*.log")):
                copies.setdefault(partition.name, []).append(partition)
    comparison = Comparison()
    known = list(flips)
    unread: set[Flip] = set()
    for name, replicas in sorted(copies.items()):
        first, *others = replicas
        for other in others:
            for one, two in zip(batches(first), batches(other), strict=False):
                if (one.offset, one.content) == (two.offset, two.content):
                    continue
                flipped = {flip for flip in known if one.covers(flip) or two.covers(flip)}
                unread |= flipped
                if flipped and one.offset == two.offset and len(one.content) == len(two.content):
                    continue
                if not flipped:
                    comparison.problems.append(_difference(name, one, two))
                break  # from here on they may be out of step
    comparison.unread = len(unread)
    return comparison


def _difference(name: str, one: Batch, two: Batch) -> str:
    if one.offset != two.offset:
        return f"{name}: {one.segment} has batch {one.offset} where {two.segment} has batch {two.offset}"
    return f"{name}: batch {one.offset} of {one.segment} is not the same in {two.segment}"


def batches(partition: Path) -> Iterator[Batch]:
    """In order; a torn end is left out."""
    for segment in sorted(partition.glob("*.log")):
        content = segment.read_bytes()
        position = 0
        while position + _HEAD.size <= len(content):
            offset, length = _HEAD.unpack_from(content, position)
            end = position + _HEAD.size + length
            if length <= 0 or end > len(content):
                break
            yield Batch(offset, content[position:end], segment, position)
            position = end
