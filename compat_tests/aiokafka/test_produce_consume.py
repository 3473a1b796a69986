"""aiokafka writes and reads."""

from __future__ import annotations

import asyncio
import time

import pytest
from aiokafka import TopicPartition

from compat_tests.aiokafka.conftest import Run, consuming, producing, read, take
from compat_tests.conftest import MakeTopic
from compat_tests.moments import LATELY


@pytest.mark.feature("produce and consume")
def test_records_come_back_in_order_with_their_offsets(bootstrap: str, topic: str, run: Run) -> None:
    async def scenario() -> None:
        async with producing(bootstrap, linger_ms=5) as producer:
            sent = [await producer.send(topic, b"%d" % number) for number in range(1000)]
            assert [(await each).offset for each in sent] == list(range(1000))
        assert [int(record.value) for record in await read(bootstrap, topic)] == list(range(1000))

    run(scenario())


@pytest.mark.feature("keys, headers, empty and null values")
def test_keys_values_and_headers_of_every_shape_survive(bootstrap: str, topic: str, run: Run) -> None:
    wanted = [
        (b"k", b"v", []),
        (None, b"v", [("a", b"1"), ("a", b"2"), ("☃", "☃".encode())]),
        (b"", b"", [("empty", b"")]),
        (b"\x00\xff", bytes(range(256)), []),
    ]

    async def scenario() -> None:
        async with producing(bootstrap) as producer:
            for key, value, headers in wanted:
                await producer.send_and_wait(topic, value, key=key, headers=headers)
        found = await read(bootstrap, topic)
        assert [(record.key, record.value, list(record.headers)) for record in found] == wanted

    run(scenario())


@pytest.mark.feature("tombstones")
def test_a_tombstone_is_a_key_without_a_value(bootstrap: str, topic: str, run: Run) -> None:
    async def scenario() -> None:
        async with producing(bootstrap) as producer:
            await producer.send_and_wait(topic, None, key=b"gone")
        (record,) = await read(bootstrap, topic)
        assert (record.key, record.value) == (b"gone", None)

    run(scenario())


@pytest.mark.feature("compression")
@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_compressed_batches_survive(bootstrap: str, topic: str, run: Run, codec: str) -> None:
    values = [b"abc" * 100 + b"%d" % number for number in range(200)]

    async def scenario() -> None:
        async with producing(bootstrap, compression_type=codec, linger_ms=50) as producer:
            await asyncio.gather(*[await producer.send(topic, value) for value in values])
        assert [record.value for record in await read(bootstrap, topic)] == values

    run(scenario())


@pytest.mark.feature("large messages")
def test_a_large_message_goes_through_a_topic_that_allows_it(bootstrap: str, new_topic: MakeTopic, run: Run) -> None:
    topic = new_topic(config={"max.message.bytes": str(12 << 20)})
    value = bytes(range(256)) * (10 << 12)

    async def scenario() -> None:
        async with producing(bootstrap, max_request_size=16 << 20) as producer:
            await producer.send_and_wait(topic, value)
        (record,) = await read(bootstrap, topic)
        assert record.value == value

    run(scenario())


@pytest.mark.feature("acks")
@pytest.mark.parametrize("acks", [0, 1, "all"])
def test_each_kind_of_acknowledgement(bootstrap: str, topic: str, run: Run, acks: int | str) -> None:
    async def scenario() -> None:
        async with producing(bootstrap, acks=acks) as producer:
            for number in range(5):
                await producer.send_and_wait(topic, b"%d" % number)
        async with consuming(bootstrap, topic) as consumer:
            records = await take(consumer, lambda records: len(records) >= 5)
        assert [int(record.value) for record in records] == list(range(5))

    run(scenario())


@pytest.mark.feature("idempotence")
def test_an_idempotent_producer_keeps_order_over_many_batches(bootstrap: str, topic: str, run: Run) -> None:
    async def scenario() -> None:
        async with producing(bootstrap, enable_idempotence=True, max_batch_size=500) as producer:
            sent = [await producer.send(topic, b"%d" % number) for number in range(1000)]
            await asyncio.gather(*sent)
        assert [int(record.value) for record in await read(bootstrap, topic)] == list(range(1000))

    run(scenario())


@pytest.mark.feature("many partitions")
def test_a_topic_of_fifty_partitions(bootstrap: str, new_topic: MakeTopic, run: Run) -> None:
    topic = new_topic(partitions=50)

    async def scenario() -> None:
        async with producing(bootstrap) as producer:
            assert await producer.partitions_for(topic) == set(range(50))
            await asyncio.gather(*[await producer.send(topic, b"%d" % each, partition=each) for each in range(50)])
        async with consuming(bootstrap, topic) as consumer:
            records = await take(consumer, lambda records: len(records) >= 50)
        assert {(record.partition, int(record.value)) for record in records} == {(each, each) for each in range(50)}

    run(scenario())


@pytest.mark.feature("timestamps")
@pytest.mark.parametrize("kind", ["CreateTime", "LogAppendTime"])
def test_the_topic_decides_whose_time_counts(bootstrap: str, new_topic: MakeTopic, run: Run, kind: str) -> None:
    topic = new_topic(config={"message.timestamp.type": kind})
    given, now = LATELY + 123, int(time.time() * 1000)

    async def scenario() -> None:
        async with producing(bootstrap) as producer:
            await producer.send_and_wait(topic, b"v", timestamp_ms=given)
        (record,) = await read(bootstrap, topic)
        if kind == "CreateTime":
            assert (record.timestamp, record.timestamp_type) == (given, 0)
        else:
            assert record.timestamp_type == 1
            assert abs(record.timestamp - now) < 60_000

    run(scenario())


@pytest.mark.feature("seek by time")
def test_offsets_for_times_finds_the_first_record_at_or_after(bootstrap: str, topic: str, run: Run) -> None:
    start = LATELY

    async def scenario() -> None:
        async with producing(bootstrap) as producer:
            for number in range(20):
                await producer.send_and_wait(topic, b"%d" % number, timestamp_ms=start + number * 1000)
        where = TopicPartition(topic, 0)
        async with consuming(bootstrap, topic) as consumer:
            for asked, expected in ((start, 0), (start + 1, 1), (start - 5, 0), (start + 18_001, 19)):
                found = (await consumer.offsets_for_times({where: asked}))[where]
                assert found.offset == expected
                consumer.seek(where, found.offset)
                assert (await take(consumer, bool))[0].offset == expected
            beyond = await consumer.offsets_for_times({where: start + 19_001})
            assert beyond.get(where) is None or beyond[where].offset == -1

    run(scenario())


@pytest.mark.feature("long poll")
def test_a_waiting_consumer_sees_new_records(bootstrap: str, topic: str, run: Run) -> None:
    async def scenario() -> None:
        async with consuming(bootstrap, topic, fetch_max_wait_ms=20_000) as consumer, producing(bootstrap) as producer:
            assert not await consumer.getmany(timeout_ms=300)
            await producer.send_and_wait(topic, b"late")
            assert [record.value for record in await take(consumer, bool, seconds=10)] == [b"late"]

    run(scenario())
