"""One connection to a Kafka broker, as its client: the admin command's, and a node's to another node.

In: requests. Out: their responses, or a `ClientError` that says whether the broker may have acted. On connecting, the
client may prove who it is; then the versions both sides know are settled by ApiVersions. Requests may overlap; answers
come back in their order. When an answer is late the connection is closed, since every later answer would be too. It
never sends a request twice.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from sprawl import __version__
from sprawl.runtime import Runtime
from sprawl_protocol.compiler import read_varint
from sprawl_protocol.errors import ErrorCode, ProtocolError
from sprawl_protocol.framing import FrameReader, frame_request
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import ApiVersionsRequest, ApiVersionsResponse
from sprawl_protocol.primitives import Buffer

R = TypeVar("R", bound=Response)

MAX_IN_FLIGHT: Final = 100
"""Requests sent and not yet answered; more wait their turn."""
MAX_FRAME: Final = 256 * 1024 * 1024
WRITE_HIGH_WATER: Final = 1024 * 1024


class ClientError(Exception):
    """A request that got no answer."""

    not_done = False
    """True if the broker has certainly not acted, so that asking again cannot make anything happen twice."""


class NotConnectedError(ClientError):
    """The request was not sent."""

    not_done = True


class UnsupportedError(ClientError):
    """The broker and this client know no common version of the request."""

    not_done = True


class ConnectionLostError(ClientError):
    """The request was sent; whether it was acted upon is unknown."""


class TimedOutError(ConnectionLostError):
    """No answer in time; the connection was closed."""


@dataclass(frozen=True, slots=True)
class VersionRange:
    lowest: int
    highest: int


class _Pending:
    """A request on its way."""

    __slots__ = ("answer", "correlation_id", "response", "version")

    def __init__(self, correlation_id: int, response: type[Response], version: int) -> None:
        self.correlation_id = correlation_id
        self.response = response
        self.version = version
        self.answer: asyncio.Future[memoryview] = asyncio.get_running_loop().create_future()


class KafkaClient:
    """`connect`, then any number of `request`s, then `close`."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        client_id: str = "sprawl",
        timeout: float = 30.0,
        max_in_flight: int = MAX_IN_FLIGHT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._runtime = runtime
        self._client_id = client_id
        self._timeout = timeout
        self._tls = tls
        self._room = asyncio.Semaphore(max_in_flight)
        self._turn = asyncio.Lock()  # requests leave in the order they were made, also when writing has to wait
        self._link: _Link | None = None
        self._peer = ""
        self._next_id = 0
        self.versions: dict[int, VersionRange] = {}
        """What the broker offers, by API key."""

    @property
    def connected(self) -> bool:
        return self._link is not None and self._link.open

    async def connect(
        self, host: str, port: int, authenticate: Callable[[], Awaitable[None]] | None = None
    ) -> KafkaClient:
        """Connect, prove who this is if there is something to prove, and settle versions. Raises `ClientError`."""
        self._peer = f"{host}:{port}"
        try:
            async with asyncio.timeout(self._timeout):
                _, self._link = await self._runtime.network.connect(_Link, host, port, tls=self._tls)
        except TimeoutError:
            raise NotConnectedError(f"{self._peer}: no connection within {self._timeout:g} s") from None
        except OSError as problem:
            raise NotConnectedError(f"{self._peer}: {problem.strerror or problem}") from None
        try:
            if authenticate is not None:
                await authenticate()
            self.versions = await self._ask_versions()
        except BaseException:
            self.abort()
            await self.close()
            raise
        return self

    async def close(self) -> None:
        """Requests still on their way fail with `ConnectionLostError`."""
        if self._link is not None:
            self._link.close()
            await self._link.closed.wait()

    def abort(self) -> None:
        """Close at once, whatever is still to be sent."""
        if self._link is not None:
            self._link.abort()

    def version_for(self, request: type[Request]) -> int:
        """The newest version that both sides know. Raises `UnsupportedError`."""
        name = request.__name__.removesuffix("Request")
        offered = self.versions.get(int(request.API_KEY))
        if offered is None:
            raise UnsupportedError(f"{self._peer} does not offer {name}")
        version = min(request.MAX_VERSION, offered.highest)
        if version < max(request.MIN_VERSION, offered.lowest):
            raise UnsupportedError(
                f"{name}: {self._peer} knows versions {offered.lowest} to {offered.highest}, "
                f"this client {request.MIN_VERSION} to {request.MAX_VERSION}"
            )
        return version

    async def request(
        self,
        message: Request,
        version: int | None = None,
        *,
        timeout: float | None = None,
        expect: type[R] | None = None,
    ) -> R:
        """Send and await the answer; `expect` is the answer's type, for the type checker. Raises `ClientError`."""
        chosen = self.version_for(type(message)) if version is None else version
        body = await self._exchange(message, chosen, timeout)
        try:
            response = type(message).RESPONSE.parse(body, chosen)
        except ProtocolError as problem:
            self.abort()
            raise ConnectionLostError(f"{self._peer} sent an answer that cannot be read: {problem}") from problem
        assert expect is None or isinstance(response, expect)
        return cast("R", response)

    async def send(self, message: Request, version: int | None = None) -> None:
        """Send what has no answer: Produce with acks=0. Raises `ClientError`."""
        chosen = self.version_for(type(message)) if version is None else version
        async with self._turn:
            link = await self._writable()
            link.write(frame_request(self._correlation_id(), self._client_id, message, chosen))

    async def _exchange(self, message: Request, version: int, timeout: float | None) -> memoryview:
        seconds = self._timeout if timeout is None else timeout
        sent = False
        try:
            async with asyncio.timeout(seconds), self._room:
                async with self._turn:
                    link = await self._writable()
                    pending = _Pending(self._correlation_id(), type(message).RESPONSE, version)
                    link.ask(pending, frame_request(pending.correlation_id, self._client_id, message, version))
                    sent = True
                return await pending.answer
        except TimeoutError:
            name = type(message).__name__
            if not sent:
                raise NotConnectedError(f"{self._peer}: {name} could not be sent within {seconds:g} s") from None
            self.abort()
            raise TimedOutError(f"{self._peer}: no answer to {name} within {seconds:g} s") from None

    async def _writable(self) -> _Link:
        link = self._link
        if link is None or not link.open:
            raise NotConnectedError(f"not connected to {self._peer or 'anything'}")
        await link.room_to_write()
        if not link.open:
            raise NotConnectedError(f"{self._peer}: the connection was closed")
        return link

    async def _ask_versions(self) -> dict[int, VersionRange]:
        request = ApiVersionsRequest(client_software_name="sprawl", client_software_version=__version__)
        version = 3
        body = await self._exchange(request, version, None)
        if len(body) >= 2 and int.from_bytes(body[:2], "big") == ErrorCode.UNSUPPORTED_VERSION:
            version = 0  # what a broker answers that knows none of the newer ones
            body = await self._exchange(request, version, None)
        try:
            answer = ApiVersionsResponse.parse(body, version)
        except ProtocolError as problem:
            raise ConnectionLostError(f"{self._peer} is no Kafka broker: {problem}") from problem
        if answer.error_code != ErrorCode.NONE:
            raise UnsupportedError(f"{self._peer} refuses ApiVersions: error {answer.error_code}")
        return {one.api_key: VersionRange(one.min_version, one.max_version) for one in answer.api_keys}

    def _correlation_id(self) -> int:
        self._next_id = (self._next_id + 1) & 0x7FFFFFFF
        return self._next_id


