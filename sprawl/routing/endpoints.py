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

    def of_id(self, broker_id: int, listener: str) -> Address | None:
        """None also for a broker that is not registered, or fenced: nobody should go there."""
        broker = self._image().brokers.get(broker_id)
        return None if broker is None or broker.fenced else self.of(broker, listener)
