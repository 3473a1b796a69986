"""SaslHandshake and SaslAuthenticate (APIs 17 and 36), as other nodes use them to prove that they are nodes.

The handshake itself is `sprawl.security.peers`; its state stays with the connection. Gossip's push-pulls come by the
same way, under a mechanism of their own: each frame is one SaslAuthenticate. Clients have nothing to
authenticate with yet: they get what Kafka answers on a listener without SASL.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from sprawl.handlers.context import Handler, RequestContext
from sprawl.runtime import Runtime
from sprawl.security.access import Principal
from sprawl.security.peers import (
    GOSSIP_MECHANISM,
    MECHANISM,
    NONCE_BYTES,
    PeerIdentity,
    PeerRefused,
    PeerServerHandshake,
)
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
)

log = logging.getLogger(__name__)

_QUIET_SECONDS: Final = 30.0
"""Between two log lines about one host, whatever it tries meanwhile."""
_REMEMBERED: Final = 1024


class PushPull(Protocol):
    """One that another node has begun."""

    @property
    def client(self) -> PeerIdentity | None:
        """Who that node has proved to be."""
        ...

    def reply(self, frame: bytes) -> bytes:
        """Raises `PeerRefused`."""
        ...


class PeerHandlers:
    def __init__(self, me: PeerIdentity, secret: bytes, runtime: Runtime) -> None:
        self._me = me
        self._secret = secret
        self._runtime = runtime
        self._told: OrderedDict[str, float] = OrderedDict()
        self.push_pull: Callable[[str], PushPull | None] = _no_gossip
        """Begins one with a node at that host; None while this node does not gossip."""

    def routes(self) -> dict[ApiKey, Handler]:
        return {ApiKey.SASL_HANDSHAKE: self.handshake, ApiKey.SASL_AUTHENTICATE: self.authenticate}

    def handshake(self, context: RequestContext, request: SaslHandshakeRequest) -> SaslHandshakeResponse:
        if request.mechanism == GOSSIP_MECHANISM and context.connection is not None:
            begun = self.push_pull(context.client_host)
            if begun is not None:
                context.connection.handshake = _Gossip(begun)
                return SaslHandshakeResponse(mechanisms=[GOSSIP_MECHANISM])
        if request.mechanism != MECHANISM or context.connection is None:
            return SaslHandshakeResponse(error_code=int(ErrorCode.ILLEGAL_SASL_STATE))
        nonce = self._runtime.token_bytes(NONCE_BYTES)
        context.connection.handshake = PeerServerHandshake(self._me, self._secret, nonce)
        return SaslHandshakeResponse(mechanisms=[MECHANISM])

    def authenticate(self, context: RequestContext, request: SaslAuthenticateRequest) -> SaslAuthenticateResponse:
        connection = context.connection
        handshake = None if connection is None else connection.handshake
        if connection is not None and isinstance(handshake, _Gossip):
            return self._gossip(connection, handshake.push_pull, bytes(request.auth_bytes))
        if connection is None or not isinstance(handshake, PeerServerHandshake):
            return SaslAuthenticateResponse(
                error_code=int(ErrorCode.ILLEGAL_SASL_STATE), error_message="SaslHandshake comes first."
            )
        try:
            if not handshake.begun:
                return SaslAuthenticateResponse(error_message=None, auth_bytes=handshake.challenge(request.auth_bytes))
            connection.handshake = None
            peer = handshake.accept(request.auth_bytes)
        except PeerRefused as refused:
            connection.handshake = None
            self._tell(context.client_host, str(refused))
            return SaslAuthenticateResponse(
                error_code=int(ErrorCode.SASL_AUTHENTICATION_FAILED), error_message=str(refused)
            )
        connection.peer = peer
        connection.principal = Principal("Node", str(peer.node_id))
        return SaslAuthenticateResponse(error_message=None)

    def _gossip(self, connection: RequestContext, push_pull: PushPull, frame: bytes) -> SaslAuthenticateResponse:
        try:
            answer = push_pull.reply(frame)
        except PeerRefused as refused:
            connection.handshake = None
            return SaslAuthenticateResponse(
                error_code=int(ErrorCode.SASL_AUTHENTICATION_FAILED), error_message=str(refused)
            )
        connection.peer = push_pull.client
        return SaslAuthenticateResponse(error_message=None, auth_bytes=answer)

    def _tell(self, host: str, reason: str) -> None:
        now = self._runtime.clock.monotonic()
        last = self._told.get(host)
        if last is not None and now - last <= _QUIET_SECONDS:
            return
        log.warning("a node at %s is refused: %s", host, reason)
        self._told[host] = now
        self._told.move_to_end(host)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)


class _Gossip:
    __slots__ = ("push_pull",)

    def __init__(self, push_pull: PushPull) -> None:
        self.push_pull = push_pull


def _no_gossip(_: str) -> PushPull | None:
    return None
