"""A simulated UDP endpoint: datagrams may be lost, doubled, late or out of order, as the link says.

In: datagrams. Out: datagrams, whole or not at all. Never more than `LIMIT` waiting.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from typing import TYPE_CHECKING, Final

from sprawl.runtime.simulated.trace import Event

if TYPE_CHECKING:
    from sprawl.runtime.simulated.fabric import Fabric
    from sprawl.runtime.simulated.node import Process

LIMIT: Final = 4096
_LARGEST: Final = 65507

Arrival = tuple[bytes, tuple[str, int]]


class SimulatedDatagram:
    __slots__ = ("_arrived", "_closed", "_fabric", "_loopback_only", "_port", "_readers", "process")

    def __init__(self, fabric: Fabric, process: Process, port: int, *, loopback_only: bool) -> None:
        self.process = process
        self._fabric = fabric
        self._port = port
        self._loopback_only = loopback_only
        self._arrived: deque[Arrival] = deque()
        self._readers: deque[asyncio.Future[None]] = deque()
        self._closed = False

    @property
    def port(self) -> int:
        return self._port

    async def send(self, payload: bytes, host: str, port: int) -> None:
        self.process.check()
        if self._closed:
            raise ConnectionError(f"the UDP endpoint on port {self._port} is closed")
        if len(payload) > _LARGEST:
            return  # as the kernel would: EMSGSIZE, which is a loss like any other
        here = self.process.node
        try:
            target = self._fabric.resolve(host, here)
        except OSError:
            return
        link = self._fabric.links.between(here.name, target.name)
        scheduler = self._fabric.scheduler
        rng = scheduler.rng
        if link.udp_blocked or rng.random() < link.udp_loss:
            return
        loopback = target is here and host != here.name and host != here.address
        sender = ("127.0.0.1" if loopback else here.address, self._port)
        copies = 2 if rng.random() < link.udp_duplicates else 1
        for _ in range(copies):
            delay = link.delay(len(payload), rng)
            if rng.random() < link.udp_reordered:
                delay += rng.random() * link.reorder_delay
            scheduler.after(delay, self._reached, ((target.name, port), (bytes(payload), sender)))

    async def receive(self) -> Arrival:
        while not self._arrived:
            if self._closed:
                raise ConnectionError(f"the UDP endpoint on port {self._port} is closed")
            reader = self.process.loop.create_future()
            self._readers.append(reader)
            try:
                await reader
            except asyncio.CancelledError:
                if reader.done() and not reader.cancelled():
                    self._wake_one()
                raise
        return self._arrived.popleft()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._arrived.clear()
            key = (self.process.node.name, self._port)
            if self._fabric.datagrams.get(key) is self:
                del self._fabric.datagrams[key]
            while self._readers:
                self._wake_one()

    def _reached(self, sent: tuple[tuple[str, int], Arrival]) -> None:
        key, (payload, sender) = sent
        target = self._fabric.datagrams.get(key)
        if target is None or not target.process.node.up:
            return
        if target._loopback_only and sender[0] != "127.0.0.1":
            return
        if len(target._arrived) < LIMIT:
            self._fabric.trace(Event.DATAGRAM, key[1], len(payload), zlib.crc32(payload))
            target._arrived.append((payload, sender))
            target._wake_one()

    def _wake_one(self) -> None:
        while self._readers:
            reader = self._readers.popleft()
            if not reader.done():
                reader.set_result(None)
                return
