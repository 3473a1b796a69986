"""Who is fenced, and when: by silence alone, or sooner where others say that a broker is gone."""

from __future__ import annotations

import pytest

from sprawl.quorum.heartbeats import Heartbeats


@pytest.fixture
def heartbeats() -> Heartbeats:
    found = Heartbeats(9.0, 0.6)
    found.begin([1, 2], 100.0)
    return found


def test_who_is_silent_is_fenced_after_a_session(heartbeats: Heartbeats) -> None:
    heartbeats.touch(2, 105.0)
    assert heartbeats.stale(108.9) == []
    assert heartbeats.stale(109.0) == [1]


def test_a_suspect_who_is_silent_is_fenced_after_a_missing_heartbeat(heartbeats: Heartbeats) -> None:
    heartbeats.touch(1, 103.0)
    heartbeats.suspect(1)
    assert heartbeats.stale(103.5) == []
    assert heartbeats.stale(103.7) == [1]


def test_a_suspect_whose_heartbeats_go_on_is_never_fenced(heartbeats: Heartbeats) -> None:
    for beat in range(100):
        now = 101.0 + 0.59 * beat
        heartbeats.touch(1, now)
        heartbeats.suspect(1)
        heartbeats.touch(2, now)
        assert heartbeats.stale(now + 0.58) == []


def test_who_is_cleared_has_its_whole_session_again(heartbeats: Heartbeats) -> None:
    heartbeats.suspect(1)
    heartbeats.clear(1)
    assert heartbeats.stale(108.9) == []


def test_a_suspicion_never_makes_a_session_longer() -> None:
    heartbeats = Heartbeats(0.3, 0.6)
    heartbeats.touch(1, 0.0)
    heartbeats.suspect(1)
    assert heartbeats.stale(0.3) == [1]


def test_nothing_is_held_against_who_was_forgotten_or_under_another_controller(heartbeats: Heartbeats) -> None:
    heartbeats.suspect(1)
    heartbeats.suspect(2)
    heartbeats.forget(1)
    heartbeats.begin([1, 2], 200.0)
    assert heartbeats.stale(208.0) == []
    heartbeats.suspect(3)
    assert heartbeats.stale(209.0) == [1, 2]
