"""Three nodes are lost with their disks; three new ones are built from the bucket, and may lose the first again."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from typer.testing import CliRunner

from compat_tests.brokers import is_kafka
from compat_tests.cluster.nodes import Cluster, Node
from compat_tests.waiting import until
from sprawl.admin import cli

pytestmark = pytest.mark.skipif(is_kafka(), reason="Apache Kafka brings no object store")

DEADLINE = 120.0
SETTINGS = {
    "remote.log.storage.system.enable": "true",
    "log.retention.check.interval.ms": "200",
    "sprawl.tier.backup.interval.ms": "300",
    "broker.session.timeout.ms": "6000",
}
TIERED = {
    "remote.storage.enable": "true",
    "internal.segment.bytes": "50000",
    "local.retention.bytes": "0",
    "min.insync.replicas": "2",
}
PARTITIONS, RECORDS = 3, 400


def admin(*words: str) -> tuple[int, Any, str]:
    done = CliRunner().invoke(cli.app, [*words, "-o", "json"])
    return done.exit_code, json.loads(done.stdout) if done.stdout[:1] in ("[", "{") else None, done.stderr


@pytest.mark.timeout(500, func_only=True)
def test_three_nodes_are_built_again(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/bucket"
    with Cluster(tmp_path / "cluster", {**SETTINGS, "sprawl.tier.url": url}) as cluster:
        topic = NewTopic("orders", PARTITIONS, 3, config=TIERED)
        client = AdminClient({"bootstrap.servers": cluster.bootstrap})
        client.create_topics([topic])["orders"].result(60)
        sent = _produce(cluster.bootstrap)
        first = cluster.node(1)
        words = ["cluster", "restore", "--from", url, "--data-dir", str(first.data_directory), "--with-nodes", "2,3"]
        elsewhere = [*words[:5], str(tmp_path / "nowhere"), *words[6:]]
        until("nearly all of it is in the bucket, and in the backup", lambda: _has_most(admin(*elsewhere)[1]), DEADLINE)
        code, told, said = admin("tier", "verify", "--deep", "-b", cluster.bootstrap, "--timeout", "30")
        assert (code, told["healthy"]) == (0, True), said
        for each in cluster.nodes:
            _kill(each)
            each.wipe()

        code, told, said = admin(*words, "--yes")
        assert code == 0, said
        ends = [each["next_offset"] for each in told["partitions"]]
        shutil.copy(first.data_directory / "cluster.secret", cluster.secret)
        for each in cluster.others(1):
            each.format(told["new_cluster_id"], cluster.secret)
        for each in cluster.nodes:
            each.start(wait=False)
        for each in cluster.nodes:
            each.wait_ready()
        until("every partition has three replicas in sync", lambda: _in_sync(cluster.bootstrap, 3), DEADLINE)
        assert _read(cluster.bootstrap, ends) == _digests(sent, ends)

        _kill(first)
        rest = ",".join(each.bootstrap for each in cluster.others(1))
        until("the others lead what the first one led", lambda: _in_sync(rest, 2), DEADLINE)
        assert _read(rest, ends) == _digests(sent, ends)
        producer = Producer({"bootstrap.servers": rest, "acks": "all"})
        delivered: list[Message] = []
        for index in range(PARTITIONS):
            producer.produce("orders", b"next", partition=index, on_delivery=lambda _, m: delivered.append(m))
        assert producer.flush(DEADLINE) == 0
        offsets = {each.partition(): each.offset() for each in delivered}
        assert [offsets[index] for index in range(PARTITIONS)] == ends
        assert admin("tier", "verify", "--deep", "--from", url)[0] == 0


def _kill(node: Node) -> None:
    assert node.process is not None
    node.process.kill()
    node.process.wait(60)
    node.process = None


def _has_most(told: Any) -> bool:
    rows = [] if told is None else told["partitions"]
    return len(rows) == PARTITIONS and all(
        each["next_offset"] > RECORDS - 60
        and each["missing"] == [f"{each['next_offset']} to {RECORDS - 1}: was not uploaded yet"]
        for each in rows
    )


def _in_sync(bootstrap: str, count: int) -> bool:
    for topic in ("orders", "__sprawl_tier"):
        code, told, _ = admin("topic", "describe", topic, "-b", bootstrap)
        if code or any(len(each["in_sync"]) != count or each["leader"] < 0 for each in told["partitions"]):
            return False
    return True


def _produce(bootstrap: str) -> list[list[bytes]]:
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 0, "batch.num.messages": 1})
    sent = [[b"%d-%d-" % (index, n) + b"x" * 1000 for n in range(RECORDS)] for index in range(PARTITIONS)]
    for index, values in enumerate(sent):
        for value in values:
            producer.produce("orders", value, partition=index)
            producer.poll(0)
    assert producer.flush(DEADLINE) == 0
    return sent


def _digests(sent: list[list[bytes]], ends: list[int]) -> list[str]:
    return [hashlib.sha256(b"".join(sent[index][:end])).hexdigest() for index, end in enumerate(ends)]


def _read(bootstrap: str, ends: list[int]) -> list[str]:
    found: list[list[bytes]] = [[] for _ in ends]
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "auto.offset.reset": "error"})
    consumer.assign([TopicPartition("orders", index, 0) for index in range(len(ends))])
    deadline = time.monotonic() + DEADLINE
    while any(len(values) < end for values, end in zip(found, ends, strict=True)):
        assert time.monotonic() < deadline, f"{[len(values) for values in found]} of {ends} records came"
        for message in consumer.consume(500, 1.0):
            error = message.error()
            assert error is None or error.retriable() or error.code() < 0, error
            if error is None:
                values = found[message.partition() or 0]
                assert message.offset() == len(values)
                values.append(message.value() or b"")
    consumer.close()
    return [hashlib.sha256(b"".join(values)).hexdigest() for values in found]
