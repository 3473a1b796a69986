"""Small protocols for the TCP tests: collect what arrives, echo it, or read it through a buffer of one's own."""

from __future__ import annotations

import asyncio
from typing import cast


class Collector(asyncio.Protocol):
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.data = bytearray()
        self.keep_open = False
        self.pauses = 0
        self.resumes = 0
        self.made: asyncio.Future[None] = loop.create_future()
        self.end: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[Exception | None] = loop.create_future()
        self.transport: asyncio.Transport
        self._arrived = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.made.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.data += data
        self._arrived.set()

    def eof_received(self) -> bool:
        self.end.set_result(None)
        self._arrived.set()
        return self.keep_open

    def pause_writing(self) -> None:
        self.pauses += 1

    def resume_writing(self) -> None:
        self.resumes += 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)
        self._arrived.set()

    async def until(self, size: int) -> bytes:
        while len(self.data) < size and not self.lost.done():
            self._arrived.clear()
            await self._arrived.wait()
        return bytes(self.data)


class Echo(Collector):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.write(data)


class Buffered(asyncio.BufferedProtocol):
    """Takes 100 bytes at a time into one buffer and answers with them."""

    def __init__(self) -> None:
        self._buffer = bytearray(100)
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self._transport.write(bytes(self._buffer[:nbytes]))
