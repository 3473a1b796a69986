"""Which segments of the tier are fetched as a whole, and kept: by what was read, and when."""

from __future__ import annotations

from sprawl.tiers.placement import Placed, Placement

HOUR = 3600.0


def passes(placement: Placement, segment: str, times: int, now: float, size: int = 100) -> None:
    """Read through from end to end, in pieces."""
    for _ in range(times):
        for _ in range(10):
            placement.read(segment, size, size // 10, now)


def test_one_reader_that_passes_through_brings_nothing_here() -> None:
    placement = Placement(1000)
    passes(placement, "a", 1, 0.0)
    assert placement.decide(0.0) == Placed((), ())


def test_what_is_read_again_comes_and_stays_until_it_has_cooled_down() -> None:
    placement = Placement(1000)
    passes(placement, "a", 2, 0.0)
    assert placement.decide(1.0) == Placed(("a",), ())
    assert placement.decide(2.0) == Placed((), ()), "it is fetched once"
    assert placement.decide(600.0) == Placed((), ()), "half as hot, and still kept"
    assert placement.decide(HOUR) == Placed((), ("a",))
    assert placement.placed_bytes == 0


def test_reads_long_ago_do_not_add_up() -> None:
    placement = Placement(1000)
    for hour in range(10):
        passes(placement, "a", 1, hour * HOUR)
        assert placement.decide(hour * HOUR).fetch == ()


def test_the_budget_holds_and_the_hottest_come_first() -> None:
    placement = Placement(250)
    for number, segment in enumerate("abc"):
        passes(placement, segment, 2 + number, 0.0)
    assert placement.decide(0.0) == Placed(("c", "b"), ())
    assert placement.placed_bytes == 200
    passes(placement, "large", 9, 0.0, size=300)
    assert placement.decide(0.0) == Placed((), ()), "larger than all there is room for"


def test_only_what_is_much_hotter_takes_anothers_place() -> None:
    placement = Placement(100)
    passes(placement, "a", 2, 0.0)
    placement.decide(0.0)
    passes(placement, "b", 3, 0.0)
    assert placement.decide(0.0) == Placed((), ())
    passes(placement, "b", 2, 0.0)
    assert placement.decide(0.0) == Placed(("b",), ("a",))


def test_what_is_gone_may_come_again_only_by_being_read() -> None:
    placement = Placement(100)
    passes(placement, "a", 2, 0.0)
    placement.decide(0.0)
    placement.gone("a")
    assert placement.decide(1.0) == Placed((), ())
    passes(placement, "a", 2, 2.0)
    assert placement.decide(2.0) == Placed(("a",), ())


def test_it_remembers_only_so_many() -> None:
    placement = Placement(100)
    for number in range(5000):
        placement.read(str(number), 100, 100, 0.0)
    assert (placement.heat("0", 0.0), placement.heat("4999", 0.0)) == (0.0, 1.0)
