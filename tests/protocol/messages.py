"""Random messages of any API and version, and the list of all of them. Seeded: a failure names what made it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from sprawl_protocol.message import FieldType, Response, Struct
from sprawl_protocol.messages import REQUESTS

_BITS = {"int8": 8, "int16": 16, "int32": 32, "int64": 64}
_UNSIGNED = {"uint16": 16, "uint32": 32}
_TEXTS = ("", "a", "orders", "naïve", "x" * 130)
_BYTES = (0, 1, 5, 130, 3000)


def every_message() -> Iterator[tuple[type[Struct], int]]:
    """Each request and response, in each of its versions."""
    for request in REQUESTS.values():
        for cls in (request, request.RESPONSE):
            for version in range(cls.MIN_VERSION, cls.MAX_VERSION + 1):
                yield cls, version


def name(case: tuple[type[Struct], int]) -> str:
    return f"{case[0].__name__} v{case[1]}"


def random_message(cls: type[Struct], version: int, rng: random.Random) -> Any:
    values: dict[str, Any] = {}
    for field in cls.FIELDS:
        if version not in field.versions or (version in field.tagged and rng.random() < 0.5):
            continue
        if version in field.nullable and rng.random() < 0.2:
            values[field.name] = None
        else:
            values[field.name] = _value(field.type, version, rng)
    return cls(**values)


def _value(kind: FieldType, version: int, rng: random.Random) -> Any:
    if kind.struct is not None:
        return random_message(kind.struct, version, rng)
    if kind.element is not None:
        return [_value(kind.element, version, rng) for _ in range(rng.randint(0, 3))]
    match kind.name:
        case "boolean":
            return rng.random() < 0.5
        case "string":
            return rng.choice(_TEXTS)
        case "bytes" | "records":
            return rng.randbytes(rng.choice(_BYTES))
        case "uuid":
            return UUID(int=rng.getrandbits(128))
        case "float64":
            return rng.random()
        case text if text in _BITS:
            bits = _BITS[text]
            return rng.randint(-(1 << bits - 1), (1 << bits - 1) - 1)
        case text:
            return rng.randint(0, (1 << _UNSIGNED[text]) - 1)


def is_response(cls: type[Struct]) -> bool:
    return issubclass(cls, Response)
