from __future__ import annotations

import asyncio

import pytest

from sprawl.runtime import Runtime
from tests.runtime.conftest import Place
from tests.runtime.protocols import Buffered, Collector, Echo

HOST = "127.0.0.1"


class Server:
    """Hands out the protocols of its connections, in order."""

    def __init__(self, kind: type[Collector] = Collector) -> None:
        self._arrivals: asyncio.Queue[Collector] = asyncio.Queue()
        self._kind = kind

    def __call__(self) -> Collector:
        protocol = self._kind()
        self._arrivals.put_nowait(protocol)
        return protocol

    async def connection(self) -> Collector:
        protocol = await self._arrivals.get()
        await protocol.made
        return protocol


async def pair(runtime: Runtime, kind: type[Collector] = Collector) -> tuple[Collector, Collector]:
    server = Server(kind)
    listener = await runtime.network.listen(server, HOST, 0)
    _, client = await runtime.network.connect(Collector, HOST, listener.port)
    accepted = await server.connection()
    listener.close()
    return client, accepted


def test_bytes_arrive_in_order(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        client, _ = await pair(runtime, Echo)
        sent = b"".join(b"%05d" % i for i in range(20_000))
        for start in range(0, len(sent), 3000):
            client.transport.write(sent[start : start + 3000])
        assert await client.until(len(sent)) == sent
        client.transport.close()
        assert await client.lost is None

    place.run(scenario)


def test_buffers_written_at_once_arrive_joined(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        client, server = await pair(runtime)
        client.transport.writelines([b"one", bytearray(b"two"), memoryview(b"three"), b""])
        assert await server.until(11) == b"onetwothree"
        client.transport.abort()

    place.run(scenario)


def test_buffered_protocol_reads_into_its_own_buffer(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        listener = await runtime.network.listen(Buffered, HOST, 0)
        transport, client = await runtime.network.connect(Collector, HOST, listener.port)
        sent = bytes(range(256)) * 20
        transport.write(sent)
        assert await client.until(len(sent)) == sent
        transport.close()
        listener.close()

    place.run(scenario)


def test_writer_is_told_to_pause_while_the_reader_does(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        client, server = await pair(runtime)
        server.transport.pause_reading()
        assert not server.transport.is_reading()
        size = 0
        while not client.pauses:
            client.transport.write(bytes(100_000))
            size += 100_000
            await asyncio.sleep(0)
            assert size < 100_000_000, "nobody was ever told to pause"
        assert client.transport.get_write_buffer_size() > 0
        await asyncio.sleep(0.05)
        assert (client.pauses, client.resumes, len(server.data)) == (1, 0, 0)
        server.transport.resume_reading()
        await server.until(size)
        assert len(server.data) == size
        assert (client.pauses, client.resumes) == (1, 1)
        client.transport.close()

    place.run(scenario)


def test_close_sends_what_was_written(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        client, server = await pair(runtime)
        client.transport.write(bytes(3_000_000))
        client.transport.close()
        assert client.transport.is_closing()
        client.transport.write(b"too late")
        await server.lost
        assert len(server.data) == 3_000_000
        assert server.end.done()
        assert await client.lost is None

    place.run(scenario)


def test_half_closed_connection_still_carries_the_answer(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        client, server = await pair(runtime)
        server.keep_open = True
        client.transport.write(b"question")
        assert client.transport.can_write_eof()
        client.transport.write_eof()
        with pytest.raises(RuntimeError):
            client.transport.write(b"more")
        await server.end
        assert server.data == b"question"
        server.transport.write(b"answer")
        assert await client.until(6) == b"answer"
        server.transport.close()
        await client.lost
        assert await server.lost is None

    place.run(scenario)


def test_abort_resets_the_other_side(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        client, server = await pair(runtime)
        server.transport.pause_reading()
        client.transport.write(bytes(5_000_000))
        await asyncio.sleep(0.01)
        server.transport.abort()
        assert await server.lost is None
        assert isinstance(await client.lost, ConnectionError)

    place.run(scenario)


def test_nobody_there_is_refused(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        listener = await runtime.network.listen(Collector, HOST, 0)
        port = listener.port
        listener.close()
        await listener.wait_closed()
        with pytest.raises(ConnectionRefusedError):
            await runtime.network.connect(Collector, HOST, port)

    place.run(scenario)


def test_port_is_had_once(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        listener = await runtime.network.listen(Collector, HOST, 0)
        with pytest.raises(OSError, match="in use"):
            await runtime.network.listen(Collector, HOST, listener.port)
        listener.close()
        await listener.wait_closed()
        again = await runtime.network.listen(Collector, HOST, listener.port)
        again.close()

    place.run(scenario)


def test_both_ends_know_their_addresses(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        client, server = await pair(runtime)
        assert client.transport.get_extra_info("peername") == server.transport.get_extra_info("sockname")
        assert client.transport.get_extra_info("sockname") == server.transport.get_extra_info("peername")
        assert client.transport.get_extra_info("peername")[0] == HOST
        client.transport.close()
        await server.lost

    place.run(scenario)


def test_closed_listener_leaves_connections_alone(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        client, server = await pair(runtime, Echo)
        await asyncio.sleep(0.01)
        client.transport.write(b"still there?")
        assert await client.until(12) == b"still there?"
        client.transport.close()
        await server.lost

    place.run(scenario)
