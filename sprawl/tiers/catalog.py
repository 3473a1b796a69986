"""What the tier holds of one partition: the state that follows from the records of `__sprawl_tier`, in their order.

Pure; records in, acceptance or refusal out. Every node that reads the topic comes to the same state, and so to the same
refusals: a leader that was replaced cannot publish, whatever it still writes.

    state            record           by whom                                         then
    (unknown)        COPY_STARTED     the leader that claimed the partition last      COPY_STARTED
    COPY_STARTED     COPY_FINISHED    the leader that started it, if it goes on       COPY_FINISHED
                                      at the chain's end or behind
    COPY_STARTED     DELETE_STARTED   any leader not replaced                         DELETE_STARTED
    COPY_FINISHED    DELETE_STARTED   any leader not replaced                         DELETE_STARTED
    DELETE_STARTED   DELETE_FINISHED  any leader not replaced                         (unknown)

The chain is what may be read: finished segments, in the order of their offsets, none over another. A gap in it lies
below the log's start (records were deleted before they were uploaded).
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from enum import Enum

from sprawl.tiers.records import RecordKind, TierRecord
from sprawl.tiers.segments import TierSegment


class SegmentState(Enum):
    """KIP-405's."""

    COPY_STARTED = "copy-started"
    COPY_FINISHED = "copy-finished"
    DELETE_STARTED = "delete-started"


@dataclass(slots=True)
class Entry:
    segment: TierSegment
    state: SegmentState
    leader_epoch: int
    """Of who brought it into this state."""
    since_ms: int
    end_offset: int
    """Where it counts until: lower than the segment's own end where the log was cut."""


class Catalog:
    def __init__(self) -> None:
        self.leader_epoch = -1
        """The newest that has claimed, or written."""
        self._entries: dict[str, Entry] = {}
        self._chain: list[Entry] = []
        self._open: dict[str, Entry] = {}
        """Those that are not finished: few, whatever the tier holds."""

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def entries(self) -> list[Entry]:
        return list(self._entries.values())

    @property
    def first(self) -> Entry | None:
        """Of the chain."""
        return self._chain[0] if self._chain else None

    @property
    def unfinished(self) -> list[Entry]:
        """Copies and deletions that were started."""
        return list(self._open.values())

    @property
    def chain(self) -> list[Entry]:
        return list(self._chain)

    @property
    def start_offset(self) -> int:
        """-1 while there is nothing to read."""
        return self._chain[0].segment.base_offset if self._chain else -1

    @property
    def end_offset(self) -> int:
        """Exclusive; -1 while there is nothing to read."""
        return self._chain[-1].end_offset if self._chain else -1

    @property
    def size_bytes(self) -> int:
        return sum(entry.segment.size for entry in self._chain)

    def get(self, segment_id: str) -> Entry | None:
        return self._entries.get(segment_id)

    def at_or_after(self, offset: int) -> Entry | None:
        """The readable segment that holds `offset`, or else the next one."""
        at = max(bisect_right(self._chain, offset, key=_base) - 1, 0)
        while at < len(self._chain) and self._chain[at].end_offset <= offset:
            at += 1
        return self._chain[at] if at < len(self._chain) else None

    def epochs(self) -> list[tuple[int, int]]:
        """(leader epoch, start offset), ascending, of all that can be read."""
        found: list[tuple[int, int]] = []
        for entry in self._chain:
            for epoch, start in entry.segment.epochs:
                if start < entry.end_offset and (not found or epoch > found[-1][0]):
                    found.append((epoch, start))
        return found

    def in_state(self, state: SegmentState) -> list[Entry]:
        return [entry for entry in self._entries.values() if entry.state is state]

    def apply(self, record: TierRecord) -> str | None:
        """None if the record is accepted, or says what is so already; else why it is void."""
        if record.leader_epoch < self.leader_epoch:
            return f"leader epoch {self.leader_epoch} has begun, the record is of {record.leader_epoch}"
        self.leader_epoch = record.leader_epoch
        match record.kind:
            case RecordKind.CLAIM:
                return None
            case RecordKind.COPY_STARTED:
                return self._copy_started(record)
            case RecordKind.COPY_FINISHED:
                return self._copy_finished(record)
            case RecordKind.DELETE_STARTED:
                return self._delete_started(record)
            case RecordKind.DELETE_FINISHED:
                return self._delete_finished(record)
            case RecordKind.CUT:
                return self._cut(record)

    def _copy_started(self, record: TierRecord) -> str | None:
        segment = record.segment
        if segment is None or segment.end_offset <= segment.base_offset:
            return "it names no segment"
        known = self._entries.get(segment.id)
        if known is not None:
            return None if known.state is SegmentState.COPY_STARTED else f"the segment is {known.state.value}"
        self._entries[segment.id] = self._open[segment.id] = Entry(
            segment, SegmentState.COPY_STARTED, record.leader_epoch, record.time_ms, segment.end_offset
        )
        return None

    def _copy_finished(self, record: TierRecord) -> str | None:
        segment = record.segment
        known = None if segment is None else self._entries.get(segment.id)
        if segment is None or known is None:
            return "its copy was never started, or is deleted"
        if known.state is SegmentState.COPY_FINISHED and known.segment == segment:
            return None
        if known.state is not SegmentState.COPY_STARTED:
            return f"the segment is {known.state.value}"
        if known.leader_epoch != record.leader_epoch:
            return f"its copy was started in leader epoch {known.leader_epoch}"
        if (segment.base_offset, segment.end_offset) != (known.segment.base_offset, known.segment.end_offset):
            return "it has other offsets than when it was started"
        if segment.base_offset < self.end_offset:
            return f"offsets up to {self.end_offset} are in the tier already"
        known.segment, known.state, known.since_ms = segment, SegmentState.COPY_FINISHED, record.time_ms
        self._chain.append(known)
        del self._open[segment.id]
        return None

    def _delete_started(self, record: TierRecord) -> str | None:
        known = self._entries.get(record.subject)
        if known is None:
            return "there is no such segment"
        if known.state is SegmentState.DELETE_STARTED:
            return None
        if known.state is SegmentState.COPY_FINISHED:
            self._chain.remove(known)
        self._doom(known, record)
        return None

    def _delete_finished(self, record: TierRecord) -> str | None:
        known = self._entries.get(record.subject)
        if known is None:
            return None
        if known.state is not SegmentState.DELETE_STARTED:
            return f"the segment is {known.state.value}"
        del self._entries[record.subject], self._open[record.subject]
        return None

    def _cut(self, record: TierRecord) -> str | None:
        while self._chain and self._chain[-1].segment.base_offset >= record.offset:
            self._doom(self._chain.pop(), record)
        if self._chain:
            self._chain[-1].end_offset = min(self._chain[-1].end_offset, record.offset)
        return None

    def _doom(self, entry: Entry, record: TierRecord) -> None:
        self._open[entry.segment.id] = entry
        entry.state = SegmentState.DELETE_STARTED
        entry.leader_epoch = record.leader_epoch
        entry.since_ms = record.time_ms


def _base(entry: Entry) -> int:
    return entry.segment.base_offset
