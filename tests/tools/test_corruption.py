"""Some cells of the corruption matrix; `python -m tools.corruption` has all of them."""

from __future__ import annotations

import random

import pytest

from tools.corruption.cells import Kind, strike
from tools.corruption.damage import Damage, damaged


@pytest.mark.parametrize(
    ("kind", "damage"),
    [
        (Kind.CLOSED_SEGMENT, Damage.BIT_FLIP),
        (Kind.INDEX, Damage.MISSING),
        (Kind.PARTITION_METADATA, Damage.MISSING),
    ],
)
def test_a_damaged_file_is_repaired_and_nothing_wrong_is_served(kind: Kind, damage: Damage) -> None:
    outcome = strike(kind, damage, 1)
    assert outcome.applies
    assert not outcome.wrong
    assert outcome.repaired, outcome.message


def test_a_damaged_uploaded_segment_is_not_served() -> None:
    outcome = strike(Kind.UPLOADED_SEGMENT, Damage.BIT_FLIP, 1)
    assert outcome.applies
    assert not outcome.wrong


def test_damage_is_what_its_name_says() -> None:
    data, rng = bytes(range(256)) * 64, random.Random(1)
    flipped = damaged(Damage.BIT_FLIP, data, None, rng)
    assert flipped is not None
    assert sum((one ^ other).bit_count() for one, other in zip(data, flipped, strict=True)) == 1
    cut = damaged(Damage.TRUNCATION, data, None, rng)
    assert cut is not None
    assert len(cut) < len(data)
    assert data.startswith(cut)
    zeroed = damaged(Damage.ZEROED_PAGE, data, None, rng)
    assert zeroed is not None
    assert len(zeroed) == len(data)
    assert bytes(4096) in zeroed
    assert damaged(Damage.MISSING, data, None, rng) is None
    assert damaged(Damage.STALE, data, b"before", rng) == b"before"
