"""The HTTP API of a real node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from sprawl import __version__
from sprawl.api.service import ApiService
from sprawl.observability.alerts import Readings
from sprawl.observability.http import HttpRequest
from sprawl_protocol.keys import murmur2
from tests.api.asked import asked


async def test_the_document_is_openapi_and_names_every_operation(tmp_path: Path) -> None:
    async with asked(tmp_path) as api:
        told = await api.get("/v1/openapi.json")
        validate(told)
        ids = [each["operationId"] for path in told["paths"].values() for each in path.values()]
        assert len(ids) == len(set(ids)) == len(api.operations)


async def test_a_topic_from_its_making_to_its_end(tmp_path: Path) -> None:
    async with asked(tmp_path) as api:
        wanted = {"name": "orders", "partitions": 2, "configs": {"retention.ms": "1000"}}
        status, made = await api.ask("POST", "/v1/topics", wanted)
        assert (status, made["partitions"], made["replication_factor"]) == (201, 2, 1)
        assert await api.ask("POST", "/v1/topics", {"name": "orders"}) == (
            409,
            {
                "type": "urn:kafka:error:TOPIC_ALREADY_EXISTS",
                "title": "Conflict",
                "status": 409,
                "detail": "Topic 'orders' already exists.",
                "instance": "/v1/topics",
                "error": "TOPIC_ALREADY_EXISTS",
            },
        )
        assert [each["name"] for each in await api.get("/v1/topics")] == ["orders"]
        status, grown = await api.ask("POST", "/v1/topics/orders/partitions", {"count": 3})
        assert (status, grown["partitions"]) == (200, 3)
        await api.world.produce("orders", 5, partition=1)
        partitions = await api.get("/v1/topics/orders/partitions")
        assert [each["next_offset"] for each in partitions] == [0, 5, 0]
        assert partitions[0]["leader"] == 1
        configs = {each["name"]: each for each in await api.get("/v1/topics/orders/configs")}
        assert configs["retention.ms"] | {"read_only": None} == {
            "name": "retention.ms",
            "value": "1000",
            "source": "topic",
            "read_only": None,
            "sensitive": False,
        }
        changes = {"retention.ms": None, "segment.bytes": "2000000"}
        assert await api.ask("PATCH", "/v1/topics/orders/configs", changes) == (204, None)
        configs = {each["name"]: each for each in await api.get("/v1/topics/orders/configs")}
        assert (configs["retention.ms"]["source"], configs["segment.bytes"]["value"]) == ("default", "2000000")
        assert await api.ask("DELETE", "/v1/topics/orders") == (204, None)
        for path in ("/v1/topics/orders", "/v1/topics/orders/partitions", "/v1/topics/orders/configs"):
            status, problem = await api.ask("GET", path)
            assert (status, problem["error"]) == (404, "UNKNOWN_TOPIC_OR_PARTITION")


async def test_records_are_read_as_they_were_given(tmp_path: Path) -> None:
    async with asked(tmp_path) as api:
        await api.world.create("orders")
        given: list[dict[str, Any]] = [
            {"key": "a", "value": "text", "headers": [{"name": "h", "value": None}], "timestamp": 5},
            {"key": None, "value": {"base64": "/+8="}, "headers": [], "timestamp": 6},
            {"key": None, "value": None, "headers": [], "timestamp": 7},
        ]
        status, placed = await api.ask("POST", "/v1/topics/orders/records", {"records": given})
        assert (status, placed) == (200, [{"partition": 0, "offset": at} for at in range(3)])
        read = await api.get("/v1/topics/orders/partitions/0/records")
        assert read["records"] == [{"offset": at, **record} for at, record in enumerate(given)]
        assert (read["next_offset"], read["end_offset"]) == (3, 3)
        some = await api.get("/v1/topics/orders/partitions/0/records?offset=1&limit=1")
        assert ([each["offset"] for each in some["records"]], some["next_offset"]) == ([1], 2)
        await api.ask("POST", "/v1/topics/orders/records", {"records": [{"value": {"json": {"n": 1}}}]})
        last = await api.get("/v1/topics/orders/partitions/0/records?offset=3")
        assert last["records"][0]["value"] == '{"n":1}'
        assert not (await api.get("/v1/topics/orders/partitions/0/records?offset=latest"))["records"]


async def test_records_go_where_their_keys_belong(tmp_path: Path) -> None:
    async with asked(tmp_path) as api:
        await api.world.create("orders", partitions=4)
        records = [{"key": "a", "value": "1"}, {"value": "2", "partition": 3}, {"key": "a", "value": "3"}]
        _, placed = await api.ask("POST", "/v1/topics/orders/records", {"records": records})
        home = (murmur2(b"a") & 0x7FFFFFFF) % 4
        offsets = (1, 0, 2) if home == 3 else (0, 0, 1)
        assert [(each["partition"], each["offset"]) for each in placed][1] == (3, 1 if home == 3 else 0)
        assert [each["partition"] for each in placed] == [home, 3, home]
        assert len({(each["partition"], each["offset"]) for each in placed}) == len(offsets)


@pytest.mark.parametrize(
    ("key", "hashed"), [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)]
)
def test_keys_are_hashed_as_kafka_does(key: bytes, hashed: int) -> None:
    """The values are those of Kafka's own test, UtilsTest.testMurmur2."""
    assert murmur2(key) == hashed % 2**32


