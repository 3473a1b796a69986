"""From an HTTP request to an operation's answer: who asks, which operation, does the request fit, what came of it.

In: requests. Out: pages; whatever goes wrong is one, too. Two things are asked of a browser's requests that scripts of
other sites cannot give: a body says that it is JSON, and a node that listens on this machine only is asked by a name of
this machine.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from sprawl.api.document import document
from sprawl.api.operations import Call, Caller, Operation
from sprawl.api.problems import Problem, of_error
from sprawl.api.shapes import Schema, must_fit
from sprawl.observability.http import HttpRequest
from sprawl.observability.status import Page
from sprawl.security.access import ANONYMOUS, Principal
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError

log = logging.getLogger(__name__)

PREFIX: Final = "/v1/"
DOCUMENT: Final = "/v1/openapi.json"
_JSON: Final = "application/json"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
Identify = Callable[[HttpRequest], Principal]
"""Who asks. Raises `Problem` (401)."""


class ApiService:
    def __init__(self, version: str, *, local: bool, identify: Identify = lambda _: ANONYMOUS) -> None:
        """`local`: it listens where only this machine can reach it."""
        self._version = version
        self._local = local
        self._identify = identify
        self._operations: tuple[Operation, ...] | None = None
        self._patterns: list[tuple[re.Pattern[str], dict[str, Operation]]] = []

    def offer(self, operations: Iterable[Operation]) -> None:
        """Until then every request is told to come again."""
        self._operations = tuple(operations)
        by_path: dict[str, dict[str, Operation]] = {}
        for each in self._operations:
            assert each.method not in by_path.setdefault(each.path, {}), f"{each.method} {each.path} is declared twice"
            by_path[each.path][each.method] = each
        self._patterns = [(re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path)), of) for path, of in by_path.items()]

    def serves(self, path: str) -> bool:
        return path.startswith(PREFIX)

    async def answer(self, request: HttpRequest) -> Page:
        try:
            return await self._answer(request)
        except Problem as problem:
            return problem.page(request.path)
        except ApiError as error:
            return of_error(error).page(request.path)
        except ClientError as error:
            told = f"another node was asked and has not answered; what was to be done may be done: {error}"
            return Problem(504, told).page(request.path)
        except Exception:
            log.exception("the HTTP API failed on %s %s", request.method, request.path)
            return Problem(500, "the broker failed on this request; its log says why").page(request.path)

    async def _answer(self, request: HttpRequest) -> Page:
        if self._local:
            _must_name_this_machine(request.headers.get("host", ""))
        caller = Caller(self._identify(request), request.client_host)
        if self._operations is None:
            raise Problem(503, "this node is still starting", Retry_After="1")
        if request.path == DOCUMENT and request.method in ("GET", "HEAD"):
            return _page(200, document(self._operations, self._version))
        operation, parts = self._find(request)
        call = Call(caller, _parts(operation, parts), _query(operation, request.query), _body(operation, request))
        answer = await operation.do(call)
        return Page(204, _JSON, b"") if operation.answer is None else _page(operation.status, answer)

    def _find(self, request: HttpRequest) -> tuple[Operation, dict[str, str]]:
        for pattern, by_method in self._patterns:
            found = pattern.fullmatch(request.path)
            if found is not None:
                operation = by_method.get("GET" if request.method == "HEAD" else request.method)
                if operation is None:
                    allowed = ", ".join(sorted(by_method))
                    raise Problem(405, f"{request.method} means nothing here; there is {allowed}", Allow=allowed)
                return operation, found.groupdict()
        raise Problem(404, f"there is nothing at this path; {DOCUMENT} lists what there is")


def _must_name_this_machine(host: str) -> None:
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name.strip("[]").lower() not in _LOOPBACK:
        raise Problem(421, f"this node listens on this machine only, and is not called {name!r}")


def _parts(operation: Operation, parts: dict[str, str]) -> dict[str, Any]:
    return {
        name: _value(operation.parts.get(name, {"type": "string"}), unquote(value), f"{name} in the path")
        for name, value in parts.items()
    }


def _query(operation: Operation, query: str) -> dict[str, Any]:
    known = {each.name: each for each in operation.query}
    found = {name: each.default for name, each in known.items()}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in known:
            raise Problem(400, f"the parameter {name!r} means nothing here; there are {', '.join(known) or 'none'}")
        found[name] = _value(known[name].schema, value, f"the parameter {name}")
    return found


def _value(schema: Schema, value: str, place: str) -> Any:
    if schema["type"] == "integer":
        if not re.fullmatch(r"-?[0-9]{1,19}", value):
            raise Problem(400, f"{place} must be a whole number")
        number = int(value)
        must_fit(schema, number, place)
        return number
    if not re.search(schema.get("pattern", ""), value):
        raise Problem(400, f"{place} does not fit {schema['pattern']}")
    return value


def _body(operation: Operation, request: HttpRequest) -> Any:
    if operation.body is None:
        if request.body:
            raise Problem(400, "no body is wanted")
        return None
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON:
        raise Problem(415, f"the body must be {_JSON}, and say so in Content-Type", Accept=_JSON)
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError) as problem:
        raise Problem(400, f"the body is no JSON: {problem}") from problem
    must_fit(operation.body, body)
    return body


def _page(status: int, answer: Any) -> Page:
    return Page(status, _JSON, json.dumps(answer).encode() + b"\n")
