"""UDP endpoints over asyncio-dgram.

In: datagrams from anyone. Out: the same, in order of arrival. Never an unbounded queue: what arrives while `LIMIT`
datagrams wait is dropped, as the kernel would do; never an error for a datagram that got lost.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from asyncio_dgram import TransportClosed
from asyncio_dgram.aio import DatagramServer, Protocol

log = logging.getLogger(__name__)

LIMIT: Final = 4096
"""Datagrams that may wait for `receive`; at 1,400 bytes each this is under 6 MB."""


class RealDatagram:
    __slots__ = ("_port", "_server")

    def __init__(self, server: DatagramServer) -> None:
        self._server = server
        self._port: int = server.sockname[1]

    @property
    def port(self) -> int:
        return self._port

    async def send(self, payload: bytes, host: str, port: int) -> None:
        try:
            await self._server.send(payload, (host, port))
        except TransportClosed:
            raise ConnectionError(f"the UDP endpoint on port {self._port} is closed") from None
        except OSError as error:  # of an earlier datagram or of this one: lost, which UDP may do to any
            log.debug("datagram to %s:%d not sent: %s", host, port, error)

    async def receive(self) -> tuple[bytes, tuple[str, int]]:
        while True:
            try:
                payload, address = await self._received()
            except TransportClosed:
                raise ConnectionError(f"the UDP endpoint on port {self._port} is closed") from None
            except OSError as error:  # reported late for something sent earlier
                log.debug("datagram reported lost: %s", error)
            else:
                return payload, address[:2]

    def close(self) -> None:
        self._server.close()

    async def _received(self) -> tuple[bytes, Any]:
        return await self._server.recv()


class _Bounded(Protocol):
    """asyncio-dgram's protocol, but with an end to its patience."""

    def __init__(self, waiting: asyncio.Queue[Any], errors: asyncio.Queue[Any], drained: asyncio.Event) -> None:
        super().__init__(waiting, errors, drained)
        self._waiting = waiting
        self._errors = errors

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._waiting.qsize() < LIMIT:
            super().datagram_received(data, addr)

    def error_received(self, exc: Exception) -> None:
        if self._errors.qsize() < LIMIT:
            super().error_received(exc)


async def bind(host: str, port: int) -> RealDatagram:
    waiting: asyncio.Queue[Any] = asyncio.Queue()
    errors: asyncio.Queue[Any] = asyncio.Queue()
    drained = asyncio.Event()
    transport: Any
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Bounded(waiting, errors, drained),
        local_addr=(host or "0.0.0.0", port),  # noqa: S104 - asked for by ""
    )
    return RealDatagram(DatagramServer(transport, waiting, errors, drained))