class _Link(asyncio.BufferedProtocol):
    """The transport's side: bytes to frames, frames to the requests they answer."""

    def __init__(self) -> None:
        self._reader = FrameReader(MAX_FRAME)
        self._pending: deque[_Pending] = deque()
        self._transport: asyncio.Transport | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()
        self.closed = asyncio.Event()

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from it
        transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        self._transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.get_buffer(sizehint)

    def buffer_updated(self, nbytes: int) -> None:
        try:
            for frame in self._reader.advance(nbytes):
                self._take(frame)
        except ProtocolError as problem:
            self._fail(f"the broker sent what is no answer: {problem}")
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._fail(f"the connection was lost: {exc}" if exc else "the broker closed the connection")
        self._may_write.set()
        self.closed.set()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    async def room_to_write(self) -> None:
        await self._may_write.wait()

    def write(self, buffers: list[Buffer]) -> None:
        assert self._transport is not None
        self._transport.writelines(buffers)

    def ask(self, pending: _Pending, buffers: list[Buffer]) -> None:
        self._pending.append(pending)
        self.write(buffers)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        else:
            self.closed.set()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _take(self, frame: memoryview) -> None:
        if not self._pending:
            raise ProtocolError("an answer that nobody asked for")
        pending = self._pending[0]
        correlation_id = int.from_bytes(frame[:4], "big")
        if correlation_id != pending.correlation_id:
            raise ProtocolError(f"correlation id {correlation_id} where {pending.correlation_id} is due")
        body = frame[_body(frame, pending) :]
        self._pending.popleft()
        if not pending.answer.done():
            pending.answer.set_result(body)

    def _fail(self, reason: str) -> None:
        while self._pending:
            pending = self._pending.popleft()
            if not pending.answer.done():
                pending.answer.set_exception(ConnectionLostError(reason))


def _body(frame: memoryview, pending: _Pending) -> int:
    """Where the answer begins: after the correlation id, and after tagged fields where its header has them."""
    if not pending.response.header_version(pending.version):
        return 4
    try:
        count, position = read_varint(frame, 4)
        for _ in range(count):
            _, position = read_varint(frame, position)
            size, position = read_varint(frame, position)
            position += size
    except IndexError:
        raise ProtocolError("an answer whose header is cut short") from None
    return position
