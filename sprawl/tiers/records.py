"""What the topic `__sprawl_tier` says: one record for each step in the life of an uploaded segment (KIP-405).

In and out: `TierRecord`s, as the JSON that any consumer of the topic can read. The key is the partition and the
segment, so that of each segment the last record counts. Every record carries the leader epoch of who wrote it: what a
leader writes after the next one has claimed the partition is void (`catalog.py`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Self
from uuid import UUID

from sprawl.tiers.segments import TierSegment

TOPIC_IS_GONE: Final = 2**31 - 1
"""The leader epoch of records about a topic that was deleted: no leader comes after it."""


class RecordKind(Enum):
    CLAIM = "claim"
    """A leader begins to look after the partition's segments: what leaders before it write from now on is void."""
    COPY_STARTED = "copy-started"
    COPY_FINISHED = "copy-finished"
    DELETE_STARTED = "delete-started"
    DELETE_FINISHED = "delete-finished"
    CUT = "cut"
    """After an unclean election: from `offset` on the log goes on differently than what was uploaded."""


@dataclass(frozen=True, slots=True)
class TierRecord:
    kind: RecordKind
    topic_id: UUID
    partition: int
    leader_epoch: int
    node: int
    time_ms: int
    token: str
    """Another one in each record: by it the writer finds what became of it."""
    segment: TierSegment | None = None
    """Whole when a copy is started or finished."""
    segment_id: str = ""
    offset: int = -1

    @property
    def subject(self) -> str:
        """The segment's id; empty where the record is of the whole partition."""
        return self.segment.id if self.segment is not None else self.segment_id

    def key(self) -> bytes:
        return f"{self.topic_id}:{self.partition}:{self.subject or self.kind.value}".encode()

    def pack(self) -> bytes:
        told: dict[str, Any] = {
            "version": 1,
            "kind": self.kind.value,
            "topic_id": str(self.topic_id),
            "partition": self.partition,
            "leader_epoch": self.leader_epoch,
            "node": self.node,
            "time": self.time_ms,
            "token": self.token,
        }
        if self.segment is not None:
            told["segment"] = self.segment.told()
        elif self.segment_id:
            told["segment_id"] = self.segment_id
        if self.offset >= 0:
            told["offset"] = self.offset
        return json.dumps(told, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Raises `ValueError`."""
        try:
            told = json.loads(raw)
            if told["version"] != 1:
                raise ValueError(f"a record of version {told['version']}: a newer Sprawl wrote it")
            segment = told.get("segment")
            return cls(
                RecordKind(told["kind"]),
                UUID(told["topic_id"]),
                int(told["partition"]),
                int(told["leader_epoch"]),
                int(told["node"]),
                int(told["time"]),
                str(told["token"]),
                None if segment is None else TierSegment.from_told(segment),
                str(told.get("segment_id", "")),
                int(told.get("offset", -1)),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a record of the tier: {error!r}") from error
