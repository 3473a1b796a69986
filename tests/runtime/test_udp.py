from __future__ import annotations

import asyncio

import pytest

from sprawl.runtime import Runtime
from tests.runtime.conftest import Place

HOST = "127.0.0.1"


def test_datagrams_arrive_whole_with_their_sender(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        here, there = await runtime.network.datagram(HOST, 0), await runtime.network.datagram(HOST, 0)
        await here.send(b"x" * 1400, HOST, there.port)
        payload, sender = await there.receive()
        assert payload == b"x" * 1400
        assert sender == (HOST, here.port)
        await there.send(b"answer", sender[0], sender[1])
        assert await here.receive() == (b"answer", (HOST, there.port))
        here.close()
        there.close()

    place.run(scenario)


def test_closing_ends_the_wait(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        endpoint = await runtime.network.datagram(HOST, 0)
        waiting = asyncio.ensure_future(endpoint.receive())
        await asyncio.sleep(0.001)
        endpoint.close()
        with pytest.raises(ConnectionError, match="closed"):
            await waiting
        with pytest.raises(ConnectionError, match="closed"):
            await endpoint.receive()
        with pytest.raises(ConnectionError, match="closed"):
            await endpoint.send(b"x", HOST, 9)

    place.run(scenario)


def test_nobody_there_is_no_error(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        gone = await runtime.network.datagram(HOST, 0)
        gone.close()
        await asyncio.sleep(0.001)
        endpoint = await runtime.network.datagram(HOST, 0)
        for _ in range(3):
            await endpoint.send(b"anyone?", HOST, gone.port)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await endpoint.receive()
        endpoint.close()

    place.run(scenario)


def test_cancelled_receive_loses_nothing(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        here, there = await runtime.network.datagram(HOST, 0), await runtime.network.datagram(HOST, 0)
        waiting = asyncio.ensure_future(there.receive())
        await asyncio.sleep(0.001)
        waiting.cancel()
        await asyncio.sleep(0.001)
        await here.send(b"later", HOST, there.port)
        async with asyncio.timeout(5):
            assert (await there.receive())[0] == b"later"
        here.close()
        there.close()

    place.run(scenario)
