"""A digest says nearly what was measured, in few bytes, whatever was measured."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprawl.overlay.digest import MOST_PARTITIONS, Digest, HotPartition, decode, encode
from sprawl.overlay.messages import MAX_DIGEST_BYTES
from sprawl_protocol.errors import ProtocolError

HOT = tuple(HotPartition(UUID(int=2**127 + one), one, 1024.0 * (100 - one)) for one in range(MOST_PARTITIONS))
DIGEST = Digest(0.734, 5 * 2**20, 7 * 2**20, 0.25, 2**20, 12.0, HOT)


def test_what_was_measured_comes_out_again() -> None:
    assert decode(encode(DIGEST)) == DIGEST


def test_the_fullest_digest_is_within_its_limit() -> None:
    assert len(encode(DIGEST)) <= MAX_DIGEST_BYTES


def test_only_the_hottest_partitions_travel() -> None:
    more = replace(DIGEST, hottest=(*HOT, HotPartition(UUID(int=1), 0, 1.0)))
    assert decode(encode(more)).hottest == HOT


@given(st.builds(Digest, st.floats(), st.floats(), st.floats(), st.floats(), st.floats(), st.floats()))
def test_odd_measurements_become_the_ends_of_the_range(digest: Digest) -> None:
    found = decode(encode(digest))
    assert 0 <= found.cpu <= 1
    assert 0 <= found.disk_free <= 1
    assert 0 <= found.net_in < 2**42
    assert 0 <= found.loop_lag_ms < 2**16


@given(st.binary(max_size=400))
def test_noise_is_a_protocol_error_or_a_digest(noise: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert len(decode(noise).hottest) <= MAX_DIGEST_BYTES // 24


def test_too_long_is_refused_unread() -> None:
    with pytest.raises(ProtocolError, match="256 is the limit"):
        decode(bytes(MAX_DIGEST_BYTES + 1))