async def test_a_reader_waits_for_a_record(tmp_path: Path) -> None:
    import asyncio

    async with asked(tmp_path) as api:
        await api.world.create("orders")
        reading = asyncio.create_task(api.get("/v1/topics/orders/partitions/0/records?wait_ms=30000"))
        while not any(each.waiting.fetches for each in api.world.built[0].partitions):
            await asyncio.sleep(0.01)
        await api.world.produce("orders", 1)
        async with asyncio.timeout(20):
            assert len((await reading)["records"]) == 1


async def test_groups_and_their_lag(tmp_path: Path) -> None:
    async with asked(tmp_path) as api:
        await api.world.create("orders")
        await api.world.produce("orders", 7)
        await api.world.coordinated("billing")
        await api.world.commit("billing", "orders", 3)
        [group] = await api.get("/v1/groups")
        assert (group["id"], group["state"]) == ("billing", "Empty")
        assert (await api.get("/v1/groups/billing"))["members"] == []
        [lag] = await api.get("/v1/groups/billing/lag")
        assert (lag["committed_offset"], lag["next_offset"], lag["lag"], lag["lag_seconds"]) == (3, 7, 4, None)
        await api.world.watch.look()
        [lag] = await api.get("/v1/groups/billing/lag")
        assert lag["lag_seconds"] >= 0
        assert await api.ask("DELETE", "/v1/groups/billing") == (204, None)
        for method, path in (
            ("GET", "/v1/groups/billing"),
            ("GET", "/v1/groups/billing/lag"),
            ("DELETE", "/v1/groups/billing"),
        ):
            status, problem = await api.ask(method, path)
            assert (status, problem["error"]) == (404, "GROUP_ID_NOT_FOUND"), path


