"""An operation of the API, declared once: how it is asked, what it answers, who does it.

In: declarations, made by the modules of the API's subjects. Out: nothing by itself: `service.py` routes and checks by
them, `document.py` writes them down as OpenAPI.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sprawl.api.shapes import Schema
from sprawl.security.access import Principal


@dataclass(frozen=True, slots=True)
class Caller:
    principal: Principal
    host: str


@dataclass(frozen=True, slots=True)
class Call:
    caller: Caller
    path: Mapping[str, Any]
    """The values of the parts of the path, by name."""
    query: Mapping[str, Any]
    """Every parameter that was declared, given or by default."""
    body: Any = None


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    schema: Schema
    text: str
    default: Any = None


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    """With names in braces: `/v1/topics/{topic}`."""
    id: str
    text: str
    do: Callable[[Call], Awaitable[Any]]
    """Gives what is answered, as JSON. Raises `Problem`, `ApiError`, `ClientError`."""
    answer: Schema | None = None
    """None: nothing is answered but that it was done (204)."""
    status: int = 200
    parts: Mapping[str, Schema] = field(default_factory=dict)
    """Of the path, by name; those not named are strings."""
    query: tuple[Parameter, ...] = ()
    body: Schema | None = None
    problems: tuple[int, ...] = ()
    """Statuses of its own, besides those that any operation may answer."""


def obj(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """An object with these fields and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def array(items: Schema, **limits: int) -> Schema:
    return {"type": "array", "items": items, **limits}


def text(description: str = "", **limits: Any) -> Schema:
    return {"type": "string", **({"description": description} if description else {}), **limits}


def integer(description: str = "", **limits: int) -> Schema:
    return {"type": "integer", **({"description": description} if description else {}), **limits}


def nullable(kind: str, description: str = "") -> Schema:
    return {"type": [kind, "null"], **({"description": description} if description else {})}
