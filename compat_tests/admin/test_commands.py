"""`sprawl-admin` speaks Kafka's protocol: the same commands, whichever broker is the target."""

from __future__ import annotations

import json
from typing import Any

from confluent_kafka import Producer
from typer.testing import CliRunner

from sprawl.admin import cli
from sprawl.admin.session import NOT_FOUND, UNHEALTHY


def ask(bootstrap: str, *words: str) -> Any:
    done = CliRunner().invoke(cli.app, [*words, "--bootstrap-server", bootstrap, "--timeout", "30"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout) if done.stdout[:1] in ("[", "{") else done.stdout


def test_the_cluster_and_its_brokers_are_described(bootstrap: str) -> None:
    (one,) = ask(bootstrap, "cluster", "describe")["brokers"]
    assert [row["id"] for row in ask(bootstrap, "broker", "list")] == [one["id"]]


def test_a_topic_is_made_changed_and_deleted(bootstrap: str) -> None:
    ask(bootstrap, "topic", "create", "admin-topic", "-p", "2", "-r", "1", "--set", "retention.ms=60000")
    ask(bootstrap, "topic", "alter", "admin-topic", "--partitions", "3")
    assert [row["id"] for row in ask(bootstrap, "topic", "describe", "admin-topic")["partitions"]] == [0, 1, 2]
    settings = {row["name"]: row["value"] for row in ask(bootstrap, "config", "describe", "topic", "admin-topic")}
    assert settings["retention.ms"] == "60000"
    ask(bootstrap, "topic", "delete", "admin-topic", "--yes")
    done = CliRunner().invoke(cli.app, ["topic", "describe", "admin-topic", "-b", bootstrap])
    assert done.exit_code == NOT_FOUND


def test_a_group_is_moved_described_and_deleted(bootstrap: str) -> None:
    ask(bootstrap, "topic", "create", "admin-read", "-p", "1", "-r", "1")
    producer = Producer({"bootstrap.servers": bootstrap})
    for _ in range(5):
        producer.produce("admin-read", b"value", partition=0)
    assert producer.flush(60) == 0
    ask(bootstrap, "group", "seek", "admin-group", "--topic", "admin-read", "--to-offset", "2", "--yes")
    (part,) = ask(bootstrap, "group", "describe", "admin-group")["partitions"]
    assert (part["committed"], part["lag"]) == (2, 3)
    assert "admin-group" in [row["name"] for row in ask(bootstrap, "group", "list")]
    ask(bootstrap, "group", "delete", "admin-group", "--yes")
    ask(bootstrap, "topic", "trim", "admin-read", "--before", "4", "--yes")


def test_records_are_written_read_and_their_partitions_described(bootstrap: str) -> None:
    ask(bootstrap, "topic", "create", "admin-records", "-p", "1", "-r", "1")
    ask(bootstrap, "topic", "produce", "admin-records", "--key", "k", "--value", "v", "-z", "gzip")
    read = ask(bootstrap, "topic", "consume", "admin-records", "--format", "json")
    assert (read["key"], read["value"], read["offset"]) == ("k", "v", 0)
    assert ask(bootstrap, "partition", "describe", "admin-records", "0")["end"] == 1
    (row,) = ask(bootstrap, "broker", "list")
    assert ask(bootstrap, "broker", "describe", str(row["id"]))["directories"]


def test_every_check_of_the_doctor_finds_its_facts(bootstrap: str) -> None:
    done = CliRunner().invoke(cli.app, ["cluster", "doctor", "--bootstrap-server", bootstrap, "--timeout", "30"])
    assert done.exit_code in (0, UNHEALTHY)
    assert not [row for row in json.loads(done.stdout) if row["level"] == "unknown"]
