"""What a cluster that is built again from its bucket will have, and what it will lack.

In: a backup, and the objects that are there. Out: a `RestorePlan`: for each partition where its log begins and ends,
and what is missing, by offsets. Pure: nothing is read or written here.

    log start            tier's end      committed when the backup was written
       |  restored          |  not uploaded yet: lost  |  written since: lost, how much is not known
       +--------------------+--------------------------+

New records continue at the tier's end. A log of which nothing is in the tier begins, empty, where it ended as far as
is known: so what groups have committed there keeps its meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from sprawl.quorum.image import INTERNAL_TOPICS
from sprawl.tiers.backup import BackedPartition, BackedSegment, BackedTopic, Extent, Key
from sprawl.tiers.backup_reading import Backup
from sprawl.tiers.records import RecordKind, TierRecord
from sprawl.tiers.segments import LOG, MANIFEST, TierSegment, object_name

OFFSETS_TOPIC: Final = "__consumer_offsets"
_EPOCHS_SKIPPED: Final = 10
"""There may have been newer leaders than the backup knows, and clients that heard of them."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Offsets that are gone, and why. `end` is exclusive."""

    start: int
    end: int
    why: str


@dataclass(frozen=True, slots=True)
class Damage:
    """An object that must be there, and is not, or not whole."""

    key: Key
    segment_id: str
    what: str


@dataclass(frozen=True, slots=True)
class RestoredPartition:
    index: int
    start: int
    end: int
    """Exclusive. The next record will have this offset."""
    leader_epoch: int
    """Newer than any that wrote what is restored."""
    segments: tuple[BackedSegment, ...]
    claimed_epoch: int
    losses: tuple[Loss, ...]
    damages: tuple[Damage, ...]


@dataclass(frozen=True, slots=True)
class RestoredTopic:
    topic: BackedTopic
    partitions: tuple[RestoredPartition, ...]

    @property
    def tiered(self) -> bool:
        return any(each.segments for each in self.partitions)


@dataclass(frozen=True, slots=True)
class RestorePlan:
    backup: Backup
    topics: tuple[RestoredTopic, ...] = field(default=())

    @property
    def damages(self) -> list[Damage]:
        return [each for topic in self.topics for partition in topic.partitions for each in partition.damages]


def plan_restore(backup: Backup, sizes: Mapping[str, int]) -> RestorePlan:
    """`sizes`: of all objects below `topics/`, by their keys."""
    topics = [each for each in backup.cluster.topics if each.name not in INTERNAL_TOPICS]
    return RestorePlan(backup, tuple(_topic(backup, each, sizes) for each in sorted(topics, key=lambda one: one.name)))


def leave_out(plan: RestorePlan, damages: Iterable[Damage]) -> RestorePlan:
    """The same without the segments that are damaged. A gap between two others is passed over by readers."""
    lost = {(each.key, each.segment_id): each.what for each in damages}

    def partition(key: Key, whole: RestoredPartition) -> RestoredPartition:
        kept = tuple(each for each in whole.segments if (key, each.segment.id) not in lost)
        gone = (each for each in whole.segments if (key, each.segment.id) in lost)
        losses = [Loss(each.segment.base_offset, each.end_offset, lost[(key, each.segment.id)]) for each in gone]
        if not losses:
            return whole
        start = max(whole.start, kept[0].segment.base_offset) if kept else whole.end
        end = kept[-1].end_offset if kept else whole.end
        every = tuple(sorted([*whole.losses, *losses], key=lambda one: one.start))
        return replace(whole, segments=kept, start=start, end=end, losses=every, damages=())

    topics = tuple(
        replace(each, partitions=tuple(partition((each.topic.id, one.index), one) for one in each.partitions))
        for each in plan.topics
    )
    return replace(plan, topics=topics)


def _topic(backup: Backup, topic: BackedTopic, sizes: Mapping[str, int]) -> RestoredTopic:
    partitions = []
    for index, epoch in enumerate(topic.leader_epochs):
        key = (topic.id, index)
        partitions.append(_partition(key, epoch, backup.tier.get(key), backup.extents.get(key), sizes))
    return RestoredTopic(topic, tuple(partitions))


def _partition(
    key: Key, epoch: int, backed: BackedPartition | None, extent: Extent | None, sizes: Mapping[str, int]
) -> RestoredPartition:
    chain = () if backed is None else backed.segments
    claimed = -1 if backed is None else backed.leader_epoch
    newest = max([epoch, claimed, *(each for one in chain for each, _ in one.segment.epochs)])
    known_start, committed = (0, 0) if extent is None else (extent.start, extent.committed)
    newest = max(newest, -1 if extent is None else extent.leader_epoch)
    kept = [each for each in chain if each.end_offset > known_start]
    losses: list[Loss] = []
    there = [_objects(key, each)[1] in sizes for each in kept]  # manifests are deleted first
    if any(there):
        for first in kept[: there.index(True)]:  # retention may have deleted it after the backup was written
            since = max(first.segment.base_offset, known_start)
            losses.append(Loss(since, first.end_offset, "deleted from the bucket: by retention, or by somebody"))
        kept = kept[there.index(True) :]
    damages = [each for one in kept for each in _damages(key, one, sizes)]
    if kept:
        start, end = max(known_start, kept[0].segment.base_offset), kept[-1].end_offset
        if end < committed:
            losses.append(Loss(end, committed, "was not uploaded yet"))
    else:
        end = max([committed, known_start, *(each.end_offset for each in chain)])
        start = end
        if known_start < end and not losses:
            losses.append(Loss(known_start, end, "nothing of it was in the tier"))
    return RestoredPartition(
        key[1], start, end, newest + _EPOCHS_SKIPPED, tuple(kept), claimed, tuple(losses), tuple(damages)
    )


def _objects(key: Key, backed: BackedSegment) -> tuple[str, str]:
    name = object_name(*key, backed.segment)
    return name + LOG, name + MANIFEST


def _damages(key: Key, backed: BackedSegment, sizes: Mapping[str, int]) -> Iterable[Damage]:
    return (Damage(key, backed.segment.id, what) for what in _wrong(key, backed, sizes))


def _wrong(key: Key, backed: BackedSegment, sizes: Mapping[str, int]) -> Iterable[str]:
    log, manifest = _objects(key, backed)
    if log not in sizes:
        yield f"{log} is missing"
    elif sizes[log] != backed.segment.size:
        yield f"{log} has {sizes[log]} bytes, not {backed.segment.size}"
    if manifest not in sizes:
        yield f"{manifest} is missing"


def tier_records(
    topic_id: UUID, partition: RestoredPartition, node_id: int, now_ms: int, token: Callable[[], str]
) -> list[TierRecord]:
    """What `__sprawl_tier` must say for a node to find what is restored."""

    def record(kind: RecordKind, segment: TierSegment | None = None, offset: int = -1) -> TierRecord:
        epoch = max(partition.claimed_epoch, 0)
        return TierRecord(
            kind, topic_id, partition.index, epoch, node_id, now_ms, token(), segment=segment, offset=offset
        )

    told: list[TierRecord] = []
    for each in partition.segments:
        told += [record(RecordKind.COPY_STARTED, each.segment), record(RecordKind.COPY_FINISHED, each.segment)]
        if each.end_offset < each.segment.end_offset:
            told.append(record(RecordKind.CUT, offset=each.end_offset))
    return told
