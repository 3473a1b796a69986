"""Which partition a group lives in: as in Kafka, so that clients and tools agree."""

from __future__ import annotations

import pytest

from sprawl.groups.registry import java_hash, partition_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("a", 97),
        ("my-group", -1906497762),
        ("polygenelubricants", -(2**31)),
        ("\u00e9", 233),
        ("\U0001f600", 1772899),
    ],
)
def test_the_hash_is_that_of_java(text: str, expected: int) -> None:
    assert java_hash(text) == expected


def test_the_most_negative_hash_counts_as_zero() -> None:
    assert partition_of("polygenelubricants", 50) == 0
