"""The replica fetchers of a node: one for each other node that leads a partition which is replicated here.

In: partitions as their leaders change. Out: fetchers started, fed and stopped. Owns their tasks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from sprawl.partitions.fetcher import FetchPace, ReplicaFetcher
from sprawl.partitions.partition import NOBODY, Partition
from sprawl.partitions.throttle import ReplicationThrottle
from sprawl.quorum.following import Peers
from sprawl.runtime import Clock

log = logging.getLogger(__name__)


class ReplicaFetchers:
    def __init__(
        self,
        node_id: int,
        peers: Peers,
        clock: Clock,
        broker_epoch: Callable[[], int],
        throttle: ReplicationThrottle,
        pace: FetchPace,
    ) -> None:
        self._node_id = node_id
        self._peers = peers
        self._clock = clock
        self._broker_epoch = broker_epoch
        self._throttle = throttle
        self._pace = pace
        self._running: dict[int, tuple[ReplicaFetcher, asyncio.Task[None]]] = {}
        self._leader_of: dict[Partition, int] = {}

    def update(self, partition: Partition) -> None:
        """Its leader may be another now, or none, or this node."""
        leader = NOBODY if partition.leading or partition.leader == self._node_id else partition.leader
        before = self._leader_of.get(partition, NOBODY)
        if before not in (NOBODY, leader):
            self.remove(partition)
        if leader != NOBODY:
            self._leader_of[partition] = leader
            self._fetcher(leader).add(partition)

    def remove(self, partition: Partition) -> None:
        """It is not kept here any more."""
        leader = self._leader_of.pop(partition, NOBODY)
        if leader != NOBODY and leader in self._running:
            self._running[leader][0].remove(partition)

    def _fetcher(self, leader: int) -> ReplicaFetcher:
        running = self._running.get(leader)
        if running is None:
            fetcher = ReplicaFetcher(
                self._node_id, leader, self._peers, self._clock, self._broker_epoch, self._throttle, self._pace
            )
            task = asyncio.create_task(fetcher.run(), name=f"follow node {leader}")
            task.add_done_callback(_report)
            running = self._running[leader] = (fetcher, task)
        return running[0]

    async def stop(self) -> None:
        tasks = [task for _, task in self._running.values()]
        self._running.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical("following a leader broke; this is a bug", exc_info=task.exception())
