"""What a producer may send, and with which of Kafka's codes anything else is refused."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sprawl_protocol.compression import Codec
from sprawl_protocol.errors import ApiError, ErrorCode, ProtocolError
from sprawl_protocol.produced import TimeSpan, validate_produce, validate_records_inside
from sprawl_protocol.records import Record, build_batch, read_header, records_of
from tests.protocol import crafting
from tests.protocol.crafting import NOW, around, batch, changed, content, signed

CORRUPT, INVALID = ErrorCode.CORRUPT_MESSAGE, ErrorCode.INVALID_RECORD


def inside(data: bytearray) -> TimeSpan:
    return validate_records_inside(data, 0, read_header(data))


def put(data: bytearray, at: int, value: bytes) -> bytearray:
    data[at : at + len(value)] = value
    return data


@pytest.mark.parametrize("codec", list(Codec))
@given(records=crafting.batches_of_records)
@settings(max_examples=20, deadline=None)
def test_a_good_batch_is_taken(codec: Codec, records: list[Record]) -> None:
    data = build_batch(records, compression=codec)
    ((pos, header),) = validate_produce(memoryview(data))
    assert (pos, repr(header)) == (0, repr(read_header(data)))


@pytest.mark.parametrize(
    "data",
    [
        batch(b"x", producer_id=0, producer_epoch=0, base_sequence=0),
        batch(b"x", producer_id=9, producer_epoch=3, base_sequence=2**31 - 1, transactional=True),
        changed(batch(b"x"), base_offset=1234),
        changed(batch(b"x"), partition_leader_epoch=7),
    ],
    ids=["idempotent", "transactional", "with a base offset", "with a leader epoch"],
)
def test_what_an_ordinary_producer_sends_is_taken(data: bytearray) -> None:
    assert len(validate_produce(data)) == 1


@pytest.mark.parametrize(
    ("data", "code", "why"),
    [
        (bytearray(), INVALID, "0 bytes hold no record batch"),
        (batch(b"x")[:16], INVALID, "16 bytes hold no record batch"),
        (batch(b"x")[:17], INVALID, "only 17 came"),
        (batch(b"x")[:-1], INVALID, "only"),
        (changed(batch(b"x"), magic=0), INVALID, "record format 0"),
        (changed(batch(b"x"), magic=1), INVALID, "use a newer client"),
        (changed(batch(b"x"), magic=3), CORRUPT, "record format 3"),
        (changed(batch(b"x"), magic=-1), CORRUPT, "record format 255"),
        (changed(batch(b"x"), batch_length=-5), CORRUPT, "says it has 7 bytes"),
        (changed(batch(b"x"), batch_length=48), CORRUPT, "says it has 60 bytes"),
        (changed(batch(b"x"), batch_length=2**31 - 1), INVALID, "only"),
        (batch(b"x") + batch(b"y"), INVALID, "exactly one batch"),
        (batch(b"x") + b"\0", INVALID, "1 bytes follow"),
        (put(batch(b"x"), 66, b"!"), CORRUPT, "checksum"),
        (put(batch(b"x"), 17, b"abcd"), CORRUPT, "0x61626364"),
        (changed(batch(b"x"), record_count=0), INVALID, "a batch of 0 records"),
        (changed(batch(b"x"), record_count=-1), INVALID, "a batch of -1 records"),
        (changed(batch(b"x"), record_count=2), INVALID, "last offset delta is 0"),
        (changed(batch(b"x"), last_offset_delta=1), INVALID, "last offset delta is 1"),
        (changed(batch(b"x"), last_offset_delta=-1), INVALID, "negative last offset delta"),
        (changed(batch(b"x"), last_offset_delta=10**6 - 1, record_count=10**6), INVALID, "1000000 records in 8 bytes"),
        (changed(batch(b"x"), attributes=0x20), INVALID, "control records"),
        (changed(batch(b"x"), attributes=0x08), ErrorCode.INVALID_TIMESTAMP, "log append time"),
        (changed(batch(b"x"), attributes=5), ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, "codec 5"),
        (changed(batch(b"x"), attributes=7), ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, "codec 7"),
        (changed(batch(b"x"), attributes=0x40), INVALID, "no meaning"),
        (changed(batch(b"x"), attributes=-0x8000), INVALID, "no meaning"),
        (changed(batch(b"x"), attributes=0x10), INVALID, "transactional"),
        (changed(batch(b"x"), producer_id=-2), INVALID, "producer id -2"),
        (changed(batch(b"x"), producer_id=5), INVALID, "sequence -1"),
        (changed(batch(b"x"), producer_id=5, base_sequence=0), INVALID, "epoch -1"),
        (changed(batch(b"x"), producer_id=5, producer_epoch=0), INVALID, "sequence -1"),
    ],
)
def test_anything_else_is_refused_with_kafkas_code(data: bytearray, code: ErrorCode, why: str) -> None:
    with pytest.raises(ApiError, match=why) as refusal:
        validate_produce(data)
    assert refusal.value.code == code


@given(st.binary(max_size=200))
def test_noise_is_refused_with_an_api_error(noise: bytes) -> None:
    with pytest.raises(ApiError):
        validate_produce(noise)


# -- the records inside ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", list(Codec))
@given(records=crafting.batches_of_records)
@settings(max_examples=40, deadline=None)
def test_good_records_are_taken_and_their_time_span_told(codec: Codec, records: list[Record]) -> None:
    times = [record.timestamp for record in records]
    if max(times) - min(times) >= 2**63:
        return
    assert inside(build_batch(records, compression=codec)) == (min(times), max(times))


def test_numbers_of_every_width_are_read() -> None:
    records = [
        Record(0, NOW + (1 << min(i, 40)) * (-1) ** i, b"k" * (i % 300), b"v" * (i * 7 % 9000)) for i in range(8300)
    ]
    times = [record.timestamp for record in records]
    assert inside(build_batch(records)) == (min(times), max(times))


GOOD = content(batch(b"a", b"bb"))
NULLS = b"\x0c\x00\x00\x00\x01\x01\x00"


@pytest.mark.parametrize(
    ("data", "count", "why"),
    [
        (GOOD, 1, "follow the last record"),
        (GOOD + NULLS, 2, "7 bytes follow"),
        (GOOD[:-1], 2, "longer than the batch"),
        (NULLS + NULLS, 2, "record 1 has offset delta 0"),
        (b"\x0c\x00\x00\x02\x01\x01\x00", 1, "record 0 has offset delta 1"),
        (b"\x0c\x00\x00\x01\x01\x01\x00", 1, "record 0 has offset delta -1"),
        (b"\x0c\x00\x00\x00\x03\x01\x00", 1, "key of negative length"),
        (b"\x0c\x00\x00\x00\x01\x03\x00", 1, "value of negative length"),
        (b"\x0c\x00\x00\x00\x01\x02\x00", 1, "ends within record 0|from where its fields"),
        (b"\x0e\x00\x00\x00\x01\x01\x00\x00", 1, "from where its fields"),
        (b"\x0a\x00\x00\x00\x01\x01\x00", 1, "from where its fields"),
        (b"\x0c\x00\x00\x00\x01\x01\x02", 1, "1 record headers where 0"),
        (b"\x0c\x00\x00\x00\x01\x01\x01", 1, "-1 record headers"),
        (b"\x10\x00\x00\x00\x01\x01\x02\x01\x01", 1, "without a name"),
        (b"\x10\x00\x00\x00\x01\x01\x02\x00\x03", 1, "value of -2"),
        (b"\x0d" + NULLS[1:], 1, "longer than the batch"),
        (b"\xff" * 20, 1, "64 bits"),
        (b"\x0c\x80\x80\x80\x80\x80\x80", 1, "ends within record 0"),
        (b"", 1, "1 records in 0 bytes"),
    ],
)
@pytest.mark.parametrize("codec", [Codec.NONE, Codec.GZIP])
def test_malformed_records_are_refused(data: bytes, count: int, why: str, codec: Codec) -> None:
    with pytest.raises(ApiError, match=why) as refusal:
        inside(around(data, count, codec))
    assert refusal.value.code == INVALID


def test_data_that_do_not_decompress_are_refused() -> None:
    data = batch(b"value" * 100, compression=Codec.ZSTD)
    with pytest.raises(ApiError, match="zstd data") as refusal:
        inside(changed(data[:-3], batch_length=len(data) - 15))
    assert refusal.value.code == INVALID


def test_a_bomb_is_refused() -> None:
    with pytest.raises(ApiError, match="allowed"):
        inside(around(bytes(30_000_000), 1, Codec.ZSTD))


def test_no_records_are_refused() -> None:
    with pytest.raises(ApiError, match="0 records"):
        inside(changed(around(b"", 1), record_count=0, last_offset_delta=0))


def test_times_beyond_64_bits_are_refused() -> None:
    data = changed(build_batch([Record(0, 5, None, None), Record(1, 10, None, None)]), base_timestamp=2**63 - 1)
    with pytest.raises(ApiError) as refusal:
        inside(data)
    assert refusal.value.code == ErrorCode.INVALID_TIMESTAMP


def test_fuzz() -> None:
    """Damaged records for a second: the walker takes none that cannot be read, and raises only `ApiError`."""
    seed = int(os.environ.get("SPRAWL_FUZZ_SEED", random.randrange(2**32)))
    rng = random.Random(seed)
    until = time.monotonic() + float(os.environ.get("SPRAWL_FUZZ_SECONDS", "1"))
    taken = refused = 0
    while time.monotonic() < until:
        data = build_batch([some_record(rng.randrange) for _ in range(rng.randrange(1, 6))])
        for _ in range(rng.randrange(1, 3)):
            data[rng.randrange(61, len(data))] = rng.choice([0, 1, 2, 3, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        try:
            span = inside(signed(data))
        except ApiError:
            refused += 1
            continue
        except BaseException:
            print(f"SPRAWL_FUZZ_SEED={seed} {data.hex()}")
            raise
        taken += 1
        found = list(records_of(data))
        assert [one.offset for one in found] == list(range(len(found))), data.hex()
        assert (min(one.timestamp for one in found), max(one.timestamp for one in found)) == span, data.hex()
    assert taken > 10, "damage to values alone is none that a walker could see"
    assert refused > 10


def some_record(below: Callable[[int], int]) -> Record:
    def blob() -> bytes | None:
        return None if below(4) == 0 else bytes(below(90))

    return Record(0, NOW + below(300), blob(), blob(), [("h" * below(4), blob()) for _ in range(below(3))])


def test_what_is_read_without_error_and_numbered_right_is_taken() -> None:
    """The walker is not stricter than the reader but for offsets."""
    rng = random.Random(11)
    for _ in range(3000):
        data = build_batch([some_record(rng.randrange) for _ in range(rng.randrange(1, 4))])
        data[rng.randrange(61, len(data))] = rng.randrange(256)
        signed(data)
        try:
            found = list(records_of(data))
        except ProtocolError:
            continue
        if [one.offset for one in found] == list(range(len(found))):
            inside(data)
