"""Push-pulls under way, in both directions, each a task in the gossip's group.

In: whom to exchange with, connections that come in. Out: what they bring goes to `Swim`; what goes wrong is complained
of now and then. Bounded: so many at once, so many seconds each, and none twice with the same node at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Final

from sprawl.overlay.addresses import Addresses
from sprawl.overlay.complaints import Complaints
from sprawl.overlay.members import State
from sprawl.overlay.messages import Snapshot
from sprawl.overlay.pushpull import FIRST_LIMIT, Credentials, MetItself, Unwelcome, answer, offer
from sprawl.overlay.stream import Stream, StreamBroken
from sprawl.overlay.swim import Swim
from sprawl.runtime import Runtime
from sprawl.security.peers import PeerIdentity, PeerRefused

log = logging.getLogger(__name__)

# A TimeoutError is an OSError. A ValueError is what resolving makes of a host that can be none.

_PATIENCE: Final = 5.0
_MOST_OUTGOING: Final = 16
_MOST_INCOMING: Final = 32


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
        self._incoming: set[Stream] = set()

    def begin(self, host: str, port: int, node_id: int) -> None:
        """With a node that is known. Not if there is no room: the next occasion comes."""
        self._start(host, port, self._with_member(host, port, node_id))

    def resolve(self, host: str, port: int, addresses: Addresses) -> None:
        """Learn the address of a host by connecting to it, and no more."""
        self._start(host, port, self._resolved(host, port, addresses))

    async def with_seed(self, host: str, port: int) -> bool:
        """False if that is this node itself."""
        try:
            await self._exchange(host, port)
        except MetItself:
            return False
        except (OSError, ValueError, StreamBroken, Unwelcome) as problem:
            self._complain(f"cannot join by {host}:{port}", problem)
        return True

    def accept(self) -> asyncio.Protocol:
        stream = Stream(FIRST_LIMIT)
        if len(self._incoming) >= _MOST_INCOMING:
            return NoRoom()
        self._incoming.add(stream)
        self._group.create_task(self._answered(stream), name="gossip push-pull, incoming")
        return stream

    def close(self) -> None:
        for stream in list(self._incoming):
            stream.abort()

    def _start(self, host: str, port: int, work: Coroutine[Any, Any, None]) -> None:
        if (host, port) in self._outgoing or len(self._outgoing) >= _MOST_OUTGOING:
            work.close()
            return
        self._outgoing.add((host, port))
        task = self._group.create_task(work, name=f"gossip push-pull with {host}:{port}")
        task.add_done_callback(lambda _: self._outgoing.discard((host, port)))

    async def _with_member(self, host: str, port: int, node_id: int) -> None:
        try:
            await self._exchange(host, port)
        except (OSError, ValueError, StreamBroken) as problem:
            log.debug("gossip: no push-pull with node %d at %s:%d: %s", node_id, host, port, problem)
        except Unwelcome as problem:
            self._complain(f"no push-pull with node {node_id} at {host}:{port}", problem)

    async def _exchange(self, host: str, port: int) -> None:
        stream: Stream | None = None
        try:
            async with asyncio.timeout(_PATIENCE):
                _, stream = await self._runtime.network.connect(lambda: Stream(FIRST_LIMIT), host, port)
                server, theirs = await offer(stream, self._mine, self._swim.snapshot)
        finally:
            if stream is not None:
                stream.close()
        now = self._runtime.clock.monotonic()
        self._swim.merge(theirs, now)
        if self._swim.reached(server.node_id, now) and self._complaints.due(("udp", server.node_id), now):
            log.warning(
                "gossip: node %d answers over TCP but not over UDP: is UDP port %d open, there and here?",
                server.node_id,
                port,
            )
        self._touched()

    async def _answered(self, stream: Stream) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                await stream.opened.wait()
                await answer(stream, self._mine, self._welcome, self._merged)
        except (StreamBroken, TimeoutError) as problem:
            log.debug("gossip: push-pull from %s: %s", stream.remote_host, problem)
        except MetItself:
            pass
        except Unwelcome as problem:
            self._complain(f"refused a node at {stream.remote_host}", problem)
        finally:
            self._incoming.discard(stream)
            stream.close()

    async def _resolved(self, host: str, port: int, addresses: Addresses) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                _, stream = await self._runtime.network.connect(lambda: Stream(FIRST_LIMIT), host, port)
        except (OSError, ValueError) as problem:
            log.debug("gossip: %s:%d: %s", host, port, problem)
        else:
            addresses.learn(host, stream.remote_host)
            stream.close()

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


class NoRoom(asyncio.Protocol):
    """Who connects is let go at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()
