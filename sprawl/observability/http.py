"""The status server: a few pages over HTTP/1.1, for probes and for Prometheus.

In: pages by path. Out: their content, to GET and HEAD. h11 reads and writes the protocol; here are only the limits:
so many connections, so many bytes of headers, so many seconds for a request. It never takes a body.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final, cast

import h11

from sprawl.observability.status import Page, Pages
from sprawl.runtime import Listener, Network

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 64
MAX_HEADER_BYTES: Final = 8192
REQUEST_SECONDS: Final = 10.0
"""How long a connection may take over a request, or stay open without one."""


class StatusServer:
    """Listens from `start` to `stop`. Making a page must not block."""

    def __init__(self, network: Network, pages: Pages) -> None:
        self._network = network
        self.pages = pages
        self._listener: Listener | None = None
        self.connections: set[_Connection] = set()

    async def start(self, host: str, port: int) -> int:
        """The port that was bound. Raises `OSError`."""
        self._listener = await self._network.listen(lambda: _Connection(self), host, port)
        return self._listener.port

    async def stop(self) -> None:
        if self._listener is None:
            return
        self._listener.close()
        for connection in list(self.connections):
            connection.close()
        await self._listener.wait_closed()
        self._listener = None


class _Connection(asyncio.Protocol):
    def __init__(self, server: StatusServer) -> None:
        self._server = server
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER_BYTES)
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from it
        self._transport = transport
        if len(self._server.connections) >= MAX_CONNECTIONS:
            transport.abort()
            return
        self._server.connections.add(self)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        if self._deadline is not None:
            self._deadline.cancel()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        try:
            self._serve()
        except h11.RemoteProtocolError as error:
            log.debug("status: not an HTTP request: %s", error)
            self._refuse(error)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _expect_request(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(REQUEST_SECONDS, self.close)

    def _serve(self) -> None:
        """Answer every request that has arrived whole."""
        while self._transport is not None:
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.ConnectionClosed):
                self.close()
                return
            if isinstance(event, h11.Data):
                raise h11.RemoteProtocolError("no body is wanted", error_status_hint=413)
            if isinstance(event, h11.Request):
                self._answer(event)
            if self._http.our_state is h11.MUST_CLOSE:
                self.close()
                return
            if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
                self._http.start_next_cycle()
                self._expect_request()

    def _answer(self, request: h11.Request) -> None:
        if request.method not in (b"GET", b"HEAD"):
            self._send(Page(405, "text/plain; charset=utf-8", b"only GET and HEAD\n"), allow=True)
            return
        with_body = request.method == b"GET"
        path = request.target.partition(b"?")[0].decode("latin-1")
        make = self._server.pages.get(path)
        if make is None:
            names = " ".join(self._server.pages)
            missing = Page(404, "text/plain; charset=utf-8", f"no such page; there are {names}\n".encode())
            self._send(missing, with_body=with_body)
        else:
            self._send(make(), with_body=with_body)

    def _refuse(self, error: h11.RemoteProtocolError) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send(Page(error.error_status_hint, "text/plain; charset=utf-8", f"{error}\n".encode()), close=True)
        self.close()

    def _send(self, page: Page, *, close: bool = False, allow: bool = False, with_body: bool = True) -> None:
        headers = [("Content-Type", page.content_type), ("Content-Length", str(len(page.body)))]
        if close:
            headers.append(("Connection", "close"))
        if allow:
            headers.append(("Allow", "GET, HEAD"))
        parts = [
            self._http.send(h11.Response(status_code=page.status, headers=headers)),
            self._http.send(h11.Data(data=page.body)) if with_body else b"",
            self._http.send(h11.EndOfMessage()),
        ]
        if self._transport is not None:
            self._transport.write(b"".join(part for part in parts if part))
