"""Gossip beside the quorum: who is there, as this node hears of it, and what follows from that.

In: seeds, the metadata image, this node's load. Out: the digests of all nodes; for the controller, where it is this
node, whom to suspect. Gossip only hints: somebody it doubts is asked over TCP first, and one that does not answer is
suspected, which costs it nothing as long as its heartbeats arrive (quorum/heartbeats.py).

A node without seeds begins to gossip when the image names another node; until then it has no socket, no timer and has
not imported any of it. Where the UDP port cannot be had the node goes on without gossip, and says what that costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sprawl.overlay.digest import Digest
from sprawl.overlay.lifeguard import SwimSettings
from sprawl.overlay.members import Event, Member, State, What
from sprawl.quorum.addresses import peer_address
from sprawl.quorum.controller import Controller
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.runtime import Runtime
from sprawl.wire.client import ClientError
from sprawl.wire.peers import PeerLinks
from sprawl_protocol.messages import ApiVersionsRequest, ApiVersionsResponse

if TYPE_CHECKING:
    from sprawl.overlay.exchanges import Incoming
    from sprawl.overlay.gossip import Gossip

log = logging.getLogger(__name__)

SETTINGS: Final = SwimSettings(probe_interval=0.5, probe_timeout=0.2)
"""Twice as quick as Lifeguard's usual ones: docs/gossip.md has what that costs."""
DIGEST_SECONDS: Final = 5.0
_ASK_TIMEOUT: Final = 0.5
"""For the controller's own question to a node that gossip doubts."""
_ASK_AGAIN: Final = 0.5
_LANE: Final = "are you there"
_WELL: Final = frozenset({What.JOINED, What.CLEARED, What.CHANGED})
_API_VERSIONS: Final = 3

Address = tuple[str, int]


class _Over(Exception):
    """Gossip has been stopped."""


class Membership:
    def __init__(
        self,
        runtime: Runtime,
        me: Member,
        cluster_id: str,
        secret: bytes,
        bind: Address,
        seeds: Sequence[Address],
        quorum: MetadataQuorum,
        controller: Controller,
        links: PeerLinks,
        load: Callable[[], Digest],
    ) -> None:
        self._runtime = runtime
        self._me = me
        self._cluster_id = cluster_id
        self._secret = secret
        self._bind = bind
        self._seeds = list(seeds)
        self._quorum = quorum
        self._controller = controller
        self._links = links
        self._load = load
        self._gossip: Gossip | None = None
        self._wanted = asyncio.Event()
        self._doubts = asyncio.Event()
        self._asking: set[int] = set()
        if self._seeds:
            self._wanted.set()
        self._image_changed(None, quorum.image)
        quorum.subscribe(self._image_changed)
        quorum.on_leadership(lambda _: self._doubts.set())

    async def run(self) -> None:
        """Gossip, for as long as the node lives. Never returns: nothing that goes wrong here is worth a node."""
        await self._wanted.wait()
        gossip = await self._begun()
        if gossip is not None:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._tell_load(gossip), name="load")
                    group.create_task(self._settle_doubts(gossip, group), name="doubts")
                    await gossip.ended()
                    raise _Over
            except* _Over:
                pass
            except* Exception:
                log.exception("this node goes on without gossip")
            self._gossip = None
            await gossip.stop(leave=False)
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError  # came while the group ended, which prefers to raise what it has itself
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """Say goodbye to those who are there."""
        if self._gossip is not None:
            await self._gossip.stop()

    def push_pull(self, client_host: str) -> Incoming | None:
        """What another node begins; None while this one does not gossip."""
        return None if self._gossip is None else self._gossip.accept(client_host)

    def members(self) -> list[tuple[Member, State]]:
        """Everyone that is remembered, this node first; nobody while it does not gossip."""
        return [] if self._gossip is None else self._gossip.members()

    def digests(self) -> dict[int, Digest]:
        """The load of each node that is present, as far as it has told, by node id."""
        return {} if self._gossip is None else self._gossip.digests()

    # -- gossip -----------------------------------------------------------------------------------------------------

    async def _begun(self) -> Gossip | None:
        from sprawl.overlay.gossip import Gossip  # a node on its own needs none of it

        host, port = self._bind
        try:
            gossip = Gossip(self._runtime, self._me, self._cluster_id, self._secret, host, port, SETTINGS)
            gossip.on_event = self._happened
            gossip.look_for(self._addresses(self._quorum.image))
            await gossip.start()
        except (OSError, ValueError) as problem:
            log.warning(
                "no gossip: UDP port %d of %s cannot be used (%s). A node that dies is now noticed only by its missing "
                "heartbeats, which takes longer, and nodes do not know each other's load",
                port,
                host,
                problem,
            )
            return None
        self._gossip = gossip
        return gossip

    def _image_changed(self, before: MetadataImage | None, after: MetadataImage) -> None:
        if before is not None and before.brokers is after.brokers:
            return
        if after.brokers.keys() - {self._me.node_id}:
            self._wanted.set()
        if self._gossip is not None:
            self._gossip.look_for(self._addresses(after))
            self._doubts.set()

    def _addresses(self, image: MetadataImage) -> list[Address]:
        found = [peer_address(each) for each in image.brokers.values() if each.id != self._me.node_id]
        return self._seeds + [(at.host, at.port) for at in found if at is not None]

    async def _tell_load(self, gossip: Gossip) -> None:
        while True:
            gossip.set_digest(self._load())
            await asyncio.sleep(DIGEST_SECONDS)

    # -- what the controller is told --------------------------------------------------------------------------------

    def _happened(self, event: Event) -> None:
        if event.what in _WELL:
            self._controller.clear(event.member.node_id)
        self._doubts.set()

    async def _settle_doubts(self, gossip: Gossip, group: asyncio.TaskGroup) -> None:
        """While this node is the controller: ask those that gossip doubts, again and again until they are fenced or
        are heard of."""
        while True:
            await self._doubts.wait()
            self._doubts.clear()
            while self._quorum.leading and (doubted := self._doubted(gossip)):
                for node_id in doubted:
                    if node_id not in self._asking:
                        self._asking.add(node_id)
                        group.create_task(self._ask(gossip, node_id), name=f"ask node {node_id}")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_ASK_AGAIN):
                        await self._doubts.wait()
                self._doubts.clear()

    def _doubted(self, gossip: Gossip) -> list[int]:
        """Those that would be fenced if they were gone. One that has said goodbye is believed once it is silent."""
        return [
            broker.id
            for broker in self._quorum.image.brokers.values()
            if not broker.fenced and _doubts(gossip, broker.id)
        ]

    async def _ask(self, gossip: Gossip, node_id: int) -> None:
        try:
            await self._links.request(
                node_id, ApiVersionsRequest(), expect=ApiVersionsResponse, timeout=_ASK_TIMEOUT, lane=_LANE
            )
        except ClientError as problem:
            if _doubts(gossip, node_id):
                log.info("node %d is doubted, and does not answer: %s", node_id, problem)
                self._controller.suspect(node_id)
        else:
            self._controller.clear(node_id)
        finally:
            self._asking.discard(node_id)


def _doubts(gossip: Gossip, node_id: int) -> bool:
    known = gossip.known(node_id)
    return known is not None and known[1] is not State.ALIVE
