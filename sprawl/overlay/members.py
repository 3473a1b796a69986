"""A node as gossip knows it, and which of two opinions about it holds.

In: what is said about a node. Out: whether that overrides what is known. An opinion's rank is its node's life, its
incarnation within that life, and then how grave it is; the highest rank holds. So opinions form a lattice: whatever
the order in which they arrive, and however often, all nodes end with the same one (SWIM, Das, Gupta and Motivala 2002,
section 4.2, extended by lives: a node that was started again overrides all that was said of it before).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, NamedTuple

NOBODY: Final = -1

RANDOM_BITS: Final = 20
"""Of a life. The rest is the wall clock at its begin: 43 bits of milliseconds last until 2248."""
_LIFE_BITS: Final = 63


class State(IntEnum):
    """In order of gravity: of two opinions of the same incarnation, the greater holds."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3

    @property
    def present(self) -> bool:
        """It is probed and gossiped to. A suspect may well be alive."""
        return self <= State.SUSPECT


class Peer(NamedTuple):
    """Where packets go, and to which life of that node: another one could not read them."""

    node_id: int
    life: int
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Member:
    """What a node tells about itself. Only the node itself makes a new one, with a new incarnation."""

    node_id: int
    directory_id: str
    host: str
    gossip_port: int
    peer_host: str
    peer_port: int
    rack: str = ""
    host_label: str = ""
    version: str = ""
    life: int = 0
    """One run of the node's process; a later run has a greater one."""
    incarnation: int = 0
    """How often it had to contradict in this life."""

    @property
    def peer(self) -> Peer:
        return Peer(self.node_id, self.life, self.host, self.gossip_port)

    def __str__(self) -> str:
        return f"node {self.node_id}"


@dataclass(frozen=True, slots=True)
class Rumour:
    """An opinion about a node, as it travels. `member` comes with it where the hearer may not know the node."""

    node_id: int
    state: State
    life: int
    incarnation: int
    by: int = NOBODY
    """Who came to suspect it: independent suspicions count (Lifeguard, LHA-Suspicion)."""
    member: Member | None = None

    @property
    def rank(self) -> tuple[int, int, State]:
        return self.life, self.incarnation, self.state


def about(member: Member, state: State, by: int = NOBODY, *, introduce: bool = False) -> Rumour:
    """That someone is alive introduces them, always; else only if asked for."""
    told = member if introduce or state is State.ALIVE else None
    return Rumour(member.node_id, state, member.life, member.incarnation, by, told)


class What(Enum):
    """What became of a member, as far as this node can tell."""

    JOINED = "joined"
    """New, or back after it was dead or had left."""
    SUSPECTED = "suspected"
    CLEARED = "cleared"
    """It was suspected and is alive."""
    DIED = "died"
    LEFT = "left"
    CHANGED = "changed"
    """It was alive and tells something new about itself: it was started again, or has moved."""
    FORGOTTEN = "forgotten"
    """It was dead or had left, long ago."""
    CONFLICT = "conflict"
    """Another node has this node's id. `member` is the other one."""


@dataclass(frozen=True, slots=True)
class Event:
    what: What
    member: Member


def transition(before: State | None, after: State) -> What | None:
    """What is told when an opinion changes; None if it is nothing new. The table of all of them."""
    return _TRANSITIONS.get((before, after))


_TRANSITIONS: Final[dict[tuple[State | None, State], What]] = {
    (None, State.ALIVE): What.JOINED,
    (None, State.SUSPECT): What.JOINED,
    (State.ALIVE, State.ALIVE): What.CHANGED,
    (State.ALIVE, State.SUSPECT): What.SUSPECTED,
    (State.ALIVE, State.DEAD): What.DIED,
    (State.ALIVE, State.LEFT): What.LEFT,
    (State.SUSPECT, State.ALIVE): What.CLEARED,
    (State.SUSPECT, State.DEAD): What.DIED,
    (State.SUSPECT, State.LEFT): What.LEFT,
    (State.DEAD, State.ALIVE): What.JOINED,
    (State.DEAD, State.SUSPECT): What.JOINED,
    (State.DEAD, State.LEFT): What.LEFT,
    (State.LEFT, State.ALIVE): What.JOINED,
    (State.LEFT, State.SUSPECT): What.JOINED,
}


def life_at(wall_ms: int, chance: int) -> int:
    """A new life, greater than those before as long as the clock was not put back. `chance` makes it unique."""
    return ((wall_ms << RANDOM_BITS) | (chance & ((1 << RANDOM_BITS) - 1))) & ((1 << _LIFE_BITS) - 1)


def life_after(life: int, chance: int) -> int:
    """For a node whose clock was put back, and which learns that it had a greater one."""
    return life_at((life >> RANDOM_BITS) + 1, chance)
