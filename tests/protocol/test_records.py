"""Record batches against two independent codecs, round trips, stamps, damage."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch as AiokafkaBatch
from aiokafka.record.default_records import DefaultRecordBatchBuilder as AiokafkaBuilder
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka.record.default_records import DefaultRecordBatch as KafkaPythonBatch
from kafka.record.default_records import DefaultRecordBatchBuilder as KafkaPythonBuilder

from sprawl_protocol.compression import Codec
from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.records import (
    HEADER_SIZE,
    BatchHeader,
    Record,
    build_batch,
    check_crc,
    headers,
    read_header,
    records_of,
    stamp,
    stamp_log_append_time,
)
from tests.protocol import crafting
from tests.protocol.crafting import NOW, around, batch, changed, content

BUILDERS = [KafkaPythonBuilder, AiokafkaBuilder]
READERS = [KafkaPythonBatch, AiokafkaBatch]
LISTED = [
    Record(0, NOW, None, b"value"),
    Record(1, NOW + 5, b"key", None),
    Record(2, NOW - 70_000, b"", b"", [("name", b"value"), ("name", None), ("", b"")]),
    Record(3, NOW + 2**40, b"k" * 64, b"v" * 70_000),
    *(Record(offset, NOW + offset, b"k%d" % offset, b"words " * offset) for offset in range(4, 200)),
]


def tuples(found: Any) -> list[tuple[Any, ...]]:
    return [
        (one.offset, one.timestamp, one.key, one.value, [(name, value) for name, value in one.headers]) for one in found
    ]


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("builder", BUILDERS, ids=["kafka-python", "aiokafka"])
def test_batches_that_others_write_are_read(builder: Callable[..., Any], codec: Codec) -> None:
    other = builder(
        magic=2,
        compression_type=int(codec),
        is_transactional=True,
        producer_id=7,
        producer_epoch=3,
        base_sequence=11,
        batch_size=1 << 30,
    )
    for one in LISTED:
        assert other.append(one.offset, one.timestamp, one.key, one.value, one.headers)
    data = bytes(other.build())
    header = read_header(data)
    assert header.size == len(data)
    assert header.compression == codec
    assert check_crc(data, 0, header)
    assert (header.producer_id, header.producer_epoch, header.base_sequence) == (7, 3, 11)
    assert (header.record_count, header.last_offset) == (len(LISTED), len(LISTED) - 1)
    assert header.is_transactional
    assert not header.is_control
    assert not header.log_append_time
    assert header.max_timestamp == max(one.timestamp for one in LISTED)
    assert tuples(records_of(data)) == tuples(LISTED)


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("reader", READERS, ids=["kafka-python", "aiokafka"])
def test_others_read_what_is_written(reader: Callable[..., Any], codec: Codec) -> None:
    data = build_batch(LISTED, compression=codec, producer_id=7, producer_epoch=3, base_sequence=11, leader_epoch=4)
    other = reader(bytes(data))
    assert other.validate_crc()
    assert (other.producer_id, other.producer_epoch, other.base_sequence) == (7, 3, 11)
    assert (other.compression_type, other.max_timestamp) == (int(codec), max(one.timestamp for one in LISTED))
    assert tuples(other) == tuples(LISTED)


@pytest.mark.parametrize("codec", list(Codec))
@given(records=crafting.batches_of_records, base_offset=st.integers(0, 2**62))
@settings(max_examples=40, deadline=None)
def test_what_is_built_comes_back(codec: Codec, records: list[Record], base_offset: int) -> None:
    data = build_batch(records, base_offset=base_offset, compression=codec)
    header = read_header(data)
    assert check_crc(data, 0, header)
    expected = [dataclasses.replace(one, offset=base_offset + index) for index, one in enumerate(records)]
    assert tuples(records_of(data)) == tuples(expected)
    assert header.next_offset == base_offset + len(records)


def test_names_of_record_headers_that_are_not_utf8_are_kept() -> None:
    data = around(b"\x16\x00\x00\x00\x01\x01\x02\x04\xff\xfe\x02v", 1)
    (found,) = records_of(data)
    assert content(build_batch([found])) == content(data)


def test_timestamps_wrap_around_as_in_java() -> None:
    records = [Record(0, -(2**63), None, b""), Record(1, 2**63 - 1, None, b"")]
    data = build_batch(records)
    assert tuples(records_of(data)) == tuples(records)
    assert tuples(KafkaPythonBatch(bytes(data)))[0][1] == -(2**63)


def test_a_batch_holds_a_record() -> None:
    with pytest.raises(ValueError, match="at least one"):
        build_batch([])


def test_control_and_transactional_batches_say_so() -> None:
    header = read_header(batch(b"x", control=True, transactional=True, producer_id=1, producer_epoch=0))
    assert header.is_control
    assert header.is_transactional


# -- in the log --------------------------------------------------------------------------------------------------


def test_a_stamp_leaves_the_checksum_right() -> None:
    data = bytearray(b"--") + batch(b"a", b"b")
    stamp(data, 2, 2**40, 9)
    header = read_header(data, 2)
    assert (header.base_offset, header.last_offset, header.partition_leader_epoch) == (2**40, 2**40 + 1, 9)
    assert check_crc(data, 2, header)


@pytest.mark.parametrize("codec", list(Codec))
def test_log_append_time_is_every_records_time(codec: Codec) -> None:
    data = bytearray(b"--") + build_batch(LISTED, compression=codec)
    header = read_header(data, 2)
    stamp_log_append_time(data, 2, header, NOW + 99)
    again = read_header(data, 2)
    assert again.log_append_time
    assert check_crc(data, 2, again)
    assert repr(again) == repr(header)
    assert {one.timestamp for one in records_of(data, 2)} == {NOW + 99}
    theirs = KafkaPythonBatch(bytes(data[2:]))
    assert theirs.validate_crc()
    assert {one.timestamp for one in theirs} == {NOW + 99}


def test_headers_of_many_batches() -> None:
    parts = [batch(b"a"), batch(b"b", b"c", base_offset=1), batch(*[b"d"] * 100, base_offset=3)]
    data = b"".join(parts)
    found = headers(memoryview(data))
    assert [pos for pos, _ in found] == [0, len(parts[0]), len(parts[0]) + len(parts[1])]
    assert [header.base_offset for _, header in found] == [0, 1, 3]
    assert [header.size for _, header in found] == [len(part) for part in parts]
    assert [one.value for one in records_of(data, found[1][0])] == [b"b", b"c"]
    assert headers(b"") == []


def test_records_of_an_uncompressed_batch_are_not_copied() -> None:
    data = bytes(batch(b"value"))
    (found,) = records_of(data)
    assert isinstance(found.value, memoryview)
    assert found.value.obj is data


@pytest.mark.parametrize(
    ("first", "delta", "last"), [(0, 0, 0), (5, 9, 14), (2**31 - 1, 0, 2**31 - 1), (2**31 - 1, 1, 0)]
)
def test_sequences_wrap_around(first: int, delta: int, last: int) -> None:
    assert header_with(base_sequence=first, last_offset_delta=delta).last_sequence == last


def test_a_batch_without_sequence_has_no_last_one() -> None:
    assert header_with(base_sequence=-1, last_offset_delta=7).last_sequence == -1


def header_with(**fields: int) -> BatchHeader:
    return read_header(changed(batch(b"x"), **fields))


# -- damage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 12, 16, 60, 61, 66])
def test_a_header_or_batch_cut_short_is_refused(length: int) -> None:
    with pytest.raises(ProtocolError):
        read_header(batch(b"x")[:length])


@pytest.mark.parametrize(
    "fields",
    [
        {"magic": 0},
        {"magic": 1},
        {"magic": 3},
        {"magic": -1},
        {"batch_length": -1},
        {"batch_length": -(2**31)},
        {"batch_length": 48},
        {"batch_length": 2**31 - 1},
        {"last_offset_delta": -1},
    ],
)
def test_a_header_that_cannot_be_is_refused(fields: dict[str, int]) -> None:
    with pytest.raises(ProtocolError):
        read_header(changed(batch(b"x"), **fields))
    with pytest.raises(ProtocolError):
        headers(batch(b"x") + changed(batch(b"x"), **fields))


def test_any_flipped_bit_behind_the_checksum_is_found() -> None:
    data = batch(b"some value")
    header = read_header(data)
    for place in range(21, len(data)):
        for bit in range(8):
            data[place] ^= 1 << bit
            assert not check_crc(data, 0, header)
            data[place] ^= 1 << bit
    assert check_crc(data, 0, header)


GOOD = content(batch(b"a", b"bb"))


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (GOOD, 1),
        (GOOD, 3),
        (GOOD, 2**31 - 1),
        (GOOD, -1),
        (GOOD + b"\0", 2),
        (GOOD[:-1], 2),
        (b"", 1),
        (b"\x01" + GOOD[1:], 2),
        (b"\x7f" + GOOD[1:], 2),
        (b"\xff" * 30, 2),
        (b"\x80" * 10 + b"\0" + GOOD, 2),
        (b"\x0e\x00\x00\x00\x03\x01\x00\x00", 1),
        (b"\x0e\x00\x00\x00\x01\x05\x00\x00", 1),
        (b"\x0e\x00\x00\x00\x01\x01\x02\x00", 1),
        (b"\x0e\x00\x00\x00\x01\x01\x01\x00", 1),
        (b"\x10\x00\x00\x00\x01\x01\x02\x01\x01", 1),
        (b"\x0e\x00\x00\x00\x01\x06\x00\x00", 1),
    ],
    ids=[
        "one too few announced",
        "one too many",
        "far too many",
        "a negative number",
        "bytes behind the last",
        "cut short",
        "nothing",
        "a record of negative length",
        "a record longer than the batch",
        "endless varint",
        "varint of eleven bytes",
        "a key of length -2",
        "a value of length -3",
        "a header announced and none there",
        "a negative number of headers",
        "a header without a name",
        "a value longer than its record",
    ],
)
@pytest.mark.parametrize("codec", [Codec.NONE, Codec.ZSTD])
def test_damaged_records_are_refused(data: bytes, count: int, codec: Codec) -> None:
    whole = changed(around(data, 1, codec), record_count=count)
    with pytest.raises(ProtocolError):
        list(records_of(whole))


def test_an_unknown_codec_is_refused() -> None:
    data = changed(batch(b"x"), attributes=5)
    with pytest.raises(ProtocolError, match="codec 5"):
        list(records_of(data))


def test_what_a_batch_may_decompress_to_is_bounded() -> None:
    data = batch(bytes(100_000), compression=Codec.ZSTD)
    assert len(list(records_of(data))) == 1
    with pytest.raises(ProtocolError, match="50000 allowed"):
        list(records_of(data, limit=50_000))


@given(st.binary(max_size=200))
def test_noise_raises_nothing_but_protocol_error(noise: bytes) -> None:
    for pos in (0, 7):
        with pytest.raises(ProtocolError):
            list(records_of(noise, pos))


@given(crafting.batches_of_records, st.sampled_from(list(Codec)), st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_batch_raises_nothing_but_protocol_error(
    records: list[Record], codec: Codec, data: st.DataObject
) -> None:
    damaged = build_batch(records, compression=codec)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(HEADER_SIZE - 40, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        for found in records_of(damaged):
            struct.pack(">q", found.timestamp)
    except ProtocolError as error:
        assert str(error)
