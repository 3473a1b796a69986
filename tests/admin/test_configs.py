"""`sprawl-admin config`: on a node that runs in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from typer.testing import CliRunner

from sprawl.admin import cli
from sprawl.admin.session import NOT_FOUND, USAGE
from sprawl.testing import Cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(1, in_memory=True) as running:
        running.create_topic("orders", partitions=2)
        yield running


def ask(cluster: Cluster, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(cli.app, [*words, "--bootstrap-server", cluster.bootstrap_servers])
    return done.exit_code, done.stdout


def settings(cluster: Cluster, *more: str) -> dict[str, str]:
    code, said = ask(cluster, "config", "describe", "topic", "orders", *more)
    assert code == 0
    return {row["name"]: row["value"] for row in json.loads(said)}


def first(cluster: Cluster) -> int:
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": "looking"})
    low, _ = consumer.get_watermark_offsets(TopicPartition("orders", 2), timeout=60)
    consumer.close()
    return int(low)


def test_settings_that_differ_are_shown_and_go_back_to_their_defaults(cluster: Cluster) -> None:
    change = ("config", "alter", "topic", "orders")
    assert ask(cluster, *change, "--set", "retention.ms=60000", "--dry-run")[0] == 0
    assert settings(cluster).get("retention.ms") != "60000"
    assert ask(cluster, *change, "--set", "retention.ms=60000")[0] == 0
    assert settings(cluster)["retention.ms"] == "60000"
    assert ask(cluster, *change, "--unset", "retention.ms")[0] == 0
    assert settings(cluster).get("retention.ms") != "60000"
    assert "retention.ms" in settings(cluster, "--all")


def test_a_brokers_settings_are_asked_of_that_broker(cluster: Cluster) -> None:
    assert ask(cluster, "config", "describe", "broker", "1")[0] == 0
    assert ask(cluster, "config", "describe", "broker", "9")[0] == NOT_FOUND


def test_bad_changes_are_told_by_exit_code(cluster: Cluster) -> None:
    assert ask(cluster, "config", "alter", "topic", "orders")[0] == USAGE
    assert ask(cluster, "config", "alter", "topic", "orders", "--set", "retention.ms")[0] == USAGE
    assert ask(cluster, "config", "alter", "topic", "orders", "--set", "retention.ms=-5")[0] == 1
    assert ask(cluster, "config", "describe", "topic", "nothing")[0] == NOT_FOUND


def test_a_topic_gets_more_partitions_and_is_trimmed_only_with_a_yes(cluster: Cluster) -> None:
    assert ask(cluster, "topic", "alter", "orders", "--partitions", "3")[0] == 0
    assert ask(cluster, "topic", "alter", "orders", "--partitions", "1")[0] == 1
    code, said = ask(cluster, "topic", "trim", "orders")
    assert (code, [row["id"] for row in json.loads(said)]) == (0, [0, 1, 2])
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
    producer.produce("orders", b"old", partition=2)
    assert producer.flush(60) == 0
    plan = [{"id": 2, "begins_at": 1}]
    assert json.loads(ask(cluster, "topic", "trim", "orders", "--partition", "2")[1]) == plan
    assert first(cluster) == 0
    assert ask(cluster, "topic", "trim", "orders", "--yes")[0] == 0
    assert first(cluster) == 1
    assert ask(cluster, "topic", "trim", "orders", "--partition", "7")[0] == NOT_FOUND
    assert ask(cluster, "topic", "trim", "nothing")[0] == NOT_FOUND
