"""How long ago an offset was the newest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprawl.monitoring.timeline import NOTES, Timeline


def timeline(*notes: tuple[float, int]) -> Timeline:
    made = Timeline()
    for now, end in notes:
        made.note(now, end)
    return made


def test_between_two_notes_records_came_evenly() -> None:
    seen = timeline((100, 0), (110, 10), (120, 110))
    assert seen.passed(5) == pytest.approx(105)
    assert seen.passed(60) == pytest.approx(115)


def test_what_has_not_come_has_no_time() -> None:
    assert Timeline().passed(0) is None
    assert timeline((100, 10)).passed(10) is None


def test_what_is_older_than_all_notes_is_at_least_that_old() -> None:
    assert timeline((100, 50), (110, 60)).passed(3) == 100


def test_after_a_pause_records_are_as_old_as_their_coming() -> None:
    seen = timeline((100, 10), (110, 10), (120, 10), (130, 10), (131, 20))
    assert seen.passed(10) == pytest.approx(130), "not stretched over the pause"


def test_an_end_that_went_back_begins_anew() -> None:
    seen = timeline((100, 10), (110, 20), (120, 5), (130, 8))
    assert seen.passed(6) == pytest.approx(120 + 10 / 3)
    assert seen.passed(15) is None


@given(st.lists(st.integers(0, 20), min_size=1, max_size=600))
def test_it_is_bounded_and_later_offsets_are_never_older(steps: list[int]) -> None:
    seen, end = Timeline(), 0
    for now, step in enumerate(steps):
        end += step
        seen.note(now, end)
    assert len(seen._times) <= NOTES
    times = [seen.passed(offset) for offset in range(end)]
    known = [time for time in times if time is not None]
    assert len(known) == end
    assert known == sorted(known)
