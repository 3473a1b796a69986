"""The kinds of faults, and a seeded draw of them: what, to which node, for how long, after what pause.

In: a generator, the nodes, the kinds that are possible here. Out: one fault after the other, for ever. Harms nothing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final


class Kind(Enum):
    KILL = "kill"
    """kill -9, and a start after a while."""
    PAUSE = "pause"
    """SIGSTOP, then SIGCONT."""
    RESTART = "restart"
    """Told to stop, and started again."""
    DRAIN = "drain"
    """Drained by the operator, killed while it drains or not, and resumed."""
    WIPE = "wipe"
    """Killed; its disk is lost; it is formatted and started again."""
    FLIP = "flip"
    """Killed; a bit of a closed segment is flipped; started again."""
    FULL = "full"
    """No room on its disk."""
    ISOLATE = "isolate"
    """Cut off from all: nodes and clients."""
    SPLIT = "split"
    """Cut off from the other nodes; clients still reach it."""
    DEAF = "deaf"
    """Nothing of what the other nodes send arrives."""
    MUTE = "mute"
    """Nothing of what it sends arrives at the other nodes."""
    BRIDGE = "bridge"
    """Two halves that see each other only through it."""
    SLOW = "slow"
    """Each packet to and from it takes long."""
    LOSS = "loss"
    """Many packets to and from it are lost."""


OF_NETWORK: Final = frozenset({Kind.ISOLATE, Kind.SPLIT, Kind.DEAF, Kind.MUTE, Kind.BRIDGE, Kind.SLOW, Kind.LOSS})
OF_DISK: Final = frozenset({Kind.FULL})
DAMAGING: Final = frozenset({Kind.WIPE, Kind.FLIP})
"""Something is gone for good: only while all replicas are in sync, and nothing else is wrong."""
OF_PROCESS: Final = frozenset(Kind) - OF_NETWORK

_LONG: Final = {Kind.KILL: 8.0, Kind.RESTART: 3.0, Kind.WIPE: 5.0, Kind.FLIP: 5.0, Kind.PAUSE: 15.0}
"""Seconds at most; others are drawn up to `_USUALLY`."""
_USUALLY: Final = 20.0


@dataclass(frozen=True, slots=True)
class Fault:
    kind: Kind
    node: int
    seconds: float
    """How long it lasts."""
    pause: float
    """Seconds of calm before it."""
    chance: float
    """From 0 to 1: what decides within the fault, such as how much delay."""


def draw(rng: random.Random, nodes: Sequence[int], kinds: Sequence[Kind], *, pause: float) -> Iterator[Fault]:
    """`pause`: seconds between two at most. Each kind comes once before any comes again."""
    while True:
        turn = list(kinds)
        rng.shuffle(turn)
        for kind in turn:
            seconds = rng.uniform(0.2, 1.0) ** 2 * _LONG.get(kind, _USUALLY)
            yield Fault(kind, rng.choice(list(nodes)), max(0.3, seconds), rng.uniform(0.1, 1.0) * pause, rng.random())
