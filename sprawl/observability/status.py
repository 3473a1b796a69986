"""The pages by which others learn whether a node is well, and what it does.

In: three questions, each answered with a `Verdict`, and the metrics. Out: pages by path, for `http.StatusServer`.
`/livez`: should the process be restarted? `/startupz`: has it come up? `/readyz`: may clients be sent here?
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from sprawl.observability.metrics import Registry


@dataclass(frozen=True, slots=True)
class Verdict:
    ok: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


Probe = Callable[[], Verdict]
Pages = Mapping[str, Callable[[], Page | Awaitable[Page]]]


def status_pages(*, live: Probe, started: Probe, ready: Probe, registry: Registry) -> Pages:
    async def metrics() -> Page:
        text = await registry.render_in_turns()
        return Page(200, "text/plain; version=0.0.4; charset=utf-8", text.encode())

    return {
        "/livez": lambda: _text(live()),
        "/startupz": lambda: _text(started()),
        "/readyz": lambda: _text(ready()),
        "/v1/status/ready": lambda: _json(ready()),
        "/metrics": metrics,
    }


def _text(verdict: Verdict) -> Page:
    words = "ok" if verdict.ok else verdict.reason or "not ready"
    return Page(200 if verdict.ok else 503, "text/plain; charset=utf-8", f"{words}\n".encode())


def _json(verdict: Verdict) -> Page:
    body = {"status": "ready"} if verdict.ok else {"status": "not ready", "reason": verdict.reason}
    return Page(200 if verdict.ok else 503, "application/json", json.dumps(body).encode() + b"\n")
