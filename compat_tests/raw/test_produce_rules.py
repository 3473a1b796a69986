"""What a leader accepts and refuses in a Produce request."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from compat_tests.conftest import MakeTopic
from compat_tests.moments import LATELY
from compat_tests.raw.batches import batch, records, spoiled, with_length, with_magic
from compat_tests.raw.conftest import Connection, fetch_request, fetched, id_of, produce, produce_request, produced
from compat_tests.raw.wire import message
from compat_tests.waiting import until

errors = pytest.mark.feature("errors")
idempotence = pytest.mark.feature("idempotence")


def producer_id(connection: Connection) -> int:
    request = message("InitProducerIdRequest")
    fields = {"transactional_id": None, "transaction_timeout_ms": 60_000, "producer_id": -1, "producer_epoch": -1}

    def given() -> Any:
        answer = connection.ask(request(**fields), 4)
        return answer if answer.error_code == 0 else None

    return int(until("a producer id", given).producer_id)


def end_of(connection: Connection, topic: str) -> int:
    topic_id = id_of(connection, topic)
    part = fetched(connection.ask(fetch_request(topic, 0, topic_id=topic_id, max_wait_ms=0), 13))
    return int(part.high_watermark)


@errors
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (spoiled(batch(b"a value to spoil")), {2}),
        (with_magic(batch(b"v"), 1), {2, 87, 76, 43}),
        (with_length(batch(b"v"), 10), {2, 87}),
        (batch(b"v")[:-1], {2, 87}),
        (batch(b"a") + batch(b"b"), {87}),
        (b"", {87, 2, 42}),
        (b"not a batch at all", {2, 87}),
    ],
    ids=["wrong CRC", "magic 1", "short length", "cut off", "two batches", "no bytes", "nonsense"],
)
def test_a_batch_that_is_none_is_refused_and_nothing_is_written(
    connection: Connection, topic: str, data: bytes, expected: set[int]
) -> None:
    id_of(connection, topic)
    answer = produce(connection, topic, data=data)
    assert answer.error_code in expected
    assert answer.base_offset == -1
    assert end_of(connection, topic) == 0
    assert produce(connection, topic, b"good").base_offset == 0, "the connection and the partition go on"


@errors
def test_a_wrong_number_of_acks_is_refused(connection: Connection, topic: str) -> None:
    id_of(connection, topic)
    answer = produced(connection.ask(produce_request(topic, batch(b"v"), acks=5), 9))
    assert answer.error_code == 21


@errors
def test_unknown_topics_and_partitions_are_told(connection: Connection, topic: str) -> None:
    id_of(connection, topic)
    assert produced(connection.ask(produce_request("no-such-topic", batch(b"v")), 9)).error_code == 3
    assert produced(connection.ask(produce_request(topic, batch(b"v"), partition=9), 9)).error_code == 3
    unknown = produce_request("", batch(b"v"), topic_id=uuid.UUID(int=42))
    assert produced(connection.ask(unknown, 13)).error_code == 100


@errors
def test_a_batch_larger_than_the_topic_allows_is_refused(connection: Connection, new_topic: MakeTopic) -> None:
    topic = new_topic(config={"max.message.bytes": "1000"})
    id_of(connection, topic)
    assert produce(connection, topic, b"x" * 2000).error_code == 10
    assert produce(connection, topic, b"small").error_code == 0


@errors
def test_a_timestamp_too_far_in_the_future_is_refused(connection: Connection, new_topic: MakeTopic) -> None:
    topic = new_topic(config={"message.timestamp.after.max.ms": "1000", "message.timestamp.before.max.ms": "1000"})
    id_of(connection, topic)
    for timestamp in (4_000_000_000_000, 1_000_000_000_000):
        assert produce(connection, topic, data=batch(b"v", timestamp=timestamp)).error_code == 32


@pytest.mark.feature("acks")
def test_without_acks_there_is_no_answer(connection: Connection, topic: str) -> None:
    id_of(connection, topic)
    connection.send(produce_request(topic, batch(b"v"), acks=0), 9)
    assert connection.ask(message("ApiVersionsRequest")(), 0).error_code == 0
    until("the record", lambda: end_of(connection, topic) == 1)


@pytest.mark.feature("acks")
def test_without_acks_an_error_closes_the_connection(connection: Connection) -> None:
    connection.send(produce_request("no-such-topic", batch(b"v"), acks=0), 9)
    assert connection.closed_by_broker()


@pytest.mark.feature("timestamps")
@pytest.mark.parametrize("codec", [0, 1], ids=["none", "gzip"])
def test_log_append_time_is_told_and_stamped(connection: Connection, new_topic: MakeTopic, codec: int) -> None:
    topic = new_topic(config={"message.timestamp.type": "LogAppendTime"})
    topic_id = id_of(connection, topic)
    answer = produce(connection, topic, data=batch(b"a", b"b", codec=codec))
    assert answer.log_append_time_ms > LATELY
    found = records(fetched(connection.ask(fetch_request(topic, 0, topic_id=topic_id), 13)).records)
    assert [(each.timestamp, each.timestamp_type, each.value) for each in found] == [
        (answer.log_append_time_ms, 1, b"a"),
        (answer.log_append_time_ms, 1, b"b"),
    ]


@idempotence
def test_a_batch_sent_again_is_acknowledged_with_its_first_offset(connection: Connection, topic: str) -> None:
    id_of(connection, topic)
    who = producer_id(connection)
    sent = [batch(b"x", b"y", producer=(who, 0, sequence)) for sequence in (0, 2, 4, 6, 8)]
    assert [produce(connection, topic, data=each).base_offset for each in sent] == [0, 2, 4, 6, 8]
    for each, offset in zip(sent, (0, 2, 4, 6, 8), strict=True):
        again = produce(connection, topic, data=each)
        assert (again.error_code, again.base_offset) == (0, offset)
    assert end_of(connection, topic) == 10


@idempotence
def test_a_duplicate_older_than_five_batches_is_told_as_such(connection: Connection, topic: str) -> None:
    id_of(connection, topic)
    who = producer_id(connection)
    for sequence in range(7):
        produce(connection, topic, data=batch(b"x", producer=(who, 0, sequence)))
    assert produce(connection, topic, data=batch(b"x", producer=(who, 0, 0))).error_code in (45, 46)
    assert end_of(connection, topic) == 7


@idempotence
def test_a_gap_in_the_sequence_is_refused(connection: Connection, topic: str) -> None:
    id_of(connection, topic)
    who = producer_id(connection)
    assert produce(connection, topic, data=batch(b"x", producer=(who, 0, 0))).error_code == 0
    assert produce(connection, topic, data=batch(b"x", producer=(who, 0, 5))).error_code == 45
    assert produce(connection, topic, data=batch(b"x", producer=(who, 0, 1))).error_code == 0


@idempotence
def test_an_old_epoch_is_fenced_and_a_new_one_begins_at_zero(connection: Connection, topic: str) -> None:
    id_of(connection, topic)
    who = producer_id(connection)
    assert produce(connection, topic, data=batch(b"x", producer=(who, 3, 0))).error_code == 0
    assert produce(connection, topic, data=batch(b"x", producer=(who, 2, 1))).error_code == 47
    assert produce(connection, topic, data=batch(b"x", producer=(who, 4, 9))).error_code == 45
    assert produce(connection, topic, data=batch(b"x", producer=(who, 4, 0))).error_code == 0


@idempotence
def test_sequences_wrap_around_after_the_greatest_integer(connection: Connection, topic: str) -> None:
    id_of(connection, topic)
    who = producer_id(connection)
    greatest = 2**31 - 1
    # A producer that is not known may begin anywhere (KAFKA-5793); the one after the greatest is 0.
    assert produce(connection, topic, data=batch(b"x", producer=(who, 0, greatest))).error_code == 0
    assert produce(connection, topic, data=batch(b"x", producer=(who, 0, 0))).error_code == 0
