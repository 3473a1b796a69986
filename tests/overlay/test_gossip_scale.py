"""The tool that measures gossip at scale measures something, the same for the same seed, and draws what it says."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tools.chart import line_chart
from tools.gossip_scale import Detection, charts, detection, mistakes, together


def _nothing(_: float) -> None:
    return None


@pytest.fixture(scope="module")
def found() -> Detection:
    return detection(12, 2, 1, _nothing)


def test_deaths_are_noticed_first_by_one_then_by_all(found: Detection) -> None:
    for suspected, dead, known in zip(found.suspected, found.dead, found.known, strict=True):
        assert 0.5 <= suspected < 3
        assert suspected + 2 <= dead <= known < 20
    assert 3.5 < found.calm_packets < 4.5, "a ping out and one in, twice a second, each with its answer"
    assert found.calm_bytes < found.crash_bytes
    assert detection(12, 2, 1, _nothing) == found


def test_several_runs_are_shown_as_one(found: Detection) -> None:
    twice = together([found, found])
    assert twice.crashes == 4
    assert twice.suspected == found.suspected * 2
    assert twice.calm_bytes == found.calm_bytes


def test_charts_are_drawings_of_every_line(found: Detection) -> None:
    wrong = [
        mistakes(12, loss, 1, _nothing, lifeguard=lifeguard, seconds=5)
        for lifeguard in (True, False)
        for loss in (0, 0.1)
    ]
    drawn = charts([found, found], wrong)
    assert sorted(drawn) == ["gossip-detection.svg", "gossip-mistakes.svg", "gossip-traffic.svg"]
    for text in drawn.values():
        lines = ElementTree.fromstring(text).findall("{*}polyline")
        assert 3 <= len(lines) <= 4


def test_a_chart_puts_the_greatest_value_at_the_top_and_nought_at_the_bottom() -> None:
    text = line_chart("t", "x", "y & z", {"a": [(1, 0.0), (10, 5.0), (100, 10.0)]}, log_x=True)
    circles = ElementTree.fromstring(text).findall("{*}circle")
    xs = [float(circle.attrib["cx"]) for circle in circles]
    ys = [float(circle.attrib["cy"]) for circle in circles]
    assert xs[1] - xs[0] == pytest.approx(xs[2] - xs[1], abs=0.2)
    assert ys == [300.0, 175.0, 50.0]


def test_a_chart_of_noughts_is_still_a_chart() -> None:
    ElementTree.fromstring(line_chart("t", "x", "y", {"a": [(0, 0.0), (5, 0.0)]}, log_x=False))
