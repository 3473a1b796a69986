"""What holds for messages whatever their fields: refusals, nulls, tags, views instead of copies, memory in proportion.

The memory a message takes is held to its size for every array of every message, filled with whatever elements take
the most memory for the fewest bytes.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

import pytest

from sprawl_protocol import compiler
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.layout import UnsupportedField
from sprawl_protocol.message import FieldType, Struct
from sprawl_protocol.messages import (
    CreateTopicsRequest,
    DescribeGroupsRequest,
    FetchRequest,
    HeartbeatRequest,
    LeaveGroupRequest,
    MetadataRequest,
    MetadataRequestTopic,
    OffsetFetchRequest,
    PartitionProduceData,
    ProduceRequest,
    SyncGroupRequest,
    TopicProduceData,
)
from tests.protocol.arbitrary import BITS, TOP_LEVEL, every_version, message, versions_of
from tools.bench.codec import PRODUCE, time_call

EVERY_VERSION = list(every_version())
ALLOWED = compiler.ALLOCATION_FACTOR
"""How many times its size a message may take in memory."""
ABOVE = {
    "AlterPartitionRequest": 10.5,
    "BeginQuorumEpochRequest": 13,
    "DescribeLogDirsResponse": 13.5,
    "DescribeProducersResponse": 14,
    "DescribeQuorumResponse": 12,
    "EndQuorumEpochRequest": 15,
    "FetchRequest": 13,
    "FetchResponse": 15.5,
    "FetchSnapshotResponse": 10.5,
    "ListOffsetsResponse": 13,
    "ProduceResponse": 15,
    "ReadShareGroupStateResponse": 12.5,
    "ShareFetchResponse": 12,
    "WriteShareGroupStateRequest": 12,
}
"""Those that take more, and how much: the parser does not count empty lists of fields that the version lacks or that
are tagged, nor what a list of one element takes, and charges arrays of cheap elements nothing at all."""
CROWD = 150
BESIDE = 4096
"""Bytes that parsing takes whatever the message."""


def named(which: tuple[type[Struct], int]) -> str:
    return f"{which[0].__name__} v{which[1]}"


def refused(parse: Callable[[], object]) -> bool:
    """Whether it raises `ProtocolError`; anything else that is raised is the test's failure."""
    try:
        parse()
    except ProtocolError:
        return True
    return False


# -- refusals -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", TOP_LEVEL, ids=lambda cls: cls.__name__)
def test_noise_raises_nothing_but_the_decoders_own_error(cls: type[Struct]) -> None:
    rng = Random(f"{cls.__name__} noise")
    for version in versions_of(cls):
        for size in (0, 1, 2, 7, 30, 300, 3000):
            refused(lambda size=size, version=version: cls.parse(rng.randbytes(size), version))  # type: ignore[misc]


@pytest.mark.parametrize("cls", TOP_LEVEL, ids=lambda cls: cls.__name__)
def test_a_version_that_is_not_served_is_neither_parsed_nor_built(cls: type[Struct]) -> None:
    for version in (-1, cls.MIN_VERSION - 1, cls.MAX_VERSION + 1, 32767):
        with pytest.raises(ProtocolError, match=f"versions {cls.MIN_VERSION} to {cls.MAX_VERSION}, not {version}"):
            cls.parse(b"", version)
        with pytest.raises(ProtocolError, match=f"versions {cls.MIN_VERSION} to {cls.MAX_VERSION}, not {version}"):
            cls().build(version)


@pytest.mark.parametrize("which", EVERY_VERSION, ids=named)
def test_no_message_ends_early_or_late(which: tuple[type[Struct], int]) -> None:
    cls, version = which
    data = message(Random(named(which)), cls, version, many=1).encode(version)
    assert refused(lambda: cls.parse(data + b"\0", version)), "one byte too many"
    assert cls.parse(data + b"\0", version, 0, 1) == cls.parse(data, version), "unless that is allowed"
    for end in {*range(min(len(data), 40)), max(len(data) - 1, 0)} - {len(data)}:
        assert refused(lambda end=end: cls.parse(data[:end], version)), f"{end} of {len(data)} bytes"  # type: ignore[misc]


def test_a_field_that_a_version_does_not_have_is_not_left_out_silently() -> None:
    HeartbeatRequest(group_id="g").encode(0)
    with pytest.raises(UnsupportedField, match="group_instance_id"):
        HeartbeatRequest(group_id="g", group_instance_id="i").encode(0)


def test_a_topic_by_name_survives_a_version_that_has_no_ids() -> None:
    request = MetadataRequest(topics=[MetadataRequestTopic(name="orders")])
    assert MetadataRequest.parse(request.encode(1), 1) == request


