"""How fast this node copies replicas that are throttled (KIP-73): so that a move leaves room for clients.

In: bytes as they come, and `now`. Out: whether a partition is to wait. Throttled are the replicas that the topic's
`follower.replication.throttled.replicas` names, until they are in sync; all of them together take
`follower.replication.throttled.rate` bytes a second. What came in one piece is paid for by a pause of its own length,
less one second: a copy that has nearly caught up is not held back any more, or it would never be in sync.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sprawl.partitions.partition import Partition

_EVERY: Final = "*"
UNLIMITED: Final = 2**63 - 1
_ALLOWANCE: Final = 1.0
"""Seconds that may be owed."""


class ReplicationThrottle:
    def __init__(self, node_id: int, rate: Callable[[], int], now: Callable[[], float]) -> None:
        """`rate`: bytes a second."""
        self._node_id = node_id
        self._rate = rate
        self._now = now
        self._paid_at = 0.0

    def holds(self, partition: Partition) -> bool:
        return self._paid_at > self._now() + _ALLOWANCE and self._covers(partition)

    def took(self, partition: Partition, size: int) -> None:
        rate = self._rate()
        if size and rate != UNLIMITED and self._covers(partition):
            self._paid_at = max(self._paid_at, self._now()) + size / max(rate, 1)

    def _covers(self, partition: Partition) -> bool:
        throttled = partition.config.follower_replication_throttled_replicas
        if not throttled or partition.in_sync or self._rate() == UNLIMITED:
            return False
        return _EVERY in throttled or f"{partition.index}:{self._node_id}" in throttled
