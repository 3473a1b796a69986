"""Where the other nodes are: what each source says, the freshest source first.

In: addresses from gossip, the metadata image, the voters' record, and what is read in answers. Out: one address per
node. Hints only: who is at an address is proved on connecting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from sprawl.quorum.image import BrokerImage
from sprawl.quorum.voters import LISTENER, Address

HOST_LABEL: Final = "SPRAWL-HOST"
"""No listener: what stands under this name, as host, is the label of the machine that the broker is on. Kafka's record
of a broker has no other place for it."""
Source = Callable[[int], Address | None]


def peer_address(broker: BrokerImage) -> Address | None:
    """Where the other nodes find a broker."""
    found = [each for each in broker.listeners if each.name == LISTENER] or broker.listeners[:1]
    return Address(found[0].host, found[0].port) if found else None


def host_label(broker: BrokerImage) -> str:
    """The machine a broker is on: as it says, or else by the address it has for other nodes."""
    for each in broker.listeners:
        if each.name == HOST_LABEL:
            return each.host
    address = peer_address(broker)
    return "" if address is None else address.host


class AddressBook:
    def __init__(self, me: int, seeds: Iterable[Address] = ()) -> None:
        self._me = me
        self._sources: list[Source] = []
        self._told: dict[int, Address] = {}
        self.seeds = tuple(seeds)
        """Addresses of nodes that are not known by number."""

    def ask_also(self, source: Source) -> None:
        """Ask `source` where those asked before do not know."""
        self._sources.append(source)

    def learn(self, node_id: int, address: Address) -> None:
        """Another node says so: used where no source knows better."""
        if node_id != self._me and address.host and 0 < address.port < 1 << 16:
            self._told[node_id] = address

    @property
    def told(self) -> dict[int, Address]:
        return dict(self._told)

    def of(self, node_id: int) -> Address | None:
        for source in self._sources:
            found = source(node_id)
            if found is not None:
                return found
        return self._told.get(node_id)

    def pair(self, node_id: int) -> tuple[str, int] | None:
        found = self.of(node_id)
        return None if found is None else (found.host, found.port)
