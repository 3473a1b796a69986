"""Everything that lives in one partition of `__consumer_offsets`: the groups that hash to it, and their offsets.

In: records of the log, first all those there are (`replay`), later each that was written (`apply`); questions. Out:
groups and offsets, the records of a deletion or an expiry, and the whole as records again (`snapshot`). Pure: no I/O,
no clock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from uuid import UUID

from sprawl.groups.classic import ClassicGroup
from sprawl.groups.exchange import GroupLimits, Instant, StoredGroup
from sprawl.groups.log import KeyValue
from sprawl.groups.offsets import GroupOffsets
from sprawl.groups.records import GroupRecord, GroupsRecord, OffsetRecord, decode, encode
from sprawl.groups.states import GroupState
from sprawl_protocol.errors import ApiError, ErrorCode, ProtocolError

log: Final = logging.getLogger(__name__)

SNAPSHOT_CHUNK_BYTES: Final = 256 * 1024


class Shard:
    def __init__(self, limits: GroupLimits) -> None:
        self.groups: dict[str, ClassicGroup] = {}
        self._limits = limits
        self._offsets: dict[str, GroupOffsets] = {}
        self._tentative: set[str] = set()
        """Groups that somebody asked to join, and of which the log need not know anything yet."""
        self._replayed: dict[str, StoredGroup] = {}

    # Loading

    def replay(self, key: bytes, value: bytes | None) -> bool:
        """One record of the log, in order. False if it is of a kind that is not known here, or damaged."""
        try:
            record = decode(key, value)
        except ProtocolError as error:
            log.error("a record of the group log is damaged and passed over: %s (key %r)", error, key)
            return False
        if isinstance(record, GroupRecord):
            if record.stored is not None:
                self._replayed[record.group_id] = record.stored
            else:
                self._replayed.pop(record.group_id, None)
        elif isinstance(record, OffsetRecord):
            self._apply_offset(record)
        return record is not None

    def loaded(self, now: Instant) -> None:
        """The end of the log is reached: groups come to life."""
        for group_id, stored in self._replayed.items():
            self.groups[group_id] = ClassicGroup.restore(group_id, self._limits, stored, now)
        self._replayed.clear()
        for group_id in self._offsets:
            if group_id not in self.groups:
                self.groups[group_id] = ClassicGroup(group_id, self._limits, now)

    # Groups

    def group_or_new(self, group_id: str, now: Instant) -> ClassicGroup:
        group = self.groups.get(group_id)
        if group is None:
            group = self.groups[group_id] = ClassicGroup(group_id, self._limits, now)
            self._tentative.add(group_id)
        return group

    def offsets(self, group_id: str) -> GroupOffsets:
        """Empty if the group has none. Not to be changed by the caller."""
        return self._offsets.get(group_id) or GroupOffsets()

    def forget_if_blank(self, group_id: str) -> None:
        """A group that was only looked at, or whose first member never came back, leaves nothing behind."""
        if group_id in self._tentative and self.groups[group_id].is_blank:
            self._forget(group_id)

    # What was written

    def apply(self, record: OffsetRecord, now: Instant) -> None:
        """An offset that is in the log now. Consumers without a group make one by their first commit."""
        self._apply_offset(record)
        if record.committed is not None:
            self.group_or_new(record.group_id, now)
            self._tentative.discard(record.group_id)

    def deleted(self, group_id: str, now: Instant) -> ClassicGroup | None:
        """The tombstones of a group are in the log. Returns it if it has to be ended.

        Members may have joined while they were being written: then the group lives on, and is written anew with its
        next generation.
        """
        self._offsets.pop(group_id, None)
        group = self.groups.get(group_id)
        if group is None:
            return None
        group.stored = None
        if group.state is not GroupState.EMPTY:
            return None
        self._forget(group_id)
        return group

    def _forget(self, group_id: str) -> None:
        del self.groups[group_id]
        self._tentative.discard(group_id)

    def _apply_offset(self, record: OffsetRecord) -> None:
        offsets = self._offsets.get(record.group_id)
        if record.committed is not None:
            if offsets is None:
                offsets = self._offsets[record.group_id] = GroupOffsets()
            offsets.put(record.topic, record.partition, record.committed)
        elif offsets is not None:
            offsets.remove(record.topic, record.partition)
            if not len(offsets):
                del self._offsets[record.group_id]

    # Deletion and expiry, as the records that make them so

    def deletion_of(self, group_id: str) -> list[GroupsRecord]:
        """Raises `ApiError` if the group does not exist or has members."""
        group = self.groups.get(group_id)
        if group is None or group.state is GroupState.DEAD:
            raise ApiError(ErrorCode.GROUP_ID_NOT_FOUND, f"there is no group {group_id!r}")
        if group.state is not GroupState.EMPTY:
            raise ApiError(
                ErrorCode.NON_EMPTY_GROUP,
                f"group {group_id!r} has {len(group.members)} members ({group.state}): stop them first",
            )
        return [
            *(OffsetRecord(group_id, where.topic, where.partition, None) for where, _ in self.offsets(group_id)),
            GroupRecord(group_id, None),
        ]

    def expiry(self, now: Instant, retention_ms: int) -> Iterator[tuple[str, list[GroupsRecord]]]:
        """Per group, what there is to forget; the group itself too if it is empty and nothing would be left of it."""
        for group_id, group in tuple(self.groups.items()):
            offsets = self.offsets(group_id)
            expired = offsets.expired(group, now.wall_ms, retention_ms)
            records: list[GroupsRecord] = [
                OffsetRecord(group_id, where.topic, where.partition, None) for where in expired
            ]
            nothing_left = len(expired) == len(offsets)
            if nothing_left and group.state is GroupState.EMPTY and not group.pending_members:
                records.append(GroupRecord(group_id, None))
            if records:
                yield group_id, records

    def offsets_of_topics(self, topics: Mapping[str, UUID]) -> list[GroupsRecord]:
        """Tombstones for all that was committed for these topics, which were deleted; not for their successors."""
        return [
            OffsetRecord(group_id, topic, partition, None)
            for group_id, offsets in self._offsets.items()
            for topic, topic_id in topics.items()
            for partition in offsets.partitions(topic)
            if offsets.get(topic, partition, topic_id) is not None
        ]

    # The whole

    def snapshot(self) -> Iterator[Sequence[KeyValue]]:
        """All live state as records, in chunks. The shard may change between one chunk and the next.

        Each record is made from the state of the moment, so as long as every chunk is written before what follows it
        is applied, reading the snapshot and all that was written after its first chunk gives the state of the end.
        """
        chunk: list[KeyValue] = []
        size = 0
        for group_id in tuple({**self.groups, **self._offsets}):
            for record in self._live(group_id):
                key, value = encode(record)
                chunk.append((key, value))
                size += len(key) + len(value or b"")
                if size >= SNAPSHOT_CHUNK_BYTES:
                    yield chunk
                    chunk, size = [], 0
        if chunk:
            yield chunk

    def _live(self, group_id: str) -> Iterator[GroupsRecord]:
        group = self.groups.get(group_id)
        if group is not None and group.stored is not None:
            yield GroupRecord(group_id, group.stored)
        for where in [where for where, _ in self.offsets(group_id)]:
            committed = self.offsets(group_id).get(where.topic, where.partition)
            if committed is not None:
                yield OffsetRecord(group_id, where.topic, where.partition, committed)
