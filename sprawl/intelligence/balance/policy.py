"""When to move what: few moves, cheap ones first, before it hurts, and none that is regretted.

Theory of operation. What the partitions are expected to carry is added up for each node (`projection`) and widened by
a margin (`margin`), which makes their doubts those of nodes. Where a node may come beyond the limit at any horizon, the
leader whose move eases most is moved to the in-sync replica where it eases most, and again, until nothing is gained or
the budget is spent. Replicas are copied only for what leaders could not ease, for a gain that is worth the bytes, few
at a time.

Hysteresis: a move must gain at least so much; a partition rests after a move; for an hour and a half it does not return
to the node that it left. Nothing moves while anything is under-replicated: then the copies have precedence, and a
leader's move could need the very replica that is missing. Goals come in their order (`Goal`); a move for one must not
worsen one before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from sprawl.intelligence.balance.candidates import Candidates, Finder, leader_moves, replica_moves
from sprawl.intelligence.balance.cluster import Cluster
from sprawl.intelligence.balance.housekeeping import (
    disk_move,
    leader_count_candidates,
    rack_move,
    replica_count_candidates,
)
from sprawl.intelligence.balance.ledger import Ledger
from sprawl.intelligence.balance.margin import Margin
from sprawl.intelligence.balance.moves import Goal, Held, Move, Plan, What
from sprawl.intelligence.balance.projection import Expected, Projection
from sprawl.intelligence.foresight.grid import Array, Mask


@dataclass(frozen=True, slots=True)
class Price:
    least_gain: float
    """In pressure (`projection`): a node a tenth of its capacity beyond the limit, at one horizon, is a tenth."""
    each_byte: float = 0.0


_CHEAP: Final = Price(0.003)
_SOURCES: Final = 3
"""So many of the nodes under most pressure are looked at for the next move."""
_NOTHING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Settings:
    limit: float = 0.95
    """Of a node's capacity: what it may use."""
    disk_limit: float = 0.85
    weights: tuple[float, ...] = (1.0, 1.0, 0.5)
    """How much each horizon counts."""
    dear: Price = Price(0.05, 0.0)
    """What a copied replica must gain."""
    rest_seconds: float = 900.0
    return_seconds: float = 5400.0
    leader_moves: int = 2
    """At most so many a step."""
    replica_moves: int = 1
    """At most so many under way."""
    even: bool = True
    """Whether calm times are used to even out the numbers of leaders and replicas."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that nodes can run out of."""

    expected: Expected
    load: Array
    """[partition]: what leading it uses now."""
    capacity: Array
    """[node]"""


