"""Records as lines of text, and lines as records: what `topic produce` takes and `topic consume` prints.

`value`: the value alone. `keyed`: key, separator, value. `json`: an object to a line, which either command understands;
what is not UTF-8 is `{"base64": ...}` in it, so nothing is lost. The other two replace what is not UTF-8.
"""

from __future__ import annotations

import base64
import binascii
import enum
import json
from dataclasses import dataclass, field
from typing import Any

from sprawl_protocol.primitives import Buffer
from sprawl_protocol.records import Record

Header = tuple[str, bytes | None]


class LineFormat(enum.StrEnum):
    VALUE = "value"
    KEYED = "keyed"
    JSON = "json"


class LineError(ValueError):
    """A line that says no record."""


@dataclass(frozen=True, slots=True)
class Line:
    """A record that is to be written."""

    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...] = ()
    partition: int | None = None
    timestamp: int | None = field(default=None)


def read_line(line: bytes, shape: LineFormat, separator: bytes) -> Line:
    """Raises `LineError`."""
    if shape is LineFormat.JSON:
        return _from_json(line)
    if shape is LineFormat.VALUE:
        return Line(None, line)
    key, found, value = line.partition(separator)
    if not found:
        raise LineError(f"no {separator.decode(errors='replace')!r} between a key and a value in {_text(line)!r}")
    return Line(key, value)


def write_line(topic: str, partition: int, record: Record, shape: LineFormat, separator: str) -> str:
    if shape is LineFormat.JSON:
        return json.dumps(
            {
                "topic": topic,
                "partition": partition,
                "offset": record.offset,
                "timestamp": record.timestamp,
                "key": _told(record.key),
                "value": _told(record.value),
                "headers": [{"name": name, "value": _told(value)} for name, value in record.headers],
            },
            ensure_ascii=False,
        )
    if shape is LineFormat.KEYED:
        return f"{_text(record.key)}{separator}{_text(record.value)}"
    return _text(record.value)


def _from_json(line: bytes) -> Line:
    try:
        given = json.loads(line)
        if not isinstance(given, dict) or "value" not in given:
            raise LineError("a record is a JSON object with at least a value")
        headers = tuple((str(each["name"]), _bytes(each.get("value"))) for each in given.get("headers") or ())
        return Line(
            _bytes(given.get("key")), _bytes(given["value"]), headers, given.get("partition"), given.get("timestamp")
        )
    except LineError:
        raise
    except (ValueError, TypeError, KeyError, AttributeError) as problem:
        raise LineError(f"{_text(line)[:80]!r} is no record: {problem}") from None


def _bytes(given: Any) -> bytes | None:
    """A string, bytes in base64, null; any other JSON value is itself, as text."""
    if given is None:
        return None
    if isinstance(given, str):
        return given.encode()
    if isinstance(given, dict) and set(given) == {"base64"}:
        try:
            return base64.b64decode(given["base64"], validate=True)
        except (binascii.Error, TypeError) as problem:
            raise LineError(f"no base64: {problem}") from None
    return json.dumps(given, separators=(",", ":"), ensure_ascii=False).encode()


def _told(data: Buffer | None) -> Any:
    if data is None:
        return None
    raw = bytes(data)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _text(data: Buffer | None) -> str:
    return "null" if data is None else bytes(data).decode(errors="replace")
