"""Which moves could take load off a node at all: by leaders, or by replicas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sprawl.intelligence.balance.cluster import FOLLOWER, NOBODY, Cluster
from sprawl.intelligence.balance.moves import What
from sprawl.intelligence.foresight.grid import Array, Integers, Mask


@dataclass(frozen=True, slots=True)
class Candidates:
    """Of each the partition, where to, and the part of the partition's load that goes with it.

    `square`: by how much the square of a node's part changes.
    """

    what: What
    partitions: Integers
    targets: Integers
    share: Array
    square: Array

    def where(self, allowed: Mask) -> Candidates:
        return Candidates(
            self.what, self.partitions[allowed], self.targets[allowed], self.share[allowed], self.square[allowed]
        )

    def only(self, number: int) -> Candidates:
        return self.where(np.arange(len(self.partitions)) == number)


Finder = Callable[[Cluster, int], Candidates]


def leader_moves(cluster: Cluster, source: int) -> Candidates:
    """To any other living replica that is in sync."""
    led = np.flatnonzero(cluster.leader == source)
    places = cluster.replicas[led]
    fit = cluster.in_sync[led] & (places != NOBODY) & (places != source) & cluster.alive[places]
    rows, columns = np.nonzero(fit)
    eased, parted = np.full(len(rows), 1 - FOLLOWER), np.full(len(rows), 1 - FOLLOWER**2)
    return Candidates(What.LEADER, led[rows], places[rows, columns], eased, parted)


def replica_moves(disk_limit: float) -> Finder:
    """To any living node that has no replica of it, has room for it, and stands in no rack of its other replicas."""

    def find(cluster: Cluster, source: int) -> Candidates:
        held = np.flatnonzero((cluster.replicas == source).any(axis=1))
        nodes = np.arange(len(cluster.capacity))
        stored = cluster.stored()
        fit = (stored + cluster.disk[held, None] <= disk_limit * cluster.disk_capacity) & cluster.alive
        for place in range(cluster.replicas.shape[1]):
            there = cluster.replicas[held, place][:, None]
            fit &= nodes != there
            if len(np.unique(cluster.racks)) >= cluster.replicas.shape[1]:
                fit &= (cluster.racks != cluster.racks[there]) | (there == source) | (there == NOBODY)
        rows, targets = np.nonzero(fit)
        share = np.where(cluster.leader[held[rows]] == source, 1.0, FOLLOWER)
        return Candidates(What.REPLICA, held[rows], targets, share, share**2)

    return find
