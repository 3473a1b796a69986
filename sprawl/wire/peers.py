"""Links to the other nodes of the cluster: one connection for each node and lane, made when it is needed.

In: requests, for a node by number or for an address. Out: answers, or a `ClientError` that says whether the other node
may have acted. Answers on one connection come in the order of the requests, so what may wait long goes in a lane of its
own. Each connection begins with the proof that both ends are of this cluster (`sprawl.security.peers`), and that the
other end is the node that is meant.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from sprawl.runtime import Runtime
from sprawl.security.peers import MECHANISM, NONCE_BYTES, PeerClientHandshake, PeerIdentity, PeerRefused
from sprawl.wire.client import ClientError, KafkaClient, NotConnectedError
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
)

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Response)
Address = tuple[str, int]
_CONNECT_TIMEOUT: Final = 2.0
_COOL_DOWN: Final = 0.05
"""Seconds after a failed attempt in which no other is made."""
_HANDSHAKE_VERSION: Final = 1
_AUTHENTICATE_VERSION: Final = 2


@dataclass(slots=True)
class _Link:
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while connecting."""
    client: KafkaClient | None = None
    address: Address | None = None
    peer: PeerIdentity | None = None
    failed: str = ""
    failed_at: float = -1.0


class PeerLinks:
    def __init__(
        self, runtime: Runtime, me: PeerIdentity, secret: bytes, address_of: Callable[[int], Address | None]
    ) -> None:
        self._runtime = runtime
        self._me = me
        self._secret = secret
        self._address_of = address_of
        self._links: dict[tuple[int | Address, str], _Link] = {}
        self._closed = False

    async def request(self, node_id: int, message: Request, *, expect: type[R], timeout: float, lane: str = "") -> R:
        """Raises `ClientError`."""
        address = self._address_of(node_id)
        if address is None:
            raise NotConnectedError(f"where node {node_id} is, is not known")
        link = self._links.setdefault((node_id, lane), _Link())
        return await self._ask(link, address, node_id, message, expect, timeout)

    async def request_at(
        self, host: str, port: int, message: Request, *, expect: type[R], timeout: float, lane: str = ""
    ) -> R:
        """Where the node's number is not known. Raises `ClientError`."""
        link = self._links.setdefault(((host, port), lane), _Link())
        return await self._ask(link, (host, port), None, message, expect, timeout)

    async def identity_at(self, host: str, port: int) -> PeerIdentity:
        """Who is there. Raises `ClientError`."""
        link = self._links.setdefault(((host, port), "identity"), _Link())
        await self._connected(link, (host, port), None)
        assert link.peer is not None, "a link that is connected knows with whom"
        return link.peer

    async def close(self) -> None:
        self._closed = True
        links = list(self._links.values())
        self._links.clear()
        await asyncio.gather(*(link.client.close() for link in links if link.client is not None))

    async def _ask(
        self, link: _Link, address: Address, node_id: int | None, message: Request, expect: type[R], timeout: float
    ) -> R:
        began = self._runtime.clock.monotonic()
        try:
            async with asyncio.timeout(min(timeout, _CONNECT_TIMEOUT)):
                client = await self._connected(link, address, node_id)
        except TimeoutError:
            raise NotConnectedError(f"{address[0]}:{address[1]}: no connection in time") from None
        left = max(timeout - (self._runtime.clock.monotonic() - began), 0.001)
        return await client.request(message, timeout=left, expect=expect)

    async def _connected(self, link: _Link, address: Address, node_id: int | None) -> KafkaClient:
        async with link.turn:
            if link.client is not None and link.client.connected and link.address == address:
                return link.client
            now = self._runtime.clock.monotonic()
            if self._closed or (link.address == address and 0 <= now - link.failed_at < _COOL_DOWN):
                raise NotConnectedError(link.failed or "this node is stopping")
            if link.client is not None:
                await link.client.close()
                link.client = None
            link.address = address
            client = KafkaClient(self._runtime, client_id=f"node-{self._me.node_id}", timeout=_CONNECT_TIMEOUT)
            try:
                await client.connect(*address, authenticate=lambda: self._authenticate(client, link, node_id))
            except ClientError as problem:
                link.failed = str(problem)
                link.failed_at = self._runtime.clock.monotonic()
                raise NotConnectedError(str(problem)) from problem
            link.client = client
            return client

    async def _authenticate(self, client: KafkaClient, link: _Link, node_id: int | None) -> None:
        """Raises `ClientError`."""
        offered = await client.request(
            SaslHandshakeRequest(mechanism=MECHANISM), _HANDSHAKE_VERSION, expect=SaslHandshakeResponse
        )
        if offered.error_code:
            raise NotConnectedError("what is there is no node of a cluster like this")
        handshake = PeerClientHandshake(self._me, self._secret, self._runtime.token_bytes(NONCE_BYTES))
        challenge = await self._say(client, handshake.hello())
        if challenge.error_code:
            raise NotConnectedError(challenge.error_message or "refused")
        try:
            proof, peer, refused = handshake.answer(challenge.auth_bytes)
        except PeerRefused as problem:
            raise NotConnectedError(str(problem)) from problem
        verdict = await self._say(client, proof)
        if refused is not None:
            raise NotConnectedError(str(refused))
        if verdict.error_code:
            raise NotConnectedError(verdict.error_message or "refused")
        if node_id is not None and peer.node_id != node_id:
            raise NotConnectedError(f"node {peer.node_id} is there, not node {node_id}")
        link.peer = peer

    async def _say(self, client: KafkaClient, what: bytes) -> SaslAuthenticateResponse:
        return await client.request(
            SaslAuthenticateRequest(auth_bytes=what), _AUTHENTICATE_VERSION, expect=SaslAuthenticateResponse
        )
