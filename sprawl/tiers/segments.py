"""One uploaded part of a log, as the tier's records speak of it, and the names of its objects.

Two objects: the batches as they lie in the log, and a manifest (`manifest.py`), which is put last and deleted first.
Their names are never used twice: a second attempt at the same records has another id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self
from uuid import UUID

ROOT: Final = "topics/"
LOG: Final = ".log"
MANIFEST: Final = ".manifest"


@dataclass(frozen=True, slots=True)
class TierSegment:
    id: str
    """Random; the last part of its objects' names."""
    base_offset: int
    end_offset: int
    """Exclusive."""
    size: int
    """Bytes of batches."""
    max_timestamp: int
    """Milliseconds; -1 if no record has a time."""
    epochs: tuple[tuple[int, int], ...]
    """(leader epoch, first offset in the segment), ascending."""
    manifest_crc32c: int = -1
    """Known once it is finished."""

    def told(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "base_offset": self.base_offset,
            "end_offset": self.end_offset,
            "size": self.size,
            "max_timestamp": self.max_timestamp,
            "epochs": [list(entry) for entry in self.epochs],
            "manifest_crc32c": self.manifest_crc32c,
        }

    @classmethod
    def from_told(cls, told: dict[str, Any]) -> Self:
        """Raises `KeyError`, `TypeError`, `ValueError`."""
        return cls(
            str(told["id"]),
            int(told["base_offset"]),
            int(told["end_offset"]),
            int(told["size"]),
            int(told["max_timestamp"]),
            tuple((int(epoch), int(start)) for epoch, start in told["epochs"]),
            int(told["manifest_crc32c"]),
        )


def partition_prefix(topic_id: UUID, partition: int) -> str:
    return f"{ROOT}{topic_id}/{partition}/"


def object_name(topic_id: UUID, partition: int, segment: TierSegment) -> str:
    """Without its ending. In the order of names segments lie in the order of their offsets."""
    return f"{partition_prefix(topic_id, partition)}{segment.base_offset:020d}-{segment.id}"


def parse_object_name(key: str) -> tuple[UUID, int, str] | None:
    """Topic, partition and segment id that an object belongs to; None if it is none of the tier's."""
    parts = key.removeprefix(ROOT).split("/")
    if not key.startswith(ROOT) or len(parts) != 3:
        return None
    stem, dot, ending = parts[2].rpartition(".")
    base, dash, id_ = stem.partition("-")
    if f"{dot}{ending}" not in (LOG, MANIFEST) or not dash or not base.isdigit() or not parts[1].isdigit():
        return None
    try:
        return UUID(parts[0]), int(parts[1]), id_
    except ValueError:
        return None
