"""Messages, declared once.

A message is a class: its annotations are what a programmer sees, its `field()`s say what goes over the wire and in
which versions. From the one declaration come the class itself (slots, keyword arguments, Kafka's defaults), the
Construct struct of each version (`construct_of`), and the compiled parse and build functions (`compiler.py`).

    class HeartbeatRequest(Request, api_key=ApiKey.HEARTBEAT, versions="0-4", flexible="4+"):
        group_id: str = field(string, default="")
        generation_id: int = field(int32, default=0)
        group_instance_id: str | None = field(string, "3+", nullable="3+", default=None)

Version ranges are Kafka's notation: "3", "3-5", "3+", "none". A field that a version does not have takes its default
when parsed; set to anything else it is refused when built, unless it is `ignorable`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self, cast, dataclass_transform

from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.primitives import Buffer

LATEST: Final = 32767


@dataclass(frozen=True, slots=True)
class Versions:
    """A range of versions, both ends included; empty if `last` is below `first`."""

    first: int
    last: int

    @classmethod
    def of(cls, text: str) -> Versions:
        if text == "none":
            return cls(0, -1)
        if text.endswith("+"):
            return cls(int(text[:-1]), LATEST)
        first, _, last = text.partition("-")
        return cls(int(first), int(last or first))

    def __contains__(self, version: int) -> bool:
        return self.first <= version <= self.last


@dataclass(frozen=True, slots=True)
class FieldType:
    """What a field holds: a primitive by name, a struct, or an array of either."""

    name: str
    struct: type[Struct] | None = None
    element: FieldType | None = None


boolean: Final = FieldType("boolean")
int8: Final = FieldType("int8")
int16: Final = FieldType("int16")
uint16: Final = FieldType("uint16")
int32: Final = FieldType("int32")
uint32: Final = FieldType("uint32")
int64: Final = FieldType("int64")
float64: Final = FieldType("float64")
string: Final = FieldType("string")
uuid: Final = FieldType("uuid")
binary: Final = FieldType("bytes")
records: Final = FieldType("records")


def array(of: FieldType | type[Struct]) -> FieldType:
    return FieldType("array", element=of if isinstance(of, FieldType) else struct(of))


def struct(of: type[Struct]) -> FieldType:
    return FieldType("struct", struct=of)


@dataclass(slots=True)
class Field:
    """One field's declaration."""

    type: FieldType
    versions: Versions
    nullable: Versions
    tagged: Versions
    tag: int
    flexible: Versions | None
    """Overrides the message's: the request header's client id is never compact."""
    ignorable: bool
    default: Any
    factory: Callable[[], Any] | None
    name: str = ""

    def make_default(self) -> Any:
        return self.factory() if self.factory is not None else self.default


def field(
    type: FieldType,
    versions: str = "0+",
    *,
    default: Any = None,
    default_factory: Callable[[], Any] | None = None,
    nullable: str = "none",
    tag: int = -1,
    tagged: str = "none",
    flexible: str | None = None,
    ignorable: bool = False,
) -> Any:
    return Field(
        type,
        Versions.of(versions),
        Versions.of(nullable),
        Versions.of(tagged),
        tag,
        Versions.of(flexible) if flexible is not None else None,
        ignorable,
        default,
        default_factory,
    )


