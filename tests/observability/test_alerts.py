"""When an alert fires, and when it is over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sprawl.observability.alerts import Alerts, Change, Readings, Rule, Severity
from sprawl.observability.conditions import DAY, DiskFilling, LagGrowing, QuorumAtRisk, TierLagging, built_in

GIB = 1024**3


def names(changes: list[Change]) -> list[tuple[str, bool]]:
    return [(each.alert.name, each.firing) for each in changes]


def test_a_condition_is_an_alert_once_it_has_held_and_is_over_when_it_ends() -> None:
    alerts = Alerts(built_in())
    bad = Readings(now=0.0, under_replicated=3)
    assert alerts.look(bad) == []
    assert alerts.look(replace(bad, now=299.0)) == []
    assert names(alerts.look(replace(bad, now=300.0))) == [("SprawlPartitionsUnderReplicated", True)]
    assert alerts.look(replace(bad, now=310.0)) == [], "told once"
    [firing] = alerts.firing
    assert (firing.since, firing.value, firing.severity) == (0.0, 3, Severity.WARNING)
    assert names(alerts.look(Readings(now=320.0))) == [("SprawlPartitionsUnderReplicated", False)]
    assert not alerts.firing


def test_a_condition_that_comes_and_goes_begins_anew() -> None:
    alerts = Alerts(built_in())
    for now in (0.0, 40.0, 80.0):
        assert alerts.look(Readings(now=now, leaderless=1)) == []
        assert alerts.look(Readings(now=now + 20.0)) == []


def test_the_gravest_come_first() -> None:
    alerts = Alerts(built_in())
    for now in (0.0, 400.0):
        alerts.look(Readings(now=now, under_replicated=1, under_min_isr=1, leaderless=1))
    assert [each.severity for each in alerts.firing] == [Severity.CRITICAL, Severity.CRITICAL, Severity.WARNING]


@pytest.mark.parametrize(
    ("voters", "margin", "at_risk"), [(1, 0, False), (3, 1, False), (3, 0, True), (3, -1, True), (3, None, False)]
)
def test_a_quorum_is_at_risk_when_no_more_voter_may_fail(voters: int, margin: int | None, at_risk: bool) -> None:
    readings = Readings(0.0, quorum_voters=voters, quorum_margin=margin)
    assert bool(list(QuorumAtRisk().holds(readings))) is at_risk


def test_a_disk_that_fills_is_told_of_days_before() -> None:
    filling, steady = DiskFilling(3.0), DiskFilling(3.0)
    pace = 100 * GIB / (2 * DAY)
    for minute in range(60):
        now = minute * 60.0
        held = list(filling.holds(Readings(now, free_bytes=int(100 * GIB - pace * now))))
        assert bool(held) is (minute >= 9), "not before there is something to go by"
        wobble = GIB if minute % 2 else 0
        assert not list(steady.holds(Readings(now, free_bytes=100 * GIB + wobble)))
    assert held[0].value == pytest.approx(2.0, abs=0.1)


def test_a_disk_that_empties_is_no_alert() -> None:
    emptying = DiskFilling(3.0)
    for minute in range(60):
        assert not list(emptying.holds(Readings(minute * 60.0, free_bytes=GIB * (1 + minute))))


def test_lag_that_grows_is_told_of_by_group_and_topic() -> None:
    rule = Rule("Lag", Severity.WARNING, 30.0, LagGrowing(60.0))
    alerts = Alerts([rule])

    def look(now: float, behind: float) -> list[tuple[str, bool]]:
        return names(alerts.look(Readings(now, lag_seconds={("billing", "orders"): behind})))

    assert [look(at * 10.0, 100.0 + at * 10) for at in range(5)] == [[], [], [], [], [("Lag", True)]]
    assert alerts.firing[0].subject == "billing/orders"
    assert look(50.0, 120.0) == [("Lag", False)], "it catches up"


def test_a_tier_that_is_not_caught_up_with_is_told_of() -> None:
    alerts = Alerts([Rule("Tier", Severity.WARNING, 20.0, TierLagging())])
    lags = [None, 0, 50, 40, 40, 45, 45, 0]
    told = [names(alerts.look(Readings(at * 10.0, tier_lag=lag))) for at, lag in enumerate(lags)]
    assert told == [[], [], [], [], [], [], [("Tier", True)], [("Tier", False)]]


def test_rules_have_names_of_their_own() -> None:
    rules = built_in()
    assert len({rule.name for rule in rules}) == len(rules)
