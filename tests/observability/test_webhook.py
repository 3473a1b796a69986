"""Alerts told to a receiver over HTTP."""

from __future__ import annotations

import asyncio
import json

import pytest

from sprawl.observability import webhook
from sprawl.observability.alerts import Alert, Change, Severity
from sprawl.observability.http import HttpRequest, StatusServer
from sprawl.observability.status import Page
from sprawl.observability.webhook import Webhook
from sprawl.runtime.real import RealRuntime

ALERT = Alert("SprawlDiskFilling", Severity.WARNING, "node", 90.0, 1.5, "the disk is full in 1.5 days")


class Receiver:
    """Answers with the statuses given, then with 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[HttpRequest] = []
        self.news = asyncio.Event()

    def serves(self, path: str) -> bool:
        return True

    async def answer(self, request: HttpRequest) -> Page:
        self.got.append(request)
        self.news.set()
        return Page(self.statuses.pop(0) if self.statuses else 200, "text/plain", b"")


async def told(receiver: Receiver, count: int) -> list[dict[str, object]]:
    runtime = RealRuntime()
    server = StatusServer(runtime.network, {}, receiver)
    port = await server.start("127.0.0.1", 0)
    hook = Webhook(f"http://127.0.0.1:{port}/alerts?key=1", "rack-1/1", runtime)
    running = asyncio.create_task(hook.run())
    try:
        hook.tell([Change(ALERT, firing=True)], 100.0, 1_700_000_000_000)
        hook.tell([], 110.0, 1_700_000_010_000)
        hook.tell([Change(ALERT, firing=False)], 120.0, 1_700_000_020_000)
        async with asyncio.timeout(60):
            while len(receiver.got) < count:
                receiver.news.clear()
                await receiver.news.wait()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await server.stop()
    return [json.loads(each.body) for each in receiver.got]


async def test_what_fires_and_what_is_over_is_told_as_alertmanager_does() -> None:
    receiver = Receiver()
    fired, over = await told(receiver, 2)
    assert (receiver.got[0].method, receiver.got[0].path, receiver.got[0].query) == ("POST", "/alerts", "key=1")
    assert fired["status"] == "firing"
    assert fired["alerts"] == [
        {
            "status": "firing",
            "labels": {
                "alertname": "SprawlDiskFilling",
                "severity": "warning",
                "instance": "rack-1/1",
                "subject": "node",
            },
            "annotations": {"summary": "the disk is full in 1.5 days"},
            "startsAt": "2023-11-14T22:13:10.000Z",
            "endsAt": "0001-01-01T00:00:00Z",
        }
    ]
    assert over["status"] == "resolved"


async def test_what_is_refused_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_PAUSE", 0.01)
    first, again, over = await told(Receiver(503), 3)
    assert first == again
    assert over["status"] == "resolved"


@pytest.mark.parametrize("url", ["", "ftp://host/", "http://", "somewhere"])
async def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no http or https address"):
        Webhook(url, "1", RealRuntime())
