"""The API of one node asked for what another one leads, and the HTTP side as a process puts it together."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sprawl import __version__
from sprawl.api.service import ApiService
from sprawl.config.broker import BrokerConfig
from sprawl.config.errors import ConfigError
from sprawl.data_directory import prepare
from sprawl.http_side import HttpSide, operations_of
from sprawl.node import Node
from sprawl.observability.http import HttpRequest, StatusServer
from sprawl.runtime.real import RealRuntime
from tests.api.asked import Asked
from tests.monitoring.watched import watched

SECRET = b"c2VjcmV0IG9mIGEgY2x1c3RlciBpbiBhIHRlc3Q=\n"
CLUSTER_ID = "4L6g3nShT-eMCtK--X86sw"


@asynccontextmanager
async def two(directory: Path) -> AsyncIterator[Asked]:
    """The API of the first of two nodes."""
    for number in (1, 2):
        prepare(
            BrokerConfig.of({"log.dirs": str(directory / str(number) / "data"), "node.id": str(number)}),
            CLUSTER_ID,
            SECRET,
        )
    async with watched(directory / "1", node_id="1") as first:
        seeds = f"127.0.0.1:{first.node.addresses[0][2]}"
        async with watched(directory / "2", node_id="2", sprawl_seeds=seeds):
            service = ApiService(__version__, local=True)
            operations = operations_of(*first.built, first.runtime, first.watch)
            service.offer(operations)
            yield Asked(service, operations, first)


async def test_any_node_answers_for_the_others(tmp_path: Path) -> None:
    async with two(tmp_path) as api:
        async with asyncio.timeout(60):
            while sum(not each["fenced"] for each in await api.get("/v1/brokers")) < 2:
                await asyncio.sleep(0.05)
            assert (await api.ask("POST", "/v1/topics", {"name": "orders", "partitions": 8}))[0] == 201
            leaders = {each["id"]: each["leader"] for each in await api.get("/v1/topics/orders/partitions")}
            assert set(leaders.values()) == {1, 2}, "or there is nothing to pass on"
            for partition in leaders:
                given = {"records": [{"value": str(partition), "partition": partition}]}
                status, placed = await api.ask("POST", "/v1/topics/orders/records", given)
                assert (status, placed) == (200, [{"partition": partition, "offset": 0}]), leaders
                read = await api.get(f"/v1/topics/orders/partitions/{partition}/records")
                assert [each["value"] for each in read["records"]] == [str(partition)]
            assert {each.get("next_offset") for each in await api.get("/v1/topics/orders/partitions")} == {1}
            assert await api.get("/v1/groups") == []


async def test_the_http_side_answers_once_the_node_serves(tmp_path: Path) -> None:
    config = BrokerConfig.of(
        {
            "listeners": "PLAINTEXT://127.0.0.1:0",
            "log.dirs": str(tmp_path / "data"),
            "sprawl.http.listener": "127.0.0.1:9644",
        }
    )
    runtime = RealRuntime()
    node = Node(config, runtime)
    side = HttpSide(node, config, runtime, lambda: None, lambda: None, {})
    server = StatusServer(runtime.network, {}, side.service)
    port = await server.start("127.0.0.1", 0)

    async def get(path: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        try:
            return await asyncio.wait_for(reader.read(), 60)
        finally:
            writer.close()

    try:
        assert (await get("/v1/cluster")).startswith(b"HTTP/1.1 503")
        await node.start()
        side.start()
        answer = await get("/v1/cluster")
        assert answer.startswith(b"HTTP/1.1 200")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["brokers"] == 1
    finally:
        await side.stop()
        await node.stop()
        await server.stop()


async def test_a_webhook_that_is_no_address_is_refused_at_the_start(tmp_path: Path) -> None:
    config = BrokerConfig.of({"log.dirs": str(tmp_path), "sprawl.alerts.webhook.url": "somewhere"})
    side = HttpSide(Node(config, RealRuntime()), config, RealRuntime(), lambda: None, lambda: None, {})
    assert side.service is None, "no status page was asked for"
    with pytest.raises(ConfigError, match=r"sprawl\.alerts\.webhook\.url"):
        side.start()


async def test_an_asker_from_elsewhere_is_let_in_where_the_node_listens_for_all() -> None:
    service = ApiService(__version__, local=False)
    page = await service.answer(HttpRequest("GET", "/v1/topics", headers={"host": "broker.example:9644"}))
    assert page.status == 503, "it is starting; nothing is said of the name"
