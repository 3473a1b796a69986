"""Our declarations beside Kafka's own message schemas: `python -m tools.schemas DIR` prints where they differ.

DIR holds Kafka's `clients/src/main/resources/common/message/*.json` (JSON with // comments). Compared are a message's
valid and flexible versions, and of each field its type, its versions, those in which it is nullable or tagged, its tag,
its default and whether it is ignorable. Versions are compared as far as both sides have the message; names of structs
are not compared, what is in them is. Exit code 1 if anything differs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from sprawl_protocol import messages
from sprawl_protocol.message import Field, FieldType, Struct, Versions

_COMMENT: Final = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*')
_SPOKEN: Final = ("request", "response", "header")
"""Kinds of schemas that must all be declared; of the others (records of internal topics) only those that are."""
_OURS: Final = {"boolean": "bool"}
_NOTHING: Final = Versions(0, -1)


@dataclass(frozen=True, slots=True)
class Difference:
    message: str
    field: str
    what: str
    ours: str
    kafkas: str


@dataclass(frozen=True, slots=True)
class Schema:
    """One of Kafka's files."""

    kind: str
    name: str
    valid: Versions
    flexible: Versions
    fields: list[dict[str, Any]]
    structs: Mapping[str, list[dict[str, Any]]]
    """Common structs by name."""


def main(
    directory: Annotated[Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="Kafka's schemas")],
) -> None:
    schemas = read(directory)
    console = Console(width=None if Console().is_terminal else 160)
    found = list(differences(declared(), schemas))
    if found:
        console.print(as_table(found))
    compared = sum(name in schemas for name in declared())
    console.print(f"{compared} messages compared with {len(schemas)} schemas: {len(found)} differences")
    raise typer.Exit(1 if found else 0)


def read(directory: Path) -> dict[str, Schema]:
    found = {}
    for path in sorted(directory.glob("*.json")):
        raw = json.loads(_COMMENT.sub(lambda m: "" if m[0].startswith("//") else m[0], path.read_text("utf-8")))
        found[raw["name"]] = Schema(
            raw["type"],
            raw["name"],
            Versions.of(raw["validVersions"]),
            Versions.of(raw.get("flexibleVersions", "none")),
            raw.get("fields", []),
            {one["name"]: one["fields"] for one in raw.get("commonStructs", [])},
        )
    return found


def declared() -> dict[str, type[Struct]]:
    """Our messages by name; not the structs inside them."""
    return {
        name: one
        for name, one in vars(messages).items()
        if isinstance(one, type) and issubclass(one, Struct) and "+" not in text_of(valid_of(one))
    }


def differences(ours: Mapping[str, type[Struct]], kafkas: Mapping[str, Schema]) -> Iterator[Difference]:
    for name in sorted(ours.keys() | kafkas.keys()):
        if name not in kafkas:
            yield Difference(name, "", "message", "declared", "not known")
        elif name not in ours:
            schema = kafkas[name]
            if schema.kind in _SPOKEN and schema.valid != _NOTHING:
                yield Difference(name, "", "message", "not declared", f"versions {text_of(schema.valid)}")
        else:
            yield from _message(ours[name], kafkas[name])


def _message(cls: type[Struct], schema: Schema) -> Iterator[Difference]:
    valid = valid_of(cls)
    if valid != schema.valid:
        yield Difference(schema.name, "", "valid versions", text_of(valid), text_of(schema.valid))
    both = clip(valid, schema.valid)
    flexible = _NOTHING if cls.FLEXIBLE_FROM is None else Versions.of(f"{cls.FLEXIBLE_FROM}+")
    mine, theirs = clip(flexible, both), clip(schema.flexible, both)
    if mine != theirs:
        yield Difference(schema.name, "", "flexible versions", text_of(mine), text_of(theirs))
    yield from _Fields(schema, both).compare(cls, schema.fields, "", both)


