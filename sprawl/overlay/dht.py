"""Placement: which nodes should hold a partition. A proposal only; the quorum makes it a fact, and stored facts stay.

In: the nodes there are (`Candidate`), what they hold (`Load`, or the assignments themselves). Out: replicas for new
partitions (`propose`), or few moves that bring a cluster within its bounds again (`rebalance`). The same question has
the same answer on every node: no randomness, no clock, no I/O. docs/placement.md tells how it works; the ring is in
ring.py, what is fair in shares.py, how a placement is mended in settling.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from sprawl.overlay.ledger import Ledger
from sprawl.overlay.ring import SLOTS, Candidate, RingRow, first_slot, ring_of, ring_view
from sprawl.overlay.settling import Settling
from sprawl.overlay.shares import Bounds, bounds

__all__ = ["Candidate", "Load", "Move", "RingRow", "TooFewNodes", "load_of", "propose", "rebalance", "ring_view"]

Assignments = Mapping[tuple[UUID, int], tuple[int, ...]]

NODE_LEFT: Final = "node left"
NODE_DRAINED: Final = "node drained"
SHARES_HOST: Final = "shares a host"
SHARES_RACK: Final = "shares a rack"


class TooFewNodes(ValueError):
    """There are fewer nodes with weight than a partition should have replicas."""


@dataclass(frozen=True, slots=True)
class Load:
    """Replicas and preferred leaders that nodes have now, by node id. A node that is missing has none."""

    replicas: Mapping[int, int] = field(default_factory=dict)
    leaders: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Move:
    """One partition's replicas before and after, the preferred leader first, and why."""

    topic_id: UUID
    partition: int
    old: tuple[int, ...]
    new: tuple[int, ...]
    reason: str

    @property
    def leader_only(self) -> bool:
        """Nothing has to be copied: the same replicas in another order."""
        return set(self.old) == set(self.new)


def load_of(assignments: Iterable[tuple[int, ...]]) -> Load:
    replicas: Counter[int] = Counter()
    leaders: Counter[int] = Counter()
    for nodes in assignments:
        replicas.update(nodes)
        leaders.update(nodes[:1])
    return Load(replicas, leaders)


def propose(
    topic_id: UUID, partitions: range, replication_factor: int, candidates: Sequence[Candidate], load: Load
) -> list[tuple[int, ...]]:
    """Node ids for each of `partitions`, the preferred leader first.

    `load` is what the candidates hold already, of whatever topics. Raises `TooFewNodes`.
    """
    ring = ring_of(tuple(candidates))
    if replication_factor > len(ring.candidates):
        raise TooFewNodes(f"{replication_factor} replicas need as many nodes, and there are {len(ring.candidates)}")
    ledger = Ledger(ring)
    ledger.counts[:] = [load.replicas.get(node, 0) for node in ledger.ids]
    ledger.leads[:] = [load.leaders.get(node, 0) for node in ledger.ids]
    held, led = sum(ledger.counts), sum(ledger.leads)
    portion = ledger.portion(replication_factor)
    present = ledger.portion(max(1, round(held / led)) if led else replication_factor)
    topic = [len(partitions) * share for share in portion.replicas]
    topic_leaders = [len(partitions) * share for share in portion.leaders]
    cluster = bounds(_sum(topic, present.replicas, held / sum(present.replicas)))
    cluster_leaders = bounds(_sum(topic_leaders, present.leaders, led))
    aim = _with_topic(cluster, topic, ledger.counts)
    leader_aim = _with_topic(cluster_leaders, topic_leaders, ledger.leads)
    ledger.judge(aim, leader_aim)
    start = first_slot(topic_id)
    for partition in partitions:
        _place(ledger, (start + partition) % SLOTS, replication_factor)
    settling = Settling(ledger)
    settling.replicas()
    settling.leaders()
    return [ledger.named(partition) for partition in range(len(partitions))]