# -- tagged fields --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", [w for w in EVERY_VERSION if w[0].is_flexible(w[1])], ids=named)
def test_unknown_tagged_fields_are_passed_over(which: tuple[type[Struct], int]) -> None:
    cls, version = which
    made = cls.parse(cls().encode(version), version)
    plain = made.encode(version)
    assert plain.endswith(b"\0"), "no tagged field is set"
    tagged = plain[:-1] + b"\2" + b"\x64\1x" + b"\xff\x7f\0"
    assert cls.parse(tagged, version) == made
    with pytest.raises(ProtocolError, match="ascend"):
        cls.parse(plain[:-1] + b"\2" + b"\xff\x7f\0" + b"\x64\1x", version)
    with pytest.raises(ProtocolError, match="ascend"):
        cls.parse(plain[:-1] + b"\2" + b"\x64\0" + b"\x64\0", version)


def test_a_known_tagged_field_must_end_where_it_says() -> None:
    data = FetchRequest(cluster_id="c").encode(12)
    at = data.index(b"\1\0\2\2c")
    assert FetchRequest.parse(data, 12).cluster_id == "c"
    for wrong in (b"\1\0\1\2c", b"\1\0\3\2c\0"):
        assert refused(lambda wrong=wrong: FetchRequest.parse(data[:at] + wrong + data[at + 5 :], 12))  # type: ignore[misc]


# -- null and empty -------------------------------------------------------------------------------------------


def test_null_and_empty_are_different_wherever_null_is_allowed() -> None:
    looked_at = 0
    for cls, version in EVERY_VERSION:
        rng = Random(named((cls, version)))
        for field in cls.FIELDS:
            kind = field.type
            if version not in field.versions or version not in field.nullable or kind.struct is not None:
                continue
            empty: Any = [] if kind.element else "" if kind.name == "string" else b""
            made = message(rng, cls, version, many=1)
            for value in (None, empty):
                setattr(made, field.name, value)
                found = getattr(cls.parse(made.encode(version), version), field.name)
                assert (found is None) == (value is None), f"{named((cls, version))} {field.name}"
                assert found == value, f"{named((cls, version))} {field.name}"
            looked_at += 1
    assert looked_at > 200


def test_null_where_it_cannot_be_is_refused_on_both_sides() -> None:
    with pytest.raises((ValueError, AttributeError)):
        HeartbeatRequest(group_id=None).encode(0)  # type: ignore[arg-type]
    assert refused(lambda: HeartbeatRequest.parse(b"\xff\xff" + bytes(6), 0))
    assert refused(lambda: HeartbeatRequest.parse(b"\0" + bytes(8), 4))


# -- bytes fields ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", versions_of(ProduceRequest))
def test_records_are_built_and_parsed_without_a_copy(version: int) -> None:
    records = bytes(10_000)
    data = PartitionProduceData(index=0, records=records)
    topic = TopicProduceData(partition_data=[data])
    if version < 13:
        topic.name = "t"
    parts = ProduceRequest(acks=1, topic_data=[topic]).build(version)
    assert any(part is records for part in parts)
    frame = bytearray(b"".join(parts))
    found = ProduceRequest.parse(memoryview(frame), version).topic_data[0].partition_data[0].records
    assert isinstance(found, memoryview)
    assert found.obj is frame


# -- memory ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Costly:
    """What the elements of a crowd are made of: little on the wire, as much as possible in memory."""

    text: str
    inner: int
    """Elements in each array inside of an element."""

    def value(self, kind: FieldType, version: int) -> Any:
        if kind.struct is not None:
            return self.struct(kind.struct, version, self.inner)
        if kind.element is not None:
            return [self.value(kind.element, version) for _ in range(self.inner)]
        match kind.name:
            case "boolean":
                return True
            case "string":
                return self.text
            case "bytes" | "records":
                return b""
            case "uuid":
                return UUID(int=2**128 - 1)
            case "float64":
                return 1.5
            case number:
                return 2 ** (BITS[number] - (not number.startswith("u"))) - 1

    def struct(self, cls: type[Struct], version: int, inner: int) -> Any:
        here = Costly(self.text, inner)
        present = (f for f in cls.FIELDS if version in f.versions and version not in f.tagged)
        return cls(**{field.name: here.value(field.type, version) for field in present})


KINDS = (Costly("ab", 0), Costly("ab", 1))


def arrays(cls: type[Struct], version: int) -> Iterator[tuple[str, ...]]:
    """Where this version has arrays, as names of fields from the outside in."""
    for field in cls.FIELDS:
        if version not in field.versions:
            continue
        if field.type.element:
            yield (field.name,)
        nested = field.type.element.struct if field.type.element else field.type.struct
        if nested is not None:
            yield from ((field.name, *path) for path in arrays(nested, version))


CROWDS = {cls: [(version, path) for version in versions_of(cls) for path in arrays(cls, version)] for cls in TOP_LEVEL}


def crowded(cls: type[Struct], version: int, path: tuple[str, ...], kind: Costly, count: int) -> bytes:
    """The message with `count` elements in the array at `path`, and one in each array on the way there."""
    at = made = kind.struct(cls, version, 0)
    for name in path:
        field = next(one for one in at.FIELDS if one.name == name)
        if name == path[-1]:
            setattr(at, name, [kind.value(field.type.element, version)] * count)
        else:
            nested = Costly(kind.text, 0).value(field.type.element or field.type, version)
            setattr(at, name, [nested] if field.type.element else nested)
            at = nested
    return bytes(made.encode(version))


