"""From a whole frame to the buffers of its answer: header, version check, parse, handler, encode.

In: a frame and the circumstances of its connection. Out: an `Answer` now, or something to await for it.
Never touches a socket. What a client may have done wrong is raised as `ProtocolError`, and costs it the connection,
as in Kafka: a frame that cannot be read leaves no field to put an error code in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from sprawl.security.access import ANONYMOUS, Principal
from sprawl.security.peers import PeerIdentity
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode, ProtocolError
from sprawl_protocol.framing import RequestHeader, frame_response, parse_request_header
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import REQUESTS, ApiVersionsRequest
from sprawl_protocol.primitives import Buffer

Answer = list[Buffer] | None
"""The buffers to send, length prefix included; None where the client expects no answer."""

API_VERSIONS: Final = int(ApiKey.API_VERSIONS)
_REQUESTS: Final[Mapping[int, type[Request]]] = cast("Mapping[int, type[Request]]", REQUESTS)
_KNOWN_TAILS: Final = {int(ApiKey.METADATA): 3}
"""Bytes behind a request that are let pass: librdkafka (2.16 at least) reserves four bytes for the number of topics in
Metadata, needs one of them in flexible versions, and sends the others behind. Kafka never looks behind a request."""


EARLY: Final = frozenset({int(ApiKey.SASL_HANDSHAKE), int(ApiKey.SASL_AUTHENTICATE)})
"""What is answered before the node serves clients: enough for another node to prove who it is."""
PEER_ONLY: Final = frozenset(
    int(key)
    for key in (
        ApiKey.VOTE,
        ApiKey.BEGIN_QUORUM_EPOCH,
        ApiKey.END_QUORUM_EPOCH,
        ApiKey.FETCH_SNAPSHOT,
        ApiKey.UPDATE_RAFT_VOTER,
        ApiKey.BROKER_REGISTRATION,
        ApiKey.BROKER_HEARTBEAT,
        ApiKey.ALTER_PARTITION,
        ApiKey.ALLOCATE_PRODUCER_IDS,
        ApiKey.ASSIGN_REPLICAS_TO_DIRS,
        ApiKey.ENVELOPE,
    )
)
"""What only another node may ask, once it has proved that it is one."""


@dataclass(slots=True)
class RequestContext:
    """One request's circumstances: what a handler knows besides the request's own fields."""

    api_version: int
    client_id: str
    client_host: str
    principal: Principal
    listener: str
    """Name of the listener the connection came in through: addresses in answers are those of this listener."""
    connection_id: int
    software_name: str = ""
    software_version: str = ""
    peer: PeerIdentity | None = None
    """The node at the other end, if it is one and has proved it."""
    passed_on: bool = False
    """Whether another node passed this request on, so that it must not be passed on again."""
    connection: RequestContext | None = None
    """The circumstances that all requests of the connection begin with: where what is learned of it is kept."""
    handshake: object = None
    """Of a connection: how far another node has got in proving who it is."""
    local_address: tuple[str, int] = ("", 0)
    """Where the client reached this node."""
    passes_on: bool = False
    """Of a connection: whether requests of it were passed on, on links of their own."""
    at_close: list[Callable[[], None]] | None = None
    """Of a connection: what is to be done once it is gone."""

    def when_closed(self, callback: Callable[[], None]) -> None:
        connection = self.connection or self
        if connection.at_close is None:
            connection.at_close = []
        connection.at_close.append(callback)


class Later:
    """An answer that a handler will have soon, handed over without a turn of the event loop in between."""

    __slots__ = ("_callback", "_response", "settled")

    def __init__(self) -> None:
        self.settled = False
        self._response: Response | None = None
        self._callback: Callable[[Response | None], None] | None = None

    def settle(self, response: Response | None) -> None:
        assert not self.settled, "an answer is given once"
        self.settled = True
        self._response = response
        callback, self._callback = self._callback, None  # no cycle must be left for the garbage collector
        if callback is not None:
            callback(response)

    def when_settled(self, callback: Callable[[Response | None], None]) -> None:
        if self.settled:
            callback(self._response)
        else:
            self._callback = callback


Handler = Callable[[RequestContext, Any], Response | Awaitable[Response | None] | Later | None]
"""None as the answer means that the client expects none (Produce with acks=0)."""


class Hangup(Exception):
    """Raised by a handler to close the connection instead of answering (Produce with acks=0 that failed)."""


Interceptor = Callable[[RequestContext, Any, Handler], Response | Awaitable[Response | None] | Later | None]
"""Gets each request with its handler, and may answer in its place."""


class _Intercepted(Mapping[int, Handler]):
    """Routes that all lead past an interceptor. They may grow."""

    def __init__(self, routes: Mapping[int, Handler], interceptor: Interceptor) -> None:
        self._routes = routes
        self._interceptor = interceptor

    def __getitem__(self, key: int) -> Handler:
        handler, interceptor = self._routes[key], self._interceptor
        return lambda context, request: interceptor(context, request, handler)

    def __iter__(self) -> Iterator[int]:
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)


class Dispatcher:
    """Routes by API key. One per node; holds no state about requests."""

    def __init__(self, routes: Mapping[ApiKey, Handler], *, closed: bool = False) -> None:
        """`routes` may grow. `closed`: until `open`, clients wait, and only other nodes are answered."""
        self._routes: Mapping[int, Handler] = cast("Mapping[int, Handler]", routes)
        self._opened: asyncio.Event | None = asyncio.Event() if closed else None

    def open(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.set()

    def intercept(self, interceptor: Interceptor) -> None:
        """Let `interceptor` stand before every handler: for fault injection. Costs nothing where it is not used."""
        self._routes = _Intercepted(self._routes, interceptor)

    def context(self, *, client_host: str, listener: str, connection_id: int) -> RequestContext:
        """The circumstances that stay the same for a whole connection, to be refined by each request."""
        return RequestContext(0, "", client_host, ANONYMOUS, listener, connection_id)

    def dispatch(self, frame: memoryview, connection: RequestContext) -> Answer | Deferred:
        """Raises `ProtocolError` if the frame cannot be read, `Hangup` if the handler says so."""
        header = parse_request_header(frame)
        version = header.api_version
        request_type = _REQUESTS.get(header.api_key)
        if request_type is None or (self._opened is None and header.api_key not in self._routes):
            raise ProtocolError(f"API key {header.api_key} is not served here")
        if request_type.MIN_VERSION <= version <= request_type.MAX_VERSION:
            request = request_type.parse(frame, version, header.body, _KNOWN_TAILS.get(header.api_key, 0))
        elif header.api_key == API_VERSIONS:
            # A client that speaks a newer ApiVersions than we know must still learn what we know: the handler
            # answers a version it does not know with a version 0 body and error 35 (KIP-511).
            request = ApiVersionsRequest()
        else:
            raise ProtocolError(
                f"{request_type.__name__} version {version} is not served here, only "
                f"{request_type.MIN_VERSION} to {request_type.MAX_VERSION}"
            )
        if isinstance(request, ApiVersionsRequest):
            connection.software_name = request.client_software_name[:128]
            connection.software_version = request.client_software_version[:128]
        context = RequestContext(
            version,
            header.client_id or "",
            connection.client_host,
            connection.principal,
            connection.listener,
            connection.connection_id,
            connection.software_name,
            connection.software_version,
            connection.peer,
            False,
            connection,
            None,
            connection.local_address,
        )
        try:
            if context.peer is None:
                if header.api_key in PEER_ONLY:
                    raise ApiError(
                        ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "Only other nodes of the cluster may ask this."
                    )
                if self._opened is not None and header.api_key not in EARLY:
                    return Deferred(header, request_type, self._once_open(self._opened, context, header, request))
            result = self._handler(header.api_key)(context, request)
        except ApiError as error:
            return _encode(header, _refusal(request_type, error))
        if result is None or isinstance(result, Response):
            return _encode(header, result)
        return Deferred(header, request_type, result)

    def _handler(self, api_key: int) -> Handler:
        handler = self._routes.get(api_key)
        if handler is None:
            raise ApiError(ErrorCode.BROKER_NOT_AVAILABLE, "This node is still starting.")
        return handler

    async def _once_open(
        self, opened: asyncio.Event, context: RequestContext, header: RequestHeader, request: Request
    ) -> Response | None:
        await opened.wait()
        if header.api_key not in self._routes:
            raise Hangup(f"API key {header.api_key} is not served here")
        return await answer_of(self._routes[header.api_key](context, request))


async def answer_of(result: Response | Awaitable[Response | None] | Later | None) -> Response | None:
    """What a handler gives, now or later."""
    if isinstance(result, Later):
        done: asyncio.Future[Response | None] = asyncio.get_running_loop().create_future()
        result.when_settled(lambda answer: None if done.done() else done.set_result(answer))
        return await done
    if result is None or isinstance(result, Response):
        return result
    return await result


@dataclass(slots=True)
class Deferred:
    """An answer that is still being worked on."""

    header: RequestHeader
    request_type: type[Request]
    result: Awaitable[Response | None] | Later

    def encode(self, response: Response | None) -> Answer:
        return _encode(self.header, response)

    def refuse(self, error: ApiError) -> Answer:
        """Raises `Hangup` where the API has no field that could carry the refusal."""
        return _encode(self.header, _refusal(self.request_type, error))


def _encode(header: RequestHeader, response: Response | None) -> Answer:
    if response is None:
        return None
    version = header.api_version
    if header.api_key == API_VERSIONS and not response.MIN_VERSION <= version <= response.MAX_VERSION:
        version = 0
    return frame_response(header.correlation_id, response, version)


def _refusal(request_type: type[Request], error: ApiError) -> Response:
    """A whole-request refusal. Handlers refuse item by item themselves; this is for what holds for all of it."""
    response: Any = request_type.RESPONSE()
    if not hasattr(response, "error_code"):
        raise Hangup(f"{request_type.__name__}: {error.code.name}: {error.message}")
    response.error_code = int(error.code)
    if hasattr(response, "error_message"):
        response.error_message = error.message
    assert isinstance(response, Response)
    return response
