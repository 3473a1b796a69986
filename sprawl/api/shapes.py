"""Whether a JSON value has the shape that a schema asks for: as much of JSON Schema as the API's own schemas use.

In: a schema, as it stands in the OpenAPI document, and a value. Out: nothing, or a `Problem` that names the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sprawl.api.problems import Problem

Schema = Mapping[str, Any]

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def must_fit(schema: Schema, value: Any, place: str = "the body") -> None:
    """Raises `Problem`."""
    if "oneOf" in schema:
        if not any(_fits(each, value) for each in schema["oneOf"]):
            raise _wrong(
                place, f"must be {' or '.join(each.get('title', 'something else') for each in schema['oneOf'])}"
            )
        return
    kind = schema.get("type")
    if kind is not None:
        kinds = [kind] if isinstance(kind, str) else list(kind)
        if not any(_is(each, value) for each in kinds):
            raise _wrong(place, f"must be {' or '.join(kinds)}")
    if "enum" in schema and value not in schema["enum"]:
        raise _wrong(place, f"must be one of {', '.join(map(str, schema['enum']))}")
    if _is("number", value):
        _must_be_within(schema, value, place, "minimum", "maximum", "")
    elif isinstance(value, str):
        _must_be_within(schema, len(value), place, "minLength", "maxLength", " characters")
    elif isinstance(value, list):
        _must_be_within(schema, len(value), place, "minItems", "maxItems", " items")
        for at, item in enumerate(value):
            must_fit(schema.get("items", {}), item, f"{place}[{at}]")
    elif isinstance(value, dict):
        _must_have_fields(schema, value, place)


def _must_have_fields(schema: Schema, value: dict[str, Any], place: str) -> None:
    properties = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            raise _wrong(place, f"must have {name!r}")
    others = schema.get("additionalProperties", True)
    for name, each in value.items():
        inner = properties.get(name, others)
        if inner is False:
            raise _wrong(place, f"has {name!r}, which means nothing here; there are {', '.join(properties)}")
        if inner is not True:
            must_fit(inner, each, f"{place}.{name}")


def _must_be_within(schema: Schema, size: float, place: str, least: str, most: str, unit: str) -> None:
    if size < schema.get(least, size):
        raise _wrong(place, f"must be at least {schema[least]}{unit}")
    if size > schema.get(most, size):
        raise _wrong(place, f"must be at most {schema[most]}{unit}")


def _fits(schema: Schema, value: Any) -> bool:
    try:
        must_fit(schema, value)
    except Problem:
        return False
    return True


def _is(kind: str, value: Any) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _wrong(place: str, what: str) -> Problem:
    return Problem(400, f"{place} {what}")
