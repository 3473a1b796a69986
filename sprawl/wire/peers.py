"""Links to the other nodes of the cluster: one connection for each node and lane, made when it is needed.

In: requests, for a node by number or for an address. Out: answers, or a `ClientError` that says whether the other node
may have acted. Answers on one connection come in the order of the requests, so what may wait long goes in a lane of its
own. Each connection begins with the proof that both ends are of this cluster (`sprawl.security.peers`), and that the
other end is the node that is meant. A request is never sent twice; what is lost with a connection fails, and the next
request makes a new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from sprawl.runtime import Clock, Runtime
from sprawl.security.peers import MECHANISM, NONCE_BYTES, PeerClientHandshake, PeerIdentity, PeerRefused
from sprawl.wire.client import ClientError, KafkaClient, NotConnectedError
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
)

R = TypeVar("R", bound=Response)
Address = tuple[str, int]
CONNECT_SECONDS: Final = 2.0
"""For an attempt to connect, with all that is asked before the first request."""
COOL_DOWN: Final = 0.05
"""Seconds after a failed attempt in which no other is made."""
REFUSED_COOL_DOWN: Final = 1.0
"""The same, where the nodes do not belong together: that takes a person to mend."""
_HANDSHAKE_VERSION: Final = 1
_AUTHENTICATE_VERSION: Final = 2
_LONGEST_REASON: Final = 300


class PeerRefusedError(NotConnectedError):
    """Somebody is there, but is not the node that is meant, or does not take this one for a node of its cluster."""


@dataclass(frozen=True, slots=True)
class _Link:
    client: KafkaClient
    address: Address
    peer: PeerIdentity


class PeerLinks:
    def __init__(
        self, runtime: Runtime, me: PeerIdentity, secret: bytes, address_of: Callable[[int], Address | None]
    ) -> None:
        """`address_of`: where a node is at present, as far as is known."""
        self._runtime = runtime
        self._me = me
        self._secret = secret
        self._address_of = address_of
        self._lanes: dict[tuple[int | Address, str], _Lane] = {}
        self._closed = False

    async def request(self, node_id: int, message: Request, *, expect: type[R], timeout: float, lane: str = "") -> R:
        """Raises `ClientError`."""
        address = self._address_of(node_id)
        if address is None:
            raise NotConnectedError(f"where node {node_id} is, is not known")
        return await self._ask(self._lane(node_id, lane), address, message, expect, timeout)

    async def request_at(
        self, host: str, port: int, message: Request, *, expect: type[R], timeout: float, lane: str = ""
    ) -> R:
        """Where the node's number is not known. Raises `ClientError`."""
        address = host, port
        return await self._ask(self._lane(address, lane), address, message, expect, timeout)

    async def identity_at(self, host: str, port: int) -> PeerIdentity:
        """Who is there, as it has proved; its cluster's id among it. Raises `ClientError`."""
        address = host, port
        return (await self._lane(address, "").connected(address)).peer

    def drop(self, node_id: int) -> None:
        """Cut all connections to a node: what is under way there fails."""
        for (to, _), lane in self._lanes.items():
            if to == node_id:
                lane.cut()

    def drop_lane(self, name: str) -> None:
        """Cut a lane to all nodes, and forget it: whom it was for is gone."""
        for key in [key for key in self._lanes if key[1] == name]:
            self._lanes.pop(key).cut()

    async def close(self) -> None:
        """What is under way fails."""
        self._closed = True
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
        self._lanes.clear()

    def _lane(self, to: int | Address, name: str) -> _Lane:
        if self._closed:
            raise NotConnectedError("this node is stopping")
        found = self._lanes.get((to, name))
        if found is None:
            node_id = to if isinstance(to, int) else None
            found = _Lane(self._runtime.clock, lambda address: self._connect(address, node_id))
            self._lanes[to, name] = found
        return found

    async def _ask(self, lane: _Lane, address: Address, message: Request, expect: type[R], timeout: float) -> R:
        clock = self._runtime.clock
        until = clock.monotonic() + timeout
        link = lane.ready(address)
        if link is None:
            try:
                async with asyncio.timeout(timeout):
                    link = await lane.connected(address)
            except TimeoutError:
                raise NotConnectedError(f"{_name(address)}: no connection within {timeout:g} s") from None
        return await link.client.request(message, timeout=max(until - clock.monotonic(), 0), expect=expect)

    # -- one connection -------------------------------------------------------------------------------------------

    async def _connect(self, address: Address, node_id: int | None) -> _Link:
        """Raises `ClientError`."""
        client = KafkaClient(self._runtime, client_id=f"node-{self._me.node_id}", timeout=CONNECT_SECONDS)
        found: list[PeerIdentity] = []

        async def authenticate() -> None:
            found.append(await self._authenticate(client, node_id))

        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.connect(*address, authenticate=authenticate)
        except TimeoutError:
            raise NotConnectedError(f"{_name(address)}: no connection within {CONNECT_SECONDS:g} s") from None
        except PeerRefused as refused:
            raise PeerRefusedError(f"{_name(address)}: {refused}") from refused
        return _Link(client, address, found[0])

    async def _authenticate(self, client: KafkaClient, node_id: int | None) -> PeerIdentity:
        """Raises `ClientError`, `PeerRefused`."""
        offered = await client.request(
            SaslHandshakeRequest(mechanism=MECHANISM), _HANDSHAKE_VERSION, expect=SaslHandshakeResponse
        )
        if offered.error_code:
            raise PeerRefused("what is there is no node of a cluster like this")
        handshake = PeerClientHandshake(self._me, self._secret, self._runtime.token_bytes(NONCE_BYTES))
        challenge = await _say(client, handshake.hello())
        if challenge.error_code:
            raise PeerRefused(_readable(challenge.error_message))
        verdict = await _say(client, handshake.answer(challenge.auth_bytes))
        peer = handshake.server()
        if verdict.error_code:
            raise PeerRefused(_readable(verdict.error_message))
        if node_id is not None and peer.node_id != node_id:
            raise PeerRefused(f"{peer} is there, not node {node_id}")
        return peer


