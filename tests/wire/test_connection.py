"""One connection, driven without a socket: order of answers, what overlaps, when reading stops."""

from __future__ import annotations

import asyncio
import struct
from typing import Any, cast

import pytest

from sprawl.handlers.context import Handler, RequestContext
from sprawl.wire.connection import Connection
from sprawl.wire.dispatch import Dispatcher
from sprawl.wire.limits import ConnectionLimits, RequestMemory
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.framing import frame_request
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    ApiVersionsResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    MetadataResponse,
    ProduceRequest,
    ProduceResponse,
)


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.closed = False
        self.reading = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 50_000) if name == "peername" else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def writelines(self, list_of_data: Any) -> None:
        for data in list_of_data:
            self.sent += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self) -> None:
        self.closed = True

    abort = close

    def correlation_ids(self) -> list[int]:
        found, at = [], 0
        while at < len(self.sent):
            size, correlation_id = struct.unpack_from(">ii", self.sent, at)
            found.append(correlation_id)
            at += 4 + size
        return found


class Harness:
    def __init__(self, routes: dict[ApiKey, Handler], limits: ConnectionLimits, budget: int = 1 << 30) -> None:
        self.now = 0.0
        self.transport = Transport()
        self.memory = RequestMemory(budget)
        self.lost: list[Connection] = []
        self.connection = Connection(
            1,
            Dispatcher(routes),
            limits,
            self.memory,
            "PLAINTEXT",
            lambda: self.now,
            lambda _: True,
            self.lost.append,
        )
        self.connection.connection_made(self.transport)

    def receive(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            buffer = self.connection.get_buffer(-1)
            count = min(len(buffer), len(view))
            buffer[:count] = view[:count]
            view = view[count:]
            self.connection.buffer_updated(count)

    def request(self, correlation_id: int, request: Request, version: int) -> None:
        self.receive(b"".join(frame_request(correlation_id, "test", request, version)))


class Produces:
    """A Produce handler whose answers the test gives out one by one."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[Response]] = []

    def __call__(self, context: RequestContext, request: Any) -> asyncio.Future[Response]:
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        return future


async def settle() -> None:
    """Let callbacks that are due run."""
    for _ in range(5):
        await asyncio.sleep(0)


def heartbeat(context: RequestContext, request: Any) -> Response:
    return HeartbeatResponse()


async def test_answers_leave_in_the_order_of_requests() -> None:
    produces = Produces()
    harness = Harness({ApiKey.PRODUCE: produces}, ConnectionLimits())
    for correlation_id in (1, 2, 3):
        harness.request(correlation_id, ProduceRequest(acks=-1), 9)
    assert len(produces.waiting) == 3, "produce requests overlap"
    produces.waiting[2].set_result(ProduceResponse())
    produces.waiting[1].set_result(ProduceResponse())
    await settle()
    assert harness.transport.correlation_ids() == []
    produces.waiting[0].set_result(ProduceResponse())
    await settle()
    assert harness.transport.correlation_ids() == [1, 2, 3]
    assert harness.memory.taken == 0


async def test_other_requests_wait_for_those_before_them() -> None:
    produces = Produces()
    seen: list[int] = []

    def note(context: RequestContext, request: Any) -> Response:
        seen.append(len(produces.waiting))
        return HeartbeatResponse()

    harness = Harness({ApiKey.PRODUCE: produces, ApiKey.HEARTBEAT: note}, ConnectionLimits())
    harness.request(1, ProduceRequest(acks=-1), 9)
    harness.request(2, HeartbeatRequest(), 4)
    harness.request(3, ProduceRequest(acks=-1), 9)
    assert seen == []
    produces.waiting[0].set_result(ProduceResponse())
    await settle()
    assert seen == [1], "the heartbeat ran after the first produce and before the second"
    produces.waiting[1].set_result(ProduceResponse())
    await settle()
    assert harness.transport.correlation_ids() == [1, 2, 3]


async def test_reading_stops_while_too_much_is_unanswered() -> None:
    produces = Produces()
    harness = Harness({ApiKey.PRODUCE: produces}, ConnectionLimits(max_pipelined=2))
    harness.request(1, ProduceRequest(acks=-1), 9)
    assert harness.transport.reading
    harness.request(2, ProduceRequest(acks=-1), 9)
    assert not harness.transport.reading
    produces.waiting[0].set_result(ProduceResponse())
    await settle()
    assert harness.transport.reading


async def test_reading_stops_while_the_node_is_over_its_budget() -> None:
    produces = Produces()
    harness = Harness({ApiKey.PRODUCE: produces}, ConnectionLimits(), budget=10)
    harness.request(1, ProduceRequest(acks=-1), 9)
    assert not harness.transport.reading
    produces.waiting[0].set_result(ProduceResponse())
    await settle()
    assert harness.transport.reading


async def test_a_client_that_does_not_read_gets_no_further_requests_started() -> None:
    harness = Harness({ApiKey.HEARTBEAT: heartbeat}, ConnectionLimits())
    harness.connection.pause_writing()
    harness.request(1, HeartbeatRequest(), 4)
    assert harness.transport.correlation_ids() == []
    assert not harness.transport.reading
    harness.connection.resume_writing()
    assert harness.transport.correlation_ids() == [1]
    assert harness.transport.reading


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
        struct.pack(">i", 1 << 30),
        struct.pack(">i", -1),
        struct.pack(">ihhih", 10, 999, 0, 1, -1),
    ],
    ids=["http", "one gibibyte", "negative", "unknown api"],
)
async def test_what_is_no_request_costs_the_connection(garbage: bytes) -> None:
    harness = Harness({ApiKey.HEARTBEAT: heartbeat}, ConnectionLimits())
    harness.receive(garbage)
    assert harness.transport.closed


async def test_an_unknown_version_of_api_versions_is_answered_in_version_0() -> None:
    def api_versions(context: RequestContext, request: Any) -> Response:
        code = ErrorCode.UNSUPPORTED_VERSION if context.api_version > 5 else ErrorCode.NONE
        return ApiVersionsResponse(error_code=int(code))

    harness = Harness({ApiKey.API_VERSIONS: api_versions}, ConnectionLimits())
    harness.receive(struct.pack(">ihhih", 10, int(ApiKey.API_VERSIONS), 99, 7, -1))
    assert harness.transport.sent == struct.pack(">iihi", 10, 7, 35, 0)


async def test_a_refusal_of_the_whole_request_is_answered_where_there_is_a_field_for_it() -> None:
    def refuse(context: RequestContext, request: Any) -> Response:
        raise ApiError(ErrorCode.COORDINATOR_NOT_AVAILABLE, "not yet")

    harness = Harness({ApiKey.HEARTBEAT: refuse}, ConnectionLimits())
    harness.request(1, HeartbeatRequest(), 4)
    assert harness.transport.correlation_ids() == [1]
    assert struct.pack(">h", int(ErrorCode.COORDINATOR_NOT_AVAILABLE)) in harness.transport.sent


async def test_a_client_that_trickles_a_frame_is_cut_off() -> None:
    harness = Harness({ApiKey.HEARTBEAT: heartbeat}, ConnectionLimits(max_frame_time=30))
    harness.receive(struct.pack(">i", 100) + b"\0\0")
    harness.now = 29.0
    harness.receive(b"\0")
    harness.connection.check_deadlines(29.0)
    assert not harness.transport.closed
    harness.connection.check_deadlines(31.0)
    assert harness.transport.closed


async def test_an_idle_client_is_closed_and_one_with_a_request_under_way_is_not() -> None:
    produces = Produces()
    harness = Harness({ApiKey.PRODUCE: produces}, ConnectionLimits(max_idle=60))
    harness.request(1, ProduceRequest(acks=-1), 9)
    harness.connection.check_deadlines(61.0)
    assert not harness.transport.closed
    produces.waiting[0].set_result(ProduceResponse())
    await settle()
    harness.connection.check_deadlines(61.0)
    assert harness.transport.closed


async def test_a_lost_connection_gives_its_memory_back_and_cancels_its_work() -> None:
    cancelled = asyncio.Event()

    async def slow(context: RequestContext, request: Any) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError("unreachable")

    harness = Harness({ApiKey.HEARTBEAT: cast(Handler, slow)}, ConnectionLimits())
    harness.request(1, HeartbeatRequest(), 4)
    harness.request(2, HeartbeatRequest(), 4)
    await settle()
    harness.connection.connection_lost(None)
    await asyncio.wait_for(cancelled.wait(), 5)
    assert harness.memory.taken == 0
    assert harness.lost == [harness.connection]


async def test_draining_answers_what_is_under_way_and_then_closes() -> None:
    produces = Produces()
    harness = Harness({ApiKey.PRODUCE: produces}, ConnectionLimits())
    harness.request(1, ProduceRequest(acks=-1), 9)
    harness.connection.drain()
    harness.request(2, ProduceRequest(acks=-1), 9)
    assert not harness.transport.closed
    produces.waiting[0].set_result(ProduceResponse())
    await settle()
    assert harness.transport.correlation_ids() == [1]
    assert harness.transport.closed


async def test_the_bytes_that_librdkafka_leaves_behind_a_metadata_request_are_let_pass() -> None:
    seen: list[object] = []

    def metadata(context: RequestContext, request: Any) -> Response:
        seen.append(request.topics)
        return MetadataResponse()

    harness = Harness({ApiKey.METADATA: metadata}, ConnectionLimits())
    frame = bytes.fromhex("0003000d00000003000772646b61666b610000000000010000")
    harness.receive(struct.pack(">i", len(frame)) + frame)
    assert seen == [None], "it means no topics, and says all of them: that is how Kafka reads it too"
    assert not harness.transport.closed
