"""One end of a simulated TCP connection, as asyncio shows it: a transport that drives a protocol.

In: what the process writes, and segments from the pipe. Out: the protocol's callbacks, always on the process's own
loop: connection_made, data_received or get_buffer/buffer_updated, pause_writing/resume_writing, eof_received,
connection_lost. Follows uvloop where it differs from asyncio: what is written is not copied but leaves at the end of
the turn, so a buffer changed after `write` is sent changed.

States: opening > connected > closing (what was written leaves first) > closed. Never back.
"""

from __future__ import annotations

import asyncio
import errno
import os
import zlib
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, cast

from sprawl.runtime.interface import Buffer
from sprawl.runtime.simulated.pipes import Mark, Pipe, Segment
from sprawl.runtime.simulated.trace import Event

if TYPE_CHECKING:
    from sprawl.runtime.simulated.fabric import Fabric
    from sprawl.runtime.simulated.node import Process, SimulatedNode

WINDOW: Final = 512 * 1024
"""Bytes that the two kernels hold for one direction: under way and not yet read."""
_HIGH_WATER: Final = 64 * 1024
_READ_MOST: Final = 256 * 1024
_READ_SHORT: Final = 0.1
"""Share of reads that get only a part of what is there, so that frames break anywhere."""


class Endpoint:
    """Not a subclass of `asyncio.Transport`, since uvloop's transports aren't: nobody may rely on it."""

    def __init__(self, fabric: Fabric, process: Process, number: int, name: tuple[str, int], peer: tuple[str, int]):
        self._extra: dict[str, object] = {"sockname": name, "peername": peer}
        self.connected = False
        self._fabric = fabric
        self._process = process
        self._loop = process.loop
        self._number = number
        self._protocol: asyncio.BaseProtocol | None = None
        self._peer: Endpoint
        self._out: Pipe
        self._unsent: deque[Buffer] = deque()
        self._unsent_size = 0
        self._flush_due = False
        self._low, self._high = _HIGH_WATER // 4, _HIGH_WATER
        self._writing_paused = False
        self._unread: deque[bytes] = deque()
        self._unread_size = 0
        self._reading = True
        self._read_due = False
        self._ended = False  # the peer has said that it sends no more
        self._end_told = False
        self._ending = False  # we want to say so once all is sent
        self._end_sent = False
        self._closing = False
        self._told_lost = False
        process.endpoints[self] = None

    @property
    def node(self) -> SimulatedNode:
        return self._process.node

    def join(self, peer: Endpoint) -> None:
        self._peer = peer
        self._out = Pipe(self._fabric, self, peer)

    def open(self, protocol: asyncio.BaseProtocol) -> None:
        self.connected = True
        self._protocol = protocol
        protocol.connection_made(cast(asyncio.Transport, self))
        self._want_read()

    def send_mark(self, mark: Mark) -> None:
        self._out.send(mark)

    # What the process asks.

    def write(self, data: Buffer) -> None:
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(f"data: expected a bytes-like object, got {type(data).__name__}")
        if self._ending:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._closing or not self.connected or not data:
            return
        self._unsent.append(data)
        self._unsent_size += len(data)
        self._wrote()

    def writelines(self, list_of_data: Iterable[Buffer]) -> None:
        if self._ending:
            raise RuntimeError("Cannot call writelines() after write_eof()")
        if self._closing or not self.connected:
            return
        for data in list_of_data:
            if data:
                self._unsent.append(data)
                self._unsent_size += len(data)
        self._wrote()

    def write_eof(self) -> None:
        if not self._closing and not self._ending:
            self._ending = True
            self._flush_soon()

    def can_write_eof(self) -> bool:
        return True

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._reading = False
            self._flush_soon()

    def abort(self) -> None:
        if not self._told_lost:
            self._out.clear()
            self._out.send(Mark.RST)
        self.break_off(None)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._extra.get(name, default)

    def is_closing(self) -> bool:
        return self._closing

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if not self._closing and not self._reading:
            self._reading = True
            self._want_read()

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = _HIGH_WATER if low is None else 4 * low
        if low is None:
            low = high // 4
        if not high >= low >= 0:
            raise ValueError(f"high ({high!r}) must be >= low ({low!r}) must be >= 0")
        self._high, self._low = high, low
        self._pause_if_full()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        return self._unsent_size

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    # What the world does.

    def receive(self, segment: Segment) -> None:
        if isinstance(segment, bytes):
            self._fabric.trace(Event.SEGMENT, self._number, len(segment), zlib.crc32(segment))
        if segment is Mark.RST:
            self.reset()
        elif segment is Mark.OPEN:
            self._fabric.accept(self)
        elif self._told_lost:
            if isinstance(segment, bytes):
                self._peer.refuse_further()
        elif isinstance(segment, bytes):
            self._unread.append(segment)
            self._unread_size += len(segment)
            self._want_read()
        else:
            self._ended = True
            self._want_read()

    def refuse_further(self) -> None:
        """The other side is gone, and its kernel says so to whatever still arrives there."""
        fabric = self._fabric
        link = fabric.links.between(self._peer.node.name, self.node.name)
        if link.tcp_blocked:
            fabric.detect_later(self)
        else:
            fabric.scheduler.after(link.delay(0, fabric.scheduler.rng), self.reset)

    def reset(self, _: None = None) -> None:
        self.break_off(ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET)))

    def break_off(self, error: Exception | None) -> None:
        """No more bytes pass either way; the protocol hears of it in its next turn."""
        if self._told_lost:
            return
        self._told_lost = True
        self._closing = True
        self.connected = False
        self._reading = False
        self._drop_buffers()
        self._process.endpoints.pop(self, None)
        self._loop.call_soon(self._tell_lost, error)

    def process_ended(self, *, power_lost: bool) -> None:
        """The kernel closes what the process left open, unless it died with it."""
        if not self._told_lost:
            if power_lost:
                self._out.clear()
                self._fabric.detect_later(self._peer)
            else:
                self._out.send(Mark.RST if self._unread_size or self._unsent_size else Mark.FIN)
        self.connected = False
        self._told_lost = True
        self._closing = True
        self._drop_buffers()

    # Sending.

    def _wrote(self) -> None:
        if self._unsent_size > self._high:
            self._flush()
            self._pause_if_full()
        else:
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self._loop.at_turn_end(self._flush)

    def _flush(self) -> None:
        self._flush_due = False
        if not self.connected:
            return
        room = WINDOW - self._out.in_flight - self._peer._unread_size
        if self._unsent and room > 0:
            self._out.send(self._take_unsent(room))
            if self._writing_paused and self._unsent_size <= self._low:
                self._writing_paused = False
                self._loop.call_soon(self._resume_writing)
        if self._unsent:
            return
        if (self._ending or self._closing) and not self._end_sent:
            self._end_sent = True
            self._out.send(Mark.RST if self._closing and self._unread_size else Mark.FIN)
        if self._closing:
            self.break_off(None)

    def _take_unsent(self, room: int) -> bytes:
        if self._unsent_size <= room:
            taken = b"".join(self._unsent)
            self._unsent.clear()
        else:
            parts: list[Buffer] = []
            while room:
                first = self._unsent.popleft()
                if len(first) > room:
                    self._unsent.appendleft(memoryview(first)[room:])
                    first = memoryview(first)[:room]
                parts.append(first)
                room -= len(first)
            taken = b"".join(parts)
        self._unsent_size -= len(taken)
        return taken

    def _pause_if_full(self) -> None:
        if self._unsent_size > self._high and not self._writing_paused and self._protocol is not None:
            self._writing_paused = True
            self._protocol.pause_writing()

    def _resume_writing(self) -> None:
        if self.connected and not self._writing_paused and self._protocol is not None:
            self._protocol.resume_writing()

    def _window_opened(self, _: None) -> None:
        if self._unsent:
            self._flush()

    # Receiving.

    def _want_read(self) -> None:
        if self._reading and not self._read_due and self.connected and (self._unread or self._ended):
            self._read_due = True
            self._loop.call_soon(self._read_ready)

    def _read_ready(self) -> None:
        self._read_due = False
        if not self._reading or not self.connected:
            return
        try:
            if self._unread:
                self._deliver()
            elif self._ended and not self._end_told:
                self._end_told = True
                assert isinstance(self._protocol, asyncio.Protocol | asyncio.BufferedProtocol)
                if not self._protocol.eof_received():
                    self.close()
        except Exception as error:  # noqa: BLE001 - a protocol that fails loses its connection, as in asyncio
            self._fail(error)
            return
        if self._unread or (self._ended and not self._end_told):
            self._want_read()

    def _deliver(self) -> None:
        rng = self._fabric.scheduler.rng
        most = min(self._unread_size, _READ_MOST)
        if most > 1 and rng.random() < _READ_SHORT:
            most = rng.randrange(1, most)
        protocol = self._protocol
        if isinstance(protocol, asyncio.BufferedProtocol):
            buffer = memoryview(protocol.get_buffer(most)).cast("B")
            if not len(buffer):
                raise RuntimeError("get_buffer() returned an empty buffer")
            most = min(most, len(buffer))
            buffer[:most] = self._take_unread(most)
            protocol.buffer_updated(most)
        else:
            assert isinstance(protocol, asyncio.Protocol)
            protocol.data_received(self._take_unread(most))
        if self._peer._unsent:
            back = self._fabric.links.between(self.node.name, self._peer.node.name)
            self._fabric.scheduler.after(back.delay(0, rng), self._peer._window_opened)

    def _take_unread(self, most: int) -> bytes:
        self._unread_size -= most
        first = self._unread.popleft()
        if len(first) == most:
            return first
        if len(first) > most:
            self._unread.appendleft(first[most:])
            return first[:most]
        parts = [first]
        left = most - len(first)
        while left:
            part = self._unread.popleft()
            if len(part) > left:
                self._unread.appendleft(part[left:])
                part = part[:left]
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    # Ending.

    def _fail(self, error: Exception) -> None:
        self._loop.call_exception_handler(
            {
                "message": "Fatal error: protocol failed",
                "exception": error,
                "transport": self,
                "protocol": self._protocol,
            }
        )
        self.abort()

    def _tell_lost(self, error: Exception | None) -> None:
        if self._protocol is not None:
            protocol, self._protocol = self._protocol, None
            protocol.connection_lost(error)

    def _drop_buffers(self) -> None:
        self._unsent.clear()
        self._unread.clear()
        self._unsent_size = self._unread_size = 0
