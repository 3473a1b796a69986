"""Who holds what, counted: the book in which a placement is worked out.

In: the ring, and partitions with their replicas (`add`). Out: the same partitions with other replicas, each change with
its first reason. `home` and `may` never put two replicas of a partition on one node, nor more on a host or in a rack
than the limits say. What should change is not decided here: dht.py asks for new homes, settling.py for fair shares.

Nodes are named by their place: first those of the ring, then others that hold replicas but can be given none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sprawl.overlay.ring import Ring
from sprawl.overlay.shares import Bounds, Portion, bounds, portion


class Ledger:
    def __init__(self, ring: Ring) -> None:
        self.ring: Final = ring
        self.live: Final = len(ring.candidates)
        self.ids: Final = [one.id for one in ring.candidates]
        self.places: Final = {node: place for place, node in enumerate(self.ids)}
        racks: dict[str, int] = {}
        hosts: dict[tuple[str, str], int] = {}
        self.rack: Final = [racks.setdefault(one.rack, len(racks)) for one in ring.candidates]
        self.host: Final = [hosts.setdefault((one.rack, one.host), len(hosts)) for one in ring.candidates]
        self.replicas: Final[list[list[int]]] = []
        self.slots: Final[list[int]] = []
        self.counts: Final = [0] * self.live
        self.leads: Final = [0] * self.live
        self.bounds = bounds([0.0] * self.live)
        self.lead_bounds = self.bounds
        self.reasons: Final[dict[int, str]] = {}
        self.changes = 0
        self.fresh: Final[dict[tuple[int, int], None]] = {}  # partition and place of replicas that moved, in that order
        self._portions: Final[dict[int, Portion]] = {}
        self._open: set[int] | None = None

    @property
    def moved(self) -> int:
        """Replicas that would have to be copied. One that moves twice is copied once."""
        return len(self.fresh)

    def portion(self, replication_factor: int) -> Portion:
        """What holds for that many replicas, or for as many as there are nodes."""
        known = self._portions.get(replication_factor)
        if known is None:
            known = portion(self.ring.candidates, min(replication_factor, self.live))
            self._portions[replication_factor] = known
        return known

    def place_of(self, node: int) -> int:
        """The place of a node, a new one if it is not in the ring: nothing is due to it."""
        place = self.places.get(node)
        if place is None:
            place = self.places[node] = len(self.ids)
            self.ids.append(node)
            self.rack.append(-place)
            self.host.append(-place)
            self.counts.append(0)
            self.leads.append(0)
        return place

    def add(self, slot: int, replicas: list[int]) -> None:
        """A partition as it is, leader first."""
        self.replicas.append(replicas)
        self.slots.append(slot)
        for place in replicas:
            self.counts[place] += 1
        if replicas:
            self.leads[replicas[0]] += 1

    def judge(self, replicas: Bounds, leaders: Bounds) -> None:
        """From now on these are the shares. Both cover the nodes of the ring; the others are due nothing."""
        for each in (replicas, leaders):
            beyond = len(self.ids) - len(each.fair)
            each.fair.extend([0.0] * beyond)
            for limit in (each.low, each.tight, each.high):
                limit.extend([0] * beyond)
        self.bounds, self.lead_bounds = replicas, leaders
        self._open = None

    def home(self, slot: int, others: Sequence[int], portion: Portion) -> int | None:
        """Where one more replica should go beside `others`: by the ring where there is room, else to the emptiest node.

        Room is, first, less than the fair share; then, less than 5% above it; if there is none, there must be room.
        """
        counts, tight, high = self.counts, self.bounds.tight, self.bounds.high
        order = self.ring.order(slot)
        if portion.wished_per_rack < portion.per_rack:
            for place in order:
                if counts[place] < tight[place] and self._fits(place, others, portion, portion.wished_per_rack):
                    return place
        for place in order:
            if counts[place] < tight[place] and self._fits(place, others, portion, portion.per_rack):
                return place
        if len(order) < self.live:
            found = self._emptiest(sorted(self._below_tight()), others, portion)
            if found is not None:
                return found
        for place in order:
            if counts[place] < high[place] and self._fits(place, others, portion, portion.per_rack):
                return place
        found = self._emptiest(order, others, portion)
        if found is None or counts[found] >= high[found]:
            below = [place for place in range(self.live) if counts[place] < high[place]]
            found = _first(self._emptiest(below, others, portion), found)
        return self._emptiest(range(self.live), others, portion) if found is None else found

    def leading_home(self, slot: int) -> int | None:
        """The first in the order of the ring that has less than its fair share of replicas and of leaders."""
        counts, tight, leads, may_lead = self.counts, self.bounds.tight, self.leads, self.lead_bounds.tight
        for place in self.ring.order(slot):
            if counts[place] < tight[place] and leads[place] < may_lead[place]:
                return place
        return None

    def readiest(self, places: Iterable[int]) -> int:
        """Who of these leads least, for what it should."""
        fair = self.lead_bounds.fair
        return min(places, key=lambda place: (self.leads[place] + 1) / max(fair[place], 1e-9))

    def may(self, partition: int, leaving: int, coming: int) -> bool:
        """May `coming` hold what `leaving` holds now?"""
        replicas = self.replicas[partition]
        others = [place for place in replicas if place != leaving]
        limits = self.portion(len(replicas))
        return self._fits(coming, others, limits, limits.per_rack)

    def move(self, partition: int, leaving: int, coming: int, reason: str) -> None:
        replicas = self.replicas[partition]
        at = replicas.index(leaving)
        replicas[at] = coming
        self.counts[leaving] -= 1
        self.counts[coming] += 1
        if at == 0:
            self.leads[leaving] -= 1
            self.leads[coming] += 1
        if self._open is not None and self.counts[leaving] < self.bounds.tight[leaving]:
            self._open.add(leaving)
        self.fresh.pop((partition, leaving), None)
        self.fresh[partition, coming] = None
        self.reasons.setdefault(partition, reason)
        self.changes += 1

    def lead(self, partition: int, place: int, reason: str) -> None:
        """Let that replica be the preferred leader; the former takes its place in the row."""
        replicas = self.replicas[partition]
        at = replicas.index(place)
        former = replicas[0]
        replicas[0], replicas[at] = place, former
        self.leads[former] -= 1
        self.leads[place] += 1
        self.reasons.setdefault(partition, reason)

    def named(self, partition: int) -> tuple[int, ...]:
        """The node ids of a partition's replicas, the preferred leader first."""
        return tuple([self.ids[place] for place in self.replicas[partition]])

    def holdings(self, places: set[int]) -> dict[int, list[int]]:
        """The partitions of each of `places`, in the order in which they were added."""
        held: dict[int, list[int]] = {place: [] for place in places}
        for partition, replicas in enumerate(self.replicas):
            for place in replicas:
                if place in places:
                    held[place].append(partition)
        return held

    def _fits(self, place: int, others: Sequence[int], portion: Portion, per_rack: int) -> bool:
        if place in others:
            return False
        rack = self.rack
        mine = rack[place]
        same = 0
        for other in others:
            if rack[other] == mine:
                same += 1
        if same == 0:
            return True
        if same >= per_rack:
            return False
        host = self.host
        mine = host[place]
        return sum(host[other] == mine for other in others) < portion.per_host

    def _emptiest(self, places: Sequence[int], others: Sequence[int], portion: Portion) -> int | None:
        counts, fair = self.counts, self.bounds.fair
        fitting = [place for place in places if self._fits(place, others, portion, portion.per_rack)]
        return min(fitting, key=lambda place: (counts[place] + 1) / max(fair[place], 1e-9), default=None)

    def _below_tight(self) -> set[int]:
        counts, tight = self.counts, self.bounds.tight
        if self._open is None:
            self._open = set(range(self.live))
        self._open.difference_update([place for place in self._open if counts[place] >= tight[place]])
        return self._open


def _first(*places: int | None) -> int | None:
    return next((place for place in places if place is not None), None)
