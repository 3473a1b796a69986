"""SWIM with Lifeguard: who is there, found out by asking one node after the other and by hearsay.

In: messages with who sent them, what push-pull brought, time, this node's own lag. Out: messages and whom they are
for, nodes to push-pull with, events. No I/O, no clock; randomness comes in from outside. What it says is a hint:
nothing may be decided on it.

A probe, as time goes on (factors of local health left out):

    0                     PING to the next node of this round; carries our suspicion, if it is one (the buddy system)
    probe_timeout         no ACK: RELAY to some others, who PING it for us and answer ACK or NACK; a knock over TCP,
                          or a push-pull with one that others suspect, so that it can contradict
    probe_interval        still nothing: SUSPECT, told to all; relays that were silent count against our own health
    + suspicion           nobody has contradicted: DEAD. The suspect itself does so with a new incarnation

Papers: SWIM (Das, Gupta and Motivala, DSN 2002); Lifeguard (Dadgar, Phillips and Currey, DSN-W 2018). Extensions that
are not in them, all known from memberlist: NEWS packets between probes, push-pull, TCP as a last resort of a probe.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Final

from sprawl.overlay.lifeguard import LocalHealth, SwimSettings
from sprawl.overlay.members import Event, Member, Peer, Rumour, State, What, about, life_after
from sprawl.overlay.messages import DigestNote, Kind, Message, Snapshot
from sprawl.overlay.notes import Notes
from sprawl.overlay.packets import FIXED_BYTES, MAX_PACKET_BYTES, rumour_bytes
from sprawl.overlay.relays import Relays
from sprawl.overlay.roster import Roster
from sprawl.overlay.rumours import Outbox, times_to_tell

MESSAGE_BYTES: Final = MAX_PACKET_BYTES - 64
"""What a message may be; the rest is for the envelope."""
_NEVER: Final = float("inf")
_MOST_INCARNATIONS: Final = 2**31 - 2
_FAREWELLS: Final = 8


@dataclass(slots=True)
class Probe:
    target: Member
    number: int
    widens: float
    ends: float
    widened: bool = False
    relays: int = 0
    silent: set[int] = field(default_factory=set)
    """Relays that have not answered yet."""


class Swim:
    def __init__(self, me: Member, settings: SwimSettings, rng: random.Random, now: float) -> None:
        self.me = me
        self.left = False
        self.health = LocalHealth(settings)
        self._settings = settings
        self._rng = rng
        self._roster = Roster(settings, rng)
        self._news: Outbox[Rumour] = Outbox(rumour_bytes)
        self._notes = Notes(settings)
        self._relays = Relays(settings)
        self._probe: Probe | None = None
        self._number = 0
        self._messages: list[tuple[Peer, Message]] = []
        self._syncs: list[Peer] = []
        self._knocks: list[Peer] = []
        self._next_probe = now + rng.random() * settings.probe_interval
        self._next_news = now
        self._next_sync = now + rng.random() * settings.sync_interval
        self._next_reconnect = now + settings.reconnect_interval
        self._tell(about(me, State.ALIVE))

    # -- what comes in ----------------------------------------------------------------------------------------------

    def receive(self, message: Message, source: Peer, now: float) -> None:
        """`source` has proved that it holds the cluster's key, and that it is that node."""
        for rumour in message.rumours:
            self._hear(rumour, now)
        self._notes.hear(message.digests)
        match message.kind:
            case Kind.PING if message.subject == self.me.node_id and not self.left:
                self._send(self._known(source), Kind.ACK, message.number, message.subject)
            case Kind.RELAY if not self.left:
                self._relay(message, source, now)
            case Kind.ACK:
                self._acknowledged(message, source, now)
            case Kind.NACK:
                if self._probe is not None and self._probe.number == message.number:
                    self._probe.silent.discard(source.node_id)
            case _:
                pass

    def merge(self, snapshot: Snapshot, now: float) -> None:
        """What a push-pull brought. The other's dead are but suspects here, if they are present for us: after a
        partition each side would bury the other's living, and they are to have a chance to contradict. What somebody
        learns who was alone so far is no news to others."""
        joining = not self._roster.entries
        for rumour in snapshot.rumours:
            entry = self._roster.entries.get(rumour.node_id)
            if rumour.state is State.DEAD and entry is not None and entry.state.present:
                rumour = replace(rumour, state=State.SUSPECT)
            self._hear(rumour, now, tell=not joining)
        self._notes.hear(snapshot.digests, tell=False)

    def reached(self, node_id: int, now: float) -> bool:
        """A push-pull with that node, or a knock, has succeeded. Whether only that proved it alive: UDP does not get
        through."""
        probe = self._probe
        if probe is None or probe.target.node_id != node_id:
            return False
        self._probe = None
        self.health.add(-1)
        return probe.widened

    def tick(self, now: float) -> None:
        """To be called at `next_due` and not much later; `lag` says if it was."""
        if self.left:
            self._spread_news(now)
            return
        for answer, kind, number, subject in self._relays.overdue(now):
            self._send(answer, kind, number, subject)
        self._advance_probe(now)
        for verdict in self._roster.expired(now):
            self._hear(verdict, now)
        self._spread_news(now)
        self._arrange_syncs(now)

    def lag(self, seconds: float) -> None:
        """This node's event loop was late by `seconds`: answers may have come that it has not read yet."""
        if not self.health.lagged(seconds):
            return
        if self._probe is not None:
            self._probe.widens += seconds
            self._probe.ends += seconds
        for suspicion in self._roster.suspicions.values():
            suspicion.postpone(seconds)

    def leave(self, now: float) -> None:
        """Say goodbye. From here on it probes and answers nobody; a few more ticks spread the word."""
        if self.left:
            return
        self.left = True
        self._probe = None
        self._news.put(self.me.node_id, about(self.me, State.LEFT, self.me.node_id))
        for member in self._roster.some(_FAREWELLS):
            self._send(member.peer, Kind.NEWS)
        self._next_news = now + self._settings.gossip_interval

    def set_digest(self, content: bytes, now: float) -> None:
        """It travels when its time has come; until then a later one takes its place."""
        self._notes.set_mine(self.me, content, now, self._roster.present + 1)

    # -- what goes out ----------------------------------------------------------------------------------------------

    @property
    def next_due(self) -> float:
        if self.left:
            return self._next_news if len(self._news) else _NEVER
        probe = self._probe
        due = [self._next_sync, self._next_reconnect, self._relays.next_due]
        if probe is None:
            due.append(self._next_probe)
        else:
            due.append(probe.ends if probe.widened else probe.widens)
        if len(self._news) and self._roster.present:
            due.append(self._next_news)
        due += [suspicion.ends for suspicion in self._roster.suspicions.values()]
        return min(due)

    def take_messages(self) -> list[tuple[Peer, Message]]:
        taken, self._messages = self._messages, []
        return taken

    def take_syncs(self) -> list[Peer]:
        """With whom to push-pull now."""
        taken, self._syncs = self._syncs, []
        return taken

    def take_knocks(self) -> list[Peer]:
        """Whom to ask over TCP for a proof that they are there, and no more."""
        taken, self._knocks = self._knocks, []
        return taken

    def take_events(self) -> list[Event]:
        taken, self._roster.events = self._roster.events, []
        return taken

    def snapshot(self) -> Snapshot:
        mine = about(self.me, State.LEFT if self.left else State.ALIVE, introduce=True)
        others = (entry.rumour(introduce=True) for entry in self._roster.entries.values())
        return Snapshot((mine, *others), self._notes.all())

    # -- what is known ----------------------------------------------------------------------------------------------

    def members(self) -> list[tuple[Member, State]]:
        """Everyone that is remembered, this node first."""
        mine = (self.me, State.LEFT if self.left else State.ALIVE)
        return [mine, *((entry.member, entry.state) for entry in self._roster.entries.values())]

    def known(self, node_id: int) -> tuple[Member, State] | None:
        entry = self._roster.entries.get(node_id)
        return None if entry is None else (entry.member, entry.state)

    def digests(self) -> tuple[DigestNote, ...]:
        """The latest of each node that is present, this one included."""
        return tuple(note for note in self._notes.all() if self._is_present(note.node_id))

    # -- probing ----------------------------------------------------------------------------------------------------

    def _advance_probe(self, now: float) -> None:
        probe = self._probe
        if probe is not None and now >= probe.ends:
            self._failed(probe, now)
        elif probe is not None and not probe.widened and now >= probe.widens:
            self._widen(probe)
        if self._probe is None and now >= self._next_probe:
            self._begin_probe(now)

    def _begin_probe(self, now: float) -> None:
        settings, factor = self._settings, self.health.factor
        self._next_probe = now + settings.probe_interval * factor
        target = self._roster.next_to_probe()
        if target is None:
            return
        number = self._new_number()
        self._probe = Probe(target, number, now + settings.probe_timeout * factor, self._next_probe)
        self._send(target.peer, Kind.PING, number, target.node_id)

    def _widen(self, probe: Probe) -> None:
        probe.widened = True
        relays = self._roster.some(self._settings.relays, (probe.target.node_id,))
        probe.relays = len(relays)
        probe.silent = {relay.node_id for relay in relays}
        for relay in relays:
            self._send(relay.peer, Kind.RELAY, probe.number, probe.target.node_id)
        entry = self._roster.entries.get(probe.target.node_id)
        trusted = entry is not None and entry.state is State.ALIVE
        (self._knocks if trusted else self._syncs).append(probe.target.peer)

    def _failed(self, probe: Probe, now: float) -> None:
        self._probe = None
        self.health.add(len(probe.silent) if probe.relays else 1)
        entry = self._roster.entries.get(probe.target.node_id)
        if entry is not None and entry.state.present:
            self._hear(about(entry.member, State.SUSPECT, self.me.node_id), now)

    def _acknowledged(self, message: Message, source: Peer, now: float) -> None:
        asked = self._relays.answered(message.number, source.node_id)
        if asked is not None:
            self._send(self._known(asked.asker), Kind.ACK, asked.number, source.node_id)
            return
        probe = self._probe
        if probe is not None and (probe.number, probe.target.node_id) == (message.number, message.subject):
            self._probe = None
            self.health.add(-1)

    def _relay(self, message: Message, source: Peer, now: float) -> None:
        entry = self._roster.entries.get(message.subject)
        if entry is None or not entry.state.present:
            return
        number = self._new_number()
        if self._relays.take(number, source, message.number, message.subject, now):
            self._send(entry.member.peer, Kind.PING, number, message.subject)

    # -- hearsay ----------------------------------------------------------------------------------------------------

    def _hear(self, rumour: Rumour, now: float, *, tell: bool = True) -> None:
        if rumour.node_id == self.me.node_id:
            self._hear_of_me(rumour)
        elif self._roster.apply(rumour, now):
            if tell:
                self._tell(rumour if rumour.state is State.ALIVE else replace(rumour, member=None))
            if not rumour.state.present:
                self._notes.forget(rumour.node_id)

    def _hear_of_me(self, rumour: Rumour) -> None:
        """Contradict, with an incarnation that overrides what was said (SWIM, section 4.2)."""
        other = rumour.member
        if self.left or rumour.rank <= (self.me.life, self.me.incarnation, State.ALIVE):
            return
        if other is not None and other.directory_id != self.me.directory_id and rumour.state.present:
            self._roster.events.append(Event(What.CONFLICT, other))
            return
        if rumour.life > self.me.life or rumour.incarnation >= _MOST_INCARNATIONS:
            life = life_after(rumour.life, self._rng.getrandbits(20))
            self.me = replace(self.me, life=life, incarnation=0)
        else:
            self.me = replace(self.me, incarnation=rumour.incarnation + 1)
        if rumour.state is not State.ALIVE:
            self.health.add(1)
        self._tell(about(self.me, State.ALIVE))

    def _tell(self, rumour: Rumour) -> None:
        self._news.put(rumour.node_id, rumour)

    def _spread_news(self, now: float) -> None:
        if now < self._next_news or not len(self._news):
            return
        self._next_news = now + self._settings.gossip_interval
        for member in self._roster.some(self._settings.gossip_fanout):
            self._send(member.peer, Kind.NEWS)

    def _send(self, to: Peer, kind: Kind, number: int = 0, subject: int = -1) -> None:
        """With whatever news there is room for; first of all what we hold against the receiver itself."""
        room = MESSAGE_BYTES - FIXED_BYTES
        rumours: list[Rumour] = []
        entry = self._roster.entries.get(to.node_id)
        if entry is not None and entry.state is not State.ALIVE and (self._settings.lifeguard or kind is not Kind.PING):
            rumours.append(entry.rumour())
            room -= rumour_bytes(rumours[0])
        nodes = self._roster.present + 1
        limit = times_to_tell(self._settings.retransmit_multiplier, nodes)
        for rumour in self._news.take(room, limit, to.node_id):
            room -= rumour_bytes(rumour)
            rumours.append(rumour)
        notes = self._notes.take(room, nodes, to.node_id)
        self._messages.append((to, Message(kind, number, subject, tuple(rumours), notes)))

    # -- the rest ---------------------------------------------------------------------------------------------------

    def _arrange_syncs(self, now: float) -> None:
        if now >= self._next_sync:
            self._next_sync = now + self._settings.sync_pause(self._roster.present + 1)
            self._syncs += [member.peer for member in self._roster.some(1)]
            self._roster.forget(now)
        if now >= self._next_reconnect:
            self._next_reconnect = now + self._settings.reconnect_interval
            dead = self._roster.some_dead()
            if dead is not None and self._rng.random() * max(1, self._roster.present) < self._roster.absent:
                self._syncs.append(dead.peer)

    def _known(self, source: Peer) -> Peer:
        """Where that node says that it is, rather than where its packet seemed to come from."""
        entry = self._roster.entries.get(source.node_id)
        return entry.member.peer if entry is not None and entry.member.life == source.life else source

    def _is_present(self, node_id: int) -> bool:
        entry = self._roster.entries.get(node_id)
        return node_id == self.me.node_id or (entry is not None and entry.state.present)

    def _new_number(self) -> int:
        self._number = (self._number + 1) % 2**31
        return self._number
