"""`sprawl-admin group`: on a node that runs in this process, also where there is nothing or nobody."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from typer.testing import CliRunner

from sprawl.admin import cli
from sprawl.admin.session import CONFLICT, NOT_FOUND, UNREACHABLE, USAGE
from sprawl.testing import Cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(1, in_memory=True) as running:
        running.create_topic("orders", partitions=2)
        producer = Producer({"bootstrap.servers": running.bootstrap_servers})
        for number in range(20):
            producer.produce("orders", b"%d" % number, partition=number % 2)
        assert producer.flush(60) == 0
        yield running


def ask(cluster: Cluster, *words: str) -> tuple[int, Any, str]:
    done = CliRunner().invoke(cli.app, ["group", *words, "--bootstrap-server", cluster.bootstrap_servers])
    said = done.stdout
    return done.exit_code, json.loads(said) if said[:1] in "[{" and said else said, done.stderr


def commit(cluster: Cluster, group: str, offset: int) -> None:
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": group})
    consumer.commit(offsets=[TopicPartition("orders", 0, offset)], asynchronous=False)
    consumer.close()


def test_groups_are_listed_and_described_with_their_lag(cluster: Cluster) -> None:
    commit(cluster, "billing", 3)
    _, rows, _ = ask(cluster, "list")
    assert "billing" in [row["name"] for row in rows]
    code, found, _ = ask(cluster, "describe", "billing")
    assert code == 0
    assert (found["name"], found["state"], found["members"]) == ("billing", "Empty", 0)
    (part,) = found["partitions"]
    assert (part["id"], part["committed"], part["end"], part["lag"]) == ("orders-0", 3, 10, 7)


def test_a_seek_shows_its_plan_and_changes_nothing_until_told_to(cluster: Cluster) -> None:
    commit(cluster, "moved", 3)
    code, rows, said = ask(cluster, "seek", "moved", "--by", "-2")
    assert (code, [row["target"] for row in rows]) == (0, [1])
    assert "nothing was changed" in said
    assert ask(cluster, "describe", "moved")[1]["partitions"][0]["committed"] == 3
    code, rows, _ = ask(cluster, "seek", "moved", "--topic", "orders", "--to-offset", "99", "--yes")
    assert (code, [row["target"] for row in rows]) == (0, [10, 10]), "no further than the end"
    assert [row["lag"] for row in ask(cluster, "describe", "moved")[1]["partitions"]] == [0, 0]


def test_a_seek_to_a_time_finds_the_first_record_of_it(cluster: Cluster) -> None:
    code, rows, _ = ask(cluster, "seek", "timed", "--topic", "orders", "--to-datetime", "2001-01-01")
    assert (code, [row["target"] for row in rows]) == (0, [0, 0])
    code, rows, _ = ask(cluster, "seek", "timed", "--topic", "orders", "--to-datetime", "2999-01-01")
    assert (code, [row["target"] for row in rows]) == (0, [10, 10])


def test_a_group_with_members_is_not_moved_and_not_deleted(cluster: Cluster) -> None:
    consumer = Consumer(
        {"bootstrap.servers": cluster.bootstrap_servers, "group.id": "busy", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["orders"])
    try:
        assert consumer.poll(60) is not None
        assert ask(cluster, "seek", "busy", "--topic", "orders", "--to-latest", "--yes")[0] == CONFLICT
        assert ask(cluster, "delete", "busy", "--yes")[0] == CONFLICT
    finally:
        consumer.close()


def test_a_group_is_deleted_only_with_a_yes(cluster: Cluster) -> None:
    commit(cluster, "gone", 3)
    assert ask(cluster, "delete", "gone")[0] == 0
    assert ask(cluster, "describe", "gone")[0] == 0
    assert ask(cluster, "delete", "gone", "--yes")[0] == 0
    assert ask(cluster, "describe", "gone")[0] == NOT_FOUND


def test_what_is_not_there_is_exit_code_3(cluster: Cluster) -> None:
    assert ask(cluster, "describe", "nobody")[0] == NOT_FOUND
    assert ask(cluster, "delete", "nobody", "--yes")[0] == NOT_FOUND
    assert ask(cluster, "seek", "nobody", "--to-latest")[0] == NOT_FOUND
    assert ask(cluster, "seek", "nobody", "--topic", "nothing", "--to-latest")[0] == NOT_FOUND


def test_a_seek_without_a_place_is_wrong_usage(cluster: Cluster) -> None:
    assert ask(cluster, "seek", "billing")[0] == USAGE
    assert ask(cluster, "seek", "billing", "--to-latest", "--to-earliest")[0] == USAGE


def test_no_broker_is_exit_code_5() -> None:
    words = ["group", "list", "--bootstrap-server", "127.0.0.1:1", "--timeout", "2"]
    assert CliRunner().invoke(cli.app, words).exit_code == UNREACHABLE
