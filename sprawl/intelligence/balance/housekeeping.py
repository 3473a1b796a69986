"""The goals that need no forecast: replicas in different racks, disks not too full, leaders and replicas in even
numbers.

Each answers with the one move that helps most, or with none.
"""

from __future__ import annotations

import numpy as np

from sprawl.intelligence.balance.candidates import Candidates, leader_moves, replica_moves
from sprawl.intelligence.balance.cluster import NOBODY, Cluster
from sprawl.intelligence.balance.moves import Goal, Move, What
from sprawl.intelligence.foresight.grid import Integers, Mask

_UNEVEN = 1.2
"""A node may have so many times its part, and two more, before numbers alone move anything."""


def rack_move(cluster: Cluster, disk_limit: float, resting: Mask) -> Move | None:
    """Takes apart two replicas that stand in one rack, while there is a rack without one."""
    width = cluster.replicas.shape[1]
    if len(np.unique(cluster.racks[cluster.alive])) < width:
        return None
    find = replica_moves(disk_limit)
    for partition in np.flatnonzero(_doubled(cluster) & ~resting):
        nodes = cluster.replicas[partition][cluster.replicas[partition] != NOBODY]
        racks = cluster.racks[nodes]
        for place, node in enumerate(nodes):
            if (racks[:place] == racks[place]).any():
                found = find(cluster, int(node))
                targets = found.targets[found.partitions == partition]
                if len(targets):
                    target = int(targets[cluster.stored()[targets].argmin()])
                    return _copied(cluster, Goal.RACK, int(partition), int(node), target, 0, 0, 0)
    return None


def _doubled(cluster: Cluster) -> Mask:
    """The partitions with two replicas in one rack."""
    nobody = -1 - np.arange(cluster.replicas.shape[1])
    racks = np.sort(np.where(cluster.replicas == NOBODY, nobody, cluster.racks[cluster.replicas]), axis=1)
    return np.asarray((racks[:, 1:] == racks[:, :-1]).any(axis=1))


def disk_move(cluster: Cluster, disk_limit: float, resting: Mask) -> Move | None:
    """From the fullest disk beyond the limit its largest replica that fits elsewhere."""
    full = cluster.stored() / cluster.disk_capacity
    source = int(full.argmax())
    if full[source] <= disk_limit:
        return None
    found = replica_moves(disk_limit)(cluster, source)
    found = found.where(~resting[found.partitions])
    if not len(found.partitions):
        return None
    size = cluster.disk[found.partitions]
    room = cluster.disk_capacity[found.targets]
    first = int((size / size.max() - full[found.targets]).argmax())
    partition, target = int(found.partitions[first]), int(found.targets[first])
    after = full[source] - size[first] / cluster.disk_capacity[source]
    return _copied(
        cluster, Goal.DISK, partition, source, target, full[source], after, full[target] + size[first] / room[first]
    )


def leader_count_candidates(cluster: Cluster) -> tuple[int, Candidates] | None:
    """From the node that leads too many to those that lead fewest."""
    counts = np.bincount(cluster.leader, minlength=len(cluster.capacity))
    return _fewest(counts, cluster, leader_moves(cluster, int(counts.argmax())))


def replica_count_candidates(cluster: Cluster, disk_limit: float) -> tuple[int, Candidates] | None:
    held = cluster.replicas[cluster.replicas != NOBODY]
    counts = np.bincount(held, minlength=len(cluster.capacity))
    return _fewest(counts, cluster, replica_moves(disk_limit)(cluster, int(counts.argmax())))


def _fewest(counts: Integers, cluster: Cluster, found: Candidates) -> tuple[int, Candidates] | None:
    part = counts.sum() / cluster.alive.sum()
    if counts.max() <= _UNEVEN * part + 2:
        return None
    fewer = found.where(counts[found.targets] < part)
    return (int(counts.argmax()), fewer) if len(fewer.partitions) else None


def _copied(
    cluster: Cluster, goal: Goal, partition: int, source: int, target: int, before: float, after: float, there: float
) -> Move:
    size = float(cluster.disk[partition])
    return Move(What.REPLICA, partition, source, target, goal, 0, float(before), float(after), float(there), size)
