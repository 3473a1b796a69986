"""Who leads a partition, and who may: what follows when a broker goes, comes back, or comes back with nothing.

Pure: an image in, records out. The rules, in one place:

- A leader comes from the in-sync set; else from the eligible leader replicas (KIP-966); else there is none. Only where
  `unclean.leader.election.enable` says so may another replica lead, and then it is marked as recovering.
- The in-sync set holds who has everything committed. It shrinks when a member is fenced. A member that leaves while the
  set is smaller than min.insync.replicas stays eligible: nothing was committed without it, for the high watermark
  stands still then (strict min ISR). Once the set is large enough again nobody is eligible beside it.
- A partition whose last member is fenced has no leader and an empty set; that member is eligible still.
- A broker that comes back with another disk has lost what it had: it is neither in sync nor eligible anywhere. So has a
  replica that says so itself (`damage.py`), until the leader finds it in sync again.
- A move to other replicas ends with the first change that finds them able to carry on (`moves.py`). A replica that is
  dropped is dropped with a new leader epoch, so that nobody takes it for one any more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from sprawl.quorum.image import BrokerImage, MetadataImage, PartitionImage, TopicImage
from sprawl.quorum.moves import Move
from sprawl.quorum.records import (
    NO_ID,
    NO_LEADER,
    BrokerRegistrationChangeRecord,
    MetadataRecord,
    PartitionChangeRecord,
)


@dataclass(frozen=True, slots=True)
class TopicRules:
    """The settings of a topic that decide on leaders."""

    min_insync_replicas: int
    unclean_elections: bool

    def min_isr(self, replicas: Sequence[int]) -> int:
        """As far as there are so many replicas."""
        return min(self.min_insync_replicas, len(replicas))


RulesOf = Callable[[TopicImage], TopicRules]
Active = Callable[[int], bool]


def changed(
    topic: TopicImage,
    partition: PartitionImage,
    rules: TopicRules,
    active: Active,
    *,
    isr: Iterable[int] | None = None,
    move: Move | None = None,
    without: Collection[int] = (),
    prefer_first: bool = False,
    new_epoch: bool = False,
    unclean: bool | None = None,
) -> PartitionChangeRecord | None:
    """The record that brings a partition in line; None if nothing changes.

    `isr`: as the leader wants it. `move`: other replicas. `without`: replicas that lost what they had. `prefer_first`:
    let the first replica lead if it may. `new_epoch`: begin another leader epoch in any case. `unclean`: overrides the
    topic's rule.
    """
    move = move or Move.of(partition)
    wanted = partition.isr if isr is None else tuple(isr)
    without = {*without, *(each for each in partition.lost if isr is None or each not in wanted)}
    in_sync = tuple(each for each in wanted if each in move.replicas and active(each) and each not in without)
    move = move.settled(in_sync, active, rules.min_insync_replicas)
    members = move.replicas
    in_sync = tuple(each for each in in_sync if each in members)
    eligible = _eligible(partition, rules, in_sync, members, without)
    leader, recovering = _leader(partition, members, in_sync, eligible, active, prefer_first=prefer_first), False
    if leader == NO_LEADER and (rules.unclean_elections if unclean is None else unclean):
        leader = next((each for each in members if active(each) and each not in without), NO_LEADER)
        recovering = leader != NO_LEADER
    if leader != NO_LEADER and leader not in in_sync:
        in_sync = (leader,)
        eligible = () if recovering else tuple(each for each in eligible if each != leader)
        if recovering or len(in_sync) >= rules.min_isr(members):
            eligible = ()
    record = PartitionChangeRecord(partition_id=partition.index, topic_id=topic.id)
    if leader != partition.leader or new_epoch or not set(partition.replicas) <= set(members):
        record.leader = leader
    if in_sync != partition.isr:
        record.isr = list(in_sync)
    if eligible != partition.eligible_leader_replicas:
        record.eligible_leader_replicas = list(eligible)
    _add_move(record, partition, move)
    if recovering != partition.recovering and (recovering or leader == partition.leader):
        record.leader_recovery_state = int(recovering)
    unchanged = PartitionChangeRecord(partition_id=partition.index, topic_id=topic.id)
    return None if record == unchanged else record


def _add_move(record: PartitionChangeRecord, partition: PartitionImage, move: Move) -> None:
    if move.replicas != partition.replicas:
        record.replicas = list(move.replicas)
        known = dict(zip(partition.replicas, partition.directories, strict=False))
        record.directories = [known.get(each, NO_ID) for each in move.replicas]
    if move.adding != partition.adding_replicas:
        record.adding_replicas = list(move.adding)
    if move.removing != partition.removing_replicas:
        record.removing_replicas = list(move.removing)


def _eligible(
    partition: PartitionImage,
    rules: TopicRules,
    in_sync: tuple[int, ...],
    members: tuple[int, ...],
    without: Collection[int],
) -> tuple[int, ...]:
    if len(in_sync) >= rules.min_isr(members):
        return ()
    candidates = (*partition.eligible_leader_replicas, *partition.isr)
    return tuple(
        dict.fromkeys(each for each in candidates if each in members and each not in in_sync and each not in without)
    )


def _leader(
    partition: PartitionImage,
    members: tuple[int, ...],
    in_sync: tuple[int, ...],
    eligible: tuple[int, ...],
    active: Active,
    *,
    prefer_first: bool,
) -> int:
    if partition.leader in in_sync and not prefer_first:
        return partition.leader
    for candidates in (in_sync, eligible):
        for each in members:
            if each in candidates and active(each):
                return each
    return NO_LEADER


def all_partitions(image: MetadataImage) -> Iterable[tuple[TopicImage, PartitionImage]]:
    return ((topic, partition) for topic in image.topics.values() for partition in topic.partitions)


def is_active(image: MetadataImage, but: int = NO_LEADER) -> Active:
    """Whether a broker may lead, leaving out `but`, which is just going."""

    def active(broker_id: int) -> bool:
        broker = image.brokers.get(broker_id)
        return broker_id != but and broker is not None and broker.active

    return active


def broker_gone(image: MetadataImage, broker_id: int, rules_of: RulesOf) -> list[MetadataRecord]:
    """It leads nothing and is in sync nowhere from now on: it was fenced, or it is shutting down."""
    active = is_active(image, broker_id)
    records: list[MetadataRecord] = []
    for topic, partition in all_partitions(image):
        if partition.leader == broker_id or broker_id in partition.isr:
            record = changed(topic, partition, rules_of(topic), active)
            if record is not None:
                records.append(record)
    return records


def disk_lost(image: MetadataImage, broker_id: int, rules_of: RulesOf) -> list[MetadataRecord]:
    """It is back with another disk: whatever it had is gone, also where it was the last that had it."""
    active = is_active(image, broker_id)
    records: list[MetadataRecord] = []
    for topic, partition in all_partitions(image):
        if broker_id in partition.replicas:
            record = changed(topic, partition, rules_of(topic), active, without=(broker_id,))
            if record is not None:
                records.append(record)
    return records


def broker_back(image: MetadataImage, broker: BrokerImage, rules_of: RulesOf) -> list[MetadataRecord]:
    """It may lead: it does so where nobody else can, each time in a new leader epoch."""
    active = is_active(image)

    def now_active(broker_id: int) -> bool:
        return broker_id == broker.id or active(broker_id)

    records: list[MetadataRecord] = []
    for topic, partition in all_partitions(image):
        if partition.leader == NO_LEADER and broker.id in partition.replicas:
            record = changed(topic, partition, rules_of(topic), now_active)
            if record is not None:
                records.append(record)
    return records


def restarted(image: MetadataImage, broker_id: int, rules_of: RulesOf) -> list[MetadataRecord]:
    """A new life of a broker that was not seen to go: nothing it led or held in its former life goes on.

    Where it is alone it leads again once it is unfenced; meanwhile nobody does.
    """
    return broker_gone(image, broker_id, rules_of)


def leads_what_others_could(image: MetadataImage, broker_id: int) -> bool:
    return any(
        partition.leader == broker_id and any(_may(image, other) for other in partition.isr if other != broker_id)
        for _, partition in all_partitions(image)
    )


def _may(image: MetadataImage, broker_id: int) -> bool:
    broker = image.brokers.get(broker_id)
    return broker is not None and broker.active


def fence_record(broker: BrokerImage) -> MetadataRecord:
    return BrokerRegistrationChangeRecord(broker_id=broker.id, broker_epoch=broker.epoch, fenced=1)


def shutdown_record(broker: BrokerImage) -> MetadataRecord:
    return BrokerRegistrationChangeRecord(broker_id=broker.id, broker_epoch=broker.epoch, in_controlled_shutdown=1)
