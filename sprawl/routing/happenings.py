"""What the cluster did, told from the metadata log: nodes fenced and back, leaders elected, replicas damaged and whole
again, voters, drains.

Pure: one committed batch in, with the images and the voters before and after it; what happened and why out. Every node
tells the same of the same batch, so that whoever is the controller next can go on telling. The reason is the one that
the metadata shows; what an operator asked for and what the cluster did by itself look alike there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sprawl.quorum.history import Step
from sprawl.quorum.image import BrokerImage, ConfigKind, MetadataImage, PartitionImage
from sprawl.quorum.records import (
    NO_CHANGE,
    NO_LEADER,
    BrokerRegistrationChangeRecord,
    ConfigRecord,
    FenceBrokerRecord,
    MetadataRecord,
    PartitionChangeRecord,
    RegisterBrokerRecord,
    RemoveTopicRecord,
    UnfenceBrokerRecord,
    UnregisterBrokerRecord,
)
from sprawl.quorum.voters import ReplicaKey
from sprawl.routing.healing import WEIGHT, weight_of

_NAMED_MOST: Final = 1000
"""Partitions that one event names."""
FORMING: Final = frozenset({"unfenced", "restarted", "voter-added", "voter-removed"})
"""What also happens while a cluster forms, or a node alone starts."""


@dataclass(frozen=True, slots=True)
class Happening:
    kind: str
    subject: str
    reason: str
    more: Mapping[str, Any] = field(default_factory=dict)


def happenings(step: Step, weight: float = 1.0) -> Iterator[Happening]:
    """`weight`: of nodes for which none is set."""
    changes: list[PartitionChangeRecord] = []
    others: list[MetadataRecord] = []
    for record in step.batch.records:  # tens of thousands when a node goes; most only take it out of an in-sync set
        if not isinstance(record, PartitionChangeRecord):
            others.append(record)
        elif record.leader != NO_CHANGE or record.directories is not None or record.replicas is not None:
            changes.append(record)
    yield from _of_brokers(step, others)
    yield from _of_partitions(step, changes)
    yield from _of_drains(step, changes, others, weight)
    yield from _of_voters(step)


# -- nodes ------------------------------------------------------------------------------------------------------------


def _of_brokers(step: Step, records: Iterable[MetadataRecord]) -> Iterator[Happening]:
    for broker_id in sorted({_broker_in(each) for each in records} - {NO_LEADER}):
        before, after = step.before.brokers.get(broker_id), step.after.brokers.get(broker_id)
        subject, more = f"node {broker_id}", {"broker": broker_id}
        if before is None:
            continue  # it is new: nothing happened to it yet
        if after is None:
            yield Happening("unregistered", subject, "an operator asked for it", more)
            continue
        if after.incarnation != before.incarnation and not before.fenced:
            yield Happening("restarted", subject, _why_gone(before, after), more)
        elif after.fenced and not before.fenced:
            reason = "it left in order" if before.shutting_down else "the controller has not heard of it in time"
            yield Happening("fenced", subject, reason, more)
        if before.fenced and not after.fenced:
            yield Happening("unfenced", subject, "it is heard of, and has caught up with the metadata", more)
        if after.shutting_down and not before.shutting_down:
            yield Happening("leaving", subject, "it asked to leave: others lead what it led", more)


def _broker_in(record: MetadataRecord) -> int:
    match record:
        case RegisterBrokerRecord() | UnregisterBrokerRecord() | BrokerRegistrationChangeRecord():
            return record.broker_id
        case FenceBrokerRecord() | UnfenceBrokerRecord():
            return record.id
    return NO_LEADER


def _why_gone(before: BrokerImage | None, after: BrokerImage | None) -> str:
    """Why a node does not go on with what it did; empty if it may."""
    if after is None:
        return "it is not registered any more"
    if before is not None and before.incarnation != after.incarnation:
        return "it started anew" + ("" if before.directories == after.directories else ", with another disk")
    if after.fenced:
        return "it is fenced"
    return "it is shutting down" if after.shutting_down else ""


# -- partitions -------------------------------------------------------------------------------------------------------


def _of_partitions(step: Step, changes: Iterable[PartitionChangeRecord]) -> Iterator[Happening]:
    """One for all partitions to which the same happened for the same reason."""
    alike: dict[tuple[str, str, int, int], dict[str, list[int]]] = {}
    for topic_id, index in dict.fromkeys((each.topic_id, each.partition_id) for each in changes):
        topic = step.after.topics_by_id.get(topic_id)
        before, after = step.before.partition(topic_id, index), step.after.partition(topic_id, index)
        if topic is None or before is None or after is None:
            continue
        for what in _of_partition(step, before, after):
            alike.setdefault(what, {}).setdefault(topic.name, []).append(index)
    for (kind, reason, first, second), partitions in alike.items():
        count = sum(map(len, partitions.values()))
        name, indices = next(iter(partitions.items()))
        subject = f"{name}-{indices[0]}" if count == 1 else f"{count} partitions"
        nodes = {"before": first, "after": second} if kind == "leader" else {"broker": first}
        yield Happening(kind, subject, reason, {**nodes, "partitions": _some(partitions)})


def _some(partitions: Mapping[str, list[int]]) -> dict[str, list[int]]:
    named: dict[str, list[int]] = {}
    room = _NAMED_MOST
    for name, indices in partitions.items():
        if room <= 0:
            break
        named[name] = indices[:room]
        room -= len(named[name])
    return named


def _of_partition(step: Step, before: PartitionImage, after: PartitionImage) -> Iterator[tuple[str, str, int, int]]:
    """Kind, reason, and the nodes concerned."""
    if after.leader != before.leader:
        yield "leader", _why_elected(step, before, after), before.leader, after.leader
    for each in sorted(set(after.lost) - set(before.lost)):
        yield "damaged", f"node {each} says that it does not have all of its data", each, NO_LEADER
    for each in sorted(set(before.lost) - set(after.lost)):
        if each in after.replicas:
            yield "repaired", "it has caught up with the leader", each, NO_LEADER


def _why_elected(step: Step, before: PartitionImage, after: PartitionImage) -> str:
    old, new = before.leader, after.leader
    if after.recovering and not before.recovering:
        return "nobody in sync is alive, and the topic allows an unclean election: records may be lost"
    if old == NO_LEADER:
        return f"node {new} is back, and has all that was acknowledged"
    gone = _why_gone(step.before.brokers.get(old), step.after.brokers.get(old))
    if gone:
        return f"node {old} led: {gone}" + ("" if new != NO_LEADER else "; no other replica may lead")
    if old in after.lost:
        return f"node {old} led: its replica is damaged"
    if old not in after.replicas or old in after.removing_replicas:
        return "the partition has moved"
    if new == after.replicas[0]:
        return "the preferred leader is in sync and leads again"
    return "another replica was elected"


# -- drains -----------------------------------------------------------------------------------------------------------


def _of_drains(
    step: Step, changes: Iterable[PartitionChangeRecord], others: Iterable[MetadataRecord], weight: float
) -> Iterator[Happening]:
    before, after = step.before, step.after
    weighed = any(
        isinstance(each, ConfigRecord) and each.resource_type == ConfigKind.BROKER and each.name == WEIGHT
        for each in others
    )
    left = {id_ for each in (*changes, *others) for id_ in _who_left(before, each)}
    for broker_id in sorted(after.brokers):
        if not weighed and broker_id not in left:
            continue
        subject, more = f"node {broker_id}", {"broker": broker_id}
        was, is_now = (weight_of(image, broker_id, weight) == 0 for image in (before, after))
        if is_now and not was:
            yield Happening("drain-begun", subject, "its weight is 0", more)
        if was and not is_now:
            yield Happening("drain-ended", subject, "its weight is not 0 any more", more)
        if is_now and not _holds(after, broker_id) and (not was or _holds(before, broker_id)):
            yield Happening("drained", subject, "other nodes have all that it had", more)


def _who_left(before: MetadataImage, record: MetadataRecord) -> set[int]:
    if isinstance(record, RemoveTopicRecord):
        topic = before.topics_by_id.get(record.topic_id)
        return set() if topic is None else {id_ for each in topic.partitions for id_ in each.replicas}
    if not isinstance(record, PartitionChangeRecord) or record.replicas is None:
        return set()
    partition = before.partition(record.topic_id, record.partition_id)
    return set() if partition is None else set(partition.replicas) - set(record.replicas)


def _holds(image: MetadataImage, broker_id: int) -> bool:
    return any(broker_id in each.replicas for topic in image.topics.values() for each in topic.partitions)


# -- voters -----------------------------------------------------------------------------------------------------------


def _of_voters(step: Step) -> Iterator[Happening]:
    before, after = step.voters_before, step.voters_after
    if not len(before) or before.keys == after.keys:
        return  # it has just been founded, or it is only known elsewhere now
    brokers = step.after.brokers
    away = [key.node_id for key in sorted(before.keys) if _why_lost(brokers, key)]
    for key in sorted(after.keys - before.keys):
        reason = f"in the place of node {away[0]}: {_why_lost(brokers, _key(before.keys, away[0]))}" if away else ""
        yield _voter("voter-added", key, reason or "it has caught up with the metadata", after.ids)
    for key in sorted(before.keys - after.keys):
        yield _voter("voter-removed", key, _why_lost(brokers, key) or "there are enough without it", after.ids)


def _voter(kind: str, key: ReplicaKey, reason: str, voters: list[int]) -> Happening:
    more = {"broker": key.node_id, "directory": str(key.directory_id), "voters": voters}
    return Happening(kind, f"node {key.node_id}", reason, more)


def _key(keys: Iterable[ReplicaKey], node_id: int) -> ReplicaKey:
    return next(each for each in keys if each.node_id == node_id)


def _why_lost(brokers: Mapping[int, BrokerImage], key: ReplicaKey) -> str:
    broker = brokers.get(key.node_id)
    if broker is None:
        return "it is not registered"
    if broker.directories and broker.directories[0] != key.directory_id:
        return "it came back with another disk"
    return "it is fenced" if broker.fenced else ""
