"""Bytes in, frames out; messages in, framed buffers out. Sans-I/O.

A frame is four bytes of length and then as many bytes. `FrameReader` is what an `asyncio.BufferedProtocol` asks for
its buffers. What arrives lands in a scratch buffer, from which whole frames are copied; a frame that is not whole gets
memory of its own, into which the socket then writes directly, so that of a large produce request all but its
beginning goes from the socket to the log without a copy.

A length is refused before anything is allocated for it, and an announced frame costs memory only as its bytes arrive.
Asking for all of it at once would not do: CPython fills a new `bytearray` with zeros, so that one of 100 MiB takes
100 MiB of real memory at once, for four bytes from a peer that may never send another. A frame therefore begins with
room for 16 times what has arrived (at least 16 KiB) and grows 16-fold whenever it is full: at most a sixteenth of it is
copied again, and of the usual 1 MB request, whose first read brings 64 KiB, nothing. (Anonymous `mmap` is backed
lazily, but its page faults made filling 1 MiB take 454 us instead of 23.)
"""

from __future__ import annotations

import struct
from typing import Final

from sprawl_protocol.compiler import read_varint
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import REQUESTS
from sprawl_protocol.primitives import Buffer

DEFAULT_MAX_FRAME: Final = 100 * 1024 * 1024
UNAUTHENTICATED_MAX_FRAME: Final = 64 * 1024
SCRATCH_BYTES: Final = 64 * 1024
LEAST_ROOM: Final = 16 * 1024
"""What a frame that is arriving gets at least, if it is that large."""
GROWTH: Final = 16
"""How many times what has arrived a frame may take in memory."""

_LENGTH: Final = struct.Struct(">i")
_REQUEST_HEAD: Final = struct.Struct(">hhih")
_RESPONSE_HEAD: Final = struct.Struct(">ii")
_FLEXIBLE: Final = {
    int(key): range(request.FLEXIBLE_FROM, request.MAX_VERSION + 1)
    for key, request in REQUESTS.items()
    if request.FLEXIBLE_FROM is not None
}
"""The versions whose request headers have tagged fields behind the client id."""
_HTTP_WORDS: Final = (b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"DELE", b"CONN", b"PATC")
_TLS_HANDSHAKE: Final = b"\x16\x03"


class RequestHeader:
    """What stands before a request. `body` is the offset in the frame at which the request itself begins."""

    __slots__ = ("api_key", "api_version", "body", "client_id", "correlation_id")

    def __init__(self, api_key: int, api_version: int, correlation_id: int, client_id: str | None, body: int) -> None:
        self.api_key = api_key
        self.api_version = api_version
        self.correlation_id = correlation_id
        self.client_id = client_id
        self.body = body


def parse_request_header(frame: memoryview) -> RequestHeader:
    """The header of a request of any API and version, known or not. Raises `ProtocolError`.

    For an API or version that is not known, `body` means nothing: whether tagged fields follow cannot be told.
    """
    try:
        api_key, api_version, correlation_id, length = _REQUEST_HEAD.unpack_from(frame)
    except struct.error:
        raise ProtocolError(f"a frame of {len(frame)} bytes is too short for a request header") from None
    body = _REQUEST_HEAD.size
    client_id = None
    if length >= 0:
        end = body + length
        if end > len(frame):
            raise ProtocolError(f"a client id of {length} bytes where {len(frame) - body} are left")
        try:
            client_id = str(frame[body:end], "utf-8")
        except UnicodeDecodeError:
            raise ProtocolError("a client id that is not UTF-8") from None
        body = end
    elif length != -1:
        raise ProtocolError(f"a client id of length {length}")
    if api_version in _FLEXIBLE.get(api_key, ()):
        body = _skip_tags(frame, body)
    return RequestHeader(api_key, api_version, correlation_id, client_id, body)


def _skip_tags(frame: memoryview, pos: int) -> int:
    try:
        if frame[pos] == 0:
            return pos + 1
        count, pos = read_varint(frame, pos)
        if count * 2 > len(frame) - pos:
            raise ProtocolError(f"{count} tagged fields where {len(frame) - pos} bytes are left")
        for _ in range(count):
            _, pos = read_varint(frame, pos)
            size, pos = read_varint(frame, pos)
            pos += size
    except IndexError:
        raise ProtocolError("the request header ends too early") from None
    if pos > len(frame):
        raise ProtocolError("the request header ends too early")
    return pos


