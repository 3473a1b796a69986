"""What is fair: how much of the replicas and of the leaders each node should have, and how far it may be off.

In: nodes and a replication factor. Out: `Portion`: how many replicas of one partition may share a host or a rack, and
which part of a partition's replicas, and of its leadership, each node should have. A node can hold a partition only
once, a host and a rack only so often, so what small or crowded ones cannot take goes to the rest: shares are always
attainable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor
from typing import Final

from sprawl.overlay.ring import Candidate

SLACK: Final = 0.05  # how far from its fair share a node may be before anything moves
STRAIN: Final = 2.0  # a node carries at most this multiple of its weight's worth for the sake of spreading over racks
_DUST: Final = 1e-6  # sums of shares are floats


@dataclass(frozen=True, slots=True)
class Portion:
    """What holds for partitions of one replication factor. Nodes are named by their place."""

    per_host: int  # the most replicas of a partition that a host may have
    per_rack: int  # the same for a rack
    wished_per_rack: int  # what a rack should have at most as long as its nodes have room
    replicas: tuple[float, ...]
    leaders: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    fair: list[float]
    low: list[int]  # below this a node is given more
    tight: list[int]  # above this it is passed over while others have room
    high: list[int]  # above this it is relieved


def bounds(fair: Iterable[float]) -> Bounds:
    """Within 5% of the fair share where that is a whole replica, and within one replica where it is less."""
    shares = list(fair)
    return Bounds(
        shares,
        [min(whole(share), ceil(share * (1 - SLACK) - _DUST)) for share in shares],
        [ceil(share - _DUST) for share in shares],
        [max(ceil(share - _DUST), floor(share * (1 + SLACK) + _DUST)) for share in shares],
    )


def whole(share: float) -> int:
    return floor(share + _DUST)


def portion(nodes: Sequence[Candidate], replication_factor: int) -> Portion:
    """`replication_factor` must not exceed the number of nodes, all of which have weight.

    Hosts are shared only if there are too few. Racks are shared if there are too few, or if one is so small that its
    nodes would get more than `STRAIN` times what they get without racks.
    """
    racks = _racks(nodes)
    per_host = _level([len(host) for hosts in racks for host in hosts], replication_factor)
    roomy = [sum(min(per_host, len(host)) for host in hosts) for hosts in racks]
    wished = _level(roomy, replication_factor)
    unbound = _shares(nodes, racks, replication_factor, per_host, replication_factor)
    for per_rack in range(wished, replication_factor + 1):
        shares = _shares(nodes, racks, replication_factor, per_host, per_rack)
        if all(share <= STRAIN * free + _DUST for share, free in zip(shares, unbound, strict=True)):
            break
    leaders = _pour(1.0, [one.weight for one in nodes], shares)
    return Portion(per_host, per_rack, wished, tuple(shares), tuple(leaders))


def _racks(nodes: Sequence[Candidate]) -> list[list[list[int]]]:
    """The places of nodes by rack, and within it by host. Hosts of one name in two racks are two hosts."""
    racks: dict[str, dict[str, list[int]]] = {}
    for place, one in enumerate(nodes):
        racks.setdefault(one.rack, {}).setdefault(one.host, []).append(place)
    return [list(hosts.values()) for hosts in racks.values()]


def _shares(
    nodes: Sequence[Candidate], racks: list[list[list[int]]], replication_factor: int, per_host: int, per_rack: int
) -> list[float]:
    """What each node has of one partition: by weight among racks, then a rack's hosts, then a host's nodes."""
    shares = [0.0] * len(nodes)
    host_caps = [[float(min(per_host, per_rack, len(host))) for host in hosts] for hosts in racks]
    host_weights = [[sum(nodes[place].weight for place in host) for host in hosts] for hosts in racks]
    rack_caps = [min(float(per_rack), sum(caps)) for caps in host_caps]
    rack_shares = _pour(float(replication_factor), [sum(weights) for weights in host_weights], rack_caps)
    for hosts, weights, caps, rack_share in zip(racks, host_weights, host_caps, rack_shares, strict=True):
        for host, host_share in zip(hosts, _pour(rack_share, weights, caps), strict=True):
            poured = _pour(host_share, [nodes[place].weight for place in host], [1.0] * len(host))
            for place, share in zip(host, poured, strict=True):
                shares[place] = share
    return shares


def _level(sizes: Iterable[int], needed: int) -> int:
    """The smallest limit under which groups of these sizes hold `needed` together."""
    groups = list(sizes)
    limit = 1
    while sum(min(limit, size) for size in groups) < needed:
        limit += 1
    return limit


def _pour(amount: float, weights: Sequence[float], caps: Sequence[float]) -> list[float]:
    """`amount` by weight; what does not fit under a cap goes to the others."""
    poured = [0.0] * len(weights)
    left = sum(weights)
    for place in sorted(range(len(weights)), key=lambda one: caps[one] / weights[one]):
        poured[place] = min(caps[place], max(0.0, amount) * weights[place] / left) if left > 0 else 0.0
        amount -= poured[place]
        left -= weights[place]
    return poured
