"""What a network may do to nodes: cut, delay, lose, double, reset."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from sprawl.runtime import Datagram
from sprawl.runtime.simulated import SimulatedNode, Simulation
from tests.runtime.protocols import Collector, Echo

PORT = 9092


@pytest.fixture
def world() -> Iterator[Simulation]:
    with Simulation(seed=11) as made:
        made.node("a")
        made.node("b")
        yield made


async def connected(world: Simulation, kind: Callable[[], Collector] = Collector) -> tuple[Collector, Collector]:
    """A connection from a to b: the ends at a and at b."""
    arrivals: asyncio.Queue[Collector] = asyncio.Queue()

    def factory() -> Collector:
        arrivals.put_nowait(kind())
        return arrivals._queue[-1]  # type: ignore[attr-defined,no-any-return]

    a, b = world.nodes["a"], world.nodes["b"]
    await b.run(b.runtime.network.listen(factory, "", PORT))
    _, client = await a.run(a.runtime.network.connect(Collector, "b", PORT))
    client.transport.write(b"hello")
    server = await arrivals.get()
    await b.run(server.until(5))
    server.data.clear()
    return client, server


async def lost(node: SimulatedNode, protocol: Collector) -> Exception | None:
    async def wait() -> Exception | None:
        return await protocol.lost

    return await node.run(wait())


def test_partition_delays_what_was_sent_until_it_heals(world: Simulation) -> None:
    async def scenario() -> None:
        client, server = await connected(world)
        world.links.block("a", "b")
        client.transport.write(b"through")
        await asyncio.sleep(10)
        assert not server.data
        world.links.heal()
        assert await world.nodes["b"].run(server.until(7)) == b"through"
        assert not client.lost.done()

    world.run(scenario())


def test_long_partition_breaks_the_connection_for_who_sends(world: Simulation) -> None:
    async def scenario() -> None:
        client, server = await connected(world)
        world.links.block("a", "b")
        client.transport.write(b"never")
        assert isinstance(await lost(world.nodes["a"], client), TimeoutError)
        assert 60 <= world.now < 70
        assert not server.lost.done()
        world.links.heal()
        server.transport.write(b"are you there?")
        assert isinstance(await lost(world.nodes["b"], server), ConnectionResetError)

    world.run(scenario())


def test_one_way_partition_lets_the_other_direction_pass(world: Simulation) -> None:
    async def scenario() -> None:
        client, server = await connected(world)
        world.links.block("b", "a", both_ways=False)
        client.transport.write(b"one way")
        assert await world.nodes["b"].run(server.until(7)) == b"one way"
        server.transport.write(b"answer")
        await asyncio.sleep(5)
        assert not client.data
        # Neither hears an acknowledgement, so in the end both give up.
        assert isinstance(await lost(world.nodes["a"], client), TimeoutError)
        assert isinstance(await lost(world.nodes["b"], server), TimeoutError)

    world.run(scenario())


def test_nobody_can_connect_over_a_partition(world: Simulation) -> None:
    async def scenario() -> None:
        await connected(world)
        world.links.isolate("b")
        a = world.nodes["a"]
        begun = world.now
        with pytest.raises(TimeoutError):
            await a.run(a.runtime.network.connect(Collector, "b", PORT))
        assert world.now - begun == pytest.approx(world.network.connect_timeout, abs=0.1)

    world.run(scenario())


def test_tcp_loss_only_delays(world: Simulation) -> None:
    async def scenario() -> None:
        client, _ = await connected(world, Echo)
        world.links.between("a", "b").tcp_loss = 0.5
        sent = bytes(range(256)) * 100
        for start in range(0, len(sent), 1000):
            client.transport.write(sent[start : start + 1000])
            await asyncio.sleep(0.001)
        echoed = await world.nodes["a"].run(client.until(5 + len(sent)))
        assert echoed == b"hello" + sent
        assert world.now > 0.1

    world.run(scenario())


def test_connections_can_be_reset(world: Simulation) -> None:
    async def scenario() -> None:
        client, server = await connected(world)
        world.network.reset_connections("a", "b")
        assert isinstance(await lost(world.nodes["a"], client), ConnectionResetError)
        assert isinstance(await lost(world.nodes["b"], server), ConnectionResetError)

    world.run(scenario())


def test_killed_process_closes_its_connections_at_once(world: Simulation) -> None:
    async def scenario() -> None:
        client, _ = await connected(world)
        world.nodes["b"].kill()
        begun = world.now
        await lost(world.nodes["a"], client)
        assert world.now - begun < 0.1
        a = world.nodes["a"]
        with pytest.raises(ConnectionRefusedError):
            await a.run(a.runtime.network.connect(Collector, "b", PORT))

    world.run(scenario())


def test_peers_of_a_machine_without_power_learn_of_it_late(world: Simulation) -> None:
    async def scenario() -> None:
        client, _ = await connected(world)
        world.nodes["b"].crash()
        begun = world.now
        error = await lost(world.nodes["a"], client)
        assert isinstance(error, TimeoutError)
        assert world.now - begun > 1

    world.run(scenario())


def test_peers_learn_at_once_when_it_is_back_and_they_send(world: Simulation) -> None:
    async def scenario() -> None:
        world.network.detection = (100.0, 200.0)
        client, _ = await connected(world)
        world.nodes["b"].crash()
        client.transport.write(b"lost")
        await asyncio.sleep(1)
        assert not client.lost.done()
        world.nodes["b"].boot()
        assert isinstance(await lost(world.nodes["a"], client), ConnectionResetError)
        assert world.now < 10

    world.run(scenario())


def test_paused_process_still_takes_bytes_but_answers_later(world: Simulation) -> None:
    async def scenario() -> None:
        client, _ = await connected(world, Echo)
        client.data.clear()
        world.nodes["b"].pause()
        client.transport.write(b"anyone?")
        await asyncio.sleep(30)
        assert not client.lost.done()
        assert b"anyone?" not in client.data
        world.nodes["b"].resume()
        await world.nodes["a"].run(client.until(7))

    world.run(scenario())


def test_writer_to_a_paused_process_is_held_back(world: Simulation) -> None:
    async def scenario() -> None:
        client, server = await connected(world)
        world.nodes["b"].pause()
        written = 0
        while not client.pauses:
            client.transport.write(bytes(100_000))
            written += 100_000
            await asyncio.sleep(0.01)
        assert 500_000 < written < 1_000_000
        world.nodes["b"].resume()
        await world.nodes["b"].run(server.until(written))
        assert (client.pauses, client.resumes) == (1, 1)

    world.run(scenario())


async def endpoints(world: Simulation) -> tuple[Datagram, Datagram]:
    a, b = world.nodes["a"], world.nodes["b"]
    return await a.run(a.runtime.network.datagram("", PORT)), await b.run(b.runtime.network.datagram("", PORT))


async def exchange(world: Simulation, count: int) -> list[int]:
    """Numbers sent from a, as they arrive at b."""
    here, there = await endpoints(world)
    got: list[int] = []

    async def receive() -> None:
        while True:
            payload, sender = await there.receive()
            assert sender == (world.nodes["a"].address, PORT)
            got.append(int(payload))

    receiving = world.nodes["b"].run(receive())
    for number in range(count):
        await here.send(b"%d" % number, "b", PORT)
        await asyncio.sleep(0.001)
    await asyncio.sleep(1)
    receiving.cancel()
    return got


def test_datagrams_are_lost_doubled_and_reordered(world: Simulation) -> None:
    link = world.links.between("a", "b")
    link.udp_loss, link.udp_duplicates, link.udp_reordered = 0.2, 0.2, 0.2
    got = world.run(exchange(world, 500))
    assert 350 < len(set(got)) < 450
    assert len(got) - len(set(got)) > 50
    assert got != sorted(got)


def test_udp_may_be_cut_while_tcp_passes_and_the_other_way(world: Simulation) -> None:
    async def scenario() -> None:
        client, server = await connected(world)
        world.links.block("a", "b", tcp=False)
        client.transport.write(b"tcp")
        assert await world.nodes["b"].run(server.until(3)) == b"tcp"
        assert await exchange(world, 10) == []
        for node in ("a", "b"):
            world.nodes[node].kill()
            world.nodes[node].boot()
        world.links.heal()
        world.links.block("a", "b", udp=False)
        assert await exchange(world, 10) == list(range(10))

    world.run(scenario())


def test_groups_are_split_and_the_rest_reaches_all(world: Simulation) -> None:
    world.node("c")
    world.links.split(["a"], ["b"])
    blocked = {(x, y) for x in "abc" for y in "abc" if world.links.between(x, y).tcp_blocked}
    assert blocked == {("a", "b"), ("b", "a")}


def test_names_addresses_and_loopback(world: Simulation) -> None:
    async def scenario() -> None:
        a, b = world.nodes["a"], world.nodes["b"]
        await b.run(b.runtime.network.listen(Echo, "127.0.0.1", PORT))
        with pytest.raises(ConnectionRefusedError):
            await a.run(a.runtime.network.connect(Collector, "b", PORT))
        transport, _ = await b.run(b.runtime.network.connect(Collector, "localhost", PORT))
        assert transport.get_extra_info("peername") == ("127.0.0.1", PORT)
        with pytest.raises(OSError, match="no node is called"):
            await a.run(a.runtime.network.connect(Collector, "nowhere", PORT))
        with pytest.raises(OSError, match="does not have the address"):
            await a.run(a.runtime.network.listen(Echo, "b", PORT))

    world.run(scenario())


def test_buffer_changed_after_write_is_sent_changed(world: Simulation) -> None:
    """As uvloop does, which copies nothing: who writes a buffer must not touch it again."""

    async def scenario() -> None:
        client, server = await connected(world)

        async def write() -> None:
            buffer = bytearray(b"before")
            client.transport.write(buffer)
            buffer[:] = b"after!"

        await world.nodes["a"].run(write())
        assert await world.nodes["b"].run(server.until(6)) == b"after!"

    world.run(scenario())
