"""Many state machines of gossip on a network of events: no sockets, no loop, no real time, all from one seed.

In: how many nodes, faults as they happen. Out: events with who saw them and when, bytes sent. A thousand nodes run
some ten times slower than life. The bytes are those that the real packets would have, envelope included.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush

from sprawl.overlay.envelope import OVERHEAD
from sprawl.overlay.lifeguard import SwimSettings
from sprawl.overlay.members import Member, State, What, life_at
from sprawl.overlay.messages import Message, Snapshot
from sprawl.overlay.packets import FIXED_BYTES, digest_bytes, rumour_bytes
from sprawl.overlay.swim import Swim

LATENCY = 0.0005
PATIENCE = 5.0
"""Of a push-pull."""
SYN_RETRY = 1.0
RETRY = 0.2
KNOCK_BYTES = 400
"""Of each side: a handshake, in TCP."""
FAREWELL = 0.8


@dataclass(slots=True)
class Seen:
    at: float
    by: int
    what: What
    node_id: int


@dataclass(slots=True)
class Machine:
    swim: Swim
    up: bool = True
    stalled_until: float = 0.0
    timer: float = float("inf")
    inbox: list[tuple[Message, int]] = field(default_factory=list)
    """What its kernel holds while it is stalled."""
    sent_bytes: int = 0
    sent_packets: int = 0
    synced_bytes: int = 0
    """By push-pull, over TCP."""
    lives: int = 1


def member(node_id: int) -> Member:
    """With texts as long as they usually are."""
    host = f"10.{node_id >> 16 & 255}.{node_id >> 8 & 255}.{node_id & 255}"
    return Member(node_id, f"{node_id:022d}", host, 9094, host, 9092, f"rack-{node_id % 3}", f"host-{node_id}", "0.1.0")


class World:
    def __init__(self, settings: SwimSettings, seed: int = 0) -> None:
        self.settings = settings
        self.rng = random.Random(seed)
        self.now = 0.0
        self.loss = 0.0
        self.counts_syncs = False
        """Counting takes its time."""
        self.tcp = True
        self.machines: dict[int, Machine] = {}
        self.cut: set[tuple[int, int]] = set()
        """Over these, one way, nothing passes."""
        self.udp_cut: set[tuple[int, int]] = set()
        self.seen: list[Seen] = []
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    # -- faults -----------------------------------------------------------------------------------------------------

    def boot(self, node_id: int, seed: int | None = None) -> None:
        """A new node, or a new life of one; it joins by push-pull with `seed`."""
        lives = self.machines[node_id].lives + 1 if node_id in self.machines else 1
        fresh = replace(member(node_id), life=life_at(int(self.now * 1000), self.rng.getrandbits(20)))
        self.machines[node_id] = Machine(
            Swim(fresh, self.settings, random.Random(self.rng.getrandbits(64)), self.now), lives=lives
        )
        if seed is not None:
            self._sync(node_id, seed)
        self._flush(node_id)

    def know_all(self) -> None:
        """As in a cluster that has been there for long: all know all, and nobody has anything to tell but itself."""
        told = tuple(machine.swim.snapshot().rumours[0] for machine in self.machines.values())
        for node_id, machine in self.machines.items():
            machine.swim.merge(Snapshot(told, ()), self.now)
            machine.swim.take_events()
            self._flush(node_id)

    def crash(self, node_id: int) -> None:
        self.machines[node_id].up = False

    def leave(self, node_id: int) -> None:
        """It says goodbye, and its process ends a little later."""
        self.machines[node_id].swim.leave(self.now)
        self._flush(node_id)
        self.at(self.now + FAREWELL, lambda: self.crash(node_id))

    def deliver(self, source: int, target: int, message: Message) -> None:
        self._arrive(source, target, self.machines[target].swim.me.life, message)

    def stall(self, node_id: int, seconds: float) -> None:
        """Its event loop does something else; its kernel goes on receiving."""
        machine = self.machines[node_id]
        machine.stalled_until = max(machine.stalled_until, self.now + seconds)
        self.at(machine.stalled_until, lambda: self._wake(node_id))

    # -- time -------------------------------------------------------------------------------------------------------

    def at(self, when: float, act: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._events, (when, self._count, act))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while self._events and self._events[0][0] <= end:
            self.now, _, act = heappop(self._events)
            act()
        self.now = end

    # -- what is known ----------------------------------------------------------------------------------------------

    def state(self, of: int, to: int) -> State | None:
        known = self.machines[to].swim.known(of)
        return None if known is None else known[1]

    @property
    def up(self) -> list[int]:
        return [node_id for node_id, machine in self.machines.items() if machine.up]

    # -- the network ------------------------------------------------------------------------------------------------

    def _flush(self, node_id: int) -> None:
        machine = self.machines[node_id]
        swim = machine.swim
        for event in swim.take_events():
            self.seen.append(Seen(self.now, node_id, event.what, event.member.node_id))
        for peer, message in swim.take_messages():
            machine.sent_packets += 1
            machine.sent_bytes += packet_bytes(message)
            if self._passes(node_id, peer.node_id, tcp=False):
                target, life = peer.node_id, peer.life
                self.at(self.now + self._delay(), lambda m=message, t=target, n=life: self._arrive(node_id, t, n, m))  # type: ignore[misc]
        for peer in swim.take_syncs():
            if self.tcp and self._passes(node_id, peer.node_id, tcp=True):
                self.at(self.now + self._tcp_delay(), lambda t=peer.node_id: self._synced(node_id, t))  # type: ignore[misc]
        for peer in swim.take_knocks():
            if self.tcp and self._passes(node_id, peer.node_id, tcp=True):
                self.at(self.now + self._tcp_delay(), lambda t=peer.node_id: self._synced(node_id, t, knock=True))  # type: ignore[misc]
        due = swim.next_due
        if due < machine.timer:
            machine.timer = max(due, self.now)
            self.at(machine.timer, lambda at=machine.timer, mine=machine: self._timer(node_id, mine, at))  # type: ignore[misc]

    def _timer(self, node_id: int, machine: Machine, at: float) -> None:
        if machine.timer == at and self.machines[node_id] is machine:
            machine.timer = float("inf")
            if machine.up and machine.stalled_until <= self.now:
                machine.swim.tick(self.now)
                self._flush(node_id)

    def _wake(self, node_id: int) -> None:
        """The stall is over: the timers' task runs first, then what has arrived is read."""
        machine = self.machines[node_id]
        if not machine.up or machine.stalled_until > self.now:
            return
        machine.swim.lag(max(0.0, self.now - machine.swim.next_due))
        machine.swim.tick(self.now)
        waiting, machine.inbox = machine.inbox, []
        for message, source in waiting:
            machine.swim.receive(message, self.machines[source].swim.me.peer, self.now)
        self._flush(node_id)

    def _arrive(self, source: int, target: int, life: int, message: Message) -> None:
        machine = self.machines[target]
        if not machine.up or machine.swim.me.life != life:
            return
        if machine.stalled_until > self.now:
            machine.inbox.append((message, source))
            return
        machine.swim.receive(message, self.machines[source].swim.me.peer, self.now)
        self._flush(target)

    def _synced(self, node_id: int, target: int, *, knock: bool = False) -> None:
        here, there = self.machines[node_id], self.machines[target]
        if not (here.up and there.up):
            return
        late = max(here.stalled_until, there.stalled_until)
        if late > self.now:
            if late < self.now + PATIENCE:
                self.at(late, lambda: self._synced(node_id, target, knock=knock))
        elif knock:
            here.synced_bytes += KNOCK_BYTES
            there.synced_bytes += KNOCK_BYTES
            here.swim.reached(target, self.now)
            self._flush(node_id)
        else:
            self._sync(node_id, target)

    def _sync(self, node_id: int, target: int) -> None:
        here, there = self.machines[node_id].swim, self.machines[target].swim
        told = here.snapshot()
        there.merge(told, self.now)
        answer = there.snapshot()
        here.merge(answer, self.now)
        if self.counts_syncs:
            self.machines[node_id].synced_bytes += snapshot_bytes(told)
            self.machines[target].synced_bytes += snapshot_bytes(answer)
        here.reached(target, self.now)
        self._flush(target)
        self._flush(node_id)

    def _passes(self, source: int, target: int, *, tcp: bool) -> bool:
        way, back = (source, target), (target, source)
        if target not in self.machines or way in self.cut:
            return False
        if tcp:
            return back not in self.cut
        return way not in self.udp_cut and self.rng.random() >= self.loss

    def _tcp_delay(self) -> float:
        """Of three round trips. What is lost is sent again: after a second at the beginning, later after a fifth."""
        delay = 3 * self._delay()
        if self.loss:
            for wait in (SYN_RETRY, SYN_RETRY, *[RETRY] * 6):
                while delay < PATIENCE and self.rng.random() < self.loss:
                    delay += wait
        return delay

    def _delay(self) -> float:
        return LATENCY * (0.5 + self.rng.expovariate(1.0))


def packet_bytes(message: Message) -> int:
    told = sum(map(rumour_bytes, message.rumours)) + sum(map(digest_bytes, message.digests))
    return OVERHEAD + FIXED_BYTES + told


def snapshot_bytes(snapshot: Snapshot) -> int:
    return sum(map(rumour_bytes, snapshot.rumours)) + sum(map(digest_bytes, snapshot.digests))