def rebalance(assignments: Assignments, candidates: Sequence[Candidate], budget: int | None = None) -> list[Move]:
    """What should change now: leader moves first, then replica moves, those of nodes that left before all others.

    `budget` is the most replicas that may move; changing the order of replicas is free. No moves if all is well.
    """
    ring = ring_of(tuple(candidates))
    if not ring.candidates:
        return []
    ledger = Ledger(ring)
    keys = sorted((key for key, nodes in assignments.items() if nodes), key=lambda key: (key[0].int, key[1]))
    starts = {topic_id: first_slot(topic_id) for topic_id, _ in keys}
    factors: Counter[int] = Counter()
    for topic_id, partition in keys:
        nodes = assignments[topic_id, partition]
        ledger.add((starts[topic_id] + partition) % SLOTS, [ledger.place_of(node) for node in nodes])
        factors[len(nodes)] += 1
    fair = leaders = [0.0] * ledger.live
    for factor, number in sorted(factors.items()):
        portion = ledger.portion(factor)
        fair, leaders = _sum(fair, portion.replicas, number), _sum(leaders, portion.leaders, number)
    ledger.judge(bounds(fair), bounds(leaders))

    settling = Settling(ledger, budget)
    draining = {one.id for one in candidates if one.weight <= 0}
    _evacuate(ledger, settling, {ledger.places[node] for node in draining if node in ledger.places})
    _spread(ledger, settling)
    settling.replicas()
    settling.leaders()
    moves = []
    for at, reason in ledger.reasons.items():
        old, new = assignments[keys[at]], ledger.named(at)
        if old != new:
            moves.append(Move(*keys[at], old, new, reason))
    return sorted(moves, key=lambda move: not move.leader_only)


def _place(ledger: Ledger, slot: int, replication_factor: int) -> None:
    """A new partition: first a node that has room for a replica and may lead one more, then homes beside it."""
    portion = ledger.portion(replication_factor)
    leader = ledger.leading_home(slot)
    replicas = [] if leader is None else [leader]
    while len(replicas) < replication_factor:
        place = ledger.home(slot, replicas, portion)
        assert place is not None, "limits per host and rack leave room for every replica"
        replicas.append(place)
    if leader is None:
        leader = ledger.readiest(replicas)
        replicas.remove(leader)
        replicas.insert(0, leader)
    ledger.add(slot, replicas)


def _evacuate(ledger: Ledger, settling: Settling, draining: set[int]) -> None:
    """Whatever is on nodes that have gone or have no weight goes elsewhere, as far as there are other nodes."""
    gone = range(ledger.live, len(ledger.ids))
    held = ledger.holdings(set(gone))
    for place in gone:
        reason = NODE_DRAINED if place in draining else NODE_LEFT
        for partition in held[place]:
            if settling.spent:
                return
            _rehouse(ledger, partition, place, reason)


def _spread(ledger: Ledger, settling: Settling) -> None:
    """No more replicas of a partition on a host or in a rack than must be."""
    for partition, replicas in enumerate(ledger.replicas):
        limits = ledger.portion(len(replicas))
        rules = ((ledger.host, limits.per_host, SHARES_HOST), (ledger.rack, limits.per_rack, SHARES_RACK))
        for labels, limit, reason in rules:
            if len({labels[place] for place in replicas}) == len(replicas):
                continue
            for place in reversed(replicas.copy()):
                if settling.spent:
                    return
                if sum(labels[other] == labels[place] for other in replicas) > limit:
                    _rehouse(ledger, partition, place, reason)


def _rehouse(ledger: Ledger, partition: int, leaving: int, reason: str) -> None:
    """One replica goes to where the ring and the load say; if it led, one of the others leads."""
    replicas = ledger.replicas[partition]
    others = [place for place in replicas if place != leaving]
    coming = ledger.home(ledger.slots[partition], others, ledger.portion(len(replicas)))
    if coming is None:
        return
    led = replicas[0] == leaving
    ledger.move(partition, leaving, coming, reason)
    staying = [place for place in others if place < ledger.live]
    if led and staying:
        ledger.lead(partition, ledger.readiest(staying), reason)


def _with_topic(cluster: Bounds, topic: Sequence[float], present: Sequence[int]) -> Bounds:
    """The cluster's bounds, but nobody is given more than its share of the topic while others have room, nor asked to
    make up with this topic for all that it lacks."""
    own = [has + share for has, share in zip(present, bounds(topic).tight, strict=True)]
    low = [min(pair) for pair in zip(cluster.low, own, strict=True)]
    tight = [min(pair) for pair in zip(cluster.tight, own, strict=True)]
    return replace(cluster, low=low, tight=tight)


def _sum(shares: Sequence[float], portion: Sequence[float], times: float) -> list[float]:
    return [share + times * part for share, part in zip(shares, portion, strict=True)]
