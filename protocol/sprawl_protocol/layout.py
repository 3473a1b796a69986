"""From a declaration to the Construct struct of one version.

`construct_of(cls, version)` parses a stream to an instance of the class and builds it back, by interpretation. It is
the reference: the compiled functions are emitted from walking this very tree, and must agree with it byte for byte.
"""

from __future__ import annotations

import io
from functools import cache
from typing import Any, Final

import construct

from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.message import Field, FieldType, Struct
from sprawl_protocol.primitives import (
    VARINT,
    Blob,
    Boolean,
    Fixed,
    Sequence,
    Text,
    Uuid,
    bytes_left,
    take,
)

_FIXED: Final = {
    "int8": Fixed(construct.Int8sb),
    "int16": Fixed(construct.Int16sb),
    "uint16": Fixed(construct.Int16ub),
    "int32": Fixed(construct.Int32sb),
    "uint32": Fixed(construct.Int32ub),
    "int64": Fixed(construct.Int64sb),
    "float64": Fixed(construct.Float64b),
    "boolean": Boolean(),
}
_UUID: Final = Uuid()


class UnsupportedField(ValueError):
    """Ours: a field is set that the version to be built does not have."""


class Tags(construct.Construct):
    """The tagged fields behind a flexible struct (KIP-482): known ones by name, unknown ones skipped."""

    def __init__(self, known: dict[int, tuple[Field, construct.Construct]]) -> None:
        super().__init__()
        self.known = dict(sorted(known.items()))

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        count = VARINT.parse_stream(stream)
        if count * 2 > bytes_left(stream):
            raise ProtocolError(f"{count} tagged fields where {bytes_left(stream)} bytes are left")
        previous = -1
        for _ in range(count):
            tag = VARINT.parse_stream(stream)
            if tag <= previous:
                raise ProtocolError(f"tagged field {tag} behind {previous}: tags must ascend")
            previous = tag
            data = take(stream, VARINT.parse_stream(stream))
            if tag in self.known:
                field, content = self.known[tag]
                inner = io.BytesIO(data)
                found[field.name] = content._parse(inner, context, path)
                if bytes_left(inner):
                    raise ProtocolError(f"{bytes_left(inner)} bytes too many in tagged field {tag}")
        return found

    def _build(self, obj: Any, stream: io.BytesIO, context: Any, path: str) -> Any:
        parts = []
        for tag, (field, content) in self.known.items():
            value = getattr(obj, field.name)
            if value != field.make_default():
                inner = io.BytesIO()
                content._build(value, inner, context, path)
                parts.append((tag, inner.getvalue()))
        VARINT.build_stream(len(parts), stream)
        for tag, data in parts:
            VARINT.build_stream(tag, stream)
            VARINT.build_stream(len(data), stream)
            stream.write(data)
        return obj


class Layout(construct.Construct):
    """One struct in one version: `fields` in order, `tags` behind them if it is flexible, `absent` ones checked."""

    def __init__(
        self,
        cls: type[Struct],
        fields: list[tuple[Field, construct.Construct]],
        tags: Tags | None,
        absent: list[Field],
        nullable: bool,
    ) -> None:
        super().__init__()
        self.cls = cls
        self.fields = fields
        self.tags = tags
        self.absent = absent
        self.nullable = nullable

    @property
    def least(self) -> int:
        """The fewest bytes an instance can take."""
        if self.nullable:
            return 1
        return sum(least_size(content) for _, content in self.fields) + (self.tags is not None)

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> Struct | None:
        if self.nullable and take(stream, 1)[0] > 127:
            return None
        values = {field.name: content._parse(stream, context, path) for field, content in self.fields}
        if self.tags is not None:
            values.update(self.tags._parse(stream, context, path))
        return self.cls(**values)

    def _build(self, obj: Struct | None, stream: io.BytesIO, context: Any, path: str) -> Struct | None:
        if self.nullable:
            stream.write(b"\xff" if obj is None else b"\x01")
        if obj is None:
            return obj
        for field in self.absent:
            if getattr(obj, field.name) != field.make_default():
                raise UnsupportedField(f"{self.cls.__name__}.{field.name} is set, but this version does not have it")
        for field, content in self.fields:
            content._build(getattr(obj, field.name), stream, context, path)
        if self.tags is not None:
            self.tags._build(obj, stream, context, path)
        return obj


def least_size(content: construct.Construct) -> int:
    match content:
        case Fixed():
            return content.size
        case Uuid():
            return 16
        case Layout():
            return content.least
        case Text():
            return 1 if content.compact else 2
        case _:
            return 1 if content.compact else 4


@cache
def construct_of(cls: type[Struct], version: int) -> Layout:
    """Raises `ProtocolError` if the message has no such version."""
    if not cls.MIN_VERSION <= version <= cls.MAX_VERSION:
        raise ProtocolError(f"{cls.__name__} has versions {cls.MIN_VERSION} to {cls.MAX_VERSION}, not {version}")
    return _layout(cls, version, cls.is_flexible(version), nullable=False)


def interpret(cls: type[Struct], buffer: bytes, version: int) -> Struct:
    """Parse by interpretation. Raises `ProtocolError`."""
    stream = io.BytesIO(buffer)
    found = construct_of(cls, version)._parse(stream, None, "")
    if bytes_left(stream):
        raise ProtocolError(f"{bytes_left(stream)} bytes behind the end of {cls.__name__}")
    assert found is not None
    return found


def interpret_build(message: Struct, version: int) -> bytes:
    stream = io.BytesIO()
    construct_of(type(message), version)._build(message, stream, None, "")
    return stream.getvalue()


def _layout(cls: type[Struct], version: int, flexible: bool, nullable: bool) -> Layout:
    fields, absent = [], []
    tagged: dict[int, tuple[Field, construct.Construct]] = {}
    for field in cls.FIELDS:
        compact = flexible and (field.flexible is None or version in field.flexible)
        if version not in field.versions:
            if not field.ignorable:
                absent.append(field)
            continue
        content = _content(field.type, version, compact, version in field.nullable)
        if flexible and version in field.tagged:
            tagged[field.tag] = (field, content)
        else:
            fields.append((field, content))
    return Layout(cls, fields, Tags(tagged) if flexible else None, absent, nullable)


def _content(kind: FieldType, version: int, compact: bool, nullable: bool) -> construct.Construct:
    if kind.struct is not None:
        return _layout(kind.struct, version, compact, nullable)
    if kind.element is not None:
        element = _content(kind.element, version, compact, nullable=False)
        return Sequence(element, compact, nullable, least_size(element))
    match kind.name:
        case "string":
            return Text(compact, nullable)
        case "bytes" | "records":
            return Blob(compact, nullable)
        case "uuid":
            return _UUID
        case name:
            return _FIXED[name]
