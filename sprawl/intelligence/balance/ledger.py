"""What was moved lately, so that nothing moves too often or straight back."""

from __future__ import annotations

import numpy as np

from sprawl.intelligence.balance.moves import Move
from sprawl.intelligence.foresight.grid import Integers, Mask


class Ledger:
    def __init__(self, rest_seconds: float, return_seconds: float) -> None:
        self._rest, self._return = rest_seconds, return_seconds
        self._at: dict[int, float] = {}
        self._left: dict[tuple[int, int], float] = {}
        """When each partition last left each node."""

    def write(self, now: float, move: Move) -> None:
        self._at[move.partition] = now
        self._left[move.partition, move.source] = now
        for key in [key for key, at in self._left.items() if now - at > self._return]:
            del self._left[key]

    def resting(self, now: float, partitions: int) -> Mask:
        resting = np.zeros(partitions, dtype=np.bool_)
        recent = [each for each, at in self._at.items() if now - at < self._rest and each < partitions]
        resting[recent] = True
        return resting

    def allowed(self, now: float, partitions: Integers, targets: Integers) -> Mask:
        """Of pairs of a partition and where it would go."""
        if not len(partitions):
            return np.zeros(0, dtype=np.bool_)
        allowed = ~self.resting(now, int(partitions.max()) + 1)[partitions]
        for (partition, node), at in self._left.items():
            if now - at < self._return:
                allowed &= ~((partitions == partition) & (targets == node))
        return allowed
