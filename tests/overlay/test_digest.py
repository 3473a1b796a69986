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
DIGEST = Digest(0.734, 5 * 2**20, 7 * 2**20, 25 * 2**30, 2**20, 12.0, HOT)


def test_what_was_measured_comes_out_again() -> None:
    assert decode(encode(DIGEST)) == DIGEST


def test_the_fullest_digest_is_within_its_limit() -> None:
    assert len(encode(DIGEST)) <= MAX_DIGEST_BYTES


def test_only_the_hottest_partitions_travel() -> None:
    more = replace(DIGEST, hottest=(*HOT, HotPartition(UUID(int=1), 0, 1.0)))
    assert decode(encode(more)).hottest == HOT


@given(st.builds(Digest, *[st.none() | st.floats()] * 6))
def test_odd_measurements_become_the_ends_of_the_range(digest: Digest) -> None:
    found = decode(encode(digest))
    for told, known, most in (
        (digest.cpu, found.cpu, 1),
        (digest.net_in, found.net_in, 2**42),
        (digest.disk_free, found.disk_free, 2**52),
        (digest.loop_lag_ms, found.loop_lag_ms, 2**16),
    ):
        assert (known is None) == (told is None or told != told)
        assert known is None or 0 <= known <= most


def test_what_is_not_known_stays_unknown_and_what_is_nought_stays_nought() -> None:
    assert decode(encode(Digest())) == Digest()
    idle = Digest(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert decode(encode(idle)) == idle


@given(st.binary(max_size=400))
def test_noise_is_a_protocol_error_or_a_digest(noise: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        assert len(decode(noise).hottest) <= MAX_DIGEST_BYTES // 24


def test_too_long_is_refused_unread() -> None:
    with pytest.raises(ProtocolError, match="256 is the limit"):
        decode(bytes(MAX_DIGEST_BYTES + 1))
