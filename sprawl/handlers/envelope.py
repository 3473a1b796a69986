"""Requests that one node passes on to another on a client's behalf, in an envelope (API 58, KIP-590).

`Envelopes` packs and sends; `EnvelopeHandlers` opens and answers. The envelope carries the client's request as it would
be on the wire, who the client is, and where it is: access is checked where the request is answered. What is passed on
is not passed on again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from sprawl.handlers.context import Handler, RequestContext
from sprawl.handlers.item_refusals import refused_item_by_item
from sprawl.quorum.controller_link import ControllerLink
from sprawl.security.access import Principal
from sprawl.wire.client import ClientError
from sprawl.wire.dispatch import answer_of
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode, ProtocolError
from sprawl_protocol.framing import frame_request, frame_response, parse_request_header
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import REQUESTS, EnvelopeRequest, EnvelopeResponse

_LENGTH_BYTES: Final = 4
_CORRELATION_ID: Final = 0
_TIMEOUT: Final = 30.0
_PATIENCE: Final = 10.0
"""Seconds without a controller before the client is told so: less than clients wait, more than an election takes."""


def sealed(context: RequestContext, request: Request) -> EnvelopeRequest:
    frame = b"".join(frame_request(_CORRELATION_ID, context.client_id, request, context.api_version))
    return EnvelopeRequest(
        request_data=frame[_LENGTH_BYTES:],
        request_principal=str(context.principal).encode(),
        client_host_address=context.client_host.encode(),
    )


def opened(request: Request, version: int, answer: EnvelopeResponse) -> Response:
    """The answer inside. Raises `ApiError` if the other node refused the envelope."""
    if answer.error_code:
        raise ApiError(ErrorCode(answer.error_code), "The node that this request was passed on to refused it.")
    kind = type(request).RESPONSE
    body = 5 if kind.header_version(version) else _LENGTH_BYTES  # no tagged fields: our own nodes send none
    try:
        return kind.parse(memoryview(answer.response_data or b"")[body:], version)
    except ProtocolError as problem:
        raise ApiError(ErrorCode.UNKNOWN_SERVER_ERROR, f"An answer that cannot be read: {problem}") from problem


def to_controller(handler: Handler, here: Callable[[Any], bool], link: ControllerLink) -> Handler:
    """`handler` where `here` says so of a request; otherwise, what the active controller answers."""

    async def passed_on(context: RequestContext, request: Any) -> Response:
        sent = sealed(context, request)
        try:
            answer = await link.ask(sent, expect=EnvelopeResponse, timeout=_TIMEOUT, patience=_PATIENCE)
        except ClientError as problem:
            told = f"The controller was asked and has not answered; whether it was done cannot be said: {problem}"
            return _refused(request, ApiError(ErrorCode.REQUEST_TIMED_OUT, told))
        except ApiError as refusal:
            return _refused(request, refusal)
        return opened(request, context.api_version, answer)

    def handle(context: RequestContext, request: Any) -> Any:
        if here(request):
            return handler(context, request)
        if context.passed_on:
            raise ApiError(ErrorCode.NOT_CONTROLLER, "This node is not the controller.")
        return passed_on(context, request)

    return handle


def _refused(request: Request, refusal: ApiError) -> Response:
    """Raises the refusal where the answer has a place of its own for it."""
    answer = refused_item_by_item(request, refusal)
    if answer is None:
        raise refusal
    return answer


class EnvelopeHandlers:
    def __init__(self, routes: Mapping[ApiKey, Handler]) -> None:
        self._routes = routes

    def routes(self) -> dict[ApiKey, Handler]:
        return {ApiKey.ENVELOPE: self.envelope}

    async def envelope(self, context: RequestContext, request: EnvelopeRequest) -> EnvelopeResponse:
        try:
            frame = memoryview(request.request_data)
            header = parse_request_header(frame)
            kind = REQUESTS[ApiKey(header.api_key)]
            inner = kind.parse(frame, header.api_version, header.body)
            handler = self._routes[ApiKey(header.api_key)]
        except (ProtocolError, KeyError, ValueError):
            return EnvelopeResponse(error_code=int(ErrorCode.INVALID_REQUEST))
        within = replace(
            context,
            api_version=header.api_version,
            client_id=header.client_id or "",
            client_host=bytes(request.client_host_address).decode(errors="replace"),
            principal=_principal(bytes(request.request_principal or b"")),
            peer=None,
            passed_on=True,
        )
        try:
            answer = await answer_of(handler(within, inner))
        except ApiError as refusal:
            return EnvelopeResponse(error_code=int(refusal.code))
        if answer is None:
            return EnvelopeResponse(response_data=None)
        return EnvelopeResponse(
            response_data=b"".join(frame_response(header.correlation_id, answer, header.api_version))[_LENGTH_BYTES:]
        )


def _principal(text: bytes) -> Principal:
    kind, _, name = text.decode(errors="replace").partition(":")
    return Principal(kind or "User", name or "ANONYMOUS")
