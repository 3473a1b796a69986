"""What lies between the nodes: how long a message takes from one to another, and whether it gets there at all.

In: pairs of node names, and what a test does to them. Out: delays and fates, drawn by seed. Every link is one way, so
that a partition can be too. Never holds a message: connections and datagrams do.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace


@dataclass(slots=True)
class Link:
    """Conditions from one node to another. Times in seconds, chances from 0 to 1. May be changed at any moment."""

    latency: float = 0.0003
    jitter: float = 0.0002
    bandwidth: float = 1e9
    tcp_blocked: bool = False
    tcp_loss: float = 0.0
    udp_blocked: bool = False
    udp_loss: float = 0.0
    udp_duplicates: float = 0.0
    udp_reordered: float = 0.0
    reorder_delay: float = 0.02

    def delay(self, size: int, rng: random.Random) -> float:
        return self.latency + rng.expovariate(1.0) * self.jitter + size / self.bandwidth


class Links:
    """All pairs. A pair not spoken of has the default conditions; a node's link to itself is never cut by `split`."""

    __slots__ = ("_links", "_names", "default")

    def __init__(self) -> None:
        self.default = Link()
        self._links: dict[tuple[str, str], Link] = {}
        self._names: list[str] = []

    def add_node(self, name: str) -> None:
        self._names.append(name)

    def between(self, source: str, target: str) -> Link:
        link = self._links.get((source, target))
        if link is None:
            link = Link(latency=2e-5, jitter=1e-5) if source == target else replace(self.default)
            self._links[source, target] = link
        return link

    def all(self) -> list[Link]:
        """Every link between two different nodes."""
        return [self.between(source, target) for source in self._names for target in self._names if source != target]

    def block(self, source: str, target: str, *, both_ways: bool = True, tcp: bool = True, udp: bool = True) -> None:
        link = self.between(source, target)
        link.tcp_blocked = link.tcp_blocked or tcp
        link.udp_blocked = link.udp_blocked or udp
        if both_ways:
            self.block(target, source, both_ways=False, tcp=tcp, udp=udp)

    def split(self, *groups: Iterable[str], tcp: bool = True, udp: bool = True) -> None:
        """Nothing passes between nodes of different groups. A node in no group reaches all."""
        of_node = {name: index for index, group in enumerate(groups) for name in group}
        for source, side in of_node.items():
            for target, other in of_node.items():
                if side != other:
                    self.block(source, target, both_ways=False, tcp=tcp, udp=udp)

    def isolate(self, name: str, *, tcp: bool = True, udp: bool = True) -> None:
        for other in self._names:
            if other != name:
                self.block(name, other, tcp=tcp, udp=udp)

    def heal(self) -> None:
        """Lift all blocks and losses; latencies stay."""
        for link in self._links.values():
            link.tcp_blocked = link.udp_blocked = False
            link.tcp_loss = link.udp_loss = link.udp_duplicates = link.udp_reordered = 0.0
