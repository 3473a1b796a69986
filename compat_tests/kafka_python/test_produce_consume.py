"""kafka-python writes and reads."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from kafka import KafkaProducer, TopicPartition

from compat_tests.conftest import MakeTopic
from compat_tests.kafka_python.conftest import MakeConsumer, MakeProducer, take
from compat_tests.moments import LATELY

ReadAll = Callable[..., list[Any]]


@pytest.mark.feature("produce and consume")
def test_records_come_back_in_order_with_their_offsets(topic: str, producer: KafkaProducer, read_all: ReadAll) -> None:
    sent = [producer.send(topic, b"value-%d" % number) for number in range(1000)]
    producer.flush()
    assert [future.get(10).offset for future in sent] == list(range(1000))
    records = read_all(topic)
    assert [record.value for record in records] == [b"value-%d" % number for number in range(1000)]
    assert [record.offset for record in records] == list(range(1000))


@pytest.mark.feature("produce and consume")
def test_a_waiting_consumer_sees_new_records(topic: str, producer: KafkaProducer, new_consumer: MakeConsumer) -> None:
    consumer = new_consumer(topic)
    assert not consumer.poll(timeout_ms=300)
    producer.send(topic, b"late").get(10)
    assert [record.value for record in take(consumer, bool)] == [b"late"]


@pytest.mark.feature("keys, headers, empty and null values")
@pytest.mark.parametrize(
    ("key", "value"), [(b"k", b"v"), (None, b"v"), (b"", b""), (b"k", b""), (b"\x00\xff", bytes(range(256)))]
)
def test_keys_and_values_of_every_shape_survive(
    topic: str, producer: KafkaProducer, read_all: ReadAll, key: bytes | None, value: bytes
) -> None:
    producer.send(topic, value, key=key).get(10)
    (record,) = read_all(topic)
    assert (record.key, record.value) == (key, value)


@pytest.mark.feature("keys, headers, empty and null values")
def test_headers_keep_order_duplicates_and_bytes(topic: str, producer: KafkaProducer, read_all: ReadAll) -> None:
    headers = [("a", b"1"), ("a", b"2"), ("empty", b""), ("snowman ☃", "☃".encode())]
    producer.send(topic, b"v", headers=headers).get(10)
    (record,) = read_all(topic)
    assert list(record.headers) == headers


@pytest.mark.feature("tombstones")
def test_a_tombstone_is_a_key_without_a_value(topic: str, producer: KafkaProducer, read_all: ReadAll) -> None:
    producer.send(topic, None, key=b"gone").get(10)
    (record,) = read_all(topic)
    assert (record.key, record.value) == (b"gone", None)


@pytest.mark.feature("compression")
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_survive(topic: str, new_producer: MakeProducer, read_all: ReadAll, codec: str) -> None:
    pytest.importorskip({"snappy": "snappy", "zstd": "zstandard", "lz4": "lz4"}.get(codec, "gzip"))
    producer = new_producer(compression_type=codec, linger_ms=50)
    values = [b"abc" * 100 + b"%d" % number for number in range(200)]
    for value in values:
        producer.send(topic, value)
    producer.flush()
    assert [record.value for record in read_all(topic)] == values


@pytest.mark.feature("compression")
def test_one_partition_holds_batches_of_several_codecs(
    topic: str, new_producer: MakeProducer, read_all: ReadAll
) -> None:
    codecs = [None, "gzip", "lz4"]
    for codec in codecs:
        new_producer(compression_type=codec).send(topic, f"by {codec}".encode() * 50).get(10)
    assert [record.value for record in read_all(topic)] == [f"by {codec}".encode() * 50 for codec in codecs]


@pytest.mark.feature("large messages")
def test_a_large_message_goes_through_a_topic_that_allows_it(
    new_topic: MakeTopic, new_producer: MakeProducer, read_all: ReadAll
) -> None:
    topic = new_topic(config={"max.message.bytes": str(12 << 20)})
    value = bytes(range(256)) * (10 << 12)
    new_producer(max_request_size=16 << 20).send(topic, value).get(20)
    (record,) = read_all(topic, max_partition_fetch_bytes=1000)
    assert record.value == value


@pytest.mark.feature("acks")
@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_each_kind_of_acknowledgement(
    topic: str, new_producer: MakeProducer, new_consumer: MakeConsumer, acks: int | str
) -> None:
    producer = new_producer(acks=acks, enable_idempotence=False)
    offsets = [producer.send(topic, b"%d" % number).get(10).offset for number in range(3)]
    assert acks == 0 or offsets == [0, 1, 2]
    records = take(new_consumer(topic), lambda records: len(records) >= 3)
    assert [record.value for record in records] == [b"0", b"1", b"2"]


@pytest.mark.feature("idempotence")
def test_an_idempotent_producer_keeps_order_over_many_batches(
    new_topic: MakeTopic, new_producer: MakeProducer, read_all: ReadAll
) -> None:
    topic = new_topic(partitions=2)
    producer = new_producer(enable_idempotence=True, acks="all", batch_size=500)
    for number in range(2000):
        producer.send(topic, b"%d" % number, partition=number % 2)
    producer.flush()
    for partition in range(2):
        assert [int(record.value) for record in read_all(topic, partition)] == list(range(partition, 2000, 2))


@pytest.mark.feature("pipelining")
def test_many_requests_in_flight_are_answered_in_order(topic: str, new_producer: MakeProducer) -> None:
    producer = new_producer(batch_size=100, max_in_flight_requests_per_connection=5)
    futures = [producer.send(topic, b"x" * 90) for _ in range(300)]
    assert [future.get(20).offset for future in futures] == list(range(300))


@pytest.mark.feature("many partitions")
def test_a_topic_of_a_hundred_partitions(
    new_topic: MakeTopic, producer: KafkaProducer, new_consumer: MakeConsumer
) -> None:
    topic = new_topic(partitions=100)
    assert producer.partitions_for(topic) == set(range(100))
    for partition in range(100):
        producer.send(topic, b"%d" % partition, partition=partition)
    producer.flush()
    consumer = new_consumer()
    consumer.assign([TopicPartition(topic, partition) for partition in range(100)])
    records = take(consumer, lambda records: len(records) >= 100)
    assert {(record.partition, int(record.value)) for record in records} == {(each, each) for each in range(100)}


@pytest.mark.feature("timestamps")
def test_create_time_is_what_the_producer_said(topic: str, producer: KafkaProducer, read_all: ReadAll) -> None:
    producer.send(topic, b"v", timestamp_ms=LATELY + 123).get(10)
    (record,) = read_all(topic)
    assert (record.timestamp, record.timestamp_type) == (LATELY + 123, 0)


@pytest.mark.feature("timestamps")
def test_log_append_time_is_the_brokers(new_topic: MakeTopic, producer: KafkaProducer, read_all: ReadAll) -> None:
    topic = new_topic(config={"message.timestamp.type": "LogAppendTime"})
    before = int(time.time() * 1000)
    answered = producer.send(topic, b"v", timestamp_ms=LATELY + 123).get(10)
    (record,) = read_all(topic)
    assert record.timestamp_type == 1
    assert before - 1000 <= record.timestamp <= int(time.time() * 1000) + 1000
    assert answered.timestamp == record.timestamp


@pytest.mark.feature("seek")
def test_a_consumer_seeks_to_any_offset(topic: str, producer: KafkaProducer, new_consumer: MakeConsumer) -> None:
    for number in range(100):
        producer.send(topic, b"%d" % number)
    producer.flush()
    where, consumer = TopicPartition(topic, 0), new_consumer()
    consumer.assign([where])
    for offset in (50, 0, 99, 7):
        consumer.seek(where, offset)
        assert take(consumer, bool)[0].offset == offset
    assert consumer.beginning_offsets([where])[where] == 0
    assert consumer.end_offsets([where])[where] == 100


@pytest.mark.feature("seek by time")
def test_offsets_for_times_finds_the_first_record_at_or_after(
    topic: str, producer: KafkaProducer, new_consumer: MakeConsumer
) -> None:
    start = LATELY
    for number in range(50):
        producer.send(topic, b"%d" % number, timestamp_ms=start + number * 1000)
    producer.flush()
    where, consumer = TopicPartition(topic, 0), new_consumer()
    consumer.assign([where])
    for asked, expected in ((start, 0), (start + 1, 1), (start + 10_000, 10), (start - 5, 0), (start + 48_001, 49)):
        found = consumer.offsets_for_times({where: asked})[where]
        assert (found.offset, found.timestamp) == (expected, start + expected * 1000), f"asked for {asked}"
    assert consumer.offsets_for_times({where: start + 49_001})[where] is None


@pytest.mark.feature("long poll")
def test_an_empty_fetch_waits_no_longer_than_asked(topic: str, new_consumer: MakeConsumer) -> None:
    consumer = new_consumer(topic, fetch_max_wait_ms=300, fetch_min_bytes=1)
    take(consumer, lambda _: bool(consumer.assignment()))
    started = time.monotonic()
    assert not consumer.poll(timeout_ms=1000)
    assert time.monotonic() - started < 5


@pytest.mark.feature("long poll")
def test_a_fetch_returns_once_min_bytes_are_there(
    topic: str, producer: KafkaProducer, new_consumer: MakeConsumer
) -> None:
    consumer = new_consumer(topic, fetch_max_wait_ms=20_000, fetch_min_bytes=5000)
    assert not consumer.poll(timeout_ms=300)
    for _ in range(100):
        producer.send(topic, b"x" * 100)
    producer.flush()
    assert len(take(consumer, lambda records: len(records) >= 100, seconds=10)) == 100


@pytest.mark.feature("fetch sessions")
@pytest.mark.parametrize("sessions", [True, False])
def test_reading_with_and_without_incremental_fetch_sessions(
    new_topic: MakeTopic, producer: KafkaProducer, new_consumer: MakeConsumer, sessions: bool
) -> None:
    topic = new_topic(partitions=4)
    consumer = new_consumer(topic, enable_incremental_fetch_sessions=sessions)
    seen: list[bytes] = []
    for turn in range(10):
        producer.send(topic, b"%d" % turn, partition=turn % 4).get(10)
        seen += [record.value for record in take(consumer, bool)]
    assert seen == [b"%d" % turn for turn in range(10)]
