"""Towards fair shares: which replicas and leaders of a ledger should change places, and no more than needed.

In: a `Ledger` with its bounds, and how many replicas may move. Out: changes in the ledger. A node below its low bound
is given more, by those that have most above their fair shares; one above its high bound is relieved. A node takes the
partitions for which the ring favours it most. Where no single move helps, a chain of moves along a shortest path does,
within `_EFFORT` looks.

Leaders likewise, by changing the order of replicas as long as that helps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from sprawl.overlay.ledger import Ledger
from sprawl.overlay.shares import Bounds, whole

NODE_JOINED: Final = "node joined"
OVER: Final = "over its share"
UNDER: Final = "under its share"
LEADS_OVER: Final = "leads over its share"
LEADS_UNDER: Final = "leads under its share"

_EFFORT: Final = 500_000  # partitions and moves looked at, a second or so
_Edges = Callable[[int], Iterator[tuple[int, int]]]


class Settling:
    def __init__(self, ledger: Ledger, budget: int | None = None) -> None:
        self._ledger: Final = ledger
        self._budget: Final = budget
        self._effort = _EFFORT
        self._by_slot: dict[int, list[int]] | None = None

    @property
    def spent(self) -> bool:
        return not self._affords(1)

    def replicas(self) -> None:
        """Bring every node between its bounds."""
        ledger = self._ledger
        counts, bounds = ledger.counts, ledger.bounds
        while not self.spent:
            before = ledger.changes
            for place in range(ledger.live):
                if counts[place] < bounds.low[place]:
                    self._pull(place)
            over = {place for place, count in enumerate(counts) if count > bounds.high[place]}
            if over:
                held = ledger.holdings(over)
                for place in sorted(over):
                    self._push(place, held[place])
            if ledger.changes == before:
                return

    def leaders(self) -> None:
        """The same for leaders. Only if no order of the replicas will do, replicas move."""
        ledger = self._ledger
        leads, bounds = ledger.leads, ledger.lead_bounds
        over = {place for place, lead in enumerate(leads) if lead > bounds.high[place]}
        under = {place for place in range(ledger.live) if leads[place] < bounds.low[place]}
        if not over and not under:
            return
        held = ledger.holdings(over | under)
        for place in sorted(over):
            self._hand_over(place, held[place])
        for place in sorted(under):
            self._take_over(place, held[place])
        self._chain_leaders()
        while not self.spent and self._effort > 0 and self._trade_leader():
            pass

    # -- replicas

    def _pull(self, place: int) -> None:
        """One that has nothing is filled up to its fair share, another to its low bound.

        Givers are those above their high bounds, then those above their fair shares; others only up to the low bound.
        """
        ledger, bounds = self._ledger, self._ledger.bounds
        reason = UNDER if ledger.counts[place] else NODE_JOINED
        whole_fair = [whole(share) for share in bounds.fair]
        full = min(whole_fair[place], bounds.tight[place])
        enough = bounds.low[place] if ledger.counts[place] else full
        self._redirect(place, full, whole_fair, reason)
        favourites: list[int] = []
        for givers, wanted in ((bounds.high, enough), (whole_fair, enough), (bounds.low, bounds.low[place])):
            missing = wanted - ledger.counts[place]
            if missing > 0 and any(map(int.__gt__, ledger.counts, givers)):
                favourites = favourites or ledger.ring.favourites(place, self._partitions_by_slot())
                self._take(place, missing, givers, favourites, reason)
        self._chain(
            lambda: ledger.counts[place] < bounds.low[place],
            lambda: [one for one in range(ledger.live) if ledger.counts[one] > bounds.low[one]],
            lambda one: one == place,
            reason,
        )

    def _redirect(self, place: int, full: int, whole_fair: Sequence[int], reason: str) -> None:
        """What is to be copied anyway may as well come here."""
        ledger, counts = self._ledger, self._ledger.counts
        for partition, giver in list(ledger.fresh):
            if counts[place] >= full:
                return
            if counts[giver] > whole_fair[giver] and ledger.may(partition, giver, place):
                ledger.move(partition, giver, place, reason)

    def _take(self, place: int, missing: int, givers: list[int], favourites: list[int], reason: str) -> None:
        ledger, counts, fair = self._ledger, self._ledger.counts, self._ledger.bounds.fair
        by_slot = self._partitions_by_slot()
        for slot in favourites:
            for partition in by_slot[slot]:
                replicas = ledger.replicas[partition]
                rich = [one for one in replicas if counts[one] > givers[one]]
                if not rich or place in replicas:
                    continue
                rich.sort(key=lambda one: fair[one] - counts[one])
                giver = next((one for one in rich if ledger.may(partition, one, place)), None)
                if giver is None:
                    continue
                if self.spent:
                    return
                ledger.move(partition, giver, place, reason)
                missing -= 1
                if missing == 0:
                    return

    def _push(self, place: int, held: Iterable[int]) -> None:
        ledger, counts, bounds = self._ledger, self._ledger.counts, self._ledger.bounds
        if all(map(int.__ge__, counts, bounds.high)):
            return
        for partition in sorted(held, key=lambda one: (one, place) not in ledger.fresh):  # those cost nothing
            if counts[place] <= bounds.high[place] or self.spent:
                return
            if place not in ledger.replicas[partition]:
                continue
            others = [one for one in ledger.replicas[partition] if one != place]
            coming = ledger.home(ledger.slots[partition], others, ledger.portion(len(others) + 1))
            if coming is not None and counts[coming] < bounds.high[coming]:
                ledger.move(partition, place, coming, OVER)
        self._chain(
            lambda: counts[place] > bounds.high[place],
            lambda: [place],
            lambda one: counts[one] < bounds.high[one],
            OVER,
        )

    def _chain(
        self, needed: Callable[[], bool], sources: Callable[[], list[int]], wanted: Callable[[int], bool], reason: str
    ) -> None:
        ledger = self._ledger
        held: dict[int, list[int]] = {}

        def edges(giver: int) -> Iterator[tuple[int, int]]:
            for partition in held[giver]:
                for taker in range(ledger.live):
                    if ledger.may(partition, giver, taker):
                        yield partition, taker

        while needed() and not self.spent and self._effort > 0:
            self._effort -= len(ledger.replicas)
            held = ledger.holdings(set(range(len(ledger.ids))))
            path = self._path(sources(), wanted, edges)
            if not path or not self._affords(len(path)):
                return
            for partition, giver, taker in reversed(path):
                if giver in ledger.replicas[partition] and ledger.may(partition, giver, taker):
                    ledger.move(partition, giver, taker, reason)

    def _partitions_by_slot(self) -> dict[int, list[int]]:
        if self._by_slot is None:
            self._by_slot = {}
            for partition, slot in enumerate(self._ledger.slots):
                self._by_slot.setdefault(slot, []).append(partition)
        return self._by_slot

    def _affords(self, moves: int) -> bool:
        return self._budget is None or self._ledger.moved + moves <= self._budget

    # -- leaders

    def _hand_over(self, place: int, held: Sequence[int]) -> None:
        ledger, leads, bounds = self._ledger, self._ledger.leads, self._ledger.lead_bounds
        for room in (bounds.tight, bounds.high):
            for partition in held:
                if leads[place] <= bounds.high[place]:
                    return
                first, *others = ledger.replicas[partition]
                roomy = [one for one in others if leads[one] < room[one]]
                if first == place and roomy:
                    ledger.lead(partition, min(roomy, key=lambda one: leads[one] - bounds.fair[one]), LEADS_OVER)

    def _take_over(self, place: int, held: Sequence[int]) -> None:
        ledger, leads, bounds = self._ledger, self._ledger.leads, self._ledger.lead_bounds
        fair = [whole(share) for share in bounds.fair]
        for givers, enough in ((bounds.high, fair[place]), (fair, fair[place]), (bounds.low, bounds.low[place])):
            for partition in held:
                if leads[place] >= enough:
                    break
                first = ledger.replicas[partition][0]
                if first != place and leads[first] > givers[first]:
                    ledger.lead(partition, place, LEADS_UNDER)

    def _chain_leaders(self) -> None:
        ledger, leads, bounds = self._ledger, self._ledger.leads, self._ledger.lead_bounds
        led: list[set[int]] = []

        def edges(giver: int) -> Iterator[tuple[int, int]]:
            for partition in sorted(led[giver]):
                for taker in ledger.replicas[partition][1:]:
                    yield partition, taker

        while self._effort > 0:
            over = [place for place, lead in enumerate(leads) if lead > bounds.high[place]]
            under = {place for place in range(ledger.live) if leads[place] < bounds.low[place]}
            if not over and not under:
                return
            if not led:
                led = [set() for _ in ledger.ids]
                for partition, replicas in enumerate(ledger.replicas):
                    led[replicas[0]].add(partition)
            path = self._leader_path(over, under, bounds, edges)
            if not path:
                return
            for partition, giver, taker in path:
                ledger.lead(partition, taker, LEADS_OVER if over else LEADS_UNDER)
                led[giver].discard(partition)
                led[taker].add(partition)

    def _trade_leader(self) -> bool:
        """Let another node have one that leads too often in its replicas, if need be in exchange for one it follows."""
        ledger, leads, bounds = self._ledger, self._ledger.leads, self._ledger.lead_bounds
        places = sorted(range(ledger.live), key=lambda place: leads[place] - bounds.fair[place])
        givers = [place for place in reversed(places) if leads[place] > bounds.high[place]]
        takers = [place for place in places if leads[place] < bounds.high[place]]
        if not givers:
            givers = [place for place in reversed(places) if leads[place] > bounds.low[place]]
            takers = [place for place in places if leads[place] < bounds.low[place]]
        if not givers or not takers:
            return False
        self._effort -= len(ledger.replicas)
        held = ledger.holdings({*givers, *takers})
        return any(self._trade(giver, taker, held) for giver in givers for taker in takers if giver != taker)

    def _trade(self, giver: int, taker: int, held: dict[int, list[int]]) -> bool:
        ledger, counts, bounds = self._ledger, self._ledger.counts, self._ledger.bounds
        one_way = counts[taker] < bounds.high[taker] and counts[giver] > bounds.low[giver]
        for given in held[giver]:
            self._effort -= 1
            if ledger.replicas[given][0] != giver or not ledger.may(given, giver, taker):
                continue
            if one_way:
                ledger.move(given, giver, taker, LEADS_OVER)
                return True
            for returned in held[taker] if self._affords(2) else ():
                self._effort -= 1
                if ledger.replicas[returned][0] != taker and ledger.may(returned, taker, giver):
                    ledger.move(given, giver, taker, LEADS_OVER)
                    ledger.move(returned, taker, giver, LEADS_OVER)
                    return True
            if self._effort <= 0:
                return False
        return False

    def _leader_path(
        self, over: list[int], under: set[int], bounds: Bounds, edges: _Edges
    ) -> list[tuple[int, int, int]]:
        leads, live = self._ledger.leads, self._ledger.live
        if over:
            path = self._path(over, lambda one: one < live and leads[one] < bounds.high[one], edges)
            if path:
                return path
        givers = [place for place in range(live) if leads[place] > bounds.low[place]]
        return self._path(givers, under.__contains__, edges) if under else []

    def _path(self, sources: Iterable[int], wanted: Callable[[int], bool], edges: _Edges) -> list[tuple[int, int, int]]:
        """A shortest way from a source to a node that is wanted: (partition, giver, taker) from the source on."""
        reached: dict[int, tuple[int, int] | None] = dict.fromkeys(sources)
        waiting = deque(reached)
        while waiting:
            giver = waiting.popleft()
            for partition, taker in edges(giver):
                self._effort -= 1
                if self._effort <= 0:
                    return []
                if taker in reached:
                    continue
                reached[taker] = (partition, giver)
                if not wanted(taker):
                    waiting.append(taker)
                    continue
                path = []
                step = reached[taker]
                while step is not None:
                    path.append((step[0], step[1], taker))
                    taker = step[1]
                    step = reached[taker]
                return path[::-1]
        return []
