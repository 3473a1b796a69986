"""Tells somebody over HTTP that alerts fire or are over, in the form that Alertmanager's receivers take.

In: changes. Out: one POST after the other to the address that was set, through the runtime's network; what fails is
tried again a few times, and the newest are kept while nobody answers.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections import deque
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import h11

from sprawl.observability.alerts import Change
from sprawl.runtime import Runtime

log = logging.getLogger(__name__)

_WAITING_MOST: Final = 100
_SECONDS: Final = 10.0
_PAUSE: Final = 30.0
_TRIES: Final = 5


class Webhook:
    def __init__(self, url: str, node: str, runtime: Runtime) -> None:
        """`node`: how this node is called in what is told. Raises `ValueError` if the address is none."""
        self._url = urlsplit(url)
        if self._url.scheme not in ("http", "https") or not self._url.hostname:
            raise ValueError(f"{url!r} is no http or https address")
        self._node = node
        self._runtime = runtime
        self._waiting: deque[bytes] = deque(maxlen=_WAITING_MOST)
        self._news = asyncio.Event()

    def tell(self, changes: Sequence[Change], ago: float, now_ms: int) -> None:
        """`ago`: the monotonic clock, on which alerts begin; `now_ms`: the same moment on the wall."""
        if changes:
            self._waiting.append(json.dumps(message(changes, self._node, ago, now_ms)).encode())
            self._news.set()

    async def run(self) -> None:
        """For as long as the node lives."""
        tries = 0
        while True:
            if not self._waiting:
                self._news.clear()
                await self._news.wait()
            first = self._waiting[0]
            try:
                async with asyncio.timeout(_SECONDS):
                    await post(self._runtime, self._url, first)
                done = True
            except (OSError, TimeoutError, h11.ProtocolError, ValueError) as problem:
                tries += 1
                done = tries >= _TRIES
                log.warning("the alert webhook %s: %s", self._url.hostname, problem or type(problem).__name__)
            if done:
                tries = 0
                if self._waiting and self._waiting[0] is first:
                    self._waiting.popleft()
            else:
                await asyncio.sleep(_PAUSE)


def message(changes: Sequence[Change], node: str, now: float, now_ms: int) -> dict[str, Any]:
    """As Alertmanager tells its receivers (version 4)."""
    return {
        "version": "4",
        "receiver": "sprawl",
        "status": "firing" if any(each.firing for each in changes) else "resolved",
        "alerts": [
            {
                "status": "firing" if each.firing else "resolved",
                "labels": {
                    "alertname": each.alert.name,
                    "severity": str(each.alert.severity),
                    "instance": node,
                    "subject": each.alert.subject,
                },
                "annotations": {"summary": each.alert.text},
                "startsAt": _time(now_ms - int((now - each.alert.since) * 1000)),
                "endsAt": "0001-01-01T00:00:00Z" if each.firing else _time(now_ms),
            }
            for each in changes
        ],
    }


def _time(ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def post(runtime: Runtime, url: SplitResult, body: bytes) -> None:
    """Raises `OSError`, `h11.ProtocolError`, and `ValueError` for an answer other than 2xx."""
    assert url.hostname is not None, "checked"
    secure = url.scheme == "https"
    port = url.port or (443 if secure else 80)
    tls = ssl.create_default_context() if secure else None
    transport, answer = await runtime.network.connect(_Answer, url.hostname, port, tls=tls)
    try:
        http = answer.http
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        headers = [
            ("Host", url.netloc.rpartition("@")[2]),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        sent = [
            http.send(h11.Request(method="POST", target=target, headers=headers)),
            http.send(h11.Data(data=body)),
            http.send(h11.EndOfMessage()),
        ]
        transport.write(b"".join(part for part in sent if part))
        status = await answer.status
        if not 200 <= status < 300:
            raise ValueError(f"answered {status}")
    finally:
        transport.abort()


class _Answer(asyncio.Protocol):
    def __init__(self) -> None:
        self.http = h11.Connection(h11.CLIENT)
        self.status: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        if self.status.done():
            return
        try:
            self.http.receive_data(data)
            while (event := self.http.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    self.status.set_result(event.status_code)
                    return
                if isinstance(event, h11.ConnectionClosed):
                    return
        except h11.RemoteProtocolError as problem:
            self.status.set_exception(problem)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.status.done():
            self.status.set_exception(exc or ConnectionError("closed without an answer"))