async def test_the_cluster_and_its_brokers(tmp_path: Path) -> None:
    async with asked(tmp_path) as api:
        await api.world.create("orders", partitions=2)
        cluster = await api.get("/v1/cluster")
        assert (cluster["controller"], cluster["brokers"], cluster["leaderless_partitions"]) == (1, 1, 0)
        assert cluster["partitions"] >= 2
        [broker] = await api.get("/v1/brokers")
        assert (broker["id"], broker["controller"], broker["fenced"]) == (1, True, False)
        assert await api.get("/v1/brokers/1") == broker
        assert (await api.ask("GET", "/v1/brokers/9"))[0] == 404
        assert any(each["name"] == "num.partitions" for each in await api.get("/v1/brokers/1/configs"))
        assert isinstance(await api.get("/v1/events"), list)


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "detail"),
    [
        ("GET", "/v1/nothing", None, 404, "nothing at this path"),
        ("PUT", "/v1/topics", None, 405, "there is GET, POST"),
        ("POST", "/v1/topics", {"name": "x", "colour": "red"}, 400, "'colour', which means nothing here"),
        ("POST", "/v1/topics", {}, 400, "must have 'name'"),
        ("POST", "/v1/topics", {"name": "x", "partitions": True}, 400, "partitions must be integer"),
        ("POST", "/v1/topics", {"name": "no spaces"}, 400, ""),
        ("POST", "/v1/topics", {"name": "x", "replication_factor": 7}, 400, ""),
        ("POST", "/v1/topics", {"name": "x", "configs": {"retention.ms": "soon"}}, 400, "retention.ms"),
        ("POST", "/v1/topics/orders/records", {"records": []}, 400, "at least 1 items"),
        ("POST", "/v1/topics/orders/records", {"records": [{"value": {"base64": "!"}}]}, 400, "no base64"),
        ("POST", "/v1/topics/orders/records", {"records": [{"value": 5}]}, 400, "must be a string or"),
        ("POST", "/v1/topics/orders/records", {"records": [{"value": "\ud800"}]}, 400, "surrogate"),
        ("POST", "/v1/topics/gone/records", {"records": [{"value": "x"}]}, 404, "gone"),
        ("GET", "/v1/topics/orders/partitions/7/records", None, 404, "no partition 7"),
        ("GET", "/v1/topics/orders/partitions/x/records", None, 400, "whole number"),
        ("GET", "/v1/topics/orders/partitions/0/records?offset=soon", None, 400, "offset"),
        ("GET", "/v1/topics/orders/partitions/0/records?offset=99", None, 416, "offset 99"),
        ("GET", "/v1/topics/orders/partitions/0/records?limit=0", None, 400, "at least 1"),
        ("GET", "/v1/topics?colour=red", None, 400, "'colour' means nothing"),
    ],
)
async def test_what_is_wrong_is_said(
    tmp_path: Path, method: str, target: str, body: Any, status: int, detail: str
) -> None:
    async with asked(tmp_path) as api:
        await api.world.create("orders")
        told, problem = await api.ask(method, target, body)
        assert (told, problem["status"]) == (status, status), problem
        assert detail in problem["detail"]


async def test_pages_of_other_sites_cannot_ask(tmp_path: Path) -> None:
    async with asked(tmp_path) as api:
        form = await api.ask("POST", "/v1/topics", raw=b'{"name": "x"}', content_type="text/plain")
        assert form[0] == 415
        assert (await api.ask("GET", "/v1/topics", host="evil.example:9644"))[0] == 421
        assert (await api.ask("GET", "/v1/topics", host="[::1]:9644"))[0] == 200
        assert (await api.ask("POST", "/v1/topics", raw=b"[" * 100_000, content_type="application/json"))[0] == 400


async def test_a_node_that_starts_says_so() -> None:
    page = await ApiService(__version__, local=False).answer(HttpRequest("GET", "/v1/topics"))
    assert (page.status, dict(page.headers)["Retry-After"]) == (503, "1")


async def test_alerts_are_listed(tmp_path: Path) -> None:
    async with asked(tmp_path) as api:
        assert await api.get("/v1/alerts") == []
        await api.world.watch.look()
        api.world.watch.alerts.look(Readings(api.world.runtime.clock.monotonic() - 100.0, leaderless=2))
        api.world.watch.alerts.look(Readings(api.world.runtime.clock.monotonic() - 10.0, leaderless=2))
        [alert] = await api.get("/v1/alerts")
        assert (alert["name"], alert["severity"], alert["value"]) == ("SprawlPartitionsLeaderless", "critical", 2)
        found = api.world.values()
        assert found['sprawl_alerts_firing{alertname="SprawlPartitionsLeaderless",severity="critical"}'] == 1
