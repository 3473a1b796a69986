"""A node's HTTP API, asked without a socket; every answer must fit what the OpenAPI document says of it."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from sprawl import __version__
from sprawl.api.document import document
from sprawl.api.operations import Operation
from sprawl.api.service import ApiService
from sprawl.http_side import operations_of
from sprawl.observability.http import HttpRequest
from tests.monitoring.watched import Watched, watched


@dataclass
class Asked:
    service: ApiService
    operations: list[Operation]
    world: Watched

    async def ask(
        self, method: str, target: str, body: Any = None, *, raw: bytes | None = None, **headers: str
    ) -> tuple[int, Any]:
        """Status and answer."""
        path, _, query = target.partition("?")
        given = {"host": "localhost:9644", **{name.replace("_", "-"): value for name, value in headers.items()}}
        data = raw or b""
        if body is not None:
            data = json.dumps(body).encode()
            given.setdefault("content-type", "application/json")
        page = await self.service.answer(HttpRequest(method, path, query, given, data, "127.0.0.1"))
        answer = json.loads(page.body) if page.body else None
        self._must_be_declared(method, path, page.status, page.content_type, answer)
        return page.status, answer

    async def get(self, target: str) -> Any:
        status, answer = await self.ask("GET", target)
        assert status == 200, answer
        return answer

    def _must_be_declared(self, method: str, path: str, status: int, content_type: str, answer: Any) -> None:
        told = document(self.operations, __version__)
        for pattern, operations in told["paths"].items():
            if method.lower() in operations and re.fullmatch(re.sub(r"{\w+}", "[^/]+", pattern), path):
                responses = operations[method.lower()]["responses"]
                if str(status) in responses and answer is not None:
                    schema = {
                        **responses[str(status)]["content"][content_type]["schema"],
                        "components": told["components"],
                    }
                    Draft202012Validator(schema).validate(answer)
                else:
                    assert status in (405, 415, 421) or str(status) in responses, f"{status} is not declared: {answer}"


@asynccontextmanager
async def asked(directory: Path, **settings: str) -> AsyncIterator[Asked]:
    async with watched(directory, **settings) as world:
        operations = operations_of(*world.built, world.runtime, world.watch)
        service = ApiService(__version__, local=True)
        service.offer(operations)
        yield Asked(service, operations, world)
