"""The status server, asked by a client that behaves and by some that do not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sprawl.observability import http
from sprawl.observability.http import MAX_BODY_BYTES, MAX_CONNECTIONS, HttpRequest, StatusServer
from sprawl.observability.metrics import Registry
from sprawl.observability.status import Page, Verdict, status_pages
from sprawl.runtime.real.network import RealNetwork


class Node:
    def __init__(self) -> None:
        self.is_ready = True
        self.registry = Registry()
        self.registry.counter("asked_total", "Questions.").add(2)

    def ready(self) -> Verdict:
        return Verdict(self.is_ready, "recovering 3 of 7 partitions")


@asynccontextmanager
async def served(node: Node) -> AsyncIterator[tuple[StatusServer, int]]:
    pages = status_pages(live=lambda: Verdict(True), started=node.ready, ready=node.ready, registry=node.registry)
    server = StatusServer(RealNetwork(), pages)
    port = await server.start("127.0.0.1", 0)
    try:
        yield server, port
    finally:
        await server.stop()


async def talk(port: int, sent: bytes, *, end: bool = True) -> bytes:
    """Send, and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent)
        if end:
            writer.write_eof()
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()


async def get(port: int, path: str) -> tuple[int, bytes]:
    answer = await talk(port, f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def test_a_ready_node_says_so() -> None:
    async with served(Node()) as (_, port):
        for path in ("/livez", "/readyz", "/startupz", "/readyz?verbose"):
            assert await get(port, path) == (200, b"ok\n")
        assert json.loads((await get(port, "/v1/status/ready"))[1]) == {"status": "ready"}


async def test_a_node_that_is_not_ready_says_why_but_lives() -> None:
    node = Node()
    node.is_ready = False
    async with served(node) as (_, port):
        assert await get(port, "/readyz") == (503, b"recovering 3 of 7 partitions\n")
        assert (await get(port, "/v1/status/ready"))[0] == 503
        assert await get(port, "/livez") == (200, b"ok\n")


async def test_metrics_are_served_as_prometheus_reads_them() -> None:
    async with served(Node()) as (_, port):
        status, body = await get(port, "/metrics")
        assert status == 200
        assert b"asked_total 2\n" in body


async def test_an_unknown_page_lists_the_known_ones() -> None:
    async with served(Node()) as (_, port):
        status, body = await get(port, "/admin")
        assert status == 404
        assert b"/readyz" in body


async def test_requests_of_one_connection_are_answered_in_turn() -> None:
    async with served(Node()) as (_, port):
        answer = await talk(port, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        assert answer.count(b"HTTP/1.1 200") == 3


async def test_head_gets_no_body() -> None:
    async with served(Node()) as (_, port):
        answer = await talk(port, b"HEAD /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b" 200 " in answer
        assert answer.lower().endswith(b"content-length: 3\r\nconnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", b"405"),
        (b"DELETE /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"405"),
        (b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", b"200"),
        (b"GET /livez HTTP/1.1\r\n\r\n", b"400"),
        (b"\x00\x00\x00\x11\x00\x12\x00\x00 a kafka request\r\n\r\n", b"400"),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n", b"431"),
    ],
)
async def test_what_is_not_a_plain_question_is_refused_and_the_next_one_served(sent: bytes, status: bytes) -> None:
    async with served(Node()) as (_, port):
        answer = await talk(port, sent)
        assert answer.split()[1] == status
        assert await get(port, "/livez") == (200, b"ok\n")


async def test_a_client_that_dawdles_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.05)
    async with served(Node()) as (server, port):
        assert await talk(port, b"GET /livez HT", end=False) == b""
        assert not server.connections


async def test_the_number_of_connections_is_bounded() -> None:
    async with served(Node()) as (server, port):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS)]
        for _, writer in held:
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        for reader, _ in held:
            await reader.readuntil(b"ok\n")  # by now each has been counted
        assert len(server.connections) == MAX_CONNECTIONS
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        for _, one in [*held, (reader, writer)]:
            one.close()


class Echo:
    """A service that says what it was asked."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.fails = False

    def serves(self, path: str) -> bool:
        return path.startswith("/v1/echo")

    async def answer(self, request: HttpRequest) -> Page:
        await self.may_answer.wait()
        if self.fails:
            raise ValueError("broken")
        body = {"method": request.method, "path": request.path, "query": request.query, "body": request.body.decode()}
        return Page(200, "application/json", json.dumps(body).encode())


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[Echo, int]]:
    async with served(Node()) as (server, port):
        server.service = echo = Echo()
        yield echo, port


def post(body: bytes, *, close: bool = True, more: str = "") -> bytes:
    ending = "Connection: close\r\n" if close else ""
    head = f"POST /v1/echo?x=1 HTTP/1.1\r\nHost: x\r\n{ending}{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_the_service_gets_what_is_no_page_with_its_body() -> None:
    async with echoing() as (_, port):
        answer = await talk(port, post(b"hello"))
        told = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert told == {"method": "POST", "path": "/v1/echo", "query": "x=1", "body": "hello"}
        assert (await get(port, "/livez"))[0] == 200
        assert (await get(port, "/nowhere"))[0] == 404


async def test_requests_of_one_connection_are_answered_one_after_the_other() -> None:
    async with echoing() as (_, port):
        answer = await talk(port, post(b"first", close=False) + post(b"second", close=False) + post(b"third"))
        assert answer.count(b"HTTP/1.1 200") == 3
        assert answer.index(b"first") < answer.index(b"second") < answer.index(b"third")


async def test_a_client_that_goes_away_is_not_answered() -> None:
    async with echoing() as (echo, port):
        echo.may_answer.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(post(b"x"))
        await writer.drain()
        writer.close()
        echo.may_answer.set()
        assert (await get(port, "/livez"))[0] == 200, "and nothing is broken by it"
        assert await reader.read() is not None


async def test_a_body_beyond_the_limit_is_refused() -> None:
    async with echoing() as (_, port):
        answer = await talk(port, post(b"x" * (MAX_BODY_BYTES + 1)), end=False)
        assert answer.startswith(b"HTTP/1.1 413")


async def test_a_client_that_waits_to_be_told_to_go_on_is_told() -> None:
    async with echoing() as (_, port):
        assert (await talk(port, post(b"hello", more="Expect: 100-continue\r\n"))).startswith(b"HTTP/1.1 ")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        whole = post(b"hello", more="Expect: 100-continue\r\n")
        writer.write(whole[:-5])
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)).startswith(b"HTTP/1.1 100")
        writer.write(whole[-5:])
        assert b"hello" in await asyncio.wait_for(reader.read(), 30)
        writer.close()


async def test_a_service_that_breaks_is_an_error_of_this_side() -> None:
    async with echoing() as (echo, port):
        echo.fails = True
        assert (await talk(port, post(b"x"))).startswith(b"HTTP/1.1 500")
