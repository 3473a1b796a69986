"""The compiled functions and the interpreted layout are one codec: same bytes, same objects, same refusals."""

from __future__ import annotations

import random
import statistics
import tracemalloc
from typing import Any

import pytest

from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.layout import UnsupportedField, interpret, interpret_build
from sprawl_protocol.message import Struct
from sprawl_protocol.messages import (
    HeartbeatRequest,
    MetadataRequest,
    MetadataRequestTopic,
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from tests.protocol.messages import every_message, name, random_message

CASES = list(every_message())


@pytest.mark.parametrize("case", CASES, ids=name)
def test_compiled_and_interpreted_agree_to_the_byte(case: tuple[type[Struct], int]) -> None:
    cls, version = case
    rng = random.Random(name(case))
    for _ in range(4):
        message = random_message(cls, version, rng)
        data = message.encode(version)
        assert data == interpret_build(message, version)
        assert cls.parse(data, version) == interpret(cls, data, version) == message


@pytest.mark.parametrize("case", CASES, ids=name)
def test_compiled_and_interpreted_agree_on_what_is_refused(case: tuple[type[Struct], int]) -> None:
    cls, version = case
    rng = random.Random(name(case) + " refused")
    for _ in range(6):
        data = bytearray(random_message(cls, version, rng).encode(version))
        match rng.randint(0, 2):
            case 0:
                del data[rng.randint(0, len(data)) :]
            case 1:
                data += rng.randbytes(rng.randint(1, 4))
            case _:
                for _ in range(3):
                    if data:
                        data[rng.randrange(len(data))] = rng.randrange(256)
        assert outcome(cls.parse, bytes(data), version) == outcome(
            lambda d, v: interpret(cls, d, v), bytes(data), version
        )


def outcome(parse: Any, data: bytes, version: int) -> Any:
    """What was parsed, or that it was refused: how the refusal is worded may differ."""
    try:
        return parse(data, version)
    except ProtocolError:
        return ProtocolError


@pytest.mark.parametrize("case", [c for c in CASES if c[1] == c[0].MAX_VERSION], ids=name)
def test_random_bytes_raise_nothing_but_the_decoders_own_error(case: tuple[type[Struct], int]) -> None:
    cls, version = case
    rng = random.Random(name(case) + " noise")
    for size in (0, 1, 2, 7, 30, 300, 3000):
        for _ in range(8):
            outcome(cls.parse, rng.randbytes(size), version)


@pytest.mark.parametrize(
    ("cls", "version", "head", "element"),
    [
        (MetadataRequest, 1, b"%b", b"\x00\x00"),
        (MetadataRequest, 1, b"%b", b"\x00\x02ab"),
    ],
)
def test_many_small_elements_cannot_become_many_times_their_size(
    cls: type[Struct], version: int, head: bytes, element: bytes
) -> None:
    count = 2_000_000 // len(element)
    data = head % count.to_bytes(4, "big") + element * count
    tracemalloc.start()
    outcome(cls.parse, data, version)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= 10 * len(data) + (1 << 20)


def test_an_announced_array_that_cannot_be_is_refused_before_it_is_allocated() -> None:
    tracemalloc.start()
    with pytest.raises(ProtocolError):
        MetadataRequest.parse((2**31 - 1).to_bytes(4, "big") + b"\0" * 10, 1)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 16


def test_large_bytes_are_handed_on_and_parsed_without_a_copy() -> None:
    records = bytes(10_000)
    data = PartitionProduceData(index=0, records=records)
    request = ProduceRequest(acks=1, topic_data=[TopicProduceData(name="t", partition_data=[data])])
    parts = request.build(9)
    assert any(part is records for part in parts)
    frame = bytearray(b"".join(parts))
    found = ProduceRequest.parse(memoryview(frame), 9).topic_data[0].partition_data[0].records
    assert isinstance(found, memoryview)
    assert found.obj is frame


def test_a_field_that_a_version_does_not_have_is_not_left_out_silently() -> None:
    HeartbeatRequest(group_id="g").encode(0)
    with pytest.raises(UnsupportedField, match="group_instance_id"):
        HeartbeatRequest(group_id="g", group_instance_id="i").encode(0)


def test_unknown_tagged_fields_are_passed_over() -> None:
    plain = HeartbeatRequest(group_id="g").encode(4)
    assert plain.endswith(b"\x00")
    tagged = plain[:-1] + b"\x02" + b"\x05\x01x" + b"\x07\x00"
    assert HeartbeatRequest.parse(tagged, 4) == HeartbeatRequest(group_id="g")
    with pytest.raises(ProtocolError, match="ascend"):
        HeartbeatRequest.parse(plain[:-1] + b"\x02" + b"\x07\x00" + b"\x05\x01x", 4)


def test_null_and_empty_are_different() -> None:
    assert MetadataRequest.parse(MetadataRequest(topics=None).encode(9), 9).topics is None
    assert MetadataRequest.parse(MetadataRequest(topics=[]).encode(9), 9).topics == []


def test_null_where_it_cannot_be_is_refused_on_both_sides() -> None:
    with pytest.raises((ValueError, AttributeError)):
        HeartbeatRequest(group_id=None).encode(0)  # type: ignore[arg-type]
    with pytest.raises(ProtocolError):
        HeartbeatRequest.parse(b"\xff\xff" + bytes(4), 0)


@pytest.mark.parametrize("version", [-1, 2, 14])
def test_a_version_that_is_not_served_cannot_be_parsed(version: int) -> None:
    with pytest.raises(ProtocolError, match="versions 3 to 13"):
        ProduceRequest.parse(b"", version)


def test_the_compiled_path_stays_near_code_written_by_hand() -> None:
    """Produce with one small batch. The bound is loose, since machines are noisy; `tools.bench.codec` measures."""
    from tools.bench.codec import PRODUCE, time_call

    ratios = [time_call(PRODUCE.compiled, 2_000) / time_call(PRODUCE.floor, 2_000) for _ in range(7)]
    assert statistics.median(ratios) < 3


def test_topics_by_name_survive_a_round_trip() -> None:
    request = MetadataRequest(topics=[MetadataRequestTopic(name="orders")])
    assert MetadataRequest.parse(request.encode(1), 1) == request
