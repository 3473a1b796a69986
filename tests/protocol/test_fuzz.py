"""Whatever bytes arrive: `ProtocolError` or an answer, in memory that is bounded by what arrived.

Valid encodings of every message and version are spoiled and parsed; streams of spoiled request frames go through the
`FrameReader` in pieces of any size, and from it through the request header and the request. It takes
`SPRAWL_FUZZ_SECONDS` (5) seconds in all; a failure names the seed of its round, and `SPRAWL_FUZZ_SEED` repeats it.
"""

from __future__ import annotations

import contextlib
import os
import struct
import time
import tracemalloc
from collections.abc import Callable
from random import Random

import pytest

from sprawl_protocol.compiler import ALLOCATION_FACTOR, FREE_ALLOCATION
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.framing import GROWTH, LEAST_ROOM, FrameReader, frame_request, parse_request_header
from sprawl_protocol.message import Request, Struct
from sprawl_protocol.messages import REQUESTS
from tests.protocol.arbitrary import every_version, message

SECONDS = float(os.environ.get("SPRAWL_FUZZ_SECONDS", "5"))
SEED = os.environ.get("SPRAWL_FUZZ_SEED")
EVERY_VERSION = list(every_version())
REQUEST_VERSIONS = [(cls, version) for cls, version in EVERY_VERSION if issubclass(cls, Request)]
MAX_FRAME = 1 << 20
BOUNDARIES = (
    b"\0",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff\xff\xff\xff\x0f",  # the largest varint
    b"\xff\xff\xff\xff\x7f",  # one too large
    b"\x80\x80\x80\x80\x80\x80",
    b"\x7f\xff",
    b"\x80\0",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\0\0\0\x01",
    b"\xff\xff\xff\xff",
)


def spoil(rng: Random, data: bytes) -> bytes:
    """Bytes near `data`: some changed, cut out, repeated, put in, or made the numbers that lengths go wrong at."""
    spoiled = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(len(spoiled) + 1)
        end = min(at + rng.choice((1, 2, 4, 8, 40)), len(spoiled))
        match rng.randrange(6):
            case 0:
                if at < len(spoiled):
                    spoiled[at] ^= 1 << rng.randrange(8)
            case 1:
                del spoiled[at:end]
            case 2:
                spoiled[at:at] = spoiled[at:end] * rng.choice((1, 3, 50))
            case 3:
                spoiled[at:at] = rng.randbytes(rng.choice((1, 4, 30)))
            case 4:
                number = rng.choice(BOUNDARIES)
                spoiled[at : at + len(number)] = number
            case _:
                del spoiled[at:]
    return bytes(spoiled)


def fuzz(title: str, share: float, one: Callable[[Random], bool]) -> tuple[int, int]:
    """Do `one` until this test's share of the time is over; how often, and how often it said True."""
    if SEED is not None:
        one(Random(SEED))
        return 1, 1
    until = time.monotonic() + SECONDS * share
    start = Random().getrandbits(32)
    number = hits = 0
    while time.monotonic() < until:
        seed = f"{title} {start} {number}"
        try:
            hits += one(Random(seed))
        except BaseException as error:
            error.add_note(f"SPRAWL_FUZZ_SEED='{seed}' repeats it")
            raise
        number += 1
    return number, hits


def spoiled_message(rng: Random) -> tuple[type[Struct], int, bytes]:
    cls, version = rng.choice(EVERY_VERSION)
    return cls, version, spoil(rng, message(rng, cls, version, many=rng.choice((0, 1, 3))).encode(version))


def understands(data: bytes | memoryview, cls: type[Struct], version: int, offset: int = 0) -> bool:
    """Whether it is a message, and if so one that can be said again."""
    try:
        made = cls.parse(data, version, offset)
    except ProtocolError:
        return False
    again = cls.parse(made.encode(version), version)
    assert repr(plain(again)) == repr(plain(made)), f"{cls.__name__} v{version} {data.hex()}"
    return True


