"""`sprawl-admin topic import`: directories as Apache Kafka leaves them, into a cluster that runs in this process."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from typer.testing import CliRunner, Result

from sprawl.admin import cli, topic_import
from sprawl.admin.session import CONFLICT, REFUSED, RefusedError
from sprawl.testing import Cluster
from sprawl_protocol.batches import CONTROL, TRANSACTIONAL, pack_batch
from sprawl_protocol.compression import Codec
from sprawl_protocol.records import Record, build_batch, stamp

COMMIT, ABORT = b"\x00\x00\x00\x01", b"\x00\x00\x00\x00"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(1, in_memory=True) as running:
        yield running


def ask(cluster: Cluster, *words: str) -> Result:
    where = ["--bootstrap-server", cluster.bootstrap_servers, "--timeout", "60"]
    return CliRunner().invoke(cli.app, ["topic", "import", *words, *where])


def batch(base: int, *values: str, epoch: int = 7, codec: Codec = Codec.NONE, time: int = 1000) -> bytes:
    records = [
        Record(at, time + at, f"k{base + at}".encode(), value.encode(), [("h", b"x")])
        for at, value in enumerate(values)
    ]
    made = bytearray(build_batch(records, compression=codec))
    stamp(made, 0, base, epoch)
    return bytes(made)


def of_producer(base: int, producer: int, *values: str, control: bytes | None = None) -> bytes:
    """A batch of a transaction, or its end."""
    if control is None:
        plain = batch(base, *values)
        content, count = plain[61:], len(values)
    else:
        marker = build_batch([Record(0, 1000, control, struct.pack(">hi", 0, 0))])
        content, count = bytes(marker[61:]), 1
    return bytes(
        pack_batch(
            content,
            base_offset=base,
            leader_epoch=7,
            attributes=TRANSACTIONAL | (CONTROL if control is not None else 0),
            last_offset_delta=count - 1,
            base_timestamp=1000,
            max_timestamp=1000 + count - 1,
            producer_id=producer,
            producer_epoch=0,
            base_sequence=-1 if control is not None else 0,
            record_count=count,
        )
    )


def kafka(path: Path, **segments: bytes) -> Path:
    """A partition's directory: `s0=...`, `s5=...` are segments by base offset."""
    path.mkdir(parents=True)
    (path / "partition.metadata").write_text("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ\n")
    (path / "leader-epoch-checkpoint").write_text("0\n1\n7 0\n")
    for name, data in segments.items():
        (path / f"{int(name[1:]):020}.log").write_bytes(data)
    return path


def read(cluster: Cluster, topic: str, partition: int = 0) -> list[tuple[int, str]]:
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": "g", "enable.partition.eof": True})
    low, _ = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=60)
    consumer.assign([TopicPartition(topic, partition, low)])
    found: list[tuple[int, str]] = []
    while True:
        message = consumer.poll(60)
        assert message is not None, "the end of the partition comes"
        if message.error() is not None:
            break
        offset, value = message.offset(), message.value()
        assert offset is not None
        assert value is not None
        assert message.headers() == [("h", b"x")]
        assert message.key() == f"k{offset}".encode()
        found.append((offset, bytes(value).decode()))
    consumer.close()
    return found


def ends(cluster: Cluster, topic: str) -> tuple[int, int]:
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap_servers, "group.id": "g"})
    found: tuple[int, int] = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=60)
    consumer.close()
    return found


def rows(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_records_keep_their_offsets_over_gaps_and_a_moved_start(cluster: Cluster, tmp_path: Path) -> None:
    where = kafka(
        tmp_path / "moved-0",
        s100=batch(100, "a", "b", "c") + batch(110, "d", codec=Codec.ZSTD),
        s200=batch(205, "e", codec=Codec.GZIP),
        s300=b"",
    )
    (tmp_path / "log-start-offset-checkpoint").write_text("0\n1\nmoved 0 101\n")
    (row,) = rows(ask(cluster, "--kafka-log-dir", str(where)))
    assert (row["state"], row["first"], row["end"], row["records"]) == ("new", 101, 300, 5)
    assert "moved" not in Producer({"bootstrap.servers": cluster.bootstrap_servers}).list_topics(timeout=60).topics
    (row,) = rows(ask(cluster, "--kafka-log-dir", str(where), "--set", "retention.ms=-1", "--yes"))
    assert row["state"] == "imported"
    assert ends(cluster, "moved") == (101, 300)
    assert read(cluster, "moved") == [(101, "b"), (102, "c"), (110, "d"), (205, "e")]
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers, "enable.idempotence": True})
    producer.produce("moved", b"new", key=b"k300", headers=[("h", b"x")])
    assert producer.flush(60) == 0
    assert read(cluster, "moved")[-1] == (300, "new")
    assert rows(ask(cluster, "--kafka-log-dir", str(where), "--yes"))[0]["state"] == "already there"


