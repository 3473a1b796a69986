"""Random messages of any class and version, made from the declarations, and the list of all there are."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any
from uuid import UUID

from sprawl_protocol import messages
from sprawl_protocol.message import FieldType, Struct, Versions

BITS = {"int8": 8, "int16": 16, "uint16": 16, "int32": 32, "uint32": 32, "int64": 64}
TEXTS = ("", "a", "topic-1", "ü", "\U0001f9ed" * 3, "x" * 127, "y" * 128, "z" * 300)

TOP_LEVEL: list[type[Struct]] = sorted(
    {
        one
        for one in vars(messages).values()
        if isinstance(one, type) and issubclass(one, Struct) and one.MAX_VERSION < 1000
    },
    key=lambda cls: cls.__name__,
)
"""Every request, response, header and record; not the structs inside them."""


def versions_of(cls: type[Struct]) -> range:
    return range(cls.MIN_VERSION, cls.MAX_VERSION + 1)


def every_version() -> Iterator[tuple[type[Struct], int]]:
    for cls in TOP_LEVEL:
        for version in versions_of(cls):
            yield cls, version


def message(rng: Random, cls: type[Struct], version: int, *, modest: bool = False, many: int = 3) -> Any:
    """A random message that `version` can carry. `modest` values suit codecs that make dates and enums of numbers."""
    values = {}
    for field in cls.FIELDS:
        if version not in field.versions or rng.random() < 0.1:
            continue
        if version in field.nullable and rng.random() < 0.2:
            values[field.name] = None
        else:
            value = _value(rng, field.type, field.name, version, modest, many)
            values[field.name] = value
    made = cls(**values)
    for field in cls.FIELDS:  # a default may be null where this version has no null
        if version in field.versions and getattr(made, field.name) is None and version not in field.nullable:
            setattr(made, field.name, _value(rng, field.type, field.name, version, modest, many))
    return made


def _value(rng: Random, kind: FieldType, name: str, version: int, modest: bool, many: int) -> Any:
    if kind.struct is not None:
        return message(rng, kind.struct, version, modest=modest, many=many)
    if kind.element is not None:
        count = rng.randrange(many + 1)
        return [_value(rng, kind.element, name, version, modest, many) for _ in range(count)]
    match kind.name:
        case "boolean":
            return rng.random() < 0.5
        case "string":
            return rng.choice(TEXTS)
        case "uuid":
            return UUID(int=rng.getrandbits(128)) if rng.random() < 0.8 else UUID(int=0)
        case "bytes" | "records":
            return rng.randbytes(rng.choice((0, 1, 40, 127, 128, 2048, 3000)))
        case "float64":
            return rng.choice((0.0, 1.5, -2.25e100))
        case number:
            return _number(rng, number, modest)


def _number(rng: Random, kind: str, modest: bool) -> int:
    if modest:
        return rng.randrange(100)
    bits = BITS[kind]
    low, high = (0, 2**bits - 1) if kind.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return rng.choice((0, 1, low, high, rng.randint(low, high), *((-1,) if low else ())))


def nested_structs(cls: type[Struct]) -> Iterator[type[Struct]]:
    for field in cls.FIELDS:
        inner = field.type.element.struct if field.type.element else field.type.struct
        if inner is not None:
            yield inner
            yield from nested_structs(inner)


__all__ = ["TOP_LEVEL", "Versions", "every_version", "message", "nested_structs", "versions_of"]
