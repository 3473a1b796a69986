"""What members put into their metadata comes from outside: it is read as far as it makes sense, and never fails."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sprawl.groups.subscription import topics_of
from tests.groups.script import subscription


@given(st.lists(st.text(max_size=20), max_size=10), st.binary(max_size=10))
def test_topics_are_found(topics: list[str], user_data: bytes) -> None:
    assert topics_of(subscription(topics, user_data)) == frozenset(topics)


@given(st.binary(max_size=100))
def test_anything_else_is_unknown_and_no_error(metadata: bytes) -> None:
    assert topics_of(metadata) is None or isinstance(topics_of(metadata), frozenset)


def test_a_count_beyond_the_bytes_is_refused_before_anything_is_read() -> None:
    assert topics_of(b"\x00\x00\x7f\xff\xff\xff" + b"\x00" * 50) is None
