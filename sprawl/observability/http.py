"""The status server: pages over HTTP/1.1 for probes and for Prometheus, and the HTTP API where there is one.

In: pages by path, and a service that answers what is no page. Out: their content. h11 reads and writes the protocol;
here are only the limits: so many connections, so many bytes of headers and of a body, so many seconds for a request.
Only the service takes bodies. One connection is answered one request after the other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, cast

import h11

from sprawl.observability.status import Page, Pages
from sprawl.runtime import Listener, Network

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 64
MAX_HEADER_BYTES: Final = 8192
MAX_BODY_BYTES: Final = 2 * 1024 * 1024
REQUEST_SECONDS: Final = 10.0
"""How long a connection may take over a request, or stay open without one."""
_NO_CONTENT: Final = 204
_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    method: str
    path: str
    """Still percent-encoded."""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case name."""
    body: bytes = b""
    client_host: str = ""


class Service(Protocol):
    """Answers what is no page."""

    def serves(self, path: str) -> bool: ...

    async def answer(self, request: HttpRequest) -> Page:
        """Whatever goes wrong is a page, too."""
        ...


class StatusServer:
    """Listens from `start` to `stop`. Making a page must not block."""

    def __init__(self, network: Network, pages: Pages, service: Service | None = None) -> None:
        self._network = network
        self.pages = pages
        self.service = service
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
        self._client_host = ""
        self._receiving: tuple[h11.Request, bytearray] | None = None
        """For the service: until the body is there."""
        self._answering: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from it
        self._transport = transport
        self._client_host = str((transport.get_extra_info("peername") or ("",))[0])
        if len(self._server.connections) >= MAX_CONNECTIONS:
            transport.abort()
            return
        self._server.connections.add(self)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._expect_nothing()
        self._transport = None
        if self._answering is not None:
            self._answering.cancel()

    def data_received(self, data: bytes) -> None:
        self._http.receive_data(data)
        self._go_on()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _expect_request(self) -> None:
        self._expect_nothing()
        self._deadline = asyncio.get_running_loop().call_later(REQUEST_SECONDS, self.close)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _go_on(self) -> None:
        try:
            self._serve()
        except h11.RemoteProtocolError as error:
            log.debug("status: not an HTTP request: %s", error)
            self._refuse(error)

    def _serve(self) -> None:
        """Answer every request that has arrived whole."""
        while self._transport is not None and self._answering is None:
            if self._http.they_are_waiting_for_100_continue and self._receiving is not None:
                self._transport.write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.ConnectionClosed):
                self.close()
                return
            if isinstance(event, h11.Request):
                self._begin(event)
            elif isinstance(event, h11.Data):
                self._take(event.data)
            elif isinstance(event, h11.EndOfMessage) and self._receiving is not None:
                received, self._receiving = self._receiving, None
                self._ask(*received)
            if self._answering is None and not self._ready_for_next():
                return

    def _ready_for_next(self) -> bool:
        if self._http.our_state is h11.MUST_CLOSE:
            self.close()
            return False
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._expect_request()
        return True

    def _begin(self, request: h11.Request) -> None:
        path = request.target.partition(b"?")[0].decode("latin-1")
        service = self._server.service
        if path not in self._server.pages and service is not None and service.serves(path):
            self._receiving = request, bytearray()
        else:
            self._answer_with_page(request.method, path)

    def _take(self, data: bytes) -> None:
        if self._receiving is None:
            raise h11.RemoteProtocolError("no body is wanted", error_status_hint=413)
        if len(self._receiving[1]) + len(data) > MAX_BODY_BYTES:
            raise h11.RemoteProtocolError(f"a body may have {MAX_BODY_BYTES} bytes", error_status_hint=413)
        self._receiving[1].extend(data)

    def _ask(self, request: h11.Request, body: bytearray) -> None:
        assert self._server.service is not None, "it said that it serves this"
        path, _, query = request.target.decode("latin-1").partition("?")
        method = request.method.decode("latin-1")
        asked = HttpRequest(
            method,
            path,
            query,
            {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers},
            bytes(body),
            self._client_host,
        )
        self._answer_later(self._server.service.answer(asked), with_body=method != "HEAD")

    def _answer_with_page(self, method: bytes, path: str) -> None:
        if method not in (b"GET", b"HEAD"):
            self._send(Page(405, _TEXT, b"only GET and HEAD\n", (("Allow", "GET, HEAD"),)))
            return
        with_body = method == b"GET"
        make = self._server.pages.get(path)
        if make is None:
            names = " ".join(self._server.pages)
            self._send(Page(404, _TEXT, f"no such page; there are {names}\n".encode()), with_body=with_body)
            return
        page = make()
        if isinstance(page, Page):
            self._send(page, with_body=with_body)
        else:
            self._answer_later(page, with_body=with_body)

    def _answer_later(self, page: Awaitable[Page], *, with_body: bool) -> None:
        """Nothing more is read meanwhile."""

        async def answer() -> None:
            try:
                made = await page
            except Exception:
                log.exception("a page could not be made")
                made = Page(500, _TEXT, b"this failed; the node's log says why\n")
            self._answering = None
            if self._transport is None or self._transport.is_closing():
                return
            self._transport.resume_reading()
            self._expect_request()
            self._send(made, with_body=with_body)
            if self._ready_for_next():
                self._go_on()

        self._expect_nothing()
        if self._transport is not None:
            self._transport.pause_reading()
        self._answering = asyncio.ensure_future(answer())

    def _refuse(self, error: h11.RemoteProtocolError) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._send(Page(error.error_status_hint, _TEXT, f"{error}\n".encode(), (("Connection", "close"),)))
        self.close()

    def _send(self, page: Page, *, with_body: bool = True) -> None:
        headers = [*page.headers]
        if page.status != _NO_CONTENT:
            headers += [("Content-Type", page.content_type), ("Content-Length", str(len(page.body)))]
        parts = [
            self._http.send(h11.Response(status_code=page.status, headers=headers)),
            self._http.send(h11.Data(data=page.body)) if with_body else b"",
            self._http.send(h11.EndOfMessage()),
        ]
        if self._transport is not None:
            self._transport.write(b"".join(part for part in parts if part))
