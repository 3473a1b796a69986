"""What an operator should be told of: conditions of a node and its cluster, and for how long they have held.

In: readings, every few seconds. Out: the alerts that fire, and which of them are new or over. A condition is an alert
once it has held for as long as its rule says. Plain classes: they read no clock, and send nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol


class Severity(StrEnum):
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Readings:
    """What is known now; None where it is not."""

    now: float
    """Seconds, monotonic."""
    under_replicated: int = 0
    under_min_isr: int = 0
    """Both of the partitions that this node leads."""
    leaderless: int = 0
    """Of the whole cluster, on the controller."""
    offline_replicas: int = 0
    quorum_voters: int = 0
    quorum_margin: int | None = None
    """Voters that may fail; on the controller."""
    free_bytes: int | None = None
    loop_lag: float | None = None
    """Seconds, the worst since the last readings."""
    lag_seconds: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """By group and topic, the worst of its partitions."""
    tier_lag: int | None = None
    """Bytes of closed segments that are not in the cloud tier yet."""


@dataclass(frozen=True, slots=True)
class Holding:
    """That a condition holds."""

    subject: str
    value: float
    text: str


class Condition(Protocol):
    """May remember former readings."""

    def holds(self, readings: Readings) -> Iterator[Holding]: ...


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    severity: Severity
    after: float
    """Seconds that the condition must have held."""
    condition: Condition


@dataclass(frozen=True, slots=True)
class Alert:
    name: str
    severity: Severity
    subject: str
    since: float
    value: float
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    alert: Alert
    firing: bool
    """False: it is over."""


class Alerts:
    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules = tuple(rules)
        self._since: dict[tuple[str, str], float] = {}
        self._firing: dict[tuple[str, str], Alert] = {}

    @property
    def firing(self) -> list[Alert]:
        """The gravest first, then the oldest."""
        return sorted(self._firing.values(), key=lambda each: (each.severity is Severity.WARNING, each.since))

    def look(self, readings: Readings) -> list[Change]:
        changes: list[Change] = []
        holding: set[tuple[str, str]] = set()
        for rule in self._rules:
            for held in rule.condition.holds(readings):
                key = (rule.name, held.subject)
                holding.add(key)
                since = self._since.setdefault(key, readings.now)
                if readings.now - since < rule.after:
                    continue
                alert = Alert(rule.name, rule.severity, held.subject, since, held.value, held.text)
                if key not in self._firing:
                    changes.append(Change(alert, firing=True))
                self._firing[key] = alert
        for key in [key for key in self._since if key not in holding]:
            del self._since[key]
            over = self._firing.pop(key, None)
            if over is not None:
                changes.append(Change(over, firing=False))
        return changes


NODE: Final = "node"
CLUSTER: Final = "cluster"
