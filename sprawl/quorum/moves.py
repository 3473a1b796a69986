"""A partition's replicas, and where they are on their way to (KIP-455).

Pure values. While a move is under way `replicas` holds the target and, behind it, those that are to go; everybody
fetches. It is done once the target can carry the partition by itself:

- every replica that was added is in sync;
- so is every other one of the target that is alive: redundancy is not given away for the sake of an early end;
- and the in-sync set does not fall below min.insync.replicas by it.

Then those that are to go are dropped, all at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sprawl.quorum.image import PartitionImage


@dataclass(frozen=True, slots=True)
class Move:
    replicas: tuple[int, ...]
    adding: tuple[int, ...] = ()
    removing: tuple[int, ...] = ()

    @classmethod
    def of(cls, partition: PartitionImage) -> Move:
        return cls(partition.replicas, partition.adding_replicas, partition.removing_replicas)

    @property
    def under_way(self) -> bool:
        return bool(self.adding or self.removing)

    @property
    def target(self) -> tuple[int, ...]:
        return tuple(each for each in self.replicas if each not in self.removing)

    @property
    def original(self) -> tuple[int, ...]:
        """Who was there before; the order it had is lost."""
        return tuple(each for each in self.replicas if each not in self.adding)

    def to(self, target: Sequence[int]) -> Move:
        """Another target. Who was on the way in and is not in it is forgotten."""
        before = self.original
        removing = tuple(each for each in before if each not in target)
        return Move((*target, *removing), tuple(each for each in target if each not in before), removing)

    def cancelled(self) -> Move:
        return Move(self.original)

    def settled(self, in_sync: Sequence[int], active: Callable[[int], bool], min_insync_replicas: int) -> Move:
        """What is left of it, given who is in sync: a move that is done is over."""
        if not self.under_way:
            return self
        target = self.target
        staying = [each for each in target if each in in_sync]
        needed = [each for each in target if each in self.adding or active(each)]
        enough = min(len(in_sync), min_insync_replicas, len(target))
        done = bool(staying) and set(needed) <= set(staying) and len(staying) >= enough
        return Move(target) if done else self
