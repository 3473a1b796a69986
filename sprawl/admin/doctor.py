"""What is wrong with a cluster, from what was found out about it. In: `Facts`. Out: findings, the worst first.

Critical: clients feel it, or the next failure makes them. Warning: somebody should look, nobody need be woken. Asks
nobody anything itself; what could not be found out (None) is not judged but said.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from sprawl.admin.disks import Disk
from sprawl.admin.layout import Placed

_CURRENT_MS: Final = 10_000
"""A voter that caught up longer ago than this is of no help if another one fails."""
_SKEW_MS: Final = 5_000
_FULL: Final = 0.05
_FILLING: Final = 0.15
_NAMED_MOST: Final = 5


class Level(enum.StrEnum):
    CRITICAL = "critical"
    WARNING = "warning"
    UNKNOWN = "unknown"
    OK = "ok"


@dataclass(frozen=True, slots=True)
class Voter:
    node: int
    behind_ms: int | None
    """Since it last had all metadata, by the controller's clock; None: the controller does not say."""


@dataclass(frozen=True, slots=True)
class Facts:
    active: tuple[int, ...]
    fenced: tuple[int, ...]
    placed: tuple[Placed, ...]
    controller: int | None
    """-1: none; None: it was not told."""
    voters: tuple[Voter, ...]
    skew_ms: int | None
    """By how much the controller's clock is ahead of this machine's."""
    disks: Mapping[int, tuple[Disk, ...]]
    lags: Mapping[str, int]
    settings: Mapping[str, Mapping[str, str]]
    """Of each topic, those that bear on its safety."""
    unknown: Mapping[str, str] = field(default_factory=dict)
    """Checks whose facts could not be had, and why."""


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    level: Level
    subject: str
    message: str


CHECKS: Final = ("brokers", "offline", "under-replicated", "controller", "clocks", "disk", "lag", "settings")


def diagnose(facts: Facts, *, most_lag: int) -> list[Finding]:
    """At least one finding for each check."""
    found = [*_brokers(facts), *_partitions(facts), *_controller(facts), *_clocks(facts), *_disks(facts)]
    found += [*_lags(facts, most_lag), *_settings(facts)]
    found += [Finding(check, Level.UNKNOWN, "-", why) for check, why in facts.unknown.items()]
    judged = {each.check for each in found}
    found += [Finding(check, Level.OK, "-", "nothing found") for check in CHECKS if check not in judged]
    order = list(Level)
    return sorted(found, key=lambda each: (order.index(each.level), CHECKS.index(each.check), each.subject))


def _brokers(facts: Facts) -> Iterator[Finding]:
    for broker in facts.fenced:
        yield Finding("brokers", Level.CRITICAL, str(broker), "is registered, but not active: is it running?")


def _partitions(facts: Facts) -> Iterator[Finding]:
    offline = [each for each in facts.placed if each.leader < 0]
    if offline:
        yield Finding("offline", Level.CRITICAL, _named(offline), f"{len(offline)} without a leader")
    thin = [each for each in facts.placed if each.leader >= 0 and len(each.in_sync) < len(each.replicas)]
    if thin:
        closed = sum(len(each.in_sync) < _least(facts, each) for each in thin)
        told = f"; {closed} of them with fewer than min.insync.replicas" if closed else ""
        yield Finding(
            "under-replicated", Level.CRITICAL, _named(thin), f"{len(thin)} with replicas that are not in sync{told}"
        )


def _controller(facts: Facts) -> Iterator[Finding]:
    if facts.controller is None:
        return
    if facts.controller < 0:
        yield Finding("controller", Level.CRITICAL, "-", "no controller: metadata cannot change")
    current = [voter for voter in facts.voters if voter.behind_ms is None or voter.behind_ms <= _CURRENT_MS]
    needed = len(facts.voters) // 2 + 1
    late = ", ".join(str(voter.node) for voter in facts.voters if voter not in current)
    if len(current) < needed:
        yield Finding(
            "controller", Level.CRITICAL, late, f"{len(current)} of {len(facts.voters)} voters are current: no majority"
        )
    elif late:
        spare = len(current) - needed
        level = Level.WARNING if spare else Level.CRITICAL
        yield Finding("controller", level, late, f"voters that lag behind; {spare} more may fail")
    if len(facts.voters) < 3 <= len(facts.active):
        yield Finding(
            "controller", Level.WARNING, "-", f"{len(facts.voters)} voters among {len(facts.active)} brokers: have 3"
        )


def _clocks(facts: Facts) -> Iterator[Finding]:
    if facts.skew_ms is not None and abs(facts.skew_ms) > _SKEW_MS:
        way = "ahead of" if facts.skew_ms > 0 else "behind"
        seconds = abs(facts.skew_ms) / 1000
        yield Finding(
            "clocks", Level.WARNING, str(facts.controller), f"its clock is {seconds:.1f} s {way} this machine's"
        )


def _disks(facts: Facts) -> Iterator[Finding]:
    for broker, disks in sorted(facts.disks.items()):
        for disk in disks:
            subject = f"{broker}: {disk.path}"
            if disk.failed:
                yield Finding("disk", Level.CRITICAL, subject, "the directory has failed")
            elif disk.total > 0 and disk.usable >= 0 and disk.usable < _FILLING * disk.total:
                level = Level.CRITICAL if disk.usable < _FULL * disk.total else Level.WARNING
                yield Finding("disk", level, subject, f"{100 * disk.usable / disk.total:.1f} % free")


def _lags(facts: Facts, most: int) -> Iterator[Finding]:
    for group, lag in sorted(facts.lags.items()):
        if lag > most:
            yield Finding("lag", Level.WARNING, group, f"{lag} records behind; more than {most}")


def _settings(facts: Facts) -> Iterator[Finding]:
    widths: dict[str, int] = {}
    for each in facts.placed:
        widths[each.topic] = min(len(each.replicas), widths.get(each.topic, len(each.replicas)))
    alone = sorted(topic for topic, width in widths.items() if width == 1 and len(facts.active) > 1)
    if alone:
        yield Finding("settings", Level.WARNING, _listed(alone), "one replica only: lost with its broker's disk")
    for topic, settings in sorted(facts.settings.items()):
        width = widths.get(topic, 0)
        if settings.get("unclean.leader.election.enable") == "true":
            told = "unclean.leader.election.enable=true: a leader may lack acknowledged records"
            yield Finding("settings", Level.WARNING, topic, told)
        least = int(settings.get("min.insync.replicas", "1"))
        if least > width > 0:
            told = f"min.insync.replicas={least} with {width} replicas: acks=all cannot be written"
            yield Finding("settings", Level.CRITICAL, topic, told)
        elif least == width > 1:
            told = f"min.insync.replicas={least} with {width} replicas: one broker away, and acks=all cannot be written"
            yield Finding("settings", Level.WARNING, topic, told)
    risky = sorted(
        topic
        for topic, settings in facts.settings.items()
        if widths.get(topic, 0) >= 3 and settings.get("min.insync.replicas") == "1"
    )
    if risky:
        told = "min.insync.replicas=1: what one replica alone has is acknowledged"
        yield Finding("settings", Level.WARNING, _listed(risky), told)


def _least(facts: Facts, each: Placed) -> int:
    return int(facts.settings.get(each.topic, {}).get("min.insync.replicas", "1"))


def _named(placed: list[Placed]) -> str:
    return _listed([f"{each.topic}-{each.partition}" for each in placed])


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED_MOST
    return ", ".join(names[:_NAMED_MOST]) + (f" and {more} more" if more > 0 else "")
