"""Whether the replicas of a partition are the same, batch by batch, as they stand on the disks of stopped nodes.

In: data directories. Out: what differs. Replicas may end at different offsets, where one was stopped before the other;
up to the shorter end they are equal, byte for byte. A node that holds no replica of a partition is not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from struct import Struct

_HEAD = Struct(">qi")
"""Of a batch: base offset, and length of what follows."""


def compare(directories: Iterable[Path], topic: str) -> list[str]:
    copies: dict[str, list[Path]] = {}
    for data in directories:
        for partition in sorted(data.rglob(f"{topic}-*")):
            if partition.is_dir() and any(partition.glob("*.log")):
                copies.setdefault(partition.name, []).append(partition)
    return [wrong for name, replicas in sorted(copies.items()) for wrong in _differences(name, replicas)]


def _differences(name: str, replicas: list[Path]) -> Iterator[str]:
    first, *others = replicas
    for other in others:
        for (one_offset, one), (two_offset, two) in zip(batches(first), batches(other), strict=False):
            if one_offset != two_offset:
                yield f"{name}: batch {one_offset} of {first} stands where {other} has batch {two_offset}"
                break
            if one != two:
                yield f"{name}: batch {one_offset} of {first} is not the same in {other}"
                break


def batches(partition: Path) -> Iterator[tuple[int, bytes]]:
    """Base offset and bytes of each batch, in order; a torn end is left out."""
    for segment in sorted(partition.glob("*.log")):
        content = segment.read_bytes()
        position = 0
        while position + _HEAD.size <= len(content):
            offset, length = _HEAD.unpack_from(content, position)
            end = position + _HEAD.size + length
            if length <= 0 or end > len(content):
                break
            yield offset, content[position:end]
            position = end