def test_what_was_aborted_or_left_open_is_not_seen(cluster: Cluster, tmp_path: Path) -> None:
    log = (
        of_producer(0, 5, "kept", "kept too")
        + of_producer(2, 6, "aborted")
        + of_producer(3, 5, control=COMMIT)
        + of_producer(4, 6, control=ABORT)
        + of_producer(5, 6, "second, kept")
        + of_producer(6, 6, control=COMMIT)
        + of_producer(7, 5, "never decided")
    )
    kafka(tmp_path / "txn-0", s0=log)
    (row,) = rows(ask(cluster, "--kafka-log-dir", str(tmp_path), "--yes", "--set", "retention.ms=-1"))
    assert (row["records"], row["aborted"], row["undecided"], row["end"]) == (3, 1, 1, 8)
    assert read(cluster, "txn") == [(0, "kept"), (1, "kept too"), (5, "second, kept")]
    assert ends(cluster, "txn") == (0, 8)


def test_an_interrupted_import_goes_on_where_it_was(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = kafka(tmp_path / "cut-0", s0=b"".join(batch(at, f"v{at}") for at in range(20)))
    monkeypatch.setattr("sprawl.admin.topic_import._REQUEST_BYTES", 200)
    send = topic_import._Import._send
    sent: list[bytes] = []

    async def breaks(self: Any, chunk: bytes) -> None:
        if len(sent) == 3:
            raise RefusedError("cut off")
        sent.append(chunk)
        await send(self, chunk)

    monkeypatch.setattr(topic_import._Import, "_send", breaks)
    words = ["--kafka-log-dir", str(where), "--set", "retention.ms=-1"]
    assert ask(cluster, *words, "--yes").exit_code == REFUSED
    monkeypatch.setattr(topic_import._Import, "_send", send)
    assert rows(ask(cluster, *words))[0]["state"] == "continues"
    rows(ask(cluster, *words, "--yes"))
    assert read(cluster, "cut") == [(at, f"v{at}") for at in range(20)]


def test_a_topic_with_other_records_is_left_alone(cluster: Cluster, tmp_path: Path) -> None:
    where = kafka(tmp_path / "other-0", s0=batch(0, "a") + batch(1, "b"))
    cluster.create_topic("other", partitions=1)
    producer = Producer({"bootstrap.servers": cluster.bootstrap_servers})
    producer.produce("other", b"mine")
    assert producer.flush(60) == 0
    refused = ask(cluster, "--kafka-log-dir", str(where), "--yes")
    assert refused.exit_code == CONFLICT
    assert "records of its own" in refused.output
    assert ends(cluster, "other") == (0, 1)


@pytest.mark.parametrize("harm", ["flipped", "torn"])
def test_damage_is_named_by_file_and_position_and_nothing_is_imported(
    cluster: Cluster, tmp_path: Path, harm: str
) -> None:
    first, second = batch(0, "a"), bytearray(batch(1, "b"))
    if harm == "flipped":
        second[-3] ^= 1
    else:
        del second[-5:]
    topic = f"damaged-{harm}"
    where = kafka(tmp_path / f"{topic}-0", s0=first + second)
    refused = ask(cluster, "--kafka-log-dir", str(where), "--yes")
    assert refused.exit_code == REFUSED
    said = "".join(refused.output.split())
    assert f"{0:020}.logatposition{len(first)}" in said
    assert topic not in Producer({"bootstrap.servers": cluster.bootstrap_servers}).list_topics(timeout=60).topics
    done = ask(cluster, "--kafka-log-dir", str(where), "--yes", "--accept-loss", "--set", "retention.ms=-1")
    assert rows(done)[0]["records"] == 1
    assert read(cluster, topic) == [(0, "a")]


def test_several_partitions_and_what_is_none(cluster: Cluster, tmp_path: Path) -> None:
    kafka(tmp_path / "many-0", s0=batch(0, "zero"))
    kafka(tmp_path / "many-2", s0=batch(0, "two") + b"\0" * 4096)
    kafka(tmp_path / "gone-0.0123456789abcdef-delete", s0=batch(0, "gone"))
    kafka(tmp_path / "__consumer_offsets-3", s0=batch(0, "internal"))
    (tmp_path / "meta.properties").write_text("version=1\n")
    (tmp_path / "lost+found").mkdir()
    words = ["--kafka-log-dir", str(tmp_path), "--to", "renamed", "--of", "4", "--set", "retention.ms=-1", "--yes"]
    done = ask(cluster, *words)
    assert [(row["partition"], row["records"]) for row in rows(done)] == [(0, 1), (2, 1)]
    assert read(cluster, "renamed", 2) == [(0, "two")]
    assert read(cluster, "renamed", 1) == []


def test_old_message_formats_are_refused(cluster: Cluster, tmp_path: Path) -> None:
    old = bytearray(batch(0, "a"))
    old[16] = 1
    refused = ask(cluster, "--kafka-log-dir", str(kafka(tmp_path / "old-0", s0=bytes(old))))
    assert refused.exit_code == REFUSED
    assert "message format v1" in " ".join(refused.output.split())
