"""Which segments are no longer kept."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprawl.storage.retention import expired


@dataclass(frozen=True)
class Kept:
    size: int
    max_timestamp: int
    next_offset: int


FOUR = [Kept(100, 1_000 * n, 10 * n) for n in range(1, 5)]
"""Of 100 bytes and 10 records each, a second apart."""


def gone(
    segments: list[Kept] = FOUR, *, ms: int = -1, size: int = -1, now: int = 4_000, committed: int = 40, start: int = 0
) -> int:
    return expired(
        segments, retention_ms=ms, retention_bytes=size, now_ms=now, high_watermark=committed, log_start_offset=start
    )


def test_without_limits_everything_stays() -> None:
    assert gone(now=1 << 60) == 0
    assert gone([]) == 0


@pytest.mark.parametrize(("ms", "count"), [(5_000, 0), (3_000, 0), (2_999, 1), (1_500, 2), (0, 3)])
def test_by_time_a_segment_goes_once_its_newest_record_is_too_old(ms: int, count: int) -> None:
    assert gone(ms=ms) == count


@pytest.mark.parametrize(("size", "count"), [(1_000, 0), (400, 0), (301, 0), (300, 1), (299, 1), (100, 3), (0, 4)])
def test_by_size_a_segment_goes_if_enough_is_left_without_it(size: int, count: int) -> None:
    assert gone(size=size) == count


@pytest.mark.parametrize(("start", "count"), [(0, 0), (9, 0), (10, 1), (25, 2), (40, 4)])
def test_what_lies_below_the_logs_start_goes(start: int, count: int) -> None:
    assert gone(start=start) == count


@pytest.mark.parametrize(("committed", "count"), [(0, 0), (9, 0), (10, 1), (39, 3), (40, 4)])
def test_nothing_goes_that_is_not_committed(committed: int, count: int) -> None:
    assert gone(ms=0, size=0, now=1 << 60, committed=committed) == count


def test_an_old_segment_behind_a_young_one_waits_for_it() -> None:
    segments = [Kept(100, 9_000, 10), Kept(100, 1_000, 20)]
    assert gone(segments, ms=5_000, now=10_000, committed=20) == 0
    assert gone(segments, ms=5_000, now=15_000, committed=20) == 2


segments_of = st.lists(st.tuples(st.integers(1, 300), st.integers(0, 10_000)), max_size=12)


@given(segments_of, st.integers(-1, 10_000), st.integers(-1, 2_000), st.integers(0, 130), st.integers(0, 130))
def test_whatever_the_limits_only_a_beginning_goes_and_no_segment_too_many(
    sizes: list[tuple[int, int]], ms: int, size: int, committed: int, start: int
) -> None:
    segments = [Kept(one, time, 10 * n) for n, (one, time) in enumerate(sizes, 1)]
    count = gone(segments, ms=ms, size=size, now=12_000, committed=committed, start=start)
    left = segments[count:]
    for one in segments[:count]:
        assert one.next_offset <= committed
    if ms < 0 and start == 0 and size >= 0 and count:
        assert sum(one.size for one in left) >= size
    assert gone(left, ms=ms, size=size, now=12_000, committed=committed, start=start) == 0, "once is enough"
