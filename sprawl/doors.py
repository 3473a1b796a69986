"""The doors of a node: its listeners, and under which addresses clients and other nodes find them.

In: the settings, the dispatcher that answers what comes in. Out: open ports; the addresses as the cluster's metadata
keeps them. Whether clients are answered yet is for the dispatcher to say, not for these.
"""

from __future__ import annotations

import asyncio
import itertools
import math
from typing import Final

from sprawl.config.broker import BrokerConfig, Routing
from sprawl.config.listeners import PROTOCOLS
from sprawl.quorum.addresses import HOST_LABEL
from sprawl.quorum.image import ListenerImage
from sprawl.quorum.voters import LISTENER as PEER_LISTENER
from sprawl.quorum.voters import Address
from sprawl.runtime import Runtime
from sprawl.wire.dispatch import Dispatcher
from sprawl.wire.limits import ConnectionLimits, RequestMemory
from sprawl.wire.listener import KafkaListener

_WILDCARDS: Final = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - recognised, not bound to


class Doors:
    def __init__(self, config: BrokerConfig, runtime: Runtime, dispatcher: Dispatcher) -> None:
        self._config = config
        self._runtime = runtime
        self._dispatcher = dispatcher
        self._listeners: list[KafkaListener] = []

    async def open(self) -> None:
        """Raises `OSError` if an address cannot be had; `close` closes those that could."""
        limits = _connection_limits(self._config)
        memory = RequestMemory(self._config.request_memory_bytes)
        ids = itertools.count(1)
        for endpoint in self._config.endpoints:
            listener = KafkaListener(
                endpoint.name,
                endpoint.host,
                endpoint.port,
                network=self._runtime.network,
                clock=self._runtime.clock,
                dispatcher=self._dispatcher,
                limits=limits,
                memory=memory,
                ids=ids,
            )
            await listener.open()
            listener.serve()
            self._listeners.append(listener)

    def drain(self) -> None:
        """Answer what has come in; take nothing more."""
        for listener in self._listeners:
            listener.drain()

    async def drained(self, patience: float) -> None:
        """Returns once everything is answered, or after `patience` seconds."""
        await asyncio.gather(*(listener.drained(patience) for listener in self._listeners))

    async def close(self) -> None:
        for listener in reversed(self._listeners):
            await listener.stop()

    @property
    def addresses(self) -> list[tuple[str, str, int]]:
        """Name, host and port of each listener."""
        return [(listener.name, listener.host, listener.port) for listener in self._listeners]

    def connections(self) -> dict[str, int]:
        """How many are open, by listener."""
        return {listener.name: listener.connections for listener in self._listeners}

    @property
    def name(self) -> str:
        """The first listener's."""
        return self._config.endpoints[0].name

    @property
    def port(self) -> int:
        """The first listener's: where other nodes come in."""
        return self._listeners[0].port if self._listeners else self._config.endpoints[0].port

    @property
    def pair(self) -> tuple[str, int]:
        """Where other nodes find this one: where it listens; what is advertised may be a proxy before all nodes."""
        endpoint = self._config.endpoints[0]
        if endpoint.host not in _WILDCARDS:
            return endpoint.host, self.port
        if self._config.sprawl_routing is Routing.DIRECT:
            return endpoint.advertised_host, endpoint.advertised_port or self.port
        return self._config.sprawl_host, self.port

    @property
    def address(self) -> Address:
        return Address(*self.pair)

    def images(self) -> tuple[ListenerImage, ...]:
        """The addresses that clients are to use, the one for other nodes, and which machine this is."""
        endpoints = self._config.endpoints
        return (
            *(
                ListenerImage(
                    endpoint.name,
                    endpoint.advertised_host,
                    endpoint.advertised_port or listener.port,
                    PROTOCOLS.index(endpoint.protocol),
                )
                for endpoint, listener in zip(endpoints, self._listeners, strict=True)
            ),
            ListenerImage(PEER_LISTENER, *self.pair, PROTOCOLS.index(endpoints[0].protocol)),
            *([ListenerImage(HOST_LABEL, self._config.sprawl_host, 0, 0)] if self._config.sprawl_host else []),
        )


def _connection_limits(config: BrokerConfig) -> ConnectionLimits:
    return ConnectionLimits(
        max_frame=config.socket_request_max_bytes,
        max_pipelined=config.queued_max_requests,
        max_idle=config.connections_max_idle_ms / 1000 if config.connections_max_idle_ms >= 0 else math.inf,
        max_frame_time=config.sprawl_request_read_timeout_ms / 1000,
        max_connections=config.max_connections,
        max_connections_per_host=config.max_connections_per_ip,
        backlog=config.socket_listen_backlog_size,
    )
