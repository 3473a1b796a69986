"""What address a client is told for a broker.

In: the brokers of the image, and how the client came in. Out: host and port by broker. With `sprawl.routing=direct`, as
in Kafka: what the broker advertises for the client's own listener; brokers without such a listener cannot be reached
from there. With `any`: one address for all of them, the one that this node advertises, or else the one the client came
through; whatever node it then reaches answers for all.

With `any`, clients route by one broker alone: several clients (librdkafka up to 2.0, kafkajs) keep one broker per
address, and would look for the others for ever. It is the registered one with the least id, alive or not: it answers
through whatever node the client reaches, and its id stays while leaders come and go. What operators look at
(DescribeCluster, DescribeTopicPartitions) still names every broker and the true leaders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sprawl.quorum.image import BrokerImage, MetadataImage


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Routes:
    reachable: Mapping[int, Address]
    """The brokers that can be reached, whatever they are called to the client."""
    shown: Mapping[int, Address]
    """The brokers that the client is told."""
    face: int | None
    """The one that stands for all of them, if one does."""

    def shown_as(self, broker: int) -> int | None:
        """The id of a broker to the client; None if it cannot be reached."""
        if broker not in self.reachable:
            return None
        return broker if self.face is None else self.face

    def rack_of(self, shown: int, image: MetadataImage) -> str | None:
        """None of a broker that stands for all: its address leads into every rack."""
        broker = image.brokers.get(shown)
        return None if broker is None or self.face is not None else broker.rack


class Entrance(Protocol):
    """How a client came in."""

    @property
    def listener(self) -> str: ...
    @property
    def local_address(self) -> tuple[str, int]: ...


class Endpoints:
    def __init__(
        self,
        image: Callable[[], MetadataImage],
        *,
        any_node: bool = False,
        advertised: Mapping[str, Address] | None = None,
    ) -> None:
        """`advertised`: by listener, what this node was told to advertise; for `any_node` only."""
        self._image = image
        self._any_node = any_node
        self._advertised = advertised or {}

    def of(self, broker: BrokerImage, client: Entrance) -> Address | None:
        """None if the broker cannot be reached from where the client is."""
        if self._any_node:
            return self._advertised.get(client.listener) or Address(*client.local_address)
        for each in broker.listeners:
            if each.name == client.listener:
                return Address(each.host, each.port)
        return None

    def routes(self, client: Entrance) -> Routes:
        """What the client shall know of brokers in order to reach their partitions and groups."""
        reachable = self.reachable(client)
        if not self._any_node or not reachable:
            return Routes(reachable, reachable, None)
        face = min(self._image().brokers)
        return Routes(reachable, {face: next(iter(reachable.values()))}, face)

    def reachable(self, client: Entrance) -> dict[int, Address]:
        """The brokers that the client may go to, by id: not those that are fenced."""
        found = {id_: self.of(broker, client) for id_, broker in self._image().brokers.items() if not broker.fenced}
        return {id_: at for id_, at in found.items() if at is not None}
