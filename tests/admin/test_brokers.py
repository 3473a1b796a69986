"""`sprawl-admin broker`: on nodes that run in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner

from sprawl.admin import cli
from sprawl.admin.session import NOT_FOUND, REFUSED
from sprawl.testing import Cluster

HOSTS = {"sprawl.weight.ramp.step.ms": "1"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(4, HOSTS, in_memory=True) as running:
        yield running


def ask(cluster: Cluster, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, [*words, "--bootstrap", cluster.bootstrap_servers])
    return done.exit_code, done.output


def brokers(cluster: Cluster) -> dict[int, dict[str, Any]]:
    code, said = ask(cluster, "broker", "list", "-o", "json")
    assert code == 0, said
    return {row["id"]: row for row in json.loads(said)}


def test_brokers_are_listed_with_what_they_lead_and_hold(cluster: Cluster) -> None:
    cluster.create_topic("listed", partitions=4, replication_factor=3)
    found = brokers(cluster)
    assert sorted(found) == [1, 2, 3, 4]
    assert {row["state"] for row in found.values()} == {"active"}
    assert sum(row["replicas"] for row in found.values()) >= 12
    assert sum(row["leaders"] for row in found.values()) >= 4


def test_a_broker_is_drained_and_resumes(cluster: Cluster) -> None:
    cluster.create_topic("drained", partitions=4, replication_factor=3)
    code, said = ask(cluster, "broker", "drain", "2")
    assert code == 0, said
    assert "broker 2 is empty" in said
    found = brokers(cluster)
    assert (found[2]["leaders"], found[2]["replicas"]) == (0, 0)
    assert sum(row["replicas"] for row in found.values()) >= 12
    code, said = ask(cluster, "broker", "resume", "2")
    assert code == 0, said


def test_a_drain_that_could_not_end_is_refused(cluster: Cluster) -> None:
    cluster.create_topic("everywhere", partitions=1, replication_factor=4)
    code, said = ask(cluster, "broker", "drain", "3")
    assert code == REFUSED
    assert "everywhere-0 has 4 replicas, and without broker 3 there are 3 active brokers" in said


def test_a_broker_that_is_not_there_cannot_be_drained(cluster: Cluster) -> None:
    code, said = ask(cluster, "broker", "drain", "9")
    assert code == NOT_FOUND
    assert "there is no broker 9; there are 1, 2, 3, 4" in said
