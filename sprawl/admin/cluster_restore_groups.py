"""What a restored cluster's groups have committed.

In: records of `__consumer_offsets` from a backup, and where the restored logs end. Out: the records for the new topic,
and what had to be changed. Nobody is in any group. What was committed behind a log's end is drawn back to it: the next
records there will have those offsets, and the group must not pass them over. Offsets are kept as long as if they had
been committed now. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sprawl.groups.exchange import StoredGroup
from sprawl.groups.offsets import CommittedOffset
from sprawl.groups.records import GroupRecord, OffsetRecord, decode, encode
from sprawl.tiers.backup import GroupsBody
from sprawl_protocol.errors import ProtocolError


@dataclass(frozen=True, slots=True)
class DrawnBack:
    group: str
    topic: str
    partition: int
    committed: int
    restored: int


@dataclass(frozen=True, slots=True)
class RestoredGroups:
    records: Mapping[int, list[tuple[bytes, bytes]]]
    """By partition of the topic."""
    groups: tuple[str, ...]
    drawn_back: tuple[DrawnBack, ...]
    unreadable: int
    """Records of unknown kinds, or damaged."""


def restore_groups(
    sections: Mapping[int, GroupsBody], ends: Mapping[tuple[str, int], int], now_ms: int
) -> RestoredGroups:
    """`ends`: of each restored partition, by topic and number."""
    records: dict[int, list[tuple[bytes, bytes]]] = {}
    groups: set[str] = set()
    drawn: list[DrawnBack] = []
    unreadable = 0
    for index, body in sorted(sections.items()):
        kept = records[index] = []
        for key, value in body.records:
            try:
                found = decode(key, value)
            except ProtocolError:
                found = None
            if found is None:
                unreadable += 1
                continue
            if isinstance(found, OffsetRecord):
                end = ends.get((found.topic, found.partition))
                if end is None or found.committed is None:
                    continue  # of a topic that is gone
                if found.committed.offset > end:
                    drawn.append(DrawnBack(found.group_id, found.topic, found.partition, found.committed.offset, end))
                record = replace(found, committed=_now(found.committed, end, now_ms))
                packed, told = encode(record)
            else:
                stored = None if found.stored is None else _empty(found.stored, now_ms)
                packed, told = encode(GroupRecord(found.group_id, stored))
            if told is not None:
                groups.add(found.group_id)
                kept.append((packed, told))
    return RestoredGroups(records, tuple(sorted(groups)), tuple(drawn), unreadable)


def _now(committed: CommittedOffset, end: int, now_ms: int) -> CommittedOffset:
    kept = replace(committed, committed_ms=now_ms, expires_ms=None)
    # Of what lies behind the end nothing is known any more, nor the epoch in which it was written.
    return kept if committed.offset <= end else replace(kept, offset=end, leader_epoch=-1)


def _empty(stored: StoredGroup, now_ms: int) -> StoredGroup:
    return replace(stored, protocol_name=None, leader=None, since_ms=now_ms, members=())
