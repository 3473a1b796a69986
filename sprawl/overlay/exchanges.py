"""Push-pulls under way, in both directions: the ones that this node begins, each a task in the gossip's group, and the
ones that others begin.

In: whom to exchange with, frames that come in. Out: what they bring goes to `Swim`; what goes wrong is complained of
now and then. Bounded: so many at once, so many seconds each, and none twice with the same node at a time. They travel
over the port where a node serves its clients, as SaslAuthenticate requests under a mechanism of their own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from sprawl.overlay.addresses import Addresses
from sprawl.overlay.complaints import Complaints
from sprawl.overlay.members import State
from sprawl.overlay.messages import Snapshot
from sprawl.overlay.pushpull import Answering, Credentials, Garbled, MetItself, Say, Unwelcome, knock, offer
from sprawl.overlay.swim import Swim
from sprawl.runtime import Runtime
from sprawl.security.peers import GOSSIP_MECHANISM, PeerIdentity, PeerRefused
from sprawl.wire.client import ClientError, KafkaClient
from sprawl_protocol.messages import (
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
)

log = logging.getLogger(__name__)

T = TypeVar("T")

# A TimeoutError is an OSError. A ValueError is what resolving makes of a host that can be none.

_PATIENCE: Final = 5.0
_MOST_OUTGOING: Final = 16
_HANDSHAKE_VERSION: Final = 1
_AUTHENTICATE_VERSION: Final = 2


class NoGossipThere(Exception):
    """What is there is a node that does not gossip, or not yet; or no node at all."""


class Exchanges:
    def __init__(
        self,
        runtime: Runtime,
        group: asyncio.TaskGroup,
        swim: Swim,
        cluster_id: str,
        secret: bytes,
        complaints: Complaints,
        touched: Callable[[], None],
    ) -> None:
        me = swim.me
        identity = PeerIdentity(me.node_id, me.directory_id, cluster_id)
        self._mine = Credentials(identity, secret, runtime.token_bytes)
        self._runtime = runtime
        self._group = group
        self._swim = swim
        self._complaints = complaints
        self._touched = touched
        self._outgoing: set[tuple[str, int]] = set()

    def begin(self, host: str, port: int, node_id: int) -> None:
        """With a node that is known. Not if there is no room: the next occasion comes."""
        self._start(host, port, self._with_member(host, port, node_id))

    def knock(self, host: str, port: int, node_id: int) -> None:
        """Whether a node is there that does not answer over UDP."""
        self._start(host, port, self._with_member(host, port, node_id, only_knock=True))

    def resolve(self, host: str, port: int, addresses: Addresses) -> None:
        """Learn the address of a host by connecting to it, and no more."""
        self._start(host, port, self._resolved(host, port, addresses))

    async def with_seed(self, host: str, port: int) -> bool:
        """False if that is this node itself."""
        try:
            await self._exchange(host, port)
        except MetItself:
            return False
        except Unwelcome as problem:
            self._complain(f"cannot join by {host}:{port}", problem)
        except _FAILURES as problem:
            log.debug("gossip: nobody to join at %s:%d yet: %s", host, port, problem)
        return True

    def accept(self, client_host: str) -> Incoming:
        return Incoming(
            Answering(self._mine, self._welcome, self._merged),
            lambda problem: self._complain(f"refused a node at {client_host}", problem),
        )

    def _start(self, host: str, port: int, work: Coroutine[Any, Any, None]) -> None:
        if (host, port) in self._outgoing or len(self._outgoing) >= _MOST_OUTGOING:
            work.close()
            return
        self._outgoing.add((host, port))
        task = self._group.create_task(work, name=f"gossip push-pull with {host}:{port}")
        task.add_done_callback(lambda _: self._outgoing.discard((host, port)))

    async def _with_member(self, host: str, port: int, node_id: int, *, only_knock: bool = False) -> None:
        try:
            await (self._knock(host, port) if only_knock else self._exchange(host, port))
        except _FAILURES as problem:
            log.debug("gossip: no push-pull with node %d at %s:%d: %s", node_id, host, port, problem)
        except Unwelcome as problem:
            self._complain(f"no push-pull with node {node_id} at {host}:{port}", problem)

    async def _exchange(self, host: str, port: int) -> None:
        server, theirs = await self._talk(host, port, lambda say: offer(say, self._mine, self._swim.snapshot))
        self._swim.merge(theirs, self._runtime.clock.monotonic())
        self._reached(server, port)

    async def _knock(self, host: str, port: int) -> None:
        self._reached(await self._talk(host, port, lambda say: knock(say, self._mine)), port)

    def _reached(self, server: PeerIdentity, port: int) -> None:
        now = self._runtime.clock.monotonic()
        if self._swim.reached(server.node_id, now) and self._complaints.due(("udp", server.node_id), now):
            log.warning(
                "gossip: node %d answers over TCP but not over UDP: is UDP port %d open, there and here?",
                server.node_id,
                port,
            )
        self._touched()

    async def _talk(self, host: str, port: int, talk: Callable[[Say], Awaitable[T]]) -> T:
        client = KafkaClient(self._runtime, client_id=f"gossip-{self._mine.identity.node_id}", timeout=_PATIENCE)
        found: list[T] = []

        async def say(frame: bytes) -> bytes:
            answer = await client.request(
                SaslAuthenticateRequest(auth_bytes=frame), _AUTHENTICATE_VERSION, expect=SaslAuthenticateResponse
            )
            if answer.error_code:
                raise NoGossipThere(answer.error_message or f"error {answer.error_code}")
            return bytes(answer.auth_bytes)

        async def begin() -> None:
            offered = await client.request(
                SaslHandshakeRequest(mechanism=GOSSIP_MECHANISM), _HANDSHAKE_VERSION, expect=SaslHandshakeResponse
            )
            if offered.error_code:
                raise NoGossipThere("what is there does not gossip, or not yet")
            found.append(await talk(say))

        async with asyncio.timeout(_PATIENCE):
            await client.connect(host, port, authenticate=begin)
        client.abort()
        return found[0]

    async def _resolved(self, host: str, port: int, addresses: Addresses) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                transport, _ = await self._runtime.network.connect(asyncio.Protocol, host, port)
        except (OSError, ValueError) as problem:
            log.debug("gossip: %s:%d: %s", host, port, problem)
        else:
            found = transport.get_extra_info("peername")
            addresses.learn(host, str(found[0]) if found else "")
            transport.close()

    def _welcome(self, client: PeerIdentity) -> None:
        """Nobody gets in under the id of a node that is alive. Raises `PeerRefused`."""
        known = self._swim.known(client.node_id)
        if known is not None and known[1] is State.ALIVE and known[0].directory_id != client.directory_id:
            raise PeerRefused(
                f"there are two nodes with id {client.node_id}, the other one at {known[0].host}:"
                f"{known[0].gossip_port}: give one of them another (node.id)"
            )

    def _merged(self, client: PeerIdentity, theirs: Snapshot) -> Snapshot:
        self._swim.merge(theirs, self._runtime.clock.monotonic())
        self._touched()
        return self._swim.snapshot()

    def _complain(self, what: str, problem: Exception) -> None:
        times = self._complaints.due((what, str(problem)), self._runtime.clock.monotonic())
        if times:
            log.warning("gossip: %s: %s (%d times)", what, str(problem) or type(problem).__name__, times)


class Incoming:
    """A push-pull that another node has begun: frame by frame."""

    def __init__(self, answering: Answering, complain: Callable[[Unwelcome], None]) -> None:
        self._answering = answering
        self._complain = complain

    @property
    def client(self) -> PeerIdentity | None:
        """Who the other has proved to be."""
        return self._answering.client

    def reply(self, frame: bytes) -> bytes:
        """Raises `PeerRefused` for what is no part of a push-pull."""
        try:
            answer = self._answering.reply(frame)
        except Garbled as problem:
            raise PeerRefused(f"no push-pull: {problem}") from problem
        refusal = self._answering.refusal
        if refusal is not None and not isinstance(refusal, MetItself):
            self._complain(refusal)
        return answer


_FAILURES: Final = (OSError, ValueError, ClientError, Garbled, NoGossipThere)
