"""What a setting is: its name, type, default, the values it may have, and whether it acts.

In: text, as it stands in a file, a variable or a request. Out: a typed value, or `InvalidValueError` saying what was
wrong and what is allowed. Every setting is declared once, as a field of a frozen dataclass made by `setting()`;
the field's name with dots for underscores is the key. Nothing here knows where a value came from.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any, Final

Value = bool | int | float | str | tuple[str, ...] | None


class ConfigType(IntEnum):
    """The numbers are those of DescribeConfigs answers."""

    BOOLEAN = 1
    STRING = 2
    INT = 3
    SHORT = 4
    LONG = 5
    DOUBLE = 6
    LIST = 7
    CLASS = 8
    PASSWORD = 9


class Update(Enum):
    """How a running broker's key may be changed (Kafka's "update mode")."""

    READ_ONLY = "read-only"
    CLUSTER_WIDE = "cluster-wide"


class InvalidValueError(ValueError):
    """A value that its key cannot have. The text says why, and what is allowed."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A check together with the words that describe it."""

    words: str
    test: Callable[[Any], bool]


def at_least(low: int) -> Allowed:
    return Allowed(f"at least {low}", lambda value: value >= low)


def between(low: float, high: float) -> Allowed:
    return Allowed(f"from {low} to {high}", lambda value: low <= value <= high)


def one_of(*choices: str) -> Allowed:
    return Allowed("one of " + ", ".join(choices), lambda value: value in choices)


def list_of(*choices: str) -> Allowed:
    return Allowed("a list of " + ", ".join(choices), lambda value: all(item in choices for item in value))


def either(words: str, test: Callable[[Any], bool]) -> Allowed:
    return Allowed(words, test)


HOURS: Final = 3_600_000
MINUTES: Final = 60_000


@dataclass(frozen=True, slots=True)
class Synonym:
    """A broker key that gives a topic key its default; the value is multiplied by `factor` if it is not negative."""

    name: str
    factor: int = 1

    def convert(self, value: Any) -> Any:
        if self.factor == 1 or value is None:
            return value
        return -1 if value < 0 else value * self.factor


@dataclass(frozen=True, slots=True)
class Definition:
    """One key."""

    name: str
    type: ConfigType
    default: Value
    doc: str
    allowed: Allowed | None = None
    synonyms: tuple[Synonym, ...] = ()
    inert: str = ""
    """Empty if the key acts; otherwise why it does not."""
    internal: bool = False
    update: Update = Update.READ_ONLY

    @property
    def acts(self) -> bool:
        return not self.inert

    @property
    def sensitive(self) -> bool:
        return self.type is ConfigType.PASSWORD

    @property
    def range(self) -> str:
        """The allowed values in words."""
        limits = _LIMITS.get(self.type)
        if self.allowed is not None:
            return self.allowed.words
        if self.type is ConfigType.BOOLEAN:
            return "true or false"
        if limits is not None:
            return f"from {limits[0]} to {limits[1]}"
        return ""

    def parse(self, text: str) -> Value:
        """The typed value of `text`. Raises `InvalidValueError`."""
        value = _parse(self.type, text)
        if self.allowed is not None and not self.allowed.test(value):
            raise InvalidValueError(f"must be {self.allowed.words}")
        return value

    def text_of(self, value: Value) -> str | None:
        """The value as Kafka writes it in DescribeConfigs answers."""
        return text_of(value)


def text_of(value: Value) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, Enum):
        return str(value.value)
    return str(value)


_LIMITS: Final[dict[ConfigType, tuple[int, int]]] = {
    ConfigType.SHORT: (-(2**15), 2**15 - 1),
    ConfigType.INT: (-(2**31), 2**31 - 1),
    ConfigType.LONG: (-(2**63), 2**63 - 1),
}
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_DECIMAL: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)


def _parse(kind: ConfigType, text: str) -> Value:
    if kind in _LIMITS:
        low, high = _LIMITS[kind]
        if not _INTEGER.fullmatch(text.strip()):
            raise InvalidValueError(f"must be a whole number ({kind.name})")
        number = int(text)
        if not low <= number <= high:
            raise InvalidValueError(f"must be from {low} to {high} ({kind.name})")
        return number
    if kind is ConfigType.BOOLEAN:
        word = text.strip().lower()
        if word not in ("true", "false"):
            raise InvalidValueError("must be true or false")
        return word == "true"
    if kind is ConfigType.DOUBLE:
        if not _DECIMAL.fullmatch(text.strip()):
            raise InvalidValueError("must be a decimal number")
        return float(text)
    if kind is ConfigType.LIST:
        return split_list(text)
    return text


def split_list(text: str) -> tuple[str, ...]:
    """Comma-separated items, blanks around them dropped, each once."""
    if not text.strip():
        return ()
    return tuple(dict.fromkeys(item.strip() for item in text.split(",")))


_KEY: Final = "sprawl.definition"


def setting(
    kind: ConfigType,
    default: Any,
    doc: str,
    *,
    allowed: Allowed | None = None,
    synonyms: Iterable[str | Synonym] = (),
    inert: str = "",
    internal: bool = False,
    update: Update = Update.READ_ONLY,
    enum: type[Enum] | None = None,
) -> Any:
    """Declare a field of a settings dataclass. `enum`: the text becomes a member of it."""
    if enum is not None:
        allowed = one_of(*(str(member.value) for member in enum))
    definition = Definition(
        name="",
        type=kind,
        default=default.value if isinstance(default, Enum) else default,
        doc=doc,
        allowed=allowed,
        synonyms=tuple(Synonym(item) if isinstance(item, str) else item for item in synonyms),
        inert=inert,
        internal=internal,
        update=update,
    )
    return dataclasses.field(default=default, metadata={_KEY: definition, "enum": enum})


def definitions_of(settings: type[Any]) -> dict[str, Definition]:
    """Every key that a settings dataclass declares, by name, in order."""
    found: dict[str, Definition] = {}
    for field in dataclasses.fields(settings):
        if _KEY in field.metadata:
            name = field.name.replace("_", ".")
            found[name] = dataclasses.replace(field.metadata[_KEY], name=name)
    return found


def enums_of(settings: type[Any]) -> Mapping[str, type[Enum]]:
    """The keys whose values are members of an enum."""
    return {
        field.name.replace("_", "."): field.metadata["enum"]
        for field in dataclasses.fields(settings)
        if field.metadata.get("enum") is not None
    }


def attribute(name: str) -> str:
    """The attribute that holds the key `name`."""
    return name.replace(".", "_")
