"""The ring: the order in which nodes are asked to hold a partition. Weighted rendezvous hashing over a table of slots.

In: the nodes there are and their weights. Out: for each of `SLOTS` slots the nodes by their score, best first.
Partition p belongs to the slot `hash(topic id) + p`, so that a topic takes every slot once before it takes any twice.
The score of a node for a slot is -weight / ln(u), where u in (0, 1) is drawn from SHAKE-128 of the node's id: a node
that comes or goes changes nothing in the order of the others.

It knows nothing of load, racks or hosts: dht.py does. No randomness, no clock, no I/O; the orders are worked out when
they are first asked for, and kept.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b, shake_128
from math import log
from typing import Final
from uuid import UUID

SLOTS: Final = 16_384
_BLOCK: Final = 64  # slots whose words come out of one SHAKE-128
_DEPTH: Final = 32  # nodes kept of each order: whoever finds no room among these asks who has the most
_WORD: Final = 2.0**32


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that can be given replicas, in proportion to `weight`; one with weight 0 is to be emptied."""

    id: int
    weight: float
    host: str
    rack: str


@dataclass(frozen=True, slots=True)
class RingRow:
    """One node as the ring is shown to people. Shares are parts of 1."""

    id: int
    rack: str
    host: str
    weight: float
    hash_share: float  # slots in which it is asked first
    fair_share: float  # what its weight entitles it to


class Ring:
    """Nodes are named by their place in `candidates`, which are in order of their ids."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.candidates: Final = tuple(sorted(candidates, key=lambda one: one.id))
        self._weights: Final = [one.weight for one in self.candidates]
        self._alike: Final = len(set(self._weights)) <= 1
        self._orders: dict[int, array[int]] = {}
        self._block = -1
        self._rows: list[tuple[int, ...]] = []

    def order(self, slot: int) -> array[int]:
        """The first `_DEPTH` nodes for `slot`, best first."""
        found = self._orders.get(slot)
        if found is None:
            keys = self._keys(slot)
            found = array("H", sorted(range(len(keys)), key=keys.__getitem__)[:_DEPTH])
            self._orders[slot] = found
        return found

    def favourites(self, node: int, slots: Iterable[int]) -> list[int]:
        """These slots, those first for which the node's draw is best."""
        identity = self.candidates[node].id
        draws = {block: _words(identity, block) for block in sorted({slot // _BLOCK for slot in slots})}
        return sorted(slots, key=lambda slot: draws[slot // _BLOCK][slot % _BLOCK], reverse=True)

    def rows(self) -> list[RingRow]:
        firsts = [0] * len(self.candidates)
        for slot in range(SLOTS):
            keys = self._keys(slot)
            firsts[keys.index(min(keys))] += 1
        whole = sum(self._weights) or 1.0
        return [
            RingRow(one.id, one.rack, one.host, one.weight, first / SLOTS, one.weight / whole)
            for one, first in zip(self.candidates, firsts, strict=True)
        ]

    def _keys(self, slot: int) -> Sequence[float]:
        """What to sort nodes by, smallest first: -ln(u) / weight, or -u if weights are alike."""
        block, within = divmod(slot, _BLOCK)
        if block != self._block:
            columns = [_words(one.id, block) for one in self.candidates]
            self._rows = list(zip(*columns, strict=True))
            self._block = block
        row = self._rows[within]
        if self._alike:
            return [-word for word in row]
        return [-log((word + 0.5) / _WORD) / weight for word, weight in zip(row, self._weights, strict=True)]


@lru_cache(maxsize=4)
def ring_of(candidates: tuple[Candidate, ...]) -> Ring:
    """The ring of those that have weight. Kept for the memberships last asked for."""
    return Ring([one for one in candidates if one.weight > 0])


def first_slot(topic_id: UUID) -> int:
    """The slot of partition 0. Partition p is p slots further on."""
    return int.from_bytes(blake2b(topic_id.bytes, digest_size=8).digest(), "big") % SLOTS


def ring_view(candidates: Sequence[Candidate]) -> list[RingRow]:
    """What an operator sees as the ring, in order of node ids."""
    return ring_of(tuple(candidates)).rows()


def _words(identity: int, block: int) -> array[int]:
    """The draws of a node for the slots of a block."""
    name = identity.to_bytes(8, "big", signed=True) + block.to_bytes(8, "big")
    drawn = array("I", shake_128(name).digest(4 * _BLOCK))
    if sys.byteorder == "big":
        drawn.byteswap()
    return drawn
