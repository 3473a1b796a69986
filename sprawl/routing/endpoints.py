"""What address a client is told for a broker: the one that the broker advertises for the client's own listener.

In: a broker, and the listener that the client came in through. Out: host and port, or None if the broker has no such
listener and so cannot be reached from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sprawl.quorum.image import BrokerImage, MetadataImage


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int


class Endpoints:
    def __init__(self, image: Callable[[], MetadataImage]) -> None:
        self._image = image

    def of(self, broker: BrokerImage, listener: str) -> Address | None:
        for each in broker.listeners:
            if each.name == listener:
                return Address(each.host, each.port)
        return None

    def reachable(self, listener: str) -> dict[int, Address]:
        """The brokers that a client of this listener may go to, by id: not those that are fenced."""
        found = {id_: self.of(broker, listener) for id_, broker in self._image().brokers.items() if not broker.fenced}
        return {id_: at for id_, at in found.items() if at is not None}
