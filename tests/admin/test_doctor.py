"""What `cluster doctor` finds: each ailment once, and a healthy cluster healthy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID

import pytest
from typer.testing import CliRunner

from sprawl.admin import cli
from sprawl.admin.disks import Disk
from sprawl.admin.doctor import CHECKS, Facts, Finding, Level, Voter, diagnose
from sprawl.admin.layout import Placed
from sprawl.testing import Cluster

GIB = 1 << 30


def placed(topic: str = "t", leader: int = 1, replicas: tuple[int, ...] = (1, 2, 3), away: int = 0) -> Placed:
    return Placed(topic, UUID(int=1), 0, leader, 1, replicas, replicas[: len(replicas) - away])


WELL = Facts(
    active=(1, 2, 3),
    fenced=(),
    placed=(placed(),),
    controller=1,
    voters=tuple(Voter(node, 0) for node in (1, 2, 3)),
    skew_ms=10,
    disks={1: (Disk("/data", 100 * GIB, 50 * GIB, False, ()),)},
    lags={"billing": 5},
    settings={"t": {"min.insync.replicas": "2", "unclean.leader.election.enable": "false"}},
)


def found(facts: Facts, most_lag: int = 100) -> list[Finding]:
    return [each for each in diagnose(facts, most_lag=most_lag) if each.level is not Level.OK]


def test_a_healthy_cluster_has_every_check_passed() -> None:
    findings = diagnose(WELL, most_lag=100)
    assert [(each.check, each.level) for each in findings] == [(check, Level.OK) for check in CHECKS]


LATE = Voter(2, 60_000)


@pytest.mark.parametrize(
    ("facts", "check", "level", "says"),
    [
        (replace(WELL, fenced=(4,)), "brokers", Level.CRITICAL, "not active"),
        (replace(WELL, placed=(placed(leader=-1),)), "offline", Level.CRITICAL, "1 without a leader"),
        (replace(WELL, placed=(placed(away=1),)), "under-replicated", Level.CRITICAL, "not in sync"),
        (replace(WELL, placed=(placed(away=2),)), "under-replicated", Level.CRITICAL, "fewer than min.insync"),
        (replace(WELL, controller=-1), "controller", Level.CRITICAL, "no controller"),
        (replace(WELL, voters=(Voter(1, 0), LATE, Voter(3, 0))), "controller", Level.CRITICAL, "0 more may fail"),
        (replace(WELL, voters=(Voter(1, 0), LATE, replace(LATE, node=3))), "controller", Level.CRITICAL, "no majority"),
        (replace(WELL, voters=(Voter(1, 0),)), "controller", Level.WARNING, "1 voters among 3"),
        (replace(WELL, skew_ms=-9000), "clocks", Level.WARNING, "9.0 s behind"),
        (replace(WELL, disks={1: (Disk("/d", 100, 4, False, ()),)}), "disk", Level.CRITICAL, "4.0 % free"),
        (replace(WELL, disks={1: (Disk("/d", 100, 14, False, ()),)}), "disk", Level.WARNING, "14.0 % free"),
        (replace(WELL, disks={1: (Disk("/d", -1, -1, True, ()),)}), "disk", Level.CRITICAL, "failed"),
        (replace(WELL, lags={"billing": 101}), "lag", Level.WARNING, "101 records behind"),
        (replace(WELL, placed=(placed(replicas=(1,)),), settings={}), "settings", Level.WARNING, "one replica only"),
        (
            replace(WELL, settings={"t": {"unclean.leader.election.enable": "true"}}),
            "settings",
            Level.WARNING,
            "may lack",
        ),
        (replace(WELL, settings={"t": {"min.insync.replicas": "4"}}), "settings", Level.CRITICAL, "cannot be written"),
        (replace(WELL, settings={"t": {"min.insync.replicas": "3"}}), "settings", Level.WARNING, "one broker away"),
        (replace(WELL, settings={"t": {"min.insync.replicas": "1"}}), "settings", Level.WARNING, "is acknowledged"),
        (replace(WELL, unknown={"disk": "not served"}), "disk", Level.UNKNOWN, "not served"),
    ],
)
def test_each_ailment_is_found(facts: Facts, check: str, level: Level, says: str) -> None:
    (finding,) = found(facts)
    assert (finding.check, finding.level) == (check, level)
    assert says in finding.message


def test_the_worst_comes_first_and_long_lists_are_cut() -> None:
    many = tuple(Placed("t", UUID(int=1), number, -1, 1, (1, 2, 3), ()) for number in range(8))
    (first, *_) = found(replace(WELL, placed=many, lags={"billing": 1000}))
    assert first.check == "offline"
    assert first.subject.endswith("t-4 and 3 more")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(1, in_memory=True) as running:
        running.create_topic("orders")
        yield running


def test_a_running_cluster_is_examined_in_every_respect(cluster: Cluster) -> None:
    words = ["cluster", "doctor", "-b", cluster.bootstrap_servers, "--timeout", "60"]
    done = CliRunner().invoke(cli.app, words)
    rows = json.loads(done.stdout)
    assert {row["check"] for row in rows} == set(CHECKS)
    assert not [row for row in rows if row["level"] == "unknown"], "everything is served"
    critical = [row for row in rows if row["level"] == "critical" and row["check"] != "disk"]
    assert not critical


def test_what_is_critical_is_exit_code_7(cluster: Cluster) -> None:
    where = ["-b", cluster.bootstrap_servers, "--timeout", "60"]
    CliRunner().invoke(cli.app, ["topic", "create", "risky", "-r", "1", "--set", "min.insync.replicas=2", *where])
    assert CliRunner().invoke(cli.app, ["cluster", "doctor", *where]).exit_code == 7
    CliRunner().invoke(cli.app, ["topic", "delete", "risky", "--yes", *where])
