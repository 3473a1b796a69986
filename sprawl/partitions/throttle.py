"""How fast replicas that are not in sync yet are copied: so that a copy leaves room for clients (KIP-73).

In: bytes as they come or go, and `now`. Out: whether a partition is to wait. What came in one piece is paid for by a
pause of its own length, less one second: a copy that has nearly caught up is not held back any more, or it would never
be in sync.

- Where copies are made, those that a topic's `follower.replication.throttled.replicas` names share
  `follower.replication.throttled.rate` bytes a second, all others `sprawl.rebuild.bytes.per.second`.
- Where they are made from, those that `leader.replication.throttled.replicas` names share
  `leader.replication.throttled.rate`. Replicas in sync are neither held back nor counted; in Kafka they count, so that
  a rate below what is produced would hold a copy back for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
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

    @property
    def limited(self) -> bool:
        return self.rate() != UNLIMITED

    def exhausted(self, now: float) -> bool:
        return self.paid_at > now + _ALLOWANCE

    def spend(self, size: int, now: float) -> None:
        self.paid_at = max(self.paid_at, now) + size / max(self.rate(), 1)


class ReplicationThrottle:
    """Of what this node copies."""

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
        return budget is not None and budget.exhausted(self._now())

    def took(self, partition: Partition, size: int) -> None:
        budget = self._budget_of(partition)
        if size and budget is not None:
            budget.spend(size, self._now())

    def _budget_of(self, partition: Partition) -> _Budget | None:
        if partition.in_sync:
            return None
        named = _names(partition.config.follower_replication_throttled_replicas, partition, self._node_id)
        budget = self._named if named else self._others
        return budget if budget.limited else None


class LeaderThrottle:
    """Of what this node gives to be copied."""

    def __init__(self, node_id: int, rate: Callable[[], int], now: Callable[[], float]) -> None:
        """Bytes a second."""
        self._node_id = node_id
        self._now = now
        self._budget = _Budget(rate)

    def room(self, partition: Partition, follower: int) -> int:
        """How many bytes of it `follower` may have at once: none for now, or a second's worth."""
        if not self._counts(partition, follower):
            return UNLIMITED
        return 0 if self._budget.exhausted(self._now()) else max(self._budget.rate(), 1)

    def gave(self, partition: Partition, follower: int, size: int) -> None:
        if size and self._counts(partition, follower):
            self._budget.spend(size, self._now())

    def _counts(self, partition: Partition, follower: int) -> bool:
        throttled = partition.config.leader_replication_throttled_replicas
        if not throttled or partition.insync is None or follower in partition.insync.isr:
            return False
        return _names(throttled, partition, self._node_id) and self._budget.limited


def _names(throttled: Collection[str], partition: Partition, node_id: int) -> bool:
    return _EVERY in throttled or f"{partition.index}:{node_id}" in throttled
