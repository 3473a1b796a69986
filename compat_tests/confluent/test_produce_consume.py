"""librdkafka writes and reads."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from compat_tests.confluent.conftest import MakeConsumer, Produce, Read, read_to_end, take
from compat_tests.conftest import MakeTopic, StartBroker, create_topic
from compat_tests.moments import LATELY


@pytest.mark.feature("produce and consume")
def test_records_come_back_in_order_with_their_offsets(topic: str, produce: Produce, read: Read) -> None:
    sent = produce(topic, [{"value": b"%d" % number} for number in range(5000)])
    assert [message.offset() for message in sent] == list(range(5000))
    records = read(topic)
    assert [(record.offset(), int(record.value())) for record in records] == [(each, each) for each in range(5000)]


@pytest.mark.feature("produce and consume")
def test_a_waiting_consumer_sees_new_records(topic: str, produce: Produce, new_consumer: MakeConsumer) -> None:
    consumer = new_consumer()
    consumer.assign([TopicPartition(topic, 0, 0)])
    assert consumer.poll(0.5) is None
    produce(topic, [{"value": b"late"}])
    assert [message.value() for message in take(consumer, bool)] == [b"late"]


@pytest.mark.feature("keys, headers, empty and null values")
@pytest.mark.parametrize(
    ("key", "value"),
    [(b"k", b"v"), (None, b"v"), (b"", b""), (b"k", b""), (None, None), (b"\x00\xff", bytes(range(256)))],
)
def test_keys_and_values_of_every_shape_survive(
    topic: str, produce: Produce, read: Read, key: bytes | None, value: bytes | None
) -> None:
    produce(topic, [{"key": key, "value": value}])
    (record,) = read(topic)
    assert (record.key(), record.value()) == (key, value)


@pytest.mark.feature("keys, headers, empty and null values")
def test_headers_keep_order_duplicates_and_nulls(topic: str, produce: Produce, read: Read) -> None:
    headers = [("a", b"1"), ("a", b"2"), ("empty", b""), ("null", None), ("☃", "☃".encode())]
    produce(topic, [{"value": b"v", "headers": headers}])
    (record,) = read(topic)
    assert record.headers() == headers


@pytest.mark.feature("tombstones")
def test_a_tombstone_is_a_key_without_a_value(topic: str, produce: Produce, read: Read) -> None:
    produce(topic, [{"key": b"gone", "value": None}])
    (record,) = read(topic)
    assert (record.key(), record.value()) == (b"gone", None)


@pytest.mark.feature("compression")
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_survive(topic: str, produce: Produce, read: Read, codec: str) -> None:
    values = [b"abc" * 100 + b"%d" % number for number in range(500)]
    produce(topic, [{"value": value} for value in values], {"compression.type": codec, "linger.ms": 100})
    assert [record.value() for record in read(topic)] == values


@pytest.mark.feature("compression")
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd", "uncompressed"])
def test_the_topic_may_ask_for_a_codec_of_its_own(
    new_topic: MakeTopic, produce: Produce, read: Read, codec: str
) -> None:
    topic = new_topic(config={"compression.type": codec})
    values = [b"abc" * 100 + b"%d" % number for number in range(100)]
    produce(topic, [{"value": value} for value in values], {"compression.type": "gzip", "linger.ms": 100})
    assert [record.value() for record in read(topic)] == values


@pytest.mark.feature("large messages")
def test_a_large_message_goes_through_a_topic_that_allows_it(
    new_topic: MakeTopic, produce: Produce, read: Read
) -> None:
    topic = new_topic(config={"max.message.bytes": str(12 << 20)})
    value = bytes(range(256)) * (10 << 12)
    produce(topic, [{"value": b"before"}, {"value": value}, {"value": b"after"}], {"message.max.bytes": 16 << 20})
    records = read(topic, fetch_message_max_bytes=1000)
    assert [record.value() for record in records] == [b"before", value, b"after"]


@pytest.mark.feature("acks")
@pytest.mark.parametrize("acks", ["0", "1", "all"])
def test_each_kind_of_acknowledgement(topic: str, produce: Produce, new_consumer: MakeConsumer, acks: str) -> None:
    produce(topic, [{"value": b"%d" % number} for number in range(100)], {"acks": acks})
    consumer = new_consumer()
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = take(consumer, lambda messages: len(messages) >= 100)
    assert [int(message.value()) for message in messages] == list(range(100))


@pytest.mark.feature("idempotence")
def test_an_idempotent_producer_keeps_order_over_many_batches(
    new_topic: MakeTopic, produce: Produce, read: Read
) -> None:
    topic = new_topic(partitions=3)
    records = [{"value": b"%d" % number, "partition": number % 3} for number in range(6000)]
    produce(topic, records, {"enable.idempotence": True, "batch.num.messages": 20, "linger.ms": 0})
    for partition in range(3):
        assert [int(record.value()) for record in read(topic, partition)] == list(range(partition, 6000, 3))


@pytest.mark.feature("pipelining")
def test_many_requests_in_flight_are_answered_in_order(topic: str, produce: Produce) -> None:
    settings = {"batch.num.messages": 1, "max.in.flight.requests.per.connection": 50, "linger.ms": 0}
    sent = produce(topic, [{"value": b"%d" % number} for number in range(500)], settings)
    assert [message.offset() for message in sent] == list(range(500))


@pytest.mark.feature("many partitions")
def test_a_topic_of_two_hundred_partitions(new_topic: MakeTopic, produce: Produce, new_consumer: MakeConsumer) -> None:
    topic = new_topic(partitions=200)
    produce(topic, [{"value": b"%d" % each, "partition": each} for each in range(200)])
    consumer = new_consumer()
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(200)])
    messages = take(consumer, lambda messages: len(messages) >= 200)
    assert {(message.partition(), int(message.value())) for message in messages} == {
        (each, each) for each in range(200)
    }


@pytest.mark.feature("timestamps")
def test_create_time_is_what_the_producer_said(topic: str, produce: Produce, read: Read) -> None:
    produce(topic, [{"value": b"v", "timestamp": LATELY + 123}])
    (record,) = read(topic)
    assert record.timestamp() == (TIMESTAMP_CREATE_TIME, LATELY + 123)


@pytest.mark.feature("timestamps")
def test_log_append_time_is_the_brokers(new_topic: MakeTopic, produce: Produce, read: Read) -> None:
    topic = new_topic(config={"message.timestamp.type": "LogAppendTime"})
    before = int(time.time() * 1000)
    produce(topic, [{"value": b"v", "timestamp": LATELY + 123}] * 10, {"compression.type": "lz4"})
    records = read(topic)
    assert len(records) == 10
    for record in records:
        kind, timestamp = record.timestamp()
        assert kind == TIMESTAMP_LOG_APPEND_TIME
        assert before - 1000 <= timestamp <= int(time.time() * 1000) + 1000


@pytest.mark.feature("seek")
def test_a_consumer_seeks_to_any_offset(topic: str, produce: Produce, new_consumer: MakeConsumer) -> None:
    produce(topic, [{"value": b"%d" % number} for number in range(100)], {"batch.num.messages": 10})
    consumer = new_consumer()
    consumer.assign([TopicPartition(topic, 0, 0)])
    take(consumer, bool)
    for offset in (55, 0, 99, 7):
        consumer.seek(TopicPartition(topic, 0, offset))
        assert take(consumer, bool)[0].offset() == offset
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (0, 100)


@pytest.mark.feature("seek by time")
def test_offsets_for_times_finds_the_first_record_at_or_after(
    topic: str, produce: Produce, new_consumer: MakeConsumer
) -> None:
    start = LATELY
    records = [{"value": b"%d" % number, "timestamp": start + number * 1000} for number in range(50)]
    produce(topic, records, {"batch.num.messages": 7})
    consumer = new_consumer()
    for asked, expected in ((start, 0), (start + 1, 1), (start + 10_000, 10), (start - 5, 0), (start + 48_001, 49)):
        (found,) = consumer.offsets_for_times([TopicPartition(topic, 0, asked)], timeout=10)
        assert found.offset == expected, f"asked for {asked}"
    (beyond,) = consumer.offsets_for_times([TopicPartition(topic, 0, start + 49_001)], timeout=10)
    assert beyond.offset == -1


@pytest.mark.feature("fetch sessions")
def test_a_session_follows_partitions_that_are_added_and_dropped(
    new_topic: MakeTopic, produce: Produce, new_consumer: MakeConsumer
) -> None:
    topic = new_topic(partitions=3)
    consumer = new_consumer()
    for turn in range(9):
        consumer.assign([TopicPartition(topic, turn % 3, turn // 3)])
        produce(topic, [{"value": b"%d" % turn, "partition": turn % 3}])
        assert [int(message.value()) for message in take(consumer, bool)] == [turn]


@pytest.mark.feature("long poll")
def test_a_hundred_round_trips_are_quick(bootstrap: str, topic: str, new_consumer: MakeConsumer) -> None:
    """A consumer that waits is woken by the append, not by a timer: 100 echoes take far less than 100 x the wait."""
    consumer = new_consumer(fetch_wait_max_ms=5000)
    consumer.assign([TopicPartition(topic, 0, 0)])
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0})
    started = time.monotonic()
    for number in range(100):
        producer.produce(topic, b"%d" % number)
        producer.poll(0)
        message = consumer.poll(10)
        assert message is not None, f"echo {number} was lost"
        assert int(message.value()) == number
    producer.flush(10)
    assert time.monotonic() - started < 30


@pytest.mark.feature("restart")
def test_everything_is_there_after_a_clean_restart(start_broker: StartBroker, new_name: Callable[[], str]) -> None:
    broker = start_broker()
    topic = create_topic(
        AdminClient({"bootstrap.servers": broker.bootstrap}), new_name(), 2, {"retention.ms": "86400000"}
    )
    producer = Producer({"bootstrap.servers": broker.bootstrap, "compression.type": "zstd"})
    for number in range(1000):
        producer.produce(topic, b"%d" % number, partition=number % 2)
    assert producer.flush(20) == 0
    settings = {"bootstrap.servers": broker.bootstrap, "group.id": "kept", "enable.auto.commit": False}
    consumer = Consumer(settings)
    consumer.commit(offsets=[TopicPartition(topic, 0, 123)], asynchronous=False)
    consumer.close()
    broker.stop()
    broker.start()
    consumer = Consumer(settings)
    for partition in range(2):
        records = read_to_end(consumer, topic, partition)
        assert [int(record.value()) for record in records] == list(range(partition, 1000, 2))
    (kept,) = consumer.committed([TopicPartition(topic, 0)], timeout=20)
    assert kept.offset == 123
    consumer.close()
