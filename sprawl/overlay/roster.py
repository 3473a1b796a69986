"""The other nodes as this one knows them, and what becomes of an opinion about one of them.

In: rumours, time. Out: whether a rumour was news, events, whom to probe next, whom to tell. Never sends anything, and
knows nothing about its own node: swim.py looks after that.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from sprawl.overlay.lifeguard import Suspicion, SwimSettings
from sprawl.overlay.members import NOBODY, Event, Member, Rumour, State, What, about, transition


@dataclass(slots=True)
class Entry:
    member: Member
    state: State
    since: float
    by: int = NOBODY

    @property
    def rank(self) -> tuple[int, int, State]:
        return self.member.life, self.member.incarnation, self.state

    def rumour(self, *, introduce: bool = False) -> Rumour:
        return about(self.member, self.state, self.by, introduce=introduce)


class Roster:
    def __init__(self, settings: SwimSettings, rng: random.Random) -> None:
        self._settings = settings
        self._rng = rng
        self.entries: dict[int, Entry] = {}
        self.suspicions: dict[int, Suspicion] = {}
        self.events: list[Event] = []
        self._round: list[int] = []
        """Everyone present, in the random order of this round of probes (SWIM, section 4.3)."""
        self._next = 0

    @property
    def present(self) -> int:
        """How many nodes there are, this one not counted."""
        return len(self._round)

    @property
    def absent(self) -> int:
        return len(self.entries) - len(self._round)

    def apply(self, rumour: Rumour, now: float) -> bool:
        """Whether it is news that others should hear as well."""
        entry = self.entries.get(rumour.node_id)
        if entry is None:
            return self._meet(rumour, now)
        if rumour.rank > entry.rank:
            self._adopt(entry, rumour, now)
            return True
        if rumour.rank[:2] == entry.rank[:2] and rumour.member is not None:
            entry.member = rumour.member  # perhaps it was known so far by opinions only
        if rumour.rank == entry.rank and rumour.state is State.SUSPECT:
            return self.suspicions[rumour.node_id].confirm(rumour.by)
        return False

    def next_to_probe(self) -> Member | None:
        if not self._round:
            return None
        if self._next >= len(self._round):
            self._rng.shuffle(self._round)
            self._next = 0
        node_id = self._round[self._next]
        self._next += 1
        return self.entries[node_id].member

    def some(self, count: int, besides: Collection[int] = ()) -> list[Member]:
        """Up to `count` nodes that are present, by chance."""
        wanted = min(count + len(besides), len(self._round))
        drawn = [one for one in self._rng.sample(self._round, wanted) if one not in besides]
        return [self.entries[one].member for one in drawn[:count]]

    def some_dead(self) -> Member | None:
        dead = [entry.member for entry in self.entries.values() if entry.state is State.DEAD]
        return self._rng.choice(dead) if dead else None

    def expired(self, now: float) -> Iterator[Rumour]:
        """Those who were suspected for too long, as dead."""
        for node_id, suspicion in list(self.suspicions.items()):
            if now >= suspicion.ends:
                yield about(self.entries[node_id].member, State.DEAD)

    def forget(self, now: float) -> None:
        for node_id, entry in list(self.entries.items()):
            if not entry.state.present and now - entry.since >= self._settings.forget_after:
                del self.entries[node_id]
                self.events.append(Event(What.FORGOTTEN, entry.member))

    def _meet(self, rumour: Rumour, now: float) -> bool:
        """Nobody is met who is gone: what one node forgets, another's push-pull would bring back for ever."""
        if rumour.member is None or not rumour.state.present or len(self.entries) >= self._settings.most_members:
            return False
        self.entries[rumour.node_id] = Entry(rumour.member, rumour.state, now, rumour.by)
        self._settle(rumour, None, now)
        return True

    def _adopt(self, entry: Entry, rumour: Rumour, now: float) -> None:
        before, old = entry.state, entry.member
        told = rumour.member or replace(old, life=rumour.life, incarnation=rumour.incarnation)
        entry.member, entry.state, entry.since, entry.by = told, rumour.state, now, rumour.by
        self._settle(rumour, before, now)
        if before is rumour.state is State.ALIVE and replace(old, incarnation=told.incarnation) == told:
            self.events.pop()  # all that is new is that it has contradicted somebody

    def _settle(self, rumour: Rumour, before: State | None, now: float) -> None:
        node_id, after = rumour.node_id, rumour.state
        was_present = before is not None and before.present
        if after.present and not was_present:
            at = self._rng.randint(0, len(self._round))
            self._round.insert(at, node_id)
            self._next += at < self._next
        elif was_present and not after.present:
            at = self._round.index(node_id)
            del self._round[at]
            self._next -= at < self._next
        self.suspicions.pop(node_id, None)
        if after is State.SUSPECT:
            self.suspicions[node_id] = Suspicion(self._settings, len(self._round) + 1, rumour.by, now)
        what = transition(before, after)
        if what is not None:
            self.events.append(Event(what, self.entries[node_id].member))