def plain(value: object) -> object:
    """Views by what they show, so that messages of different buffers can be compared; NaN is told by its name."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, Struct):
        return [(field.name, plain(getattr(value, field.name))) for field in value.FIELDS]
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value


def peak_of(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def parse_or_refuse(cls: type[Struct], version: int, data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        cls.parse(data, version)


def test_spoiled_messages_are_refused_or_are_messages() -> None:
    def one(rng: Random) -> bool:
        cls, version, data = spoiled_message(rng)
        return understands(data, cls, version)

    number, understood = fuzz("messages", 0.5, one)
    assert 0 < understood < number or SEED, "both happen"


def test_spoiled_messages_take_memory_in_proportion() -> None:
    def one(rng: Random) -> bool:
        cls, version, data = spoiled_message(rng)
        parse_or_refuse(cls, version, data)  # what is compiled for the first time does not count
        peak = peak_of(lambda: parse_or_refuse(cls, version, data))
        assert peak <= 2 * ALLOCATION_FACTOR * len(data) + FREE_ALLOCATION, f"{cls.__name__} v{version} {data.hex()}"
        return True

    fuzz("memory", 0.2, one)


def stream(rng: Random) -> bytes:
    """Frames of requests behind each other, some of them spoiled, perhaps the stream itself as well."""
    out = bytearray()
    for _ in range(rng.randrange(1, 5)):
        cls, version = rng.choice(REQUEST_VERSIONS)
        made = message(rng, cls, version, many=1)
        assert isinstance(made, Request)
        frame = b"".join(frame_request(rng.getrandbits(31), rng.choice(("", "client", "ü" * 40)), made, version))
        if rng.random() < 0.7:
            content = spoil(rng, frame[4:])
            frame = struct.pack(">i", len(content)) + content
        out += frame
    return spoil(rng, bytes(out)) if rng.random() < 0.3 else bytes(out)


def serve(rng: Random, data: bytes) -> int:
    """As a connection does: bytes in pieces, frames out, headers and requests out of these. The requests understood."""
    reader = FrameReader(MAX_FRAME)
    understood = 0
    while data:
        buffer = reader.get_buffer()
        assert len(buffer) > 0, "there is always room"
        count = min(len(buffer), len(data), rng.choice((1, 3, 100, 70_000)))
        buffer[:count] = data[:count]
        buffer.release()
        data = data[count:]
        try:
            frames = reader.advance(count)
        except ProtocolError:
            return understood  # the connection is closed
        understood += sum(map(request_in, frames))
    return understood


def request_in(frame: memoryview) -> bool:
    try:
        header = parse_request_header(frame)
    except ProtocolError:
        return False
    cls = REQUESTS.get(header.api_key)  # type: ignore[call-overload]
    return cls is not None and understands(frame, cls, header.api_version, header.body)


def test_spoiled_streams_of_requests_close_the_connection_at_worst() -> None:
    _, understood = fuzz("streams", 0.2, lambda rng: serve(rng, stream(rng)) > 0)
    assert understood, "some of them are requests still"


def test_spoiled_streams_take_memory_in_proportion() -> None:
    def one(rng: Random) -> bool:
        data = stream(rng)
        cuts = rng.getrandbits(64)
        serve(Random(cuts), data)
        peak = peak_of(lambda: serve(Random(cuts), data))
        most = (GROWTH + 4 * ALLOCATION_FACTOR) * len(data) + LEAST_ROOM + FREE_ALLOCATION
        assert peak <= most, data.hex()
        return True

    fuzz("streams' memory", 0.1, one)


@pytest.mark.parametrize("size", [16, 100, 20_000])
def test_noise_for_a_stream_raises_nothing(size: int) -> None:
    rng = Random(size)
    for _ in range(50):
        serve(rng, rng.randbytes(size))