def frame_request(correlation_id: int, client_id: str, request: Request, version: int) -> list[Buffer]:
    name = client_id.encode()
    head = _REQUEST_HEAD.pack(request.API_KEY, version, correlation_id, len(name)) + name
    if request.header_version(version) >= 2:
        head += b"\0"
    parts = request.build(version)
    size = len(head) + sum(map(len, parts))
    return [_LENGTH.pack(size) + head, *parts]


def frame_response(correlation_id: int, response: Response, version: int) -> list[Buffer]:
    parts = response.build(version)
    first = parts[0]
    tagged = b"\0" if response.header_version(version) else b""
    size = _LENGTH.size + len(tagged) + (len(first) if len(parts) == 1 else sum(map(len, parts)))
    parts[0] = _RESPONSE_HEAD.pack(size, correlation_id) + tagged + first
    return parts


class FrameReader:
    """Receives one byte stream. `get_buffer`, let the socket write into it, then `advance` by what it wrote.

    `scratch` may be shared by all readers of one event loop: between `get_buffer` and `advance` nobody else runs, and
    nothing stays in it. An idle connection therefore holds no buffer at all.

    After a `ProtocolError` the place of the next frame is not known: the connection can only be closed.
    """

    def __init__(self, max_frame: int = DEFAULT_MAX_FRAME, scratch: bytearray | None = None) -> None:
        self.max_frame = max_frame
        """The largest frame taken. May be changed at any time; counts from the next frame on."""
        self._scratch = bytearray(SCRATCH_BYTES) if scratch is None else scratch
        self._head = b""
        """The first bytes of a frame whose length is not known yet."""
        self._frame: memoryview | None = None
        """The frame that is arriving: room for `_size` bytes in the end, of which `_arrived` are there."""
        self._size = 0
        self._arrived = 0

    @property
    def in_frame(self) -> bool:
        """Whether a frame has begun to arrive and not ended."""
        return self._frame is not None or bool(self._head)

    def get_buffer(self, sizehint: int = -1) -> memoryview:
        """Where the next bytes go; never empty. Valid until `advance`."""
        frame = self._frame
        if frame is not None:
            if self._arrived == len(frame):
                frame = self._frame = self._room(frame)
            return frame[self._arrived :]
        head = len(self._head)
        self._scratch[:head] = self._head
        return memoryview(self._scratch)[head:]

    def advance(self, count: int) -> list[memoryview]:
        """The frames that are whole now, each in writable memory of its own. Raises `ProtocolError`."""
        if self._frame is not None:
            return self._advance_frame(self._frame, count)
        scratch = self._scratch
        filled = len(self._head) + count
        assert filled <= len(scratch), f"{count} bytes were written where {len(scratch) - len(self._head)} fit"
        frames = []
        pos = 0
        while filled - pos >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(scratch, pos)
            if not 0 <= size <= self.max_frame:
                raise ProtocolError(self._why_not(size, pos))
            pos += _LENGTH.size
            if size > filled - pos:
                self._size = size
                self._arrived = filled - pos
                self._frame = self._room(memoryview(scratch)[pos:filled])
                pos = filled
                break
            frames.append(memoryview(scratch[pos : pos + size]))
            pos += size
        self._head = bytes(scratch[pos:filled])
        return frames

    def _advance_frame(self, frame: memoryview, count: int) -> list[memoryview]:
        self._arrived += count
        assert self._arrived <= len(frame), f"{count} bytes were written, {self._arrived - len(frame)} too many"
        if self._arrived < self._size:
            return []
        self._frame = None
        return [frame]

    def _room(self, arrived: memoryview) -> memoryview:
        """More memory for the frame, beginning with what has arrived of it."""
        room = bytearray(min(self._size, max(LEAST_ROOM, GROWTH * len(arrived))))
        room[: len(arrived)] = arrived
        return memoryview(room)

    def _why_not(self, size: int, pos: int) -> str:
        wrong = (
            f"a frame of {size} bytes"
            if size < 0
            else f"a frame of {size} bytes; {self.max_frame} are allowed here (socket.request.max.bytes, "
            f"less before authentication)"
        )
        head = bytes(self._scratch[pos : pos + _LENGTH.size])
        if head in _HTTP_WORDS:
            return f"{wrong}: this is an HTTP request, and here is a Kafka listener; status pages have their own port"
        if head[:2] == _TLS_HANDSHAKE:
            return f"{wrong}: this is a TLS handshake, and this listener speaks plaintext"
        return wrong
