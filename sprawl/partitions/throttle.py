"""How fast this node copies replicas that are not in sync yet: so that a copy leaves room for clients.

In: bytes as they come, and `now`. Out: whether a partition is to wait. Those that a topic's
`follower.replication.throttled.replicas` names share `follower.replication.throttled.rate` bytes a second (KIP-73), all
others `sprawl.rebuild.bytes.per.second`. What came in one piece is paid for by a pause of its own length, less one
second: a copy that has nearly caught up is not held back any more, or it would never be in sync.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sprawl.partitions.partition import Partition

_EVERY: Final = "*"
UNLIMITED: Final = 2**63 - 1
_ALLOWANCE: Final = 1.0
"""Seconds that may be owed."""


@dataclass(slots=True)
class _Budget:
    rate: Callable[[], int]
    """Bytes a second."""
    paid_at: float = 0.0


class ReplicationThrottle:
    def __init__(
        self, node_id: int, rate: Callable[[], int], now: Callable[[], float], rebuild_rate: int = UNLIMITED
    ) -> None:
        """Bytes a second: `rate` for the replicas that a topic names, `rebuild_rate` for the others."""
        self._node_id = node_id
        self._now = now
        self._named = _Budget(rate)
        self._others = _Budget(lambda: rebuild_rate)

    def holds(self, partition: Partition) -> bool:
        budget = self._budget_of(partition)
        return budget is not None and budget.paid_at > self._now() + _ALLOWANCE

    def took(self, partition: Partition, size: int) -> None:
        budget = self._budget_of(partition)
        if size and budget is not None:
            budget.paid_at = max(budget.paid_at, self._now()) + size / max(budget.rate(), 1)

    def _budget_of(self, partition: Partition) -> _Budget | None:
        if partition.in_sync:
            return None
        throttled = partition.config.follower_replication_throttled_replicas
        named = _EVERY in throttled or f"{partition.index}:{self._node_id}" in throttled
        budget = self._named if named else self._others
        return None if budget.rate() == UNLIMITED else budget
