"""TCP and UDP by way of the running event loop.

In: protocol factories and addresses. Out: listeners, transports, datagram endpoints. Never reads a payload.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TypeVar

from sprawl.runtime.interface import Datagram, Listener

P = TypeVar("P", bound=asyncio.BaseProtocol)


class RealListener:
    __slots__ = ("_port", "_server")

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self._port: int = server.sockets[0].getsockname()[1]

    @property
    def port(self) -> int:
        return self._port

    def close(self) -> None:
        self._server.close()

    async def wait_closed(self) -> None:
        # Not Server.wait_closed: from Python 3.12 on that waits for every open connection too. The loop closes the
        # listening sockets within the turn after close().
        await asyncio.sleep(0)
        await asyncio.sleep(0)


class RealNetwork:
    """Sockets; TCP_NODELAY is set by the loops themselves (asyncio and uvloop alike)."""

    __slots__ = ()

    async def listen(
        self,
        factory: Callable[[], asyncio.BaseProtocol],
        host: str,
        port: int,
        *,
        backlog: int = 1024,
        tls: ssl.SSLContext | None = None,
    ) -> Listener:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(factory, host or None, port, backlog=backlog, ssl=tls, reuse_address=True)
        return RealListener(server)

    async def connect(
        self, factory: Callable[[], P], host: str, port: int, *, tls: ssl.SSLContext | None = None
    ) -> tuple[asyncio.Transport, P]:
        loop = asyncio.get_running_loop()
        return await loop.create_connection(factory, host, port, ssl=tls)

    async def datagram(self, host: str, port: int) -> Datagram:
        from sprawl.runtime.real import datagrams  # only a node that gossips needs asyncio-dgram

        return await datagrams.bind(host, port)
