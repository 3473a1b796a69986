"""The records of `__consumer_offsets`: Kafka's bytes, and back."""

from __future__ import annotations

from contextlib import suppress
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprawl.groups.exchange import StoredGroup, StoredMember
from sprawl.groups.offsets import CommittedOffset
from sprawl.groups.records import GroupRecord, GroupsRecord, OffsetRecord, decode, encode
from sprawl_protocol.errors import ProtocolError

text = st.text(st.characters(codec="utf-8"), max_size=20)
timestamps = st.integers(0, 2**63 - 1)
ids = st.uuids() | st.just(UUID(int=0))

committed = st.builds(
    CommittedOffset,
    offset=st.integers(-1, 2**63 - 1),
    leader_epoch=st.integers(-1, 2**31 - 1),
    metadata=text,
    committed_ms=timestamps,
    topic_id=ids,
)
members = st.builds(
    StoredMember,
    member_id=text,
    instance_id=st.none() | text,
    client_id=text,
    client_host=text,
    rebalance_timeout_ms=st.integers(0, 2**31 - 1),
    session_timeout_ms=st.integers(0, 2**31 - 1),
    subscription=st.binary(max_size=50),
    assignment=st.binary(max_size=50),
)
stored = st.builds(
    StoredGroup,
    protocol_type=text,
    generation=st.integers(0, 2**31 - 1),
    protocol_name=st.none() | text,
    leader=st.none() | text,
    since_ms=timestamps,
    members=st.lists(members, max_size=3).map(tuple),
)
records: st.SearchStrategy[GroupsRecord] = st.one_of(
    st.builds(OffsetRecord, text, text, st.integers(0, 2**31 - 1), st.none() | committed),
    st.builds(GroupRecord, text, st.none() | stored),
)


@given(records)
def test_what_is_written_is_read(record: GroupsRecord) -> None:
    assert decode(*encode(record)) == record


def test_a_retention_chosen_by_the_client_is_kept() -> None:
    record = OffsetRecord("g", "t", 1, CommittedOffset(7, -1, "m", 100, expires_ms=200))
    assert decode(*encode(record)) == record


def test_the_bytes_are_those_of_kafka() -> None:
    key, value = encode(OffsetRecord("g", "topic", 3, CommittedOffset(42, 5, "note", 1000)))
    assert key == b"\x00\x01\x00\x01g\x00\x05topic\x00\x00\x00\x03"
    assert value == (
        b"\x00\x04\x00\x00\x00\x00\x00\x00\x00\x2a\x00\x00\x00\x05\x05note\x00\x00\x00\x00\x00\x00\x03\xe8\x00"
    )


def test_an_old_offset_of_kafka_is_read() -> None:
    """Version 1 of the value, version 0 of the key: as brokers before 2.1 wrote them."""
    key = b"\x00\x00\x00\x01g\x00\x01t\x00\x00\x00\x00"
    value = b"\x00\x01" + (9).to_bytes(8, "big") + b"\x00\x00" + (10).to_bytes(8, "big") + (20).to_bytes(8, "big")
    assert decode(key, value) == OffsetRecord("g", "t", 0, CommittedOffset(9, -1, "", 10, expires_ms=20))


@pytest.mark.parametrize("kind", [3, 8, 100])
def test_records_of_other_kinds_of_groups_are_passed_over(kind: int) -> None:
    assert decode(kind.to_bytes(2, "big") + b"whatever", b"") is None


@given(st.binary(max_size=60), st.none() | st.binary(max_size=60))
def test_damaged_records_raise_their_own_error_only(key: bytes, value: bytes | None) -> None:
    with suppress(ProtocolError):
        decode(key, value)
