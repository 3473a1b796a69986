"""A topic ten times as large as what its node keeps, written and read back whole by an ordinary client."""

from __future__ import annotations

import contextlib
import hashlib
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from compat_tests.brokers import Server, is_kafka

pytestmark = pytest.mark.skipif(is_kafka(), reason="Apache Kafka brings no object store")

MIB = 1024 * 1024
TOTAL, LOCAL, SEGMENT, RECORD = 200 * MIB, 20 * MIB, 4 * MIB, 20_000
DEADLINE = 240.0
SETTINGS = {
    "remote.log.storage.system.enable": "true",
    "log.retention.check.interval.ms": "500",
    "sprawl.memory.bytes": str(8 * MIB),
    "sprawl.tier.cache.bytes": str(32 * MIB),
}
CONFIGS = {
    "remote.storage.enable": "true",
    "segment.bytes": str(SEGMENT),
    "local.retention.bytes": str(LOCAL),
    "file.delete.delay.ms": "0",
    "sprawl.durability": "disk",
}


def records() -> Iterator[bytes]:
    rng = random.Random(5)
    for _ in range(TOTAL // RECORD):
        yield rng.randbytes(RECORD)


@pytest.mark.timeout(600, func_only=True)
def test_two_hundred_megabytes_through_a_node_that_keeps_twenty(
    start_broker: Callable[..., Server], tier_url: str, tmp_path: Path
) -> None:
    broker = start_broker({**SETTINGS, "sprawl.tier.url": tier_url})
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic("archive", 1, 1, config=CONFIGS)])["archive"].result(30)
    sent = _produce(broker.bootstrap)
    assert _on_disk(tmp_path) > 0
    _until_local(tmp_path)
    assert _offset(admin, OffsetSpec.earliest()) == 0
    assert _consume(broker.bootstrap) == sent


def _produce(bootstrap: str) -> str:
    digest, failures = hashlib.sha256(), []
    producer = Producer(
        {"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 20, "batch.size": 500_000}
    )
    for value in records():
        digest.update(value)
        while True:
            try:
                producer.produce(
                    "archive", value, on_delivery=lambda error, _: failures.append(error) if error else None
                )
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    assert producer.flush(DEADLINE) == 0
    assert not failures
    return digest.hexdigest()


def _until_local(place: Path) -> None:
    """The node keeps no more than it should."""
    end = time.monotonic() + DEADLINE
    while (kept := _on_disk(place)) > LOCAL + 2 * SEGMENT:
        assert time.monotonic() < end, f"{kept} bytes are still on the disk"
        time.sleep(0.5)


def _on_disk(place: Path) -> int:
    found = 0
    for path in place.glob("broker-*/data/archive-0/*.log"):
        with contextlib.suppress(FileNotFoundError):  # it has just left
            found += path.stat().st_size
    return found


def _offset(admin: AdminClient, spec: OffsetSpec) -> int:
    asked = TopicPartition("archive", 0)
    return int(admin.list_offsets({asked: spec})[asked].result(30).offset)


def _consume(bootstrap: str) -> str:
    digest, wanted = hashlib.sha256(), TOTAL // RECORD
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "reader", "auto.offset.reset": "error"})
    consumer.assign([TopicPartition("archive", 0, 0)])
    end, found = time.monotonic() + DEADLINE, 0
    while found < wanted:
        assert time.monotonic() < end, f"{found} of {wanted} records came"
        for message in consumer.consume(500, 1.0):
            error = message.error()
            assert error is None or error.retriable() or error.code() == KafkaError._PARTITION_EOF, error
            if error is None:
                assert message.offset() == found
                digest.update(message.value() or b"")
                found += 1
    consumer.close()
    return digest.hexdigest()
