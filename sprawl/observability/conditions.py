"""The conditions that come with the broker, and the rules made of them.

In: readings (`alerts.py`). Out: what holds. The Prometheus rules in deploy/prometheus say the same of the metrics; a
test keeps their names together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

from sprawl.observability.alerts import CLUSTER, NODE, Holding, Readings, Rule, Severity

DAY: Final = 86_400.0
_SAMPLE_SECONDS: Final = 60.0
_SAMPLES: Final = 360
"""Six hours of a disk's past."""
_ENOUGH: Final = 10


class Counted:
    """More than none of something."""

    def __init__(self, count: Callable[[Readings], int], subject: str, text: str) -> None:
        self._count = count
        self._subject = subject
        self._text = text

    def holds(self, readings: Readings) -> Iterator[Holding]:
        count = self._count(readings)
        if count > 0:
            yield Holding(self._subject, count, self._text.format(count))


class QuorumAtRisk:
    """One more voter fails, and metadata stands still. A quorum of one has nothing to lose by it."""

    def holds(self, readings: Readings) -> Iterator[Holding]:
        margin = readings.quorum_margin
        if margin is not None and margin <= 0 and readings.quorum_voters > 1:
            told = f"of {readings.quorum_voters} voters of the metadata quorum, {'none' if margin == 0 else 'not one'}"
            yield Holding(CLUSTER, margin, f"{told} may fail: bring back those that are down")


class DiskFilling:
    """At the pace of the last hours, the disk is full in fewer than `days`."""

    def __init__(self, days: float) -> None:
        self._days = days
        self._seen: deque[tuple[float, int]] = deque(maxlen=_SAMPLES)

    def holds(self, readings: Readings) -> Iterator[Holding]:
        if readings.free_bytes is None:
            return
        if not self._seen or readings.now - self._seen[-1][0] >= _SAMPLE_SECONDS:
            self._seen.append((readings.now, readings.free_bytes))
        left = self.days_left()
        if left is not None and left < self._days:
            yield Holding(NODE, left, f"the disk is full in {left:.1f} days at the pace of the last hours")

    def days_left(self) -> float | None:
        """None: it does not fill, or that is not known yet."""
        if len(self._seen) < _ENOUGH:
            return None
        pace = _slope(self._seen)
        return None if pace >= 0 else self._seen[-1][1] / -pace / DAY


class LoopLate:
    """The event loop does not get round to what is due: too much work for one core, or something blocks it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def holds(self, readings: Readings) -> Iterator[Holding]:
        late = readings.loop_lag
        if late is not None and late > self._seconds:
            yield Holding(NODE, late, f"the event loop ran {late * 1000:.0f} ms late: this node has too much to do")


class LagGrowing:
    """A group is so far behind, and falls back further."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._before: dict[tuple[str, str], float] = {}

    def holds(self, readings: Readings) -> Iterator[Holding]:
        before, self._before = self._before, dict(readings.lag_seconds)
        for (group, topic), behind in readings.lag_seconds.items():
            if behind >= self._seconds and behind >= before.get((group, topic), behind + 1):
                yield Holding(
                    f"{group}/{topic}", behind, f"group {group} is {behind:.0f} s behind in {topic}, and falls back"
                )


class TierLagging:
    """There is something to copy to the cloud tier, and it does not become less."""

    def __init__(self) -> None:
        self._before: int | None = None

    def holds(self, readings: Readings) -> Iterator[Holding]:
        lag = readings.tier_lag
        before, self._before = self._before, lag
        if lag and before is not None and lag >= before:
            yield Holding(NODE, lag, f"{lag} bytes wait to be copied to the cloud tier, and do not become fewer")


def built_in() -> list[Rule]:
    """Fresh ones: some conditions remember."""
    return [
        Rule(
            "SprawlPartitionsLeaderless",
            Severity.CRITICAL,
            30.0,
            Counted(lambda now: now.leaderless, CLUSTER, "{} partitions have no leader: nobody can write or read them"),
        ),
        Rule(
            "SprawlPartitionsUnderMinIsr",
            Severity.CRITICAL,
            60.0,
            Counted(
                lambda now: now.under_min_isr,
                NODE,
                "{} partitions led here have fewer in-sync replicas than min.insync.replicas: acks=all is refused",
            ),
        ),
        Rule(
            "SprawlPartitionsUnderReplicated",
            Severity.WARNING,
            300.0,
            Counted(
                lambda now: now.under_replicated, NODE, "{} partitions led here have replicas that are not in sync"
            ),
        ),
        Rule(
            "SprawlReplicasOffline",
            Severity.WARNING,
            120.0,
            Counted(lambda now: now.offline_replicas, NODE, "{} replicas of this node do not open or are damaged"),
        ),
        Rule("SprawlQuorumAtRisk", Severity.WARNING, 60.0, QuorumAtRisk()),
        Rule("SprawlDiskFilling", Severity.WARNING, 600.0, DiskFilling(3.0)),
        Rule("SprawlLoopLate", Severity.WARNING, 60.0, LoopLate(0.25)),
        Rule("SprawlTierLagging", Severity.WARNING, 900.0, TierLagging()),
        Rule("SprawlLagGrowing", Severity.WARNING, 300.0, LagGrowing(60.0)),
    ]


def _slope(points: deque[tuple[float, int]]) -> float:
    """Of the line through the points, by least squares."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0
