"""Gossip on a simulated network, with real packets, real seals and real listeners: how nodes find, lose and refuse
each other."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from sprawl.handlers.api_versions import ApiVersionsHandlers
from sprawl.handlers.context import Handler
from sprawl.handlers.peers import PeerHandlers
from sprawl.overlay.digest import Digest
from sprawl.overlay.gossip import Gossip
from sprawl.overlay.lifeguard import SwimSettings
from sprawl.overlay.members import Event, Member, State, What
from sprawl.quorum.image import MetadataImage
from sprawl.runtime.simulated import SimulatedNode, Simulation
from sprawl.security.peers import PeerIdentity
from sprawl.wire.dispatch import Dispatcher
from sprawl.wire.limits import ConnectionLimits, RequestMemory
from sprawl.wire.listener import KafkaListener
from sprawl_protocol.api import ApiKey

PORT = 9092
SECRET = bytes(range(32))
OTHER_SECRET = bytes(32)
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qk"
SETTINGS = SwimSettings(probe_interval=0.5, probe_timeout=0.2)


class Party:
    """A node that does nothing but gossip."""

    def __init__(self, world: Simulation, node_id: int, name: str = "") -> None:
        self.node_id = node_id
        self.name = name or f"n{node_id}"
        self.machine: SimulatedNode = world.node(self.name)
        self.events: list[Event] = []
        self.gossip: Gossip

    async def start(self, *seeds: str, secret: bytes = SECRET, directory: str = "", cluster: str = CLUSTER) -> None:
        await self.machine.run(self._start([(seed, PORT) for seed in seeds], secret, directory, cluster))

    async def _start(self, seeds: list[tuple[str, int]], secret: bytes, directory: str, cluster: str) -> None:
        runtime = self.machine.runtime
        me = Member(self.node_id, directory or f"directory-{self.node_id}", self.name, PORT, self.name, PORT)
        self.gossip = Gossip(runtime, me, cluster, secret, "0.0.0.0", PORT, SETTINGS)
        self.gossip.on_event = self.events.append
        self.gossip.look_for(seeds)
        peers = PeerHandlers(PeerIdentity(me.node_id, me.directory_id, cluster), secret, runtime)
        peers.push_pull = self.gossip.accept
        routes: dict[ApiKey, Handler] = {
            **peers.routes(),
            **ApiVersionsHandlers(lambda: routes, lambda: MetadataImage(cluster), me.node_id).routes(),
        }
        listener = KafkaListener(
            "PLAINTEXT",
            "0.0.0.0",
            PORT,
            network=runtime.network,
            clock=runtime.clock,
            dispatcher=Dispatcher(routes),
            limits=ConnectionLimits(),
            memory=RequestMemory(1 << 24),
            ids=itertools.count(1),
        )
        await listener.open()
        listener.serve()
        await self.gossip.start()

    async def again(self, *seeds: str, **others: Any) -> None:
        """Its process is killed, and started again."""
        self.machine.kill()
        self.machine.boot()
        await self.start(*seeds, **others)

    def state(self, node_id: int) -> State | None:
        known = self.gossip.known(node_id)
        return None if known is None else known[1]

    def saw(self, what: What) -> list[int]:
        return [event.member.node_id for event in self.events if event.what is what]


async def until(holds: Any, limit: float) -> None:
    async with asyncio.timeout(limit):
        while not holds():
            await asyncio.sleep(0.05)


def play(world: Simulation, story: Coroutine[Any, Any, None], limit: float = 300) -> None:
    world.run(story, limit=limit)


@pytest.fixture
def world() -> Any:
    with Simulation(11, strict=False) as simulation:
        yield simulation


def test_nodes_that_know_one_seed_find_each_other_and_their_load(world: Simulation) -> None:
    parties = [Party(world, node_id) for node_id in range(1, 6)]

    async def story() -> None:
        for party in parties:
            await party.start("n1")
            load = Digest(cpu=party.node_id / 10)
            party.machine.loop.call_soon(party.gossip.set_digest, load)
        await until(lambda: all(len(each.gossip.members()) == 5 for each in parties), 5)
        for party in parties:
            assert [party.state(other.node_id) for other in parties if other is not party] == [State.ALIVE] * 4
        await until(lambda: all(len(each.gossip.digests()) == 5 for each in parties), 40)
        assert parties[4].gossip.digests()[2] == Digest(cpu=0.2)

    play(world, story())


def test_a_node_that_starts_before_its_seed_finds_it_later(world: Simulation) -> None:
    early, late = Party(world, 1), Party(world, 2)

    async def story() -> None:
        await early.start("n2")
        await asyncio.sleep(20)
        await late.start()
        await until(lambda: early.state(2) is late.state(1) is State.ALIVE, 5)

    play(world, story())


def test_a_killed_node_is_dead_for_all_and_alive_again_in_its_next_life(world: Simulation) -> None:
    parties = [Party(world, node_id) for node_id in (1, 2, 3)]
    one, two, three = parties

    async def story() -> None:
        for party in parties:
            await party.start("n1")
        await until(lambda: all(len(each.gossip.members()) == 3 for each in parties), 5)
        three.machine.kill()
        await until(lambda: one.state(3) is not State.ALIVE, 2)
        await until(lambda: one.state(3) is two.state(3) is State.DEAD, 10)
        assert one.saw(What.SUSPECTED) == two.saw(What.SUSPECTED) == [3]
        three.machine.boot()
        await three.start("n1")
        await until(lambda: one.state(3) is two.state(3) is State.ALIVE, 5)

    play(world, story())


def test_who_says_goodbye_is_never_suspected(world: Simulation) -> None:
    parties = [Party(world, node_id) for node_id in (1, 2, 3)]
    one, two, three = parties

    async def story() -> None:
        for party in parties:
            await party.start("n1")
        await until(lambda: all(len(each.gossip.members()) == 3 for each in parties), 5)
        began = world.now
        await three.machine.run(three.gossip.stop())
        assert world.now - began < 1
        await until(lambda: one.state(3) is two.state(3) is State.LEFT, 1)
        assert one.saw(What.SUSPECTED) == []

    play(world, story())


def test_without_udp_nobody_is_suspected_and_the_log_says_which_port_to_open(
    world: Simulation, caplog: pytest.LogCaptureFixture
) -> None:
    parties = [Party(world, node_id) for node_id in (1, 2, 3)]

    async def story() -> None:
        for party in parties:
            await party.start("n1")
        await until(lambda: all(len(each.gossip.members()) == 3 for each in parties), 5)
        world.links.isolate("n3", tcp=False)
        await asyncio.sleep(60)
        assert [one.saw(What.SUSPECTED) for one in parties] == [[], [], []]
        assert any(
            "node 3 answers over TCP but not over UDP: is UDP port 9092 open" in record.message
            for record in caplog.records
        )

    play(world, story())


def test_a_wrong_secret_is_told_on_both_sides_and_not_again_and_again(
    world: Simulation, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = Party(world, 1), Party(world, 2)

    async def story() -> None:
        await one.start()
        await two.start("n1")
        await until(lambda: one.state(2) is two.state(1) is State.ALIVE, 5)
        caplog.clear()
        one.events.clear()
        await two.again("n1", secret=OTHER_SECRET)
        await asyncio.sleep(20)
        assert one.saw(What.JOINED) == one.saw(What.CHANGED) == []
        assert one.state(2) is State.DEAD
        assert two.gossip.members()[1:] == [], "it has learned nothing"
        assert two.gossip.refused.total() > 3, "one has sent packets to the node that it knew"

    play(world, story())
    said = Counter(record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING)
    same = "does not have the same cluster secret as"
    assert said == {
        f"gossip: refused a node at 10.0.0.3: node 2 {same} node 1: copy the file of one (1 times)": 1,
        f"gossip: cannot join by n1:9092: node 1 {same} node 2: copy the file of one (1 times)": 1,
        f"gossip: no push-pull with node 2 at n2:9092: node 2 {same} node 1: copy the file of one (1 times)": 1,
        f"gossip: refused a node at 10.0.0.2: node 1 {same} node 2: copy the file of one (1 times)": 1,
    }


def test_another_cluster_with_the_same_secret_is_kept_apart(
    world: Simulation, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = Party(world, 1), Party(world, 2)

    async def story() -> None:
        await one.start()
        await two.start("n1", cluster="another")
        await asyncio.sleep(5)
        assert len(one.gossip.members()) == len(two.gossip.members()) == 1

    play(world, story())
    assert "belongs to cluster" in caplog.text


def test_two_nodes_with_one_id_are_told(world: Simulation, caplog: pytest.LogCaptureFixture) -> None:
    one, two, double = Party(world, 1), Party(world, 2), Party(world, 2, "double")

    async def story() -> None:
        await one.start()
        await two.start("n1")
        await until(lambda: one.state(2) is State.ALIVE, 5)
        await double.start("n1", directory="another disk")
        await asyncio.sleep(5)
        known = one.gossip.known(2)
        assert known is not None
        assert known[0].directory_id == "directory-2"

    play(world, story())
    assert "there are two nodes with id 2" in caplog.text


def test_noise_on_the_port_is_refused_and_harmless(world: Simulation, caplog: pytest.LogCaptureFixture) -> None:
    one, two = Party(world, 1), Party(world, 2)

    async def story() -> None:
        await one.start()
        await two.start("n1")
        await until(lambda: one.state(2) is State.ALIVE, 5)
        endpoint = await world.driver.runtime.network.datagram("0.0.0.0", 0)
        rng = world.driver.runtime.rng
        for size in range(1, 300):
            await endpoint.send(rng.randbytes(size), "n1", PORT)
        await asyncio.sleep(5)
        assert one.gossip.refused.total() == 299
        assert one.state(2) is State.ALIVE

    play(world, story())
    assert sum("packet(s)" in record.getMessage() for record in caplog.records) <= 3


def test_a_member_that_packets_cannot_hold_is_refused_at_once(world: Simulation) -> None:
    async def story() -> None:
        me = replace(Member(1, "d", "h", PORT, "h", PORT), rack="r" * 200)
        with pytest.raises(ValueError, match="rack"):
            Gossip(world.driver.runtime, me, CLUSTER, SECRET, "0.0.0.0", PORT)

    play(world, story())
