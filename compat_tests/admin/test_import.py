"""A real Apache Kafka's directories, after it was stopped, into Sprawl: what its consumers read, Sprawl's do."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from typer.testing import CliRunner

from sprawl.admin import cli
from tools.bench.kafka_dist import KafkaServer, KafkaUnavailableError, obtain
from tools.bench.sprawl_server import SprawlServer

PATIENCE = 90.0
EAGER = {
    "log.cleaner.backoff.ms": "200",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "offsets.topic.replication.factor": "1",
    "group.initial.rebalance.delay.ms": "0",
}
COMPACTED = {
    "cleanup.policy": "compact",
    "segment.ms": "200",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "0",
}
Seen = list[tuple[int, int, bytes | None, bytes | None, object]]


def read(bootstrap: str, topic: str, partition: int = 0) -> tuple[tuple[int, int], Seen]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=60)
    consumer.assign([TopicPartition(topic, partition, low)])
    found: Seen = []
    while True:
        message = consumer.poll(60)
        assert message is not None, "the end of the partition comes"
        if message.error() is not None:
            break
        offset, headers = message.offset(), message.headers()
        assert offset is not None
        found.append((offset, message.timestamp()[1], message.key(), message.value(), headers))
    consumer.close()
    return (low, high), found


def transactions(bootstrap: str) -> None:
    for number, commits in enumerate((True, False, True, False)):
        producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": "t", "compression.type": "lz4"})
        producer.init_transactions(60)
        producer.begin_transaction()
        for each in range(5):
            producer.produce("txn", f"{number}-{each}".encode(), key=b"k", headers=[("h", b"v")])
        assert producer.flush(60) == 0
        if commits:
            producer.commit_transaction(60)
        else:
            producer.abort_transaction(60)


def compacted(bootstrap: str) -> None:
    """Until Kafka's cleaner has left gaps."""
    deadline = time.monotonic() + PATIENCE
    count = 0
    while time.monotonic() < deadline:
        producer = Producer({"bootstrap.servers": bootstrap, "compression.type": "zstd"})
        for _ in range(20):
            producer.produce("compacted", f"{count}".encode(), key=f"k{count % 3}".encode())
            count += 1
        assert producer.flush(60) == 0
        time.sleep(0.5)
        _, found = read(bootstrap, "compacted")
        if count > 100 and len(found) < count // 2:
            return
    pytest.skip("Kafka's cleaner was not quick enough")


def test_what_kafka_left_is_read_from_sprawl_as_it_was_from_kafka(tmp_path: Path) -> None:
    try:
        kafka = KafkaServer(obtain(), tmp_path / "kafka", settings=EAGER)
        with kafka:
            admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
            topics = [
                NewTopic("plain", 2, 1),
                NewTopic("txn", 1, 1),
                NewTopic("compacted", 1, 1, config=COMPACTED),
                NewTopic("stamped", 1, 1, config={"message.timestamp.type": "LogAppendTime"}),
            ]
            for made in admin.create_topics(topics).values():
                made.result(60)
            producer = Producer({"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True})
            for each in range(500):
                producer.produce("plain", b"v%d" % each, key=b"k%d" % each, headers=[("n", b"\xff"), ("none", None)])
                producer.produce("stamped", b"v%d" % each, timestamp=1000 + each)
            assert producer.flush(60) == 0
            (cut,) = admin.delete_records([TopicPartition("plain", 0, 50)]).values()
            cut.result(60)
            transactions(kafka.bootstrap)
            compacted(kafka.bootstrap)
            parts = [("plain", 0), ("plain", 1), ("txn", 0), ("compacted", 0), ("stamped", 0)]
            before = {part: read(kafka.bootstrap, *part) for part in parts}
    except KafkaUnavailableError as missing:
        pytest.skip(f"needs an Apache Kafka to take over from, but {missing}")
    with SprawlServer(tmp_path / "sprawl") as sprawl:
        words = ["topic", "import", "--kafka-log-dir", str(kafka.data_directory), "-b", sprawl.bootstrap]
        done = CliRunner().invoke(cli.app, [*words, "--set", "retention.ms=-1", "--timeout", "60", "--yes"])
        assert done.exit_code == 0, done.output
        assert [(row["topic"], row["partition"]) for row in json.loads(done.stdout)] == sorted(parts)
        assert {row["topic"]: row["aborted"] for row in json.loads(done.stdout)}["txn"] == 10
        after = {part: read(sprawl.bootstrap, *part) for part in parts}
    for part in parts:
        (begin, end), records = before[part]
        assert after[part] == ((begin, end), records), part
    assert before["plain", 0][0][0] == 50
    assert len(before["txn", 0][1]) == 10
