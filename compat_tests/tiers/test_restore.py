"""A node is lost with its disk; a new cluster is built from the bucket, and ordinary clients go on where they were."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.structs import OffsetAndMetadata
from typer.testing import CliRunner

from compat_tests import brokers
from compat_tests.brokers import Server, is_kafka
from compat_tests.waiting import until
from sprawl.admin import cli
from sprawl.admin.session import CONFLICT, UNHEALTHY

pytestmark = pytest.mark.skipif(is_kafka(), reason="Apache Kafka brings no object store")

DEADLINE = 120.0
SETTINGS = {
    "remote.log.storage.system.enable": "true",
    "log.retention.check.interval.ms": "200",
    "sprawl.tier.backup.interval.ms": "200",
}
TIERED = {
    "remote.storage.enable": "true",
    "internal.segment.bytes": "50000",
    "local.retention.bytes": "0",
    "retention.ms": "-1",
    "file.delete.delay.ms": "0",
}
RECORDS = 300
Record = tuple[bytes | None, bytes, tuple[tuple[str, bytes], ...], int]


@pytest.fixture
def lost(tmp_path: Path, tier_url: str) -> Iterator[Server]:
    with brokers.server(tmp_path / "lost", {**SETTINGS, "sprawl.tier.url": tier_url}) as running:
        yield running


def restore(url: str, data: Path, *words: str) -> tuple[int, Any, str]:
    told = ["cluster", "restore", "--from", url, "--data-dir", str(data), "--node-id", "7", "-o", "json", *words]
    done = CliRunner().invoke(cli.app, told)
    return done.exit_code, json.loads(done.stdout) if done.stdout else None, done.stderr


@pytest.mark.timeout(400, func_only=True)
def test_a_cluster_is_built_again_from_its_bucket(lost: Server, tier_url: str, tmp_path: Path) -> None:
    _make_topics(lost.bootstrap)
    sent = {("orders", index): _produce(lost.bootstrap, "orders", index) for index in range(2)}
    _produce(lost.bootstrap, "plain", 0)
    _commit(lost.bootstrap, "billing", {("orders", 0): 120, ("orders", 1): RECORDS, ("plain", 0): 33})
    target = tmp_path / "new" / "data"
    planned = until("the backup has all that was sent", lambda: _plan_that_has_all(tier_url, target), DEADLINE)
    assert not target.exists(), "a plan changes nothing"

    assert lost.process is not None
    lost.process.kill()
    lost.process.wait(60)
    shutil.rmtree(lost.data_directory)

    code, done, said = restore(tier_url, target, "--yes")
    assert code == 0, said
    assert done["new_cluster_id"] not in (None, done["cluster_id"])
    assert done["partitions"] == planned["partitions"]
    rows = {(each["topic"], each["partition"]): each for each in done["partitions"]}
    assert done["commits_drawn_back"] == [
        {
            "group": "billing",
            "topic": "orders",
            "partition": 1,
            "committed": RECORDS,
            "restored": rows["orders", 1]["next_offset"],
        }
    ]
    assert restore(tier_url, target, "--yes")[0] == CONFLICT, "it has the topics already"

    with brokers.server(tmp_path / "new", {**SETTINGS, "sprawl.tier.url": tier_url}) as new:
        for (topic, index), records in sent.items():
            row = rows[topic, index]
            assert RECORDS - 60 < row["next_offset"] < RECORDS, "all but the open segment"
            assert row["missing"] == [f"{row['next_offset']} to {RECORDS - 1}: was not uploaded yet"]
            found = _read(new.bootstrap, topic, index, row["next_offset"])
            assert found == list(enumerate(records[: row["next_offset"]]))
        assert rows["plain", 0]["next_offset"] == RECORDS
        committed = _committed(new.bootstrap, "billing", [("orders", 0), ("orders", 1), ("plain", 0)])
        assert committed == [120, rows["orders", 1]["next_offset"], 33]
        _goes_on(new.bootstrap, rows)
        assert _settings(new.bootstrap, "orders")["local.retention.bytes"] == "0"
        until(
            "the new cluster has a backup",
            lambda: _plan(tier_url, tmp_path / "third", done["new_cluster_id"]),
            DEADLINE,
        )


def _goes_on(bootstrap: str, rows: dict[tuple[str, int], Any]) -> None:
    """New records follow the restored ones."""
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", request_timeout_ms=60_000)
    for (topic, index), row in rows.items():
        assert producer.send(topic, b"next", partition=index).get(60).offset == row["next_offset"]
    producer.close()


def _plan(url: str, target: Path, cluster_id: str) -> Any:
    code, told, _ = restore(url, target)
    return told if code == 0 and told["cluster_id"] == cluster_id else None


def _plan_that_has_all(url: str, target: Path) -> Any:
    """Once the backup knows every record and commit, and all that can be uploaded is."""
    code, told, _ = restore(url, target)
    if code:
        return None
    rows = {each["id"]: each for each in told["partitions"]}
    known = len(rows) == 3 and all(_all_closed_segments(rows[f"orders-{n}"]) for n in range(2))
    ends = [each["missing"][0].split(":")[0] if each["missing"] else "" for each in rows.values()]
    complete = known and all(each.endswith(f" {RECORDS - 1}") for each in ends)
    return told if complete and told["groups"] == 1 and told["commits_drawn_back"] else None


def _make_topics(bootstrap: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics(
        [NewTopic("orders", 2, 1, topic_configs=TIERED), NewTopic("plain", 1, 1, topic_configs={"retention.ms": "-1"})]
    )
    admin.close()


def _produce(bootstrap: str, topic: str, partition: int) -> list[Record]:
    rng = random.Random(partition)
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=0, request_timeout_ms=60_000)
    sent: list[Record] = []
    for n in range(RECORDS):
        key = None if n % 7 == 0 else f"k{n}".encode()
        record = (key, rng.randbytes(rng.randrange(1, 2000)), (("n", str(n).encode()),), 1_700_000_000_000 + n)
        producer.send(topic, record[1], record[0], list(record[2]), partition, record[3]).get(60)
        sent.append(record)
    producer.close()
    return sent


def _read(bootstrap: str, topic: str, partition: int, until: int, gone: int = 0) -> list[tuple[int, Record]]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="none", group_id=None)
    here = TopicPartition(topic, partition)
    consumer.assign([here])
    assert consumer.beginning_offsets([here])[here] == 0
    assert consumer.end_offsets([here])[here] == until
    consumer.seek(here, 0)
    found: list[tuple[int, Record]] = []
    end = time.monotonic() + DEADLINE
    while len(found) < until - gone:
        assert time.monotonic() < end, f"{len(found)} of {until} records came"
        found += [
            (each.offset, (each.key, each.value, tuple(each.headers), each.timestamp))
            for each in consumer.poll(1000).get(here, [])
        ]
    consumer.close()
    return found


def _commit(bootstrap: str, group: str, offsets: dict[tuple[str, int], int]) -> None:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    consumer.assign([TopicPartition(*each) for each in offsets])
    consumer.commit({TopicPartition(*each): OffsetAndMetadata(at, "", -1) for each, at in offsets.items()})
    consumer.close()


def _committed(bootstrap: str, group: str, parts: list[tuple[str, int]]) -> list[int | None]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False)
    found = [consumer.committed(TopicPartition(*each)) for each in parts]
    consumer.close()
    return found


def _settings(bootstrap: str, topic: str) -> dict[str, str]:
    done = CliRunner().invoke(cli.app, ["topic", "describe", topic, "-o", "json", "-b", bootstrap])
    assert done.exit_code == 0, done.output
    found: dict[str, str] = json.loads(done.stdout)["settings"]
    return found


@pytest.mark.timeout(400, func_only=True)
def test_what_is_missing_in_the_bucket_is_passed_over_by_readers(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/bucket"
    with brokers.server(tmp_path / "lost", {**SETTINGS, "sprawl.tier.url": url}) as lost:
        _make_topics(lost.bootstrap)
        sent = _produce(lost.bootstrap, "orders", 0)
        until(
            "all closed segments are in the bucket and the backup",
            lambda: _uploaded(url, tmp_path / "new" / "data"),
            DEADLINE,
        )
    logs = sorted((tmp_path / "bucket").glob("topics/*/0/*.log"))
    logs[1].unlink()
    gone = range(*(int(each.name.split("-")[0]) for each in logs[1:3]))
    verified = CliRunner().invoke(cli.app, ["tier", "verify", "--from", url, "-o", "json"])
    assert verified.exit_code == UNHEALTHY
    (finding,) = json.loads(verified.stdout)["findings"]
    assert (finding["partition"], finding["first_offset"], finding["last_offset"]) == ("orders-0", gone[0], gone[-1])
    assert restore(url, tmp_path / "new" / "data", "--yes")[0] == UNHEALTHY
    code, done, said = restore(url, tmp_path / "new" / "data", "--yes", "--accept-loss")
    assert code == 0, said
    end = done["partitions"][0]["next_offset"]
    with brokers.server(tmp_path / "new", {**SETTINGS, "sprawl.tier.url": url}) as new:
        found = _read(new.bootstrap, "orders", 0, end, len(gone))
        assert found == [(offset, sent[offset]) for offset in range(end) if offset not in gone]


def _uploaded(url: str, target: Path) -> bool:
    code, told, _ = restore(url, target)
    return code == 0 and any(each["id"] == "orders-0" and _all_closed_segments(each) for each in told["partitions"])


def _all_closed_segments(row: dict[str, Any]) -> bool:
    """That the bucket has them; where it has none, the end is the one that the backup knows of."""
    return row["segments"] > 0 and row["start"] == 0 and bool(RECORDS - 60 < row["next_offset"] < RECORDS)
