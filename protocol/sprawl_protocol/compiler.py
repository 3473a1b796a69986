"""Parse and build functions for the hot path: straight-line Python emitted from walking a `Layout`.

What makes them fast, each measured by `python -m tools.bench.codec`: adjacent fields of fixed width, and the plain
lengths between them, are read with one `struct.Struct`; a varint of one byte costs one comparison; nested structs are
inlined, not called; bytes fields are slices of the input, and large ones are handed on uncopied when built.

What keeps them honest: they are emitted from the same tree that `layout.interpret` walks, and the tests hold both to
the same bytes, objects and refusals. Nothing from outside ever enters the emitted text.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final, NoReturn
from uuid import UUID, SafeUUID

import construct

from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.layout import Layout, UnsupportedField, construct_of
from sprawl_protocol.message import Struct
from sprawl_protocol.primitives import MAX_TEXT_BYTES, Blob, Boolean, Buffer, Fixed, Sequence, Text, Uuid

PASS_THROUGH_BYTES: Final = 2048
"""Bytes fields at least this long become a buffer of their own in what `build` returns."""

FREE_ALLOCATION: Final = 1 << 20
ALLOCATION_FACTOR: Final = 10
"""A message may become objects of at most this many times its own size, or `FREE_ALLOCATION` if that is more."""


def compile_parser(cls: type[Struct], version: int) -> Callable[[Buffer, int, int], Any]:
    compiled: Callable[[Buffer, int, int], Any] = _ParserEmitter().function(
        construct_of(cls, version), f"{cls.__name__} v{version}"
    )
    return compiled


def compile_builder(cls: type[Struct], version: int) -> Callable[[Any], list[Buffer]]:
    compiled: Callable[[Any], list[Buffer]] = _BuilderEmitter().function(
        construct_of(cls, version), f"{cls.__name__} v{version}"
    )
    return compiled


# -- what emitted code calls -------------------------------------------------------------------------------------


def read_varint(buf: memoryview, pos: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = buf[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 28:
            raise ProtocolError("a varint of more than 32 bits")
    if value >= 1 << 32:
        raise ProtocolError("a varint of more than 32 bits")
    return value, pos


def put_varint(out: bytearray, value: int) -> None:
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


_new_uuid = object.__new__
_set = object.__setattr__
_NO_UUID: Final = UUID(int=0)
_NO_UUID_BYTES: Final = bytes(16)


def uuid_of(raw: bytes) -> UUID:
    """`UUID(bytes=raw)` without its checks, at a third of the time."""
    if raw == _NO_UUID_BYTES:
        return _NO_UUID
    made = _new_uuid(UUID)
    _set(made, "int", int.from_bytes(raw, "big"))
    _set(made, "is_safe", SafeUUID.unknown)
    return made


def bad_length(length: int, left: int) -> NoReturn:
    raise ProtocolError(f"a length of {length} where {left} bytes are left")


def bad_tag(tag: int, previous: int) -> NoReturn:
    raise ProtocolError(f"tagged field {tag} behind {previous}: tags must ascend")


def tag_size(tag: int, over: int) -> NoReturn:
    raise ProtocolError(f"tagged field {tag} does not end where it says, but {over} bytes later")


def too_many_objects() -> NoReturn:
    raise ProtocolError(f"the message would take more than {ALLOCATION_FACTOR} times its size in memory")


def trailing(count: int) -> NoReturn:
    raise ProtocolError(f"{count} bytes behind the message's end")


def unsupported(name: str) -> NoReturn:
    raise UnsupportedField(f"{name} is set, but this version does not have it")


def null_in(name: str) -> NoReturn:
    raise ValueError(f"{name} is None, and cannot be null in this version")


_RUNTIME: Final = {
    "read_varint": read_varint,
    "put_varint": put_varint,
    "uuid_of": uuid_of,
    "bad_length": bad_length,
    "bad_tag": bad_tag,
    "tag_size": tag_size,
    "too_many_objects": too_many_objects,
    "trailing": trailing,
    "unsupported": unsupported,
    "null_in": null_in,
    "ProtocolError": ProtocolError,
    "struct_error": struct.error,
    "unpack_from": struct.unpack_from,
    "PASS_THROUGH_BYTES": PASS_THROUGH_BYTES,
}


class _Emitter:
    """Lines of Python under construction, and the objects they refer to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 1
        self.names: dict[str, Any] = dict(_RUNTIME)
        self.count = 0
        self.group: list[tuple[str, str]] = []
        """Fixed-width fields waiting to be read or written together: struct letter, and variable or expression."""

    def line(self, text: str) -> None:
        self.lines.append("    " * self.depth + text)

    def var(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def refer(self, stem: str, thing: Any) -> str:
        for name, known in self.names.items():
            if known is thing:
                return name
        name = self.var(stem)
        self.names[name] = thing
        return name

    def struct_for(self, letters: str) -> str:
        name = f"s_{letters}"
        self.names.setdefault(name, struct.Struct(">" + letters))
        return name

    def define(self, head: str, title: str) -> Any:
        source = head + "\n" + "\n".join(self.lines) + "\n"
        exec(compile(source, f"<compiled {title}>", "exec"), self.names)  # noqa: S102 - our own text, see the docstring
        return self.names["compiled"]


class _ParserEmitter(_Emitter):
    def function(self, layout: Layout, title: str) -> Any:
        self.line("buf = buffer if type(buffer) is memoryview else memoryview(buffer)")
        self.line("size = len(buf)")
        self.line(f"budget = max({FREE_ALLOCATION}, {ALLOCATION_FACTOR} * size)")
        self.line("try:")
        self.depth += 1
        self.layout(layout, "made")
        self.flush()
        self.depth -= 1
        self.line("except (IndexError, struct_error):")
        self.line("    raise ProtocolError('the message ends too early') from None")
        self.line("except UnicodeDecodeError as error:")
        self.line("    raise ProtocolError(f'a string that is not UTF-8: {error.reason}') from None")
        self.line("if size - pos > tail: trailing(size - pos)")
        self.line("return made")
        return self.define("def compiled(buffer, pos=0, tail=0):", title)

    def flush(self) -> None:
        """Read the waiting fixed-width fields at once."""
        if not self.group:
            return
        letters = "".join(letter for letter, _ in self.group)
        targets = ", ".join(target for _, target in self.group)
        name = self.struct_for(letters)
        self.line(f"{targets}{',' if len(self.group) == 1 else ''} = {name}.unpack_from(buf, pos)")
        self.line(f"pos += {self.names[name].size}")
        self.group.clear()

    def layout(self, layout: Layout, target: str) -> None:
        """Emit what puts a struct (or None) in `target`; afterwards `target` is readable."""
        if not layout.nullable:
            self.present(layout, target)
            return
        self.flush()
        self.line("pos += 1")
        self.line(f"if buf[pos - 1] > 127: {target} = None")
        self.line("else:")
        self.depth += 1
        self.present(layout, target)
        self.depth -= 1

    def present(self, layout: Layout, target: str) -> None:
        values: dict[str, str] = {}
        convert: list[str] = []
        for field, content in layout.fields:
            variable = self.var("v")
            values[field.name] = variable
            self.value(content, variable, convert)
        self.flush()
        for line in convert:
            self.line(line)
        if layout.tags is not None:
            self.tags(layout, values)
        arguments = [
            values.get(field.name)
            or ("[]" if field.factory is list else f"{self.refer('make', field.factory)}()" if field.factory else None)
            or self.refer("default", _Constant.of(field.default))
            for field in layout.cls.FIELDS
        ]
        self.line(f"{target} = {self.refer('cls', layout.cls)}({', '.join(arguments)})")

    def value(self, content: construct.Construct, target: str, convert: list[str]) -> None:
        """Emit what reads one field. Fixed-width ones only join the group; `convert` lines run once it is read."""
        match content:
            case Boolean():
                self.group.append(("b", target))
                convert.append(f"{target} = {target} != 0")
            case Fixed():
                self.group.append((content.format, target))
            case Uuid():
                self.group.append(("16s", target))
                convert.append(f"{target} = uuid_of({target})")
            case Layout():
                self.flush()
                self.layout(content, target)
            case Text() | Blob():
                self.sized(content, target)
            case Sequence():
                self.sequence(content, target)

    def length(self, content: Text | Blob | Sequence) -> str:
        """Emit what reads a length (-1 for null), checked for sign."""
        n = self.var("n")
        if content.compact:
            self.flush()
            self.line(f"{n} = buf[pos]")
            self.line("pos += 1")
            self.line(f"if {n} > 127: {n}, pos = read_varint(buf, pos - 1)")
            self.line(f"{n} -= 1")
        else:
            self.group.append(("h" if isinstance(content, Text) else "i", n))
            self.flush()
        return n

    def sized(self, content: Text | Blob, target: str) -> None:
        n = self.length(content)
        if isinstance(content, Text) and content.compact:
            self.line(f"if {n} > {MAX_TEXT_BYTES}: bad_length({n}, size - pos)")
        made = "str(buf[pos:end], 'utf-8')" if isinstance(content, Text) else "buf[pos:end]"
        self.line(f"if {n} >= 0:")
        self.line(f"    end = pos + {n}")
        self.line(f"    if end > size: bad_length({n}, size - pos)")
        self.line(f"    {target} = {made}")
        self.line("    pos = end")
        self.null(content, n, target)

    def null(self, content: Text | Blob | Sequence, n: str, target: str) -> None:
        if content.nullable:
            self.line(f"elif {n} == -1: {target} = None")
        self.line(f"else: bad_length({n}, size - pos)")

    def sequence(self, content: Sequence, target: str) -> None:
        n = self.length(content)
        element = content.element
        cost = _object_cost(element)
        self.line(f"if {n} >= 0:")
        self.depth += 1
        self.line(f"if {n} * {content.least} > size - pos: bad_length({n}, size - pos)")
        if cost > ALLOCATION_FACTOR * content.least:
            self.line(f"budget -= {n} * {cost}")
            self.line("if budget < 0: too_many_objects()")
        if isinstance(element, Fixed) and not isinstance(element, Boolean):
            self.line(f"{target} = list(unpack_from('>%d{element.format}' % {n}, buf, pos))")
            self.line(f"pos += {n} * {element.size}")
        else:
            self.line(f"{target} = []")
            self.line(f"for _ in range({n}):")
            self.depth += 1
            one = self.var("e")
            convert: list[str] = []
            self.value(element, one, convert)
            self.flush()
            for line in convert:
                self.line(line)
            self.line(f"{target}.append({one})")
            self.depth -= 1
        self.depth -= 1
        self.null(content, n, target)

    def tags(self, layout: Layout, values: dict[str, str]) -> None:
        assert layout.tags is not None
        for field, _ in layout.tags.known.values():
            variable = values[field.name] = self.var("t")
            default = "[]" if field.factory is list else f"{self.refer('make', field.factory)}()"
            if field.factory is None:
                default = self.refer("default", _Constant.of(field.default))
            self.line(f"{variable} = {default}")
        n, tag, previous, length, stop = (self.var(stem) for stem in ("n", "tag", "previous", "length", "stop"))
        self.line(f"{n} = buf[pos]")
        self.line("pos += 1")
        self.line(f"if {n}:")
        self.depth += 1
        self.line(f"if {n} > 127: {n}, pos = read_varint(buf, pos - 1)")
        self.line(f"if {n} * 2 > size - pos: bad_length({n}, size - pos)")
        self.line(f"{previous} = -1")
        self.line(f"for _ in range({n}):")
        self.depth += 1
        self.line(f"{tag}, pos = read_varint(buf, pos)")
        self.line(f"if {tag} <= {previous}: bad_tag({tag}, {previous})")
        self.line(f"{previous} = {tag}")
        self.line(f"{length}, pos = read_varint(buf, pos)")
        self.line(f"{stop} = pos + {length}")
        self.line(f"if {stop} > size: bad_length({length}, size - pos)")
        word = "if"
        for number, (field, content) in layout.tags.known.items():
            self.line(f"{word} {tag} == {number}:")
            self.depth += 1
            convert: list[str] = []
            self.value(content, values[field.name], convert)
            self.flush()
            for line in convert:
                self.line(line)
            self.depth -= 1
            word = "elif"
        self.line("else: pos = " + stop if layout.tags.known else f"pos = {stop}")
        self.line(f"if pos != {stop}: tag_size({tag}, pos - {stop})")
        self.depth -= 2


class _BuilderEmitter(_Emitter):
    def __init__(self) -> None:
        super().__init__()
        self.out = "out"
        self.in_tag = False

    def function(self, layout: Layout, title: str) -> Any:
        self.line("parts = []")
        self.line("out = bytearray()")
        self.layout(layout, "message")
        self.flush()
        self.line("if out: parts.append(out)")
        self.line("return parts")
        return self.define("def compiled(message):", title)

    def flush(self) -> None:
        if not self.group:
            return
        letters = "".join(letter for letter, _ in self.group)
        values = ", ".join(value for _, value in self.group)
        self.line(f"{self.out} += {self.struct_for(letters)}.pack({values})")
        self.group.clear()

    def layout(self, layout: Layout, source: str) -> None:
        if not layout.nullable:
            self.present(layout, source)
            return
        self.flush()
        self.line(f"if {source} is None: {self.out}.append(255)")
        self.line("else:")
        self.depth += 1
        self.line(f"{self.out}.append(1)")
        self.present(layout, source)
        self.flush()
        self.depth -= 1

    def present(self, layout: Layout, source: str) -> None:
        for field in layout.absent:
            default = self.default(field)
            test = f"is not {default}" if default in ("None", "True", "False") else f"!= {default}"
            self.line(f"if {source}.{field.name} {test}: unsupported('{layout.cls.__name__}.{field.name}')")
        for field, content in layout.fields:
            self.value(content, f"{source}.{field.name}", field.name)
        if layout.tags is not None:
            self.tags(layout, source)

    def default(self, field: Any) -> str:
        if field.factory is list:
            return "[]"
        if field.factory is not None:
            return self.refer("default", field.make_default())
        if field.default is None or isinstance(field.default, (bool, int, str)):
            return repr(field.default)
        return self.refer("default", _Constant.of(field.default))

    def value(self, content: construct.Construct, source: str, name: str) -> None:
        match content:
            case Fixed():
                self.group.append((content.format, source))
            case Uuid():
                self.group.append(("16s", f"{source}.bytes"))
            case Layout():
                self.flush()
                variable = self.var("v")
                self.line(f"{variable} = {source}")
                self.layout(content, variable)
                self.flush()
            case Text():
                data = self.var("d")
                if content.nullable:
                    self.line(f"{data} = {source}")
                    self.line(f"if {data} is not None: {data} = {data}.encode()")
                else:
                    self.line(f"{data} = {source}.encode()")
                self.length(content, data, name)
                self.line(f"if {data}: {self.out} += {data}")
            case Blob():
                data = self.var("d")
                self.line(f"{data} = {source}")
                self.length(content, data, name)
                self.blob(data)
            case Sequence():
                self.sequence(content, source, name)

    def length(self, content: Text | Blob | Sequence, data: str, name: str) -> None:
        """Emit the length of `data`; then everything before it has been written."""
        if not content.nullable and not isinstance(content, Text):
            self.line(f"if {data} is None: null_in('{name}')")
        if not content.compact:
            count = f"(-1 if {data} is None else len({data}))" if content.nullable else f"len({data})"
            self.group.append(("h" if isinstance(content, Text) else "i", count))
            self.flush()
            return
        self.flush()
        n = self.var("n")
        count = f"0 if {data} is None else len({data}) + 1" if content.nullable else f"len({data}) + 1"
        self.line(f"{n} = {count}")
        self.line(f"if {n} < 128: {self.out}.append({n})")
        self.line(f"else: put_varint({self.out}, {n})")

    def blob(self, data: str) -> None:
        if self.in_tag:
            self.line(f"if {data}: {self.out} += {data}")
            return
        self.line(f"if {data}:")
        self.line(f"    if len({data}) < PASS_THROUGH_BYTES: {self.out} += {data}")
        self.line("    else:")
        self.line(f"        parts.append({self.out})")
        self.line(f"        parts.append({data})")
        self.line(f"        {self.out} = bytearray()")

    def sequence(self, content: Sequence, source: str, name: str) -> None:
        items, one = self.var("d"), self.var("e")
        self.line(f"{items} = {source}")
        self.length(content, items, name)
        self.line(f"if {items}:")
        self.depth += 1
        self.line(f"for {one} in {items}:")
        self.depth += 1
        self.value(content.element, one, name)
        self.flush()
        self.depth -= 2

    def tags(self, layout: Layout, source: str) -> None:
        assert layout.tags is not None
        self.flush()
        if not layout.tags.known:
            self.line(f"{self.out}.append(0)")
            return
        found = self.var("tags")
        self.line(f"{found} = []")
        outer, outer_in_tag = self.out, self.in_tag
        for number, (field, content) in layout.tags.known.items():
            variable = self.var("v")
            default = self.default(field)
            self.line(f"{variable} = {source}.{field.name}")
            self.line(f"if {variable} {'is not None' if default == 'None' else '!= ' + default}:")
            self.depth += 1
            self.out, self.in_tag = self.var("inner"), True
            self.line(f"{self.out} = bytearray()")
            self.value(content, variable, field.name)
            self.flush()
            self.line(f"{found}.append(({number}, {self.out}))")
            self.depth -= 1
            self.out, self.in_tag = outer, outer_in_tag
        tag, data = self.var("tag"), self.var("d")
        self.line(f"if not {found}: {self.out}.append(0)")
        self.line("else:")
        self.line(f"    put_varint({self.out}, len({found}))")
        self.line(f"    for {tag}, {data} in {found}:")
        self.line(f"        put_varint({self.out}, {tag})")
        self.line(f"        put_varint({self.out}, len({data}))")
        self.line(f"        {self.out} += {data}")


class _Constant:
    """Default values, one object for each, so that emitted code refers to each by one name."""

    _known: dict[tuple[type, Any], Any] = {}  # noqa: RUF012 - interning is what it is for

    @classmethod
    def of(cls, value: Any) -> Any:
        return cls._known.setdefault((type(value), value), value)


def _object_cost(content: construct.Construct) -> int:
    """About how many bytes of memory one parsed element takes, beyond what its own arrays are charged for."""
    match content:
        case Layout():
            return 56 + 8 * len(content.cls.FIELDS) + sum(_field_cost(c) for _, c in content.fields)
        case _:
            return 16 + _field_cost(content)


def _field_cost(content: construct.Construct) -> int:
    match content:
        case Boolean():
            return 0
        case Fixed():
            return 0 if content.size == 1 else 32
        case Uuid():
            return 100
        case Text():
            return 56
        case Blob():
            return 184
        case Sequence():
            return 64
        case _:
            return _object_cost(content)
