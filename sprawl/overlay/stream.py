"""A TCP connection that carries frames: four bytes of length, then so many bytes.

In: frames to send, and how large the next one may be. Out: frames, or `StreamBroken`. Both sides take turns, so what
comes beyond the frame that is waited for is nobody's, and the connection is cut.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Final, cast

LENGTH: Final = struct.Struct(">I")
_SEVERAL: Final = 2
"""Frames of the largest size that may lie here unread."""


class StreamBroken(Exception):
    """The connection ended, or carries something else. The text says which."""


class Stream(asyncio.Protocol):
    def __init__(self, limit: int) -> None:
        """`limit` is the most bytes of a frame, until it is raised."""
        self.limit = limit
        self.opened = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._broken: str | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._room = asyncio.Event()
        self._room.set()

    @property
    def remote_host(self) -> str:
        found = self._transport.get_extra_info("peername") if self._transport is not None else None
        return str(found[0]) if found else ""

    async def read(self) -> bytes:
        """Raises `StreamBroken`."""
        while True:
            if len(self._received) >= LENGTH.size:
                (size,) = LENGTH.unpack_from(self._received)
                if size > self.limit:
                    raise StreamBroken(f"a frame of {size} bytes; {self.limit} is the limit")
                end = LENGTH.size + size
                if len(self._received) >= end:
                    frame = bytes(memoryview(self._received)[LENGTH.size : end])
                    del self._received[:end]
                    return frame
            if self._broken is not None:
                raise StreamBroken(self._broken)
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting

    async def write(self, frame: bytes) -> None:
        """Raises `StreamBroken`."""
        if self._transport is None or self._broken is not None:
            raise StreamBroken(self._broken or "there is no connection")
        self._transport.write(LENGTH.pack(len(frame)) + frame)
        await self._room.wait()

    def close(self) -> None:
        """What was written is still sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports do not inherit from it
        self.opened.set()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) > _SEVERAL * (self.limit + LENGTH.size):
            self._broken = "more bytes than were asked for"
            self.abort()
        self._wake()

    def eof_received(self) -> bool:
        self._broken = self._broken or "the other side has hung up"
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._broken = self._broken or (str(exc) if exc is not None else "the connection has ended")
        self._room.set()
        self._wake()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