def amplification(parse: Callable[..., Any], data: bytes) -> float:
    """Memory over size, in the smallest message with `data` in it that is not refused.

    What is refused is made larger by bytes that cost nothing: a sender has many ways to put some into a frame.
    """
    parse(data + bytes(most := 40 * len(data)), 0, most)
    low, high = -1, most
    if not refused(lambda: parse(data, 0, 0)):
        high = 0
    while high - low > max(len(data) // 20, 1):
        middle = (low + high) // 2
        if refused(lambda middle=middle: parse(data + bytes(middle), 0, middle)):  # type: ignore[misc]
            low = middle
        else:
            high = middle
    whole = data + bytes(high)
    tracemalloc.start()
    made = parse(whole, 0, high)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del made
    return (peak - BESIDE) / len(whole)


@pytest.fixture
def no_free_allocation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small messages are held to what large ones are: `FREE_ALLOCATION` would hide what a test can measure quickly."""
    monkeypatch.setattr(compiler, "FREE_ALLOCATION", 0)


@pytest.mark.usefixtures("no_free_allocation")
@pytest.mark.parametrize("cls", [c for c in TOP_LEVEL if CROWDS[c]], ids=lambda c: c.__name__)
def test_no_message_takes_many_times_its_size_in_memory(cls: type[Struct]) -> None:
    worst, where = 0.0, ""
    for version, path in CROWDS[cls]:
        parse = compiler.compile_parser(cls, version)
        for kind in KINDS:
            message = crowded(cls, version, path, kind, CROWD)
            found = amplification(parse, message)
            if found > ALLOWED:
                found = min(found, amplification(parse, message))  # what else the process did meanwhile counts, too
            if found > worst:
                worst, where = found, f"v{version} {'.'.join(path)} {kind}"
    assert worst <= ABOVE.get(cls.__name__, ALLOWED), f"{worst:.2f} times: {where}"


@pytest.mark.parametrize(
    ("cls", "version", "element"),
    [
        (MetadataRequest, 1, b"\0\0"),
        (MetadataRequest, 1, b"\0\2ab"),
        (MetadataRequest, 12, bytes(16) + b"\0\0"),
        (MetadataRequest, 12, bytes(16) + b"\3ab\0"),
        (LeaveGroupRequest, 3, b"\0\0\xff\xff"),
        (DescribeGroupsRequest, 0, b"\0\0"),
        (DescribeGroupsRequest, 5, b"\1"),
        (DescribeGroupsRequest, 5, b"\3ab"),
        (SyncGroupRequest, 0, b"\0\0\0\0\0\0"),
        (OffsetFetchRequest, 8, b"\1\1\0"),
        (CreateTopicsRequest, 5, b"\1\0\0\0\1\0\1\1\1\0"),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else getattr(value, "__name__", f"v{value}"),
)
def test_megabytes_of_small_elements_take_megabytes(cls: type[Struct], version: int, element: bytes) -> None:
    count = 1_000_000 // len(element)
    before = {LeaveGroupRequest: b"\0\0", SyncGroupRequest: b"\0\0\0\0\0\0\0\0"}.get(cls, b"")
    number = varint(count + 1) if cls.is_flexible(version) else count.to_bytes(4, "big")
    data = before + number + element * count
    tracemalloc.start()
    refused(lambda: cls.parse(data, version))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= ALLOWED * len(data) + compiler.FREE_ALLOCATION


@pytest.mark.parametrize("cls", [c for c in TOP_LEVEL if CROWDS[c]], ids=lambda c: c.__name__)
def test_an_announced_array_that_cannot_be_is_refused_before_it_is_allocated(cls: type[Struct]) -> None:
    for version, path in CROWDS[cls]:
        few = crowded(cls, version, path, Costly("", 0), 1)
        if len(path) > 1 or cls.is_flexible(version):
            continue  # the number is not found again as easily
        more = crowded(cls, version, path, Costly("", 0), 2)
        at = next(n for n, (one, two) in enumerate(zip(few, more, strict=False)) if one != two) - 3
        data = few[:at] + (2**31 - 1).to_bytes(4, "big") + few[at + 4 :]
        tracemalloc.start()
        was_refused = refused(lambda data=data, version=version: cls.parse(data, version))  # type: ignore[misc]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert was_refused
        assert peak < 1 << 16, f"v{version} {path}"


def varint(value: int) -> bytes:
    out = bytearray()
    compiler.put_varint(out, value)
    return bytes(out)


# -- what it costs --------------------------------------------------------------------------------------------


def test_the_compiled_path_stays_near_code_written_by_hand() -> None:
    """Produce with one small batch. The bound is loose, since machines are noisy; `tools.bench.codec` measures.

    The quickest of each, for whatever else the machine does only ever adds to a time.
    """
    assert PRODUCE.floor is not None
    compiled, floor = (min(time_call(each, 500) for _ in range(30)) for each in (PRODUCE.compiled, PRODUCE.floor))
    assert compiled / floor < 3
