"""The protocol's primitive types as Construct constructs: what each looks like on the wire.

These are the truth that `compiler.py` walks. Lengths are checked against the bytes that are left before anything is
allocated; whatever is wrong is raised as `ProtocolError`. Formats: Kafka's protocol guide; KIP-482 for compact ones.
"""

from __future__ import annotations

import io
from typing import Any, Final
from uuid import UUID

import construct

from sprawl_protocol.errors import ProtocolError

Buffer = bytes | bytearray | memoryview

NO_ID: Final = UUID(int=0)
"""What a topic id is where there is none."""
INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)

MAX_TEXT_BYTES: Final = 2**15 - 1
"""Of a string, also where its compact length could say more."""
NULL: Final = -1
MAX_VARINT_BYTES: Final = 5


def bytes_left(stream: io.BytesIO) -> int:
    return stream.getbuffer().nbytes - stream.tell()


def take(stream: io.BytesIO, size: int) -> bytes:
    left = bytes_left(stream)
    if not 0 <= size <= left:
        raise ProtocolError(f"a length of {size} where {left} bytes are left")
    return stream.read(size)


class UnsignedVarint(construct.Construct):
    """Seven bits a byte, least significant first; at most five bytes and 32 bits."""

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> int:
        value = 0
        for index in range(MAX_VARINT_BYTES):
            (byte,) = take(stream, 1)
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                if value >= 1 << 32:
                    break
                return value
        raise ProtocolError("a varint of more than 32 bits")

    def _build(self, obj: int, stream: io.BytesIO, context: Any, path: str) -> int:
        value = obj
        while value >= 0x80:
            stream.write(bytes((value & 0x7F | 0x80,)))
            value >>= 7
        stream.write(bytes((value,)))
        return obj


VARINT: Final = UnsignedVarint()


class Length(construct.Construct):
    """The length before a string, bytes or array; -1 for null. Compact: a varint of the length plus one."""

    def __init__(self, plain: construct.FormatField, compact: bool, nullable: bool) -> None:
        super().__init__()
        self.plain = plain
        self.compact = compact
        self.nullable = nullable

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> int:
        length = VARINT.parse_stream(stream) - 1 if self.compact else _fixed(self.plain, stream)
        if length < 0 and not (self.nullable and length == NULL):
            raise ProtocolError(f"a length of {length}")
        return int(length)

    def _build(self, obj: int, stream: io.BytesIO, context: Any, path: str) -> int:
        if obj == NULL and not self.nullable:
            raise ValueError("None in a field that cannot be null")
        if self.compact:
            VARINT.build_stream(obj + 1, stream)
        else:
            self.plain.build_stream(obj, stream)
        return obj


def _fixed(field: construct.FormatField, stream: io.BytesIO) -> Any:
    if bytes_left(stream) < field.length:
        raise ProtocolError(f"{field.length} bytes wanted where {bytes_left(stream)} are left")
    return field.parse_stream(stream)


class Fixed(construct.Construct):
    """A number of fixed width, big-endian; `format` is struct's letter."""

    def __init__(self, field: construct.FormatField) -> None:
        super().__init__()
        self.field = field
        self.format: str = field.fmtstr[-1]
        self.size: int = field.length

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> Any:
        return _fixed(self.field, stream)

    def _build(self, obj: Any, stream: io.BytesIO, context: Any, path: str) -> Any:
        self.field.build_stream(obj, stream)
        return obj


class Boolean(Fixed):
    """One byte; anything but zero is true."""

    def __init__(self) -> None:
        super().__init__(construct.Int8sb)

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> bool:
        return bool(_fixed(self.field, stream))


class Uuid(construct.Construct):
    """Sixteen bytes; all zero stands for none."""

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> UUID:
        return UUID(bytes=take(stream, 16))

    def _build(self, obj: UUID, stream: io.BytesIO, context: Any, path: str) -> UUID:
        stream.write(obj.bytes)
        return obj


class Text(construct.Construct):
    """UTF-8 behind its length in bytes."""

    def __init__(self, compact: bool, nullable: bool) -> None:
        super().__init__()
        self.compact = compact
        self.nullable = nullable
        self.length = Length(construct.Int16sb, compact, nullable)

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> str | None:
        length = self.length.parse_stream(stream)
        if length == NULL:
            return None
        if length > MAX_TEXT_BYTES:
            raise ProtocolError(f"a string of {length} bytes; {MAX_TEXT_BYTES} is the limit")
        try:
            return take(stream, length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise ProtocolError(f"a string that is not UTF-8: {error.reason}") from None

    def _build(self, obj: str | None, stream: io.BytesIO, context: Any, path: str) -> str | None:
        if obj is None:
            self.length.build_stream(NULL, stream)
        else:
            data = obj.encode("utf-8")
            self.length.build_stream(len(data), stream)
            stream.write(data)
        return obj


class Blob(construct.Construct):
    """Bytes behind their length; record batches are such bytes too, and stay opaque here."""

    def __init__(self, compact: bool, nullable: bool) -> None:
        super().__init__()
        self.compact = compact
        self.nullable = nullable
        self.length = Length(construct.Int32sb, compact, nullable)

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> bytes | None:
        length = self.length.parse_stream(stream)
        return None if length == NULL else take(stream, length)

    def _build(self, obj: Buffer | None, stream: io.BytesIO, context: Any, path: str) -> Buffer | None:
        if obj is None:
            self.length.build_stream(NULL, stream)
        else:
            self.length.build_stream(len(obj), stream)
            stream.write(obj)
        return obj


class Sequence(construct.Construct):
    """Elements behind their number. `least` is the smallest an element can be: a number that the bytes left
    cannot hold is refused before anything is allocated."""

    def __init__(self, element: construct.Construct, compact: bool, nullable: bool, least: int) -> None:
        super().__init__()
        self.element = element
        self.compact = compact
        self.nullable = nullable
        self.least = max(least, 1)
        self.length = Length(construct.Int32sb, compact, nullable)

    def _parse(self, stream: io.BytesIO, context: Any, path: str) -> list[Any] | None:
        count = self.length.parse_stream(stream)
        if count == NULL:
            return None
        if count * self.least > bytes_left(stream):
            raise ProtocolError(f"{count} array elements where {bytes_left(stream)} bytes are left")
        return [self.element._parse(stream, context, path) for _ in range(count)]

    def _build(self, obj: list[Any] | None, stream: io.BytesIO, context: Any, path: str) -> list[Any] | None:
        if obj is None:
            self.length.build_stream(NULL, stream)
        else:
            self.length.build_stream(len(obj), stream)
            for element in obj:
                self.element._build(element, stream, context, path)
        return obj