class _Lane:
    """One connection at a time, to one address at a time. Attempts go on when those who wait for them lose patience."""

    def __init__(self, clock: Clock, connect: Callable[[Address], Awaitable[_Link]]) -> None:
        self._clock = clock
        self._connect = connect
        self._turn = asyncio.Lock()
        self._address: Address | None = None
        self._link: _Link | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._failure: ClientError | None = None
        self._failed_at = 0.0
        self._closed = False

    def ready(self, address: Address) -> _Link | None:
        """The connection, if there is one and nobody waits for it."""
        return None if self._turn.locked() else self._open(address)

    async def connected(self, address: Address) -> _Link:
        """Raises `ClientError`."""
        async with self._turn:
            if self._address != address:
                self.cut()
                self._address = address
            found = self._open(address)
            if found is None:
                self._check_may_try()
                if self._attempt is None:
                    self._attempt = asyncio.create_task(self._try(address), name=f"connect to {_name(address)}")
                attempt = self._attempt
                await asyncio.wait((attempt,))
                if not attempt.cancelled():
                    attempt.result()
                found = self._open(address)
            if found is None:
                raise self._failed() or NotConnectedError(f"{_name(address)}: the connection was cut")
            return found

    def cut(self) -> None:
        if self._attempt is not None:
            self._attempt.cancel()
        if self._link is not None:
            self._link.client.abort()
        self._attempt = self._link = self._failure = None

    async def close(self) -> None:
        self._closed = True
        attempt, link = self._attempt, self._link
        self.cut()
        if attempt is not None:
            await asyncio.wait((attempt,))
        if link is not None:
            await link.client.close()

    def _open(self, address: Address) -> _Link | None:
        link = self._link
        return link if link is not None and link.client.connected and link.address == address else None

    def _check_may_try(self) -> None:
        if self._closed:
            raise NotConnectedError("this node is stopping")
        failure = self._failed()
        if failure is None:
            return
        pause = REFUSED_COOL_DOWN if isinstance(failure, PeerRefusedError) else COOL_DOWN
        if self._clock.monotonic() - self._failed_at < pause:
            raise failure

    def _failed(self) -> ClientError | None:
        """The last failure, for one more to raise. Nothing was sent for it."""
        failure = self._failure
        if failure is None:
            return None
        return (PeerRefusedError if isinstance(failure, PeerRefusedError) else NotConnectedError)(str(failure))

    async def _try(self, address: Address) -> None:
        me = asyncio.current_task()
        try:
            link = await self._connect(address)
        except ClientError as failure:
            if self._attempt is me:
                self._failure, self._failed_at = failure, self._clock.monotonic()
        else:
            assert self._attempt is me, "an attempt that is given up is cancelled"
            self._link, self._failure = link, None
        finally:
            if self._attempt is me:
                self._attempt = None


async def _say(client: KafkaClient, what: bytes) -> SaslAuthenticateResponse:
    return await client.request(
        SaslAuthenticateRequest(auth_bytes=what), _AUTHENTICATE_VERSION, expect=SaslAuthenticateResponse
    )


def _name(address: Address) -> str:
    return f"{address[0]}:{address[1]}"


def _readable(reason: str | None) -> str:
    """What a stranger says, fit for a log."""
    return "".join(filter(str.isprintable, reason or ""))[:_LONGEST_REASON] or "refused without a reason"
