"""The network as one simulated process sees it: listen, connect, datagrams.

In: addresses, which are node names, their 10.x addresses, or the loopback. Out: listeners, transports, endpoints.
TLS is not played: both sides must ask for it or neither, and what passes is not encrypted.
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar, cast

from sprawl.runtime.interface import Datagram, Listener
from sprawl.runtime.simulated.datagrams import SimulatedDatagram
from sprawl.runtime.simulated.fabric import Fabric, Listening

if TYPE_CHECKING:
    from sprawl.runtime.simulated.node import Process, SimulatedNode

P = TypeVar("P", bound=asyncio.BaseProtocol)

_FIRST_RETRY: Final = 1.0


class SimulatedListener:
    __slots__ = ("_fabric", "_key", "_server")

    def __init__(self, fabric: Fabric, key: tuple[str, int], server: Listening) -> None:
        self._fabric = fabric
        self._key = key
        self._server = server

    @property
    def port(self) -> int:
        return self._key[1]

    def close(self) -> None:
        if self._fabric.listening.get(self._key) is self._server:
            del self._fabric.listening[self._key]

    async def wait_closed(self) -> None:
        await asyncio.sleep(0)


class SimulatedNetwork:
    __slots__ = ("_fabric", "_process")

    def __init__(self, fabric: Fabric, process: Process) -> None:
        self._fabric = fabric
        self._process = process

    async def listen(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        *,
        backlog: int = 1024,
        tls: ssl.SSLContext | None = None,
    ) -> Listener:
        self._process.check()
        node = self._process.node
        loopback_only = self._fabric.check_bindable(node, host)
        key = (node.name, port or self._fabric.free_port(node))
        if key in self._fabric.listening:
            raise OSError(errno.EADDRINUSE, f"{host}:{port} is in use")
        server = Listening(
            self._process, factory, backlog=backlog, loopback_only=loopback_only, secured=tls is not None
        )
        self._fabric.listening[key] = server
        return SimulatedListener(self._fabric, key, server)

    async def connect(
        self, factory: Callable[[], P], host: str, port: int, *, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.Transport, P]:
        self._process.check()
        target = self._fabric.resolve(host, self._process.node)
        loopback = target is self._process.node and host != target.name and host != target.address
        handshake = _Handshake(self._fabric, self._process, target, port, loopback)
        try:
            server = await handshake.answered
        except asyncio.CancelledError:
            handshake.forget()
            raise
        if server.secured != (tls is not None):
            server.waiting -= 1
            raise ssl.SSLError(1, f"{host}:{port} and its client do not agree on whether there is TLS")
        endpoint = self._fabric.connect_ends(self._process, server, port, loopback)
        protocol = factory()
        endpoint.open(protocol)
        return cast(asyncio.Transport, endpoint), protocol

    async def datagram(self, host: str, port: int) -> Datagram:
        self._process.check()
        node = self._process.node
        loopback_only = self._fabric.check_bindable(node, host)
        key = (node.name, port or self._fabric.free_port(node))
        if key in self._fabric.datagrams:
            raise OSError(errno.EADDRINUSE, f"{host}:{port} (UDP) is in use")
        endpoint = SimulatedDatagram(self._fabric, self._process, key[1], loopback_only=loopback_only)
        self._fabric.datagrams[key] = endpoint
        return endpoint


class _Handshake:
    """SYN, sent again with doubling pauses, until the target's kernel says yes or no or the time is up."""

    def __init__(self, fabric: Fabric, process: Process, target: SimulatedNode, port: int, loopback: bool) -> None:
        self.answered: asyncio.Future[Listening] = process.loop.create_future()
        self._fabric = fabric
        self._source = process.node
        self._target = target
        self._port = port
        self._loopback = loopback
        self._process = process
        self._pause = _FIRST_RETRY
        self._deadline = fabric.scheduler.now + fabric.connect_timeout
        self._attempt(None)

    def forget(self) -> None:
        """Whoever asked was cancelled, perhaps just after the answer had come."""
        if self.answered.done() and not self.answered.cancelled() and self.answered.exception() is None:
            self.answered.result().waiting -= 1

    def _attempt(self, _: None) -> None:
        if self.answered.done() or not self._process.alive:
            return
        scheduler = self._fabric.scheduler
        if scheduler.now >= self._deadline:
            self._fail(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
            return
        link = self._fabric.links.between(self._source.name, self._target.name)
        if not (link.tcp_blocked or scheduler.rng.random() < link.tcp_loss):
            scheduler.after(link.delay(0, scheduler.rng), self._reached)
        scheduler.at(min(scheduler.now + self._pause, self._deadline), self._attempt)
        self._pause *= 2

    def _reached(self, _: None) -> None:
        back = self._fabric.links.between(self._target.name, self._source.name)
        scheduler = self._fabric.scheduler
        if not self._target.up or back.tcp_blocked or scheduler.rng.random() < back.tcp_loss:
            return
        server = self._fabric.listening.get((self._target.name, self._port))
        if server is not None and server.loopback_only and not self._loopback:
            server = None
        if server is not None:
            if server.waiting >= server.backlog:
                return
            server.waiting += 1
        scheduler.after(back.delay(0, scheduler.rng), self._answer, server)

    def _answer(self, server: Listening | None) -> None:
        if self.answered.done() or not self._process.alive:
            if server is not None:
                server.waiting -= 1
        elif server is None:
            self._fail(ConnectionRefusedError(errno.ECONNREFUSED, f"{self._target.name}:{self._port} refused"))
        else:
            self.answered.set_result(server)

    def _fail(self, error: OSError) -> None:
        if not self.answered.done():
            self.answered.set_exception(error)
