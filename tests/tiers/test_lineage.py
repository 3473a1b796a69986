"""Where the tier and a new leader go different ways; how much of a log is past retention."""

from __future__ import annotations

import pytest

from sprawl.config.topics import TopicConfig
from sprawl.tiers.catalog import Catalog
from sprawl.tiers.lineage import divergence
from sprawl.tiers.retention import start_after_retention
from tests.tiers.test_catalog import segment, uploaded


@pytest.mark.parametrize(
    ("tier", "tier_end", "here", "here_start", "here_end", "split"),
    [
        ([(1, 0)], 100, [(1, 0)], 0, 150, None),
        ([(1, 0)], 100, [(1, 0)], 0, 100, None),
        ([(1, 0)], 100, [(1, 0)], 0, 80, 80),
        ([(1, 0), (2, 50)], 100, [(1, 0), (2, 50), (4, 120)], 0, 150, None),
        ([(1, 0), (2, 50)], 100, [(1, 0), (3, 50)], 0, 150, 50),
        ([(1, 0), (2, 50)], 100, [(1, 0), (3, 70)], 0, 150, 50),
        ([(1, 0), (2, 70)], 100, [(1, 0), (3, 50)], 0, 150, 50),
        ([(1, 0), (2, 50)], 100, [(2, 60), (3, 90)], 60, 150, 90),
        ([(1, 0), (2, 50)], 100, [], 60, 150, None),
        ([(1, 0)], 100, [(5, 200)], 200, 300, None),
    ],
)
def test_the_first_offset_at_which_they_differ(
    tier: list[tuple[int, int]],
    tier_end: int,
    here: list[tuple[int, int]],
    here_start: int,
    here_end: int,
    split: int | None,
) -> None:
    assert divergence(tier, tier_end, here, here_start, here_end) == split


def four() -> Catalog:
    catalog = Catalog()
    for base in range(0, 40, 10):
        assert uploaded(catalog, segment(base, base + 10)) is None
    return catalog


@pytest.mark.parametrize(
    ("configs", "untiered", "start"),
    [
        ({"retention.ms": "-1"}, 1000, 0),
        ({"retention.ms": "-1", "retention.bytes": "400"}, 0, 0),
        ({"retention.ms": "-1", "retention.bytes": "400"}, 100, 10),
        ({"retention.ms": "-1", "retention.bytes": "0"}, 0, 40),
        ({"retention.ms": "500"}, 0, 40),
        ({"retention.ms": "5000"}, 0, 0),
    ],
)
def test_retention_counts_what_is_here_and_what_is_there(configs: dict[str, str], untiered: int, start: int) -> None:
    config = TopicConfig.of(configs)
    assert start_after_retention(four().chain, untiered, config, 2_000, 0) == start


def test_what_lies_below_the_logs_start_is_past_retention() -> None:
    config = TopicConfig.of({"retention.ms": "-1"})
    assert start_after_retention(four().chain, 0, config, 2_000, 25) == 25
