"""What the cluster does about its own shape: which replicas go where when a node is gone, drained, or new.

Pure: an image and `now` (seconds) in, acts with their reasons out; the controller carries them out (`caretaker.py`).

- A node that has been away for the grace time counts as gone: its replicas are rebuilt elsewhere.
- A node of weight 0 is drained: what it has goes elsewhere, copy first.
- A node that registered for the first time while there were topics is given its share in steps, while every replica is
  in sync. The step is a setting of the node (`sprawl.weight.ramp`): the next controller goes on from there.

Nothing else moves anything: whoever places replicas by hand finds them where they were put. Few partitions move at
once. Where replicas should be is the ring's business (`overlay/dht.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sprawl.overlay import dht
from sprawl.quorum.brokers import RAMP, RAMP_STEP_PERCENT
from sprawl.quorum.image import CLUSTER_WIDE, BrokerImage, ConfigKind, MetadataImage, PartitionImage
from sprawl.quorum.moves import Move
from sprawl.quorum.reassignments import Reassignment
from sprawl.routing.placement import Label

WEIGHT: Final = "sprawl.weight"
FULL: Final = 100


@dataclass(frozen=True, slots=True)
class MovePartition:
    wish: Reassignment
    before: tuple[int, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class SetRamp:
    """`percent` None: the node has its full share."""

    broker_id: int
    percent: int | None
    reason: str


Act = MovePartition | SetRamp


def weight_of(image: MetadataImage, broker_id: int, default: float = 1.0) -> float:
    """As far as a node has been given it."""
    return _setting(image, broker_id, WEIGHT, default) * _setting(image, broker_id, RAMP, FULL) / FULL


def _setting(image: MetadataImage, broker_id: int, key: str, default: float) -> float:
    own = image.config(ConfigKind.BROKER, str(broker_id)).get(key)
    value = own if own is not None else image.config(ConfigKind.BROKER, CLUSTER_WIDE).get(key)
    return default if value is None else float(value)


class Healing:
    """Of one controller, for as long as it is the controller."""

    def __init__(self, host_of: Label, *, grace: float, step: float, at_once: int, weight: float = 1.0) -> None:
        """`grace`, `step`: seconds. `at_once`: partitions. `weight`: of nodes for which none is set."""
        self._host_of = host_of
        self._grace = grace
        self._step = step
        self._at_once = at_once
        self._weight = weight
        self._away: dict[int, float] = {}
        """Since when a node has been fenced, as this controller saw it."""
        self._stepped: dict[int, float] = {}

    def acts(self, image: MetadataImage, now: float) -> list[Act]:
        """What is to be done now."""
        self._note_away(image, now)
        partitions = {
            (topic.id, each.index): each
            for topic in image.topics.values()
            for each in topic.partitions
            if each.replicas
        }
        moving = sum(Move.of(each).under_way for each in partitions.values())
        if moving >= self._at_once:
            return []
        gone = {each for each, since in self._away.items() if now - since >= self._grace}
        leaving = gone | {each for each in image.brokers if self._weight_in(image, each) == 0}
        leaving |= {each for partition in partitions.values() for each in partition.replicas} - image.brokers.keys()
        ramping = {each for each in image.brokers if RAMP in image.config(ConfigKind.BROKER, str(each))} - leaving
        if not leaving and not ramping:
            return []
        moves = self._moves(image, partitions, gone, leaving, ramping, self._at_once - moving)
        if moves or moving:
            return list(moves)
        return list(self._next_steps(image, ramping, now))

    def _weight_in(self, image: MetadataImage, broker_id: int) -> float:
        return weight_of(image, broker_id, self._weight)

    def _note_away(self, image: MetadataImage, now: float) -> None:
        fenced = {each.id for each in image.brokers.values() if each.fenced}
        self._away = {each: self._away.get(each, now) for each in fenced}

    def _moves(
        self,
        image: MetadataImage,
        partitions: Mapping[tuple[UUID, int], PartitionImage],
        gone: set[int],
        leaving: set[int],
        ramping: set[int],
        most: int,
    ) -> list[MovePartition]:
        still = {key: each for key, each in partitions.items() if not Move.of(each).under_way}
        whole = all(len(each.isr) == len(each.replicas) for each in still.values())
        candidates = [self._candidate(image, each) for each in image.brokers.values() if each.id not in gone]
        acts: list[MovePartition] = []
        for move in dht.rebalance({key: each.replicas for key, each in still.items()}, candidates):
            came, went = set(move.new) - set(move.old), set(move.old) - set(move.new)
            wanted = bool(went & leaving) or (whole and bool(came & ramping))
            if not wanted or not all(image.brokers[each].active for each in came):
                continue
            topic = image.topics_by_id[move.topic_id]
            acts.append(MovePartition(Reassignment(topic.name, move.partition, move.new), move.old, move.reason))
            if len(acts) == most:
                break
        return acts

    def _candidate(self, image: MetadataImage, broker: BrokerImage) -> dht.Candidate:
        weight = self._weight_in(image, broker.id)
        return dht.Candidate(id=broker.id, weight=weight, host=self._host_of(broker), rack=broker.rack or "")

    def _next_steps(self, image: MetadataImage, ramping: set[int], now: float) -> Iterable[SetRamp]:
        """For those that have what they were to be given so far."""
        for each in sorted(ramping):
            since = self._stepped.setdefault(each, now)
            if now - since < self._step or not image.brokers[each].active:
                continue
            self._stepped[each] = now
            percent = int(_setting(image, each, RAMP, FULL)) + RAMP_STEP_PERCENT
            if percent <= FULL:
                yield SetRamp(each, percent, "it has caught up with the step before")
            else:
                del self._stepped[each]
                yield SetRamp(each, None, "it has its full share")
