"""Who holds what, and what that makes each node carry: arrays, for hundreds of nodes and thousands of partitions.

Nodes and partitions are numbered from 0 here; whoever asks keeps the list of what the numbers stand for. A partition's
leader carries its whole load, each of its followers a part of it (`FOLLOWER`), for what it fetches and writes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sprawl.intelligence.foresight.grid import Array, Integers, Mask

FOLLOWER: Final = 0.25
NOBODY: Final = -1


@dataclass(frozen=True, slots=True)
class Cluster:
    replicas: Integers
    """[partition, place]: nodes; `NOBODY` where a partition has fewer replicas than others."""
    leader: Integers
    """[partition]: a node."""
    in_sync: Mask
    """[partition, place]"""
    racks: Integers
    """[node]"""
    alive: Mask
    """[node]"""
    capacity: Array
    """[node]: the load that a node can carry."""
    disk: Array
    """[partition]: bytes of one replica."""
    disk_capacity: Array
    """[node]"""

    @property
    def under_replicated(self) -> bool:
        held = self.replicas != NOBODY
        return bool((held & ~self.in_sync).any() or not self.alive[self.replicas[held]].all())

    def shares(self) -> Array:
        """`[partition, node]`: the part of each partition's load that a node carries."""
        shares = np.zeros((len(self.leader), len(self.capacity)))
        rows, places = np.nonzero(self.replicas != NOBODY)
        shares[rows, self.replicas[rows, places]] = FOLLOWER
        shares[np.arange(len(self.leader)), self.leader] = 1.0
        return shares

    def stored(self) -> Array:
        """`[node]`: bytes."""
        rows, places = np.nonzero(self.replicas != NOBODY)
        held: Array = np.bincount(self.replicas[rows, places], self.disk[rows], len(self.capacity)).astype(np.float64)
        return held

    def with_leader(self, partition: int, node: int) -> Cluster:
        leader = self.leader.copy()
        leader[partition] = node
        return replace(self, leader=leader)

    def with_replica(self, partition: int, gone: int, come: int) -> Cluster:
        """The replica on `gone` stands on `come`; if it led, the new one leads."""
        replicas = self.replicas.copy()
        replicas[partition] = np.where(replicas[partition] == gone, come, replicas[partition])
        leader = self.leader
        if leader[partition] == gone:
            leader = leader.copy()
            leader[partition] = come
        return replace(self, replicas=replicas, leader=leader)