class Balancer:
    def __init__(self, minutes: Sequence[int], step_seconds: int, settings: Settings) -> None:
        """`minutes`: the horizons of the forecasts that `plan` will be given."""
        assert len(minutes) == len(settings.weights), "a weight for each horizon"
        self._minutes = tuple(minutes)
        self._steps = tuple(max(1, round(each * 60 / step_seconds)) for each in minutes)
        self._settings = settings
        self._replica_moves = replica_moves(settings.disk_limit)
        self._margins: dict[Goal, Margin] = {}
        self._ledger = Ledger(settings.rest_seconds, settings.return_seconds)

    def plan(
        self, now: float, cluster: Cluster, resources: Mapping[Goal, Resource], under_way: Collection[int] = ()
    ) -> Plan:
        """What to do now. The moves of the plan count as made. `cluster`: as it is, without the replicas that are being
        copied; `under_way`: the partitions of these, which are left alone.
        """
        for goal, resource in resources.items():
            margin = self._margins.setdefault(goal, Margin(self._steps))
            margin.learn(resource.load, cluster.shares(), resource.expected)
        draft = _Draft(
            now,
            cluster,
            {goal: self._projection(goal, cluster, resources[goal]) for goal in sorted(resources)},
            np.isin(np.arange(len(cluster.leader)), list(under_way)),
        )
        if cluster.under_replicated:
            return Plan(held=Held.UNDER_REPLICATED, worst=draft.worst)
        worst = draft.worst
        copies = self._settings.replica_moves - len(under_way)
        while copies > len(draft.copies) and self._put_right(draft):
            pass
        for goal in draft.projections:
            while len(draft.leads) < self._settings.leader_moves and self._ease(draft, goal, leader_moves, _CHEAP):
                pass
            while len(draft.copies) < copies and self._ease(draft, goal, self._replica_moves, self._settings.dear):
                pass
        if self._settings.even and not draft.moves and not draft.pressed:
            self._even_out(draft, copies)
        return Plan(tuple(draft.moves), worst=worst)

    def _projection(self, goal: Goal, cluster: Cluster, resource: Resource) -> Projection:
        weights, margin = np.array(self._settings.weights), self._margins[goal].doubts
        return Projection(cluster, resource.capacity, resource.expected, margin, weights, self._settings.limit)

    def _put_right(self, draft: _Draft) -> bool:
        """Racks, then disks."""
        resting = self._ledger.resting(draft.now, len(draft.cluster.leader)) | draft.busy
        for find in (rack_move, disk_move):
            move = find(draft.cluster, self._settings.disk_limit, resting)
            if move is not None:
                found = self._replica_moves(draft.cluster, move.source)
                same = (found.partitions == move.partition) & (found.targets == move.target)
                self._make(draft, move, found.where(same))
                return True
        return False

    def _ease(self, draft: _Draft, goal: Goal, find: Finder, price: Price) -> bool:
        """Makes the move that eases most; False if none is worth its price, or all would worsen an earlier goal."""
        projection = draft.projections[goal]
        pressure = projection.pressure()
        best: tuple[float, Candidates, int, int] | None = None
        for source in np.argsort(-pressure)[:_SOURCES]:
            if pressure[source] <= price.least_gain:
                break
            found = find(draft.cluster, int(source))
            found = self._allowed(draft, found)
            if not len(found.partitions):
                continue
            gains = self._gains(draft, goal, int(source), found)
            worth = gains - price.each_byte * draft.cluster.disk[found.partitions]
            first = int(worth.argmax())
            if worth[first] > (best[0] if best else price.least_gain):
                best = worth[first], found, int(source), first
        if best is None:
            return False
        _, found, source, first = best
        one, horizon = found.only(first), int(projection.fullness()[:, source].argmax())
        target = int(one.targets[0])
        before = float(projection.fullness()[horizon, source])
        move = Move(found.what, int(one.partitions[0]), source, target, goal, self._minutes[horizon], before)
        self._make(draft, move, one)
        after, there = projection.fullness()[horizon, [source, target]]
        draft.moves[-1] = replace(move, after=float(after), target_after=float(there), copied=_size(draft, one))
        return True

    def _allowed(self, draft: _Draft, found: Candidates) -> Candidates:
        free = ~draft.busy[found.partitions]
        return found.where(free & self._ledger.allowed(draft.now, found.partitions, found.targets))

    def _gains(self, draft: _Draft, goal: Goal, source: int, found: Candidates) -> Array:
        gains = draft.projections[goal].gains(source, found)
        for earlier, other in draft.projections.items():
            if earlier < goal:
                gains = np.where(other.gains(source, found) < -_NOTHING, -np.inf, gains)
        return gains

    def _even_out(self, draft: _Draft, copies: int) -> None:
        """One move towards even numbers, if nothing at all is pressed before or after it."""
        uneven = [(Goal.LEADERS, leader_count_candidates(draft.cluster))]
        if copies > 0:
            uneven.append((Goal.REPLICAS, replica_count_candidates(draft.cluster, self._settings.disk_limit)))
        for goal, each in uneven:
            if each is None:
                continue
            source, found = each
            found = self._allowed(draft, found)
            calm = np.ones(len(found.partitions), dtype=np.bool_)
            for projection in draft.projections.values():
                calm &= projection.gains(source, found) >= -_NOTHING
            if calm.any():
                one = found.only(int(calm.argmax()))
                partition, target = int(one.partitions[0]), int(one.targets[0])
                move = Move(found.what, partition, source, target, goal, copied=_size(draft, one))
                self._make(draft, move, one)
                return

    def _make(self, draft: _Draft, move: Move, one: Candidates) -> None:
        self._ledger.write(draft.now, move)
        draft.make(move, one)


def _size(draft: _Draft, one: Candidates) -> float:
    return float(draft.cluster.disk[one.partitions[0]]) if one.what is What.REPLICA else 0.0


@dataclass(slots=True)
class _Draft:
    """A plan in the making, and the cluster as it would be."""

    now: float
    cluster: Cluster
    projections: dict[Goal, Projection]
    busy: Mask
    """[partition]: being copied."""
    moves: list[Move] = field(default_factory=list)

    @property
    def worst(self) -> float:
        return max((float(each.fullness().max()) for each in self.projections.values()), default=0.0)

    @property
    def pressed(self) -> bool:
        return any(each.pressure().any() for each in self.projections.values())

    @property
    def leads(self) -> list[Move]:
        return [move for move in self.moves if move.what is What.LEADER]

    @property
    def copies(self) -> list[Move]:
        return [move for move in self.moves if move.what is What.REPLICA]

    def make(self, move: Move, one: Candidates) -> None:
        self.moves.append(move)
        if move.what is What.LEADER:
            self.cluster = self.cluster.with_leader(move.partition, move.target)
        else:
            self.cluster = self.cluster.with_replica(move.partition, move.source, move.target)
        for projection in self.projections.values():
            projection.move(move.source, one)
