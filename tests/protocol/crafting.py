"""Batches for tests: good ones, and good ones with something made wrong under a right checksum."""

from __future__ import annotations

import struct
from typing import Any

from crc32c import crc32c
from hypothesis import strategies as st

from sprawl_protocol.batches import HEADER_SIZE, pack_batch
from sprawl_protocol.compression import Codec, compress
from sprawl_protocol.records import Record, build_batch

NOW = 1_700_000_000_000
FIELDS = {
    "base_offset": (0, ">q"),
    "batch_length": (8, ">i"),
    "partition_leader_epoch": (12, ">i"),
    "magic": (16, ">b"),
    "attributes": (21, ">h"),
    "last_offset_delta": (23, ">i"),
    "base_timestamp": (27, ">q"),
    "max_timestamp": (35, ">q"),
    "producer_id": (43, ">q"),
    "producer_epoch": (51, ">h"),
    "base_sequence": (53, ">i"),
    "record_count": (57, ">i"),
}


def batch(*values: bytes | None, **settings: Any) -> bytearray:
    return build_batch([Record(0, NOW + index, None, value) for index, value in enumerate(values)], **settings)


def signed(data: bytearray) -> bytearray:
    struct.pack_into(">I", data, 17, crc32c(bytes(data[21:])))
    return data


def changed(data: bytearray, **fields: int) -> bytearray:
    """The batch with other header fields and the checksum to go with them."""
    data = bytearray(data)
    for name, value in fields.items():
        at, form = FIELDS[name]
        struct.pack_into(form, data, at, value)
    return signed(data)


def around(content: bytes, count: int, codec: Codec = Codec.NONE) -> bytearray:
    """A batch that says it has `count` records, around any bytes."""
    return pack_batch(
        compress(codec, content),
        base_offset=0,
        leader_epoch=-1,
        attributes=int(codec),
        last_offset_delta=count - 1,
        base_timestamp=NOW,
        max_timestamp=NOW,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        record_count=count,
    )


def content(data: bytearray) -> bytes:
    return bytes(data[HEADER_SIZE:])


blobs = st.one_of(
    st.none(), st.binary(max_size=80), st.builds(bytes, st.sampled_from([63, 64, 127, 8191, 8192, 20_000]))
)
names = st.text(max_size=10)
timestamps = st.one_of(st.integers(0, 2**42), st.integers(-(2**63), 2**63 - 1))
records = st.builds(
    Record,
    offset=st.just(0),
    timestamp=timestamps,
    key=blobs,
    value=blobs,
    headers=st.lists(st.tuples(names, blobs), max_size=3),
)
batches_of_records = st.lists(records, min_size=1, max_size=12)
