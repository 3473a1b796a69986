"""A tier that is set up wrongly is named, with what to do; the broker serves, and loses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from compat_tests.brokers import Server, is_kafka
from compat_tests.objects.minio import Minio
from tools.bench.sprawl_server import SprawlUnavailableError

pytestmark = pytest.mark.skipif(is_kafka(), reason="Apache Kafka brings no object store")

ENABLED = {"remote.log.storage.system.enable": "true", "log.retention.check.interval.ms": "200"}
CONFIGS = {"remote.storage.enable": "true", "internal.segment.bytes": "20000", "local.retention.bytes": "0"}
StartBroker = Callable[..., Server]


def output(place: Path) -> str:
    return "".join(path.read_text() for path in place.glob("broker-*/server.out"))


def until_said(place: Path, words: str) -> None:
    end = time.monotonic() + 60
    while words not in output(place):
        assert time.monotonic() < end, f"it never said {words!r}, but:\n{output(place)[-3000:]}"
        time.sleep(0.1)


def works_without_its_tier(broker: Server) -> None:
    """Records are taken and given back, and all of them stay on the disk."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic("orders", 1, 1, config=CONFIGS)])["orders"].result(30)
    producer = Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 0})
    for n in range(100):
        producer.produce("orders", b"%d" % n + b"x" * 1000)
        producer.flush(30)
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g"})
    consumer.assign([TopicPartition("orders", 0, 0)])
    found = 0
    end = time.monotonic() + 60
    while found < 100 and time.monotonic() < end:
        found += len(consumer.consume(100, 1.0))
    consumer.close()
    assert found == 100


def test_wrong_credentials(
    start_broker: StartBroker, only_minio: Minio, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    broker = start_broker({**ENABLED, "sprawl.tier.url": f"s3://{bucket}/a"})
    until_said(tmp_path, "the cloud tier cannot be used")
    assert "AWS_SECRET_ACCESS_KEY" in output(tmp_path) or "credentials" in output(tmp_path)
    works_without_its_tier(broker)


def test_a_bucket_that_is_not_there(start_broker: StartBroker, only_minio: Minio, tmp_path: Path) -> None:
    broker = start_broker({**ENABLED, "sprawl.tier.url": "s3://no-such-bucket/a"})
    until_said(tmp_path, "no-such-bucket")
    works_without_its_tier(broker)


def test_a_place_of_another_cluster(start_broker: StartBroker, tmp_path: Path) -> None:
    url = f"file://{tmp_path}/tier"
    first = start_broker({**ENABLED, "sprawl.tier.url": url})
    end = time.monotonic() + 60
    while not (tmp_path / "tier" / "cluster.json").exists() and time.monotonic() < end:
        time.sleep(0.1)
    first.stop()
    second = start_broker({**ENABLED, "sprawl.tier.url": url})
    until_said(tmp_path, "belongs to the cluster")
    works_without_its_tier(second)


@pytest.mark.parametrize("url", ["http://somewhere/", "s3://X", "file://relative/path"])
def test_what_is_no_address_keeps_the_broker_from_starting(start_broker: StartBroker, tmp_path: Path, url: str) -> None:
    with pytest.raises(SprawlUnavailableError, match=r"sprawl\.tier\.url"):
        start_broker({**ENABLED, "sprawl.tier.url": url})


def test_tiered_topics_need_a_tier(start_broker: StartBroker) -> None:
    admin = AdminClient({"bootstrap.servers": start_broker().bootstrap})
    with pytest.raises(Exception, match=r"remote\.log\.storage\.system\.enable"):
        admin.create_topics([NewTopic("orders", 1, 1, config=CONFIGS)])["orders"].result(30)
