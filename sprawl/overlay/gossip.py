"""Gossip on the network: the sockets, timers and tasks around `Swim`.

In: seeds, this node's digest, push-pulls that other nodes begin. Out: who is there, how loaded they are, events. UDP on
the port where the node is served by TCP; push-pulls come in through `accept`, by whoever listens there. It hints;
nothing may be decided on it. Every task has one owner, the group in `_run`, and ends with `stop`.

    gossip = Gossip(runtime, me, cluster_id, secret, host, port)
    gossip.on_event = note                     # called on the loop; must not block
    gossip.look_for([("10.0.0.1", 9092)])
    await gossip.start()
    ...
    await gossip.stop()                        # says goodbye
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from sprawl.overlay import digest as digests
from sprawl.overlay.addresses import Addresses
from sprawl.overlay.complaints import Complaints
from sprawl.overlay.digest import Digest
from sprawl.overlay.envelope import Envelope, Reason, Refused
from sprawl.overlay.exchanges import Exchanges, Incoming
from sprawl.overlay.lifeguard import SwimSettings
from sprawl.overlay.members import Event, Member, Peer, State, What, life_at
from sprawl.overlay.packets import check, decode, encode
from sprawl.overlay.swim import Swim
from sprawl.runtime import Datagram, Runtime
from sprawl_protocol.errors import ProtocolError

log = logging.getLogger(__name__)

Address = tuple[str, int]

_LONGEST_NAP: Final = 0.2
"""Seconds; a stall that begins during a nap is noticed for what it goes on after it."""
_FAREWELL: Final = 4
"""Gossip intervals for which a leaving node still spreads the word."""
_ALONE_PAUSE: Final = 1.0
_SEED_PAUSE: Final = 60.0
"""Between looks for a seed that is not among the members: the other half of a cluster long split."""
_USUAL: Final = frozenset({Reason.REPLAYED, Reason.TOO_OLD, Reason.OTHER_LIFE, Reason.EARLIER_LIFE})
"""What networks and restarts bring about by themselves."""


class Gossip:
    def __init__(
        self,
        runtime: Runtime,
        me: Member,
        cluster_id: str,
        secret: bytes,
        host: str,
        port: int,
        settings: SwimSettings | None = None,
    ) -> None:
        """`host` and `port` are what to bind; `me` says where others find this node, by UDP and by TCP.

        `me` needs no life: each `start` begins a new one. Raises `ValueError` for a member that packets can't hold.
        """
        check(me)
        self._runtime = runtime
        self._cluster_id = cluster_id
        self._secret = secret
        self._host = host
        self._port = port
        self._me = me
        self._settings = settings or SwimSettings()
        self._rng = runtime.rng
        self._addresses = Addresses()
        self._complaints = Complaints()
        self._wake = asyncio.Event()
        self._silent = asyncio.Event()
        """It has left, and has nothing to say any more."""
        self._due = 0.0
        self._running: asyncio.Task[None] | None = None
        self._swim: Swim
        self._envelope: Envelope
        self._exchanges: Exchanges | None = None
        self._datagram: Datagram
        self._seeds: list[Address] = []
        self.on_event: Callable[[Event], None] = _ignore
        self.refused: Counter[Reason] = Counter()
        """Packets that were not for us, since the node's start."""
        self.sent_bytes = 0
        self.received_bytes = 0

    # -- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind and begin. Raises `OSError`."""
        self._datagram = await self._runtime.network.datagram(self._host, self._port)
        clock = self._runtime.clock
        life = life_at(clock.wall_ms(), int.from_bytes(self._runtime.token_bytes(8), "big"))
        me = replace(self._me, life=life, incarnation=0)
        self._swim = Swim(me, self._settings, self._rng, clock.monotonic())
        self._envelope = Envelope(self._secret, self._cluster_id, me.node_id, life)
        self._silent.clear()
        self._running = asyncio.create_task(self._run(), name="gossip")

    async def stop(self, *, leave: bool = True) -> None:
        """Say goodbye, unless not to `leave`, and end every task."""
        running, self._running = self._running, None
        if running is None:
            return
        if leave and not running.done():
            self._swim.leave(self._now())
            self._wake.set()
            await self._farewell()
        running.cancel()
        await asyncio.wait([running])
        self._close()
        if not running.cancelled():
            running.exception()  # it is in the log

    async def _farewell(self) -> None:
        """Until the word is spread, and not for long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL * self._settings.gossip_interval):
                await self._silent.wait()

    async def ended(self) -> None:
        """Returns once it has been stopped. Raises what only a bug can bring about, which is in the log already."""
        if self._running is not None:
            await asyncio.wait([running := self._running])
            if not running.cancelled():
                running.result()

    def look_for(self, seeds: Iterable[Address]) -> None:
        """Nodes are, or have been, at these addresses: who is not known is looked for, as long as it takes."""
        self._seeds = list(dict.fromkeys(seeds))

    def accept(self, client_host: str) -> Incoming | None:
        """A push-pull that another node begins; None if this node does not gossip now."""
        return None if self._exchanges is None else self._exchanges.accept(client_host)

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                exchanges = Exchanges(
                    self._runtime, group, self._swim, self._cluster_id, self._secret, self._complaints, self._wake.set
                )
                self._exchanges = exchanges
                group.create_task(self._receive(exchanges), name="gossip packets")
                group.create_task(self._tick(exchanges), name="gossip timers")
                group.create_task(self._seek(exchanges), name="gossip seeds")
        except Exception:
            log.exception("gossip has failed; this node no longer knows who is there")
            raise
        finally:
            self._close()

    def _close(self) -> None:
        self._datagram.close()
        self._exchanges = None

    # -- what is known ----------------------------------------------------------------------------------------------

    @property
    def me(self) -> Member:
        return self._swim.me

    @property
    def local_health(self) -> int:
        """Lifeguard's score, 0 for well up to 8."""
        return self._swim.health.score

    def members(self) -> list[tuple[Member, State]]:
        """Everyone that is remembered, this node first."""
        return self._swim.members()

    def known(self, node_id: int) -> tuple[Member, State] | None:
        return self._swim.known(node_id)

    def digests(self) -> dict[int, Digest]:
        """The latest that is known of each node that is present, by node id."""
        found = {}
        for note in self._swim.digests():
            with contextlib.suppress(ProtocolError):  # a later release's
                found[note.node_id] = digests.decode(note.content)
        return found

    def set_digest(self, digest: Digest) -> None:
        self._swim.set_digest(digests.encode(digest), self._now())

    # -- packets ----------------------------------------------------------------------------------------------------

    async def _receive(self, exchanges: Exchanges) -> None:
        while True:
            packet, (host, port) = await self._datagram.receive()
            self.received_bytes += len(packet)
            try:
                opened = self._envelope.open(packet)
                message = decode(opened.message)
            except Refused as refusal:
                self._refuse(refusal.reason, host, port, refusal.sender)
                continue
            except ProtocolError as problem:
                log.debug("gossip: %s", problem)
                self._refuse(Reason.NO_MESSAGE, host, port, opened.sender)
                continue
            self._swim.receive(message, Peer(opened.sender, opened.life, host, port), self._now())
            known = self._swim.known(opened.sender)
            if known is not None and known[0].life == opened.life:
                self._addresses.learn(known[0].host, host)
            await self._flush(exchanges)

    def _refuse(self, reason: Reason, host: str, port: int, sender: int | None) -> None:
        self.refused[reason] += 1
        times = self._complaints.due(reason, self._now())
        if times:
            level = logging.DEBUG if reason in _USUAL else logging.WARNING
            who = f", who says it is node {sender}" if sender is not None else ""
            log.log(level, "gossip: refused %d packet(s), last from %s:%d%s: %s", times, host, port, who, reason.value)

    async def _flush(self, exchanges: Exchanges) -> None:
        """Send what is to be said, begin what is to be exchanged, tell what has happened."""
        swim = self._swim
        self._envelope.begin_life(swim.me.life)
        for peer in swim.take_syncs():
            exchanges.begin(peer.host, peer.port, peer.node_id)
        for peer in swim.take_knocks():
            exchanges.knock(peer.host, peer.port, peer.node_id)
        for event in swim.take_events():
            self._happened(event)
        for peer, message in swim.take_messages():
            address = self._addresses.of(peer.host)
            if address is None:
                exchanges.resolve(peer.host, peer.port, self._addresses)
                continue
            packet = self._envelope.seal(encode(message), peer)
            self.sent_bytes += len(packet)
            with contextlib.suppress(ValueError):  # an address of a family that this socket does not have
                await self._datagram.send(packet, address, peer.port)
        if swim.next_due < self._due:
            self._wake.set()
        if swim.left and swim.next_due == math.inf:
            self._silent.set()

    def _happened(self, event: Event) -> None:
        member = event.member
        if event.what in (What.SUSPECTED, What.DIED, What.LEFT):
            self._addresses.forget(member.host)
        if event.what is What.CONFLICT:
            if self._complaints.due((What.CONFLICT, member.directory_id), self._now()):
                log.error(
                    "gossip: another node has this node's id, %d: the one at %s:%d. Give one of them another (node.id)",
                    member.node_id,
                    member.host,
                    member.gossip_port,
                )
        else:
            log.info("gossip: %s (%s:%d) %s", member, member.host, member.gossip_port, event.what.value)
        self.on_event(event)

    # -- time -------------------------------------------------------------------------------------------------------

    async def _tick(self, exchanges: Exchanges) -> None:
        while True:
            self._due = min(self._swim.next_due, self._now() + _LONGEST_NAP)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(self._due):
                    await self._wake.wait()
            self._wake.clear()
            now = self._now()
            self._swim.lag(now - self._due)
            self._swim.tick(now)
            await self._flush(exchanges)

    async def _seek(self, exchanges: Exchanges) -> None:
        """Find the cluster, and find it again should this node ever be alone or a seed be missing."""
        mine: set[Address] = set()
        while True:
            present = {(one.host, one.gossip_port) for one, state in self.members() if state.present}
            alone = len(present) == 1
            missing = [seed for seed in self._seeds if seed not in present and seed not in mine]
            if missing:
                for host, port in missing if alone else [self._rng.choice(missing)]:
                    if not await exchanges.with_seed(host, port):
                        mine.add((host, port))
                await self._flush(exchanges)
            pause = _ALONE_PAUSE if alone else _SEED_PAUSE
            await asyncio.sleep(pause * (0.5 + self._rng.random()))

    def _now(self) -> float:
        return self._runtime.clock.monotonic()


def _ignore(_: Event) -> None:
    return None
