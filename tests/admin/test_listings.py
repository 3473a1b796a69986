"""Partitions, brokers and events are listed and described; lists are shown again and again with `--watch`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from sprawl.admin import cli
from sprawl.admin.events import told
from sprawl.admin.session import NOT_FOUND, USAGE
from sprawl.testing import Cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(2, in_memory=True) as running:
        running.create_topic("orders", partitions=2, replication_factor=1)
        yield running


def run(cluster: Cluster, *words: str) -> Result:
    return CliRunner().invoke(cli.app, [*words, "-b", cluster.bootstrap_servers, "--timeout", "60"])


def ask(cluster: Cluster, *words: str) -> Any:
    done = run(cluster, *words)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_partitions_are_listed_and_picked_out(cluster: Cluster) -> None:
    rows = ask(cluster, "partition", "list", "orders")
    assert [(row["id"], row["state"]) for row in rows] == [("orders-0", "ok"), ("orders-1", "ok")]
    assert ask(cluster, "partition", "list", "orders", "--offline") == []
    assert ask(cluster, "partition", "list", "orders", "--under-replicated") == []
    home = rows[0]["replicas"][0]
    assert "orders-0" in [row["id"] for row in ask(cluster, "partition", "list", "--broker", str(home))]


def test_a_partition_is_described_with_each_replica(cluster: Cluster) -> None:
    run(cluster, "topic", "produce", "orders", "--partition", "1", "--value", "x")
    found = ask(cluster, "partition", "describe", "orders", "1")
    assert (found["start"], found["end"]) == (0, 1)
    (replica,) = found["replicas"]
    assert replica["leader"]
    assert replica["in_sync"]
    assert replica["directory"] is not None, "its own broker was asked"
    assert run(cluster, "partition", "describe", "orders", "7").exit_code == NOT_FOUND


def test_a_move_is_a_plan_until_told_to(cluster: Cluster) -> None:
    (home,) = ask(cluster, "partition", "list", "orders")[0]["replicas"]
    other = next(row["id"] for row in ask(cluster, "broker", "list") if row["id"] != home)
    (plan,) = ask(cluster, "partition", "move", "orders", "0", "--to", str(other))
    assert (plan["replicas"], plan["adding"], plan["removing"]) == ([home], [other], [home])
    assert ask(cluster, "partition", "list", "orders")[0]["replicas"] == [home]
    assert run(cluster, "partition", "move", "orders", "0", "--to", "99").exit_code == NOT_FOUND
    assert run(cluster, "partition", "move", "orders", "0", "--to", str(other), "--yes").exit_code == 0


def test_a_broker_is_described_with_its_directories(cluster: Cluster) -> None:
    broker = ask(cluster, "broker", "list")[0]["id"]
    found = ask(cluster, "broker", "describe", str(broker))
    assert (found["id"], found["state"]) == (broker, "active")
    assert found["directories"]
    assert run(cluster, "broker", "describe", "99").exit_code == NOT_FOUND


@pytest.mark.parametrize(
    "words", [["topic", "list"], ["broker", "list"], ["group", "list"], ["partition", "list"], ["partition", "moves"]]
)
def test_a_list_is_shown_again_until_interrupted(
    cluster: Cluster, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = 0

    async def interrupted(seconds: float) -> None:
        nonlocal shown
        assert seconds == 7
        shown += 1
        if shown == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("sprawl.admin.options.pause", interrupted)
    once = run(cluster, *words, "-o", "name").stdout
    done = run(cluster, *words, "-o", "name", "--watch", "7")
    assert done.exit_code == 0
    if words[0] in ("topic", "broker"):
        assert done.stdout == once * 3


def test_events_are_read_from_their_topic_or_missed_with_a_word(cluster: Cluster) -> None:
    done = run(cluster, "event", "list")
    if done.exit_code:
        assert done.exit_code == USAGE
        assert "keeps no events" in done.stderr
        cluster.create_topic("__sprawl_events", partitions=1)
    event = json.dumps({"id": "1", "time": 0, "node": 1, "kind": "test-kind", "subject": "s", "reason": "r"})
    run(cluster, "topic", "produce", "__sprawl_events", "--value", event)
    (row,) = ask(cluster, "event", "list", "--kind", "test-kind")
    assert (row["time"], row["subject"], row["reason"]) == ("1970-01-01T00:00:00.000Z", "s", "r")
    done = run(cluster, "event", "watch", "--tail", "1", "--kind", "test-kind", "--count", "1")
    assert json.loads(done.stdout)["kind"] == "test-kind"


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b'{"time": "x"}'])
def test_a_record_that_is_no_event_is_passed_over(value: bytes) -> None:
    assert told(value) is None
