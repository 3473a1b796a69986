"""Segments that nobody reads: which may leave the disk before retention says so."""

from __future__ import annotations

from dataclasses import dataclass

from sprawl.storage.idle import IdleSegments


@dataclass
class Part:
    base_offset: int
    next_offset: int
    reads: int = 0


def parts() -> list[Part]:
    return [Part(0, 10), Part(10, 20), Part(20, 30), Part(30, 40)]


def test_nothing_is_idle_when_it_is_first_seen() -> None:
    assert IdleSegments().count("log", parts(), until=40, idle_ms=0, now_ms=10**12) == 3, "0 ms: all that are closed"
    assert IdleSegments().count("log", parts(), until=40, idle_ms=1, now_ms=10**12) == 0


def test_unread_segments_go_oldest_first_up_to_one_that_is_read() -> None:
    idle, some = IdleSegments(), parts()
    assert idle.count("log", some, until=40, idle_ms=1000, now_ms=0) == 0
    some[1].reads += 1
    assert idle.count("log", some, until=40, idle_ms=1000, now_ms=600) == 0
    assert idle.count("log", some, until=40, idle_ms=1000, now_ms=1000) == 1
    assert idle.count("log", some, until=40, idle_ms=1000, now_ms=1600) == 3


def test_what_is_not_in_the_tier_stays_and_so_does_the_open_segment() -> None:
    idle, some = IdleSegments(), parts()
    idle.count("log", some, until=40, idle_ms=1000, now_ms=0)
    assert idle.count("log", some, until=19, idle_ms=1000, now_ms=5000) == 1
    assert idle.count("log", some, until=-1, idle_ms=1000, now_ms=5000) == 0
    assert idle.count("log", some, until=99, idle_ms=1000, now_ms=5000) == 3


def test_turned_off_and_on_again_it_begins_to_watch_anew() -> None:
    idle, some = IdleSegments(), parts()
    idle.count("log", some, until=40, idle_ms=1000, now_ms=0)
    assert idle.count("log", some, until=40, idle_ms=-1, now_ms=5000) == 0
    assert idle.count("log", some, until=40, idle_ms=1000, now_ms=5000) == 0


def test_logs_that_are_gone_are_forgotten() -> None:
    idle, some = IdleSegments(), parts()
    idle.count("log", some, until=40, idle_ms=1000, now_ms=0)
    idle.keep(["another"])
    assert idle.count("log", some, until=40, idle_ms=1000, now_ms=5000) == 0