@dataclass(frozen=True, slots=True)
class _Fields:
    schema: Schema
    valid: Versions
    """What both sides have."""

    def compare(
        self, cls: type[Struct], theirs: list[dict[str, Any]], path: str, within: Versions
    ) -> Iterator[Difference]:
        """The fields of one struct, which is there in the versions `within`."""
        known = {_plain(field.name): field for field in cls.FIELDS}
        order = []
        for their in theirs:
            there = clip(Versions.of(their["versions"]), within)
            field = known.pop(_plain(their["name"]), None)
            if field is not None:
                order.append(field)
                yield from self._field(field, their, path + field.name, within)
            elif there != _NOTHING:
                yield self._differ(path + their["name"], "field", "not declared", f"versions {text_of(there)}")
        for field in known.values():
            if clip(field.versions, within) != _NOTHING:
                yield self._differ(path + field.name, "field", f"versions {text_of(field.versions)}", "not known")
        declared_order = [field for field in cls.FIELDS if field in order]
        if [f for f in declared_order if not _tagged(f)] != [f for f in order if not _tagged(f)]:
            names = (", ".join(field.name for field in some) for some in (declared_order, order))
            yield self._differ(path.rstrip("."), "order", next(names), next(names))

    def _field(self, field: Field, their: dict[str, Any], path: str, within: Versions) -> Iterator[Difference]:
        there = clip(field.versions, within)
        yield from self._versions(path, "versions", there, Versions.of(their["versions"]), within)
        for what, mine, key in (
            ("nullable versions", field.nullable, "nullableVersions"),
            ("tagged versions", field.tagged, "taggedVersions"),
        ):
            yield from self._versions(path, what, mine, Versions.of(their.get(key, "none")), there)
        if field.flexible is not None or "flexibleVersions" in their:
            mine = field.flexible or Versions.of("0+")
            yield from self._versions(path, "flexible", mine, Versions.of(their.get("flexibleVersions", "0+")), there)
        kind = their["type"]
        pairs = [
            (
                "type",
                spelled(field.type),
                kind if self._is_primitive(kind) else "[]struct" if "[]" in kind else "struct",
            ),
            ("default", default_of(field), kafka_default(their, self._is_primitive(kind))),
            ("ignorable", str(field.ignorable), str(their.get("ignorable", False))),
        ]
        if clip(field.tagged, there) != _NOTHING or "tag" in their:
            pairs.append(("tag", str(field.tag), str(their.get("tag", -1))))
        yield from (self._differ(path, what, mine, theirs) for what, mine, theirs in pairs if mine != theirs)
        inner = field.type.element.struct if field.type.element else field.type.struct
        if inner is not None and not self._is_primitive(kind):
            fields = their.get("fields") or self.schema.structs.get(kind.removeprefix("[]"), [])
            yield from self.compare(inner, fields, f"{path}.", there)

    def _versions(
        self, path: str, what: str, mine: Versions, theirs: Versions, within: Versions
    ) -> Iterator[Difference]:
        one, other = clip(mine, within), clip(theirs, within)
        if one != other:
            yield self._differ(path, what, text_of(one), text_of(other))

    def _differ(self, path: str, what: str, ours: str, kafkas: str) -> Difference:
        return Difference(self.schema.name, path, what, ours, kafkas)

    def _is_primitive(self, kind: str) -> bool:
        return kind.removeprefix("[]")[0].islower()


def valid_of(cls: type[Struct]) -> Versions:
    return Versions(cls.MIN_VERSION, cls.MAX_VERSION)


def clip(one: Versions, other: Versions) -> Versions:
    first, last = max(one.first, other.first), min(one.last, other.last)
    return Versions(first, last) if first <= last else _NOTHING


def text_of(versions: Versions) -> str:
    """Kafka's notation."""
    if versions == _NOTHING:
        return "none"
    if versions.last >= Versions.of("0+").last:
        return f"{versions.first}+"
    return f"{versions.first}" if versions.first == versions.last else f"{versions.first}-{versions.last}"


def spelled(kind: FieldType) -> str:
    if kind.element is not None:
        return f"[]{spelled(kind.element)}"
    return "struct" if kind.struct is not None else _OURS.get(kind.name, kind.name)


def default_of(field: Field) -> str:
    value = field.make_default()
    match value:
        case None:
            return "null"
        case Struct():
            return "struct"
        case UUID():
            return str(value)
        case bytes() | bytearray() | str():
            return repr(value.decode() if not isinstance(value, str) else value)
        case list():
            return repr(value)
        case _:
            return str(float(value))


def kafka_default(their: Mapping[str, Any], primitive: bool) -> str:
    """The same spelling, of what a schema says or leaves to its type."""
    kind, text = their["type"], str(their.get("default", ""))
    if text == "null":
        return "null"
    if kind.startswith("[]"):
        return "[]"
    if not primitive:
        return "struct"
    match kind:
        case "string" | "bytes":
            return repr(text)
        case "records":
            return repr(text) if text else "null"
        case "uuid":
            return str(UUID(text) if text else UUID(int=0))
        case "bool":
            return str(float(text.lower() == "true"))
        case "float64":
            return str(float(text or 0))
        case _:
            return str(float(int(text or "0", 0)))


def as_table(found: list[Difference]) -> Table:
    table = Table("message", "field", "what", "ours", "Kafka's", title="Declarations that differ")
    before = ""
    for one in found:
        table.add_row(one.message if one.message != before else "", one.field, one.what, one.ours, one.kafkas)
        before = one.message
    return table


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _tagged(field: Field) -> bool:
    return field.tag >= 0


if __name__ == "__main__":
    typer.run(main)