@dataclass_transform(kw_only_default=True, field_specifiers=(field,))
class _Declared(type):
    """Turns the `field()`s of a class body into slots and an `__init__` of keyword arguments."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **declaration: Any) -> type:
        fields = [(key, value) for key, value in namespace.items() if isinstance(value, Field)]
        for key, value in fields:
            value.name = key
            del namespace[key]
        namespace["__slots__"] = tuple(key for key, _ in fields)
        namespace["FIELDS"] = tuple(value for _, value in fields)
        cls = super().__new__(mcls, name, bases, namespace, **declaration)
        cls.__init__ = _init_of(name, namespace["FIELDS"])  # type: ignore[misc]
        cls.__eq__ = _eq_of(name, namespace["FIELDS"])  # type: ignore[method-assign, assignment]
        return cls


def _init_of(name: str, fields: tuple[Field, ...]) -> Callable[..., None]:
    """An `__init__` as a person would write it: one assignment a field, fresh lists for lists."""
    names: dict[str, Any] = {"_unset": object()}
    parameters, lines = [], []
    for number, one in enumerate(fields):
        if one.factory is None:
            names[f"_default{number}"] = one.default
            parameters.append(f"{one.name}=_default{number}")
            lines.append(f"    self.{one.name} = {one.name}")
        else:
            names[f"_make{number}"] = one.factory
            parameters.append(f"{one.name}=_unset")
            lines.append(f"    self.{one.name} = _make{number}() if {one.name} is _unset else {one.name}")
    source = f"def __init__(self, {', '.join(parameters)}):\n" + ("\n".join(lines) or "    pass")
    exec(compile(source, f"<{name}.__init__>", "exec"), names)  # noqa: S102 - our own text, no input in it
    return cast("Callable[..., None]", names["__init__"])


def _eq_of(name: str, fields: tuple[Field, ...]) -> Callable[[object, object], bool]:
    terms = "".join(f" and self.{one.name} == other.{one.name}" for one in fields)
    names: dict[str, Any] = {}
    source = f"def __eq__(self, other):\n    return self.__class__ is other.__class__{terms}"
    exec(compile(source, f"<{name}.__eq__>", "exec"), names)  # noqa: S102 - our own text, no input in it
    return cast("Callable[[object, object], bool]", names["__eq__"])


class Struct(metaclass=_Declared):
    """A part of a message, or one that travels without an API key."""

    __slots__ = ()
    FIELDS: ClassVar[tuple[Field, ...]]
    MIN_VERSION: ClassVar[int] = 0
    MAX_VERSION: ClassVar[int] = LATEST
    FLEXIBLE_FROM: ClassVar[int | None] = None
    _parsers: ClassVar[dict[int, Callable[[Buffer, int, int], Any]]]
    _builders: ClassVar[dict[int, Callable[[Any], list[Buffer]]]]

    def __init_subclass__(cls, versions: str | None = None, flexible: str | None = None, **other: Any) -> None:
        super().__init_subclass__(**other)
        cls._parsers = {}
        cls._builders = {}
        if versions is not None:
            valid = Versions.of(versions)
            cls.MIN_VERSION, cls.MAX_VERSION = valid.first, valid.last
        if flexible is not None:
            range_ = Versions.of(flexible)
            cls.FLEXIBLE_FROM = range_.first if range_.last >= range_.first else None

    @classmethod
    def is_flexible(cls, version: int) -> bool:
        return cls.FLEXIBLE_FROM is not None and version >= cls.FLEXIBLE_FROM

    @classmethod
    def parse(cls, buffer: Buffer, version: int, offset: int = 0, tail: int = 0) -> Self:
        """The message that fills `buffer` from `offset` to its end. Bytes fields are views into it.

        Up to `tail` bytes behind the message are passed over. Raises `ProtocolError` for anything else.
        """
        parser = cls._parsers.get(version)
        if parser is None:
            parser = _compile(cls, version, "parser")
        return cast(Self, parser(buffer, offset, tail))

    def build(self, version: int) -> list[Buffer]:
        """The message as buffers to send one behind the other; large bytes fields are passed through, not copied.

        Raises `ValueError` if a field is set that this version cannot carry.
        """
        builder = self._builders.get(version)
        if builder is None:
            builder = _compile(type(self), version, "builder")
        return cast("list[Buffer]", builder(self))

    def encode(self, version: int) -> bytes:
        return b"".join(self.build(version))

    def _values(self) -> Iterator[tuple[str, Any]]:
        for one in self.FIELDS:
            yield one.name, getattr(self, one.name)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._values())})"


class Response(Struct):
    """An answer. Its header has tagged fields where the answer is flexible, save for ApiVersions (KIP-511)."""

    __slots__ = ()
    API_KEY: ClassVar[ApiKey]

    def __init_subclass__(cls, api_key: ApiKey | None = None, **other: Any) -> None:
        super().__init_subclass__(**other)
        if api_key is not None:
            cls.API_KEY = api_key

    @classmethod
    def header_version(cls, version: int) -> int:
        return 1 if cls.is_flexible(version) and cls.API_KEY is not ApiKey.API_VERSIONS else 0


class Request(Struct):
    __slots__ = ()
    API_KEY: ClassVar[ApiKey]
    RESPONSE: ClassVar[type[Response]]

    def __init_subclass__(
        cls, api_key: ApiKey | None = None, response: type[Response] | None = None, **other: Any
    ) -> None:
        super().__init_subclass__(**other)
        if api_key is not None:
            cls.API_KEY = api_key
        if response is not None:
            cls.RESPONSE = response

    @classmethod
    def header_version(cls, version: int) -> int:
        return 2 if cls.is_flexible(version) else 1


def _compile(cls: type[Struct], version: int, kind: str) -> Callable[..., Any]:
    if not cls.MIN_VERSION <= version <= cls.MAX_VERSION:
        raise ProtocolError(f"{cls.__name__} has versions {cls.MIN_VERSION} to {cls.MAX_VERSION}, not {version}")
    from sprawl_protocol.compiler import compile_builder, compile_parser

    if kind == "parser":
        cls._parsers[version] = compile_parser(cls, version)
        return cls._parsers[version]
    cls._builders[version] = compile_builder(cls, version)
    return cls._builders[version]
