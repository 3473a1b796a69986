"""A table in a topic: of each key the newest record is left, and every client reads it to its end."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition as AioPartition
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer
from kafka import TopicPartition as PyPartition

from compat_tests import brokers
from compat_tests.waiting import until
from tools.bench.kafka_dist import KafkaUnavailableError, obtain

RECORDS, KEYS, DEADLINE = 3_000, 40, 90.0
TABLE = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.01",
    "internal.segment.bytes": "20000",
    "delete.retention.ms": "100",
    "compression.type": "producer",
}
Table = dict[str, str]
Reader = Callable[[str, str], list[tuple[str, str | None]]]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[brokers.Server]:
    settings = {"log.cleaner.backoff.ms": "100"}
    with brokers.server(tmp_path_factory.mktemp("compaction"), settings) as running:
        yield running


@pytest.fixture(scope="module")
def table(broker: brokers.Server) -> Table:
    """What is in the topic `table`, once it is compacted: 3,000 changes of 40 keys, and 10 of them deleted."""
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    admin.create_topics([NewTopic("table", 1, 1, config=TABLE)])["table"].result(30)
    known = _write(broker.bootstrap)
    reads = read_confluent(broker.bootstrap, "table")
    assert len(reads) <= RECORDS + 10
    until("the topic is compacted", lambda: _is_compacted(broker.bootstrap), DEADLINE)
    return known


def _write(bootstrap: str) -> Table:
    rng, known = random.Random(3), {}
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 1})
    for n in range(RECORDS):
        key, value = f"key{rng.randrange(KEYS)}", f"{n} " + "x" * rng.randrange(100)
        producer.produce("table", value, key)
        known[key] = value
        if n % 20 == 0:
            producer.flush(DEADLINE)
    for n in range(10):
        producer.produce("table", None, f"key{n}")
        del known[f"key{n}"]
    for n in range(200):  # so that all of the above is in closed segments
        producer.produce("table", "y" * 300, f"last{n % 2}")
        producer.flush(DEADLINE)
    known |= {"last0": "y" * 300, "last1": "y" * 300}
    assert producer.flush(DEADLINE) == 0
    return known


def _is_compacted(bootstrap: str) -> bool:
    return len(read_confluent(bootstrap, "table")) < 5 * KEYS


def read_confluent(bootstrap: str, topic: str) -> list[tuple[str, str | None]]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "none", "enable.partition.eof": True})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[tuple[str, str | None]] = []
    end = time.monotonic() + DEADLINE
    while True:
        assert time.monotonic() < end, "the end was not reached"
        message = consumer.poll(1.0)
        if message is None:
            continue
        if (error := message.error()) is not None:
            if error.code() == KafkaError._PARTITION_EOF:
                consumer.close()
                return found
            raise KafkaException(error)
        key, value = message.key(), message.value()
        assert key is not None
        found.append((key.decode(), None if value is None else value.decode()))


def read_kafka_python(bootstrap: str, topic: str) -> list[tuple[str, str | None]]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, group_id=None, auto_offset_reset="none")
    here = PyPartition(topic, 0)
    consumer.assign([here])
    consumer.seek(here, 0)
    last, found = consumer.end_offsets([here])[here], []
    end = time.monotonic() + DEADLINE
    while consumer.position(here) < last:
        assert time.monotonic() < end, "the end was not reached"
        found += [_text(each.key, each.value) for each in consumer.poll(1000).get(here, [])]
    consumer.close()
    return found


def read_aiokafka(bootstrap: str, topic: str) -> list[tuple[str, str | None]]:
    async def read() -> list[tuple[str, str | None]]:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="none")
        await consumer.start()
        try:
            here = AioPartition(topic, 0)
            consumer.assign([here])
            consumer.seek(here, 0)
            last, found = (await consumer.end_offsets([here]))[here], []
            async with asyncio.timeout(DEADLINE):
                while await consumer.position(here) < last:
                    batch = await consumer.getmany(here, timeout_ms=1000)
                    found += [_text(each.key, each.value) for each in batch.get(here, [])]
            return found
        finally:
            await consumer.stop()

    return asyncio.run(read())


def read_kcat(bootstrap: str, topic: str) -> list[tuple[str, str | None]]:
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed")
    told = subprocess.run(
        ["kcat", "-C", "-b", bootstrap, "-t", topic, "-p", "0", "-o", "beginning", "-e", "-q", "-Z", "-f", "%k\t%s\n"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    ).stdout
    return [_line(each) for each in told.splitlines()]


def read_java(bootstrap: str, topic: str) -> list[tuple[str, str | None]]:
    try:
        kafka = obtain()
    except KafkaUnavailableError as missing:
        pytest.skip(str(missing))
    options = ["--bootstrap-server", bootstrap, "--topic", topic, "--from-beginning", "--timeout-ms", "8000"]
    shown = ["--formatter-property", "print.key=true", "--formatter-property", "null.literal=NULL"]
    command = kafka.command("org.apache.kafka.tools.consumer.ConsoleConsumer", *options, *shown)
    told = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=False).stdout
    return [_line(each) for each in told.splitlines() if "\t" in each]


def _text(key: bytes, value: bytes | None) -> tuple[str, str | None]:
    return key.decode(), None if value is None else value.decode()


def _line(line: str) -> tuple[str, str | None]:
    key, value = line.split("\t", 1)
    return key, None if value == "NULL" else value


@pytest.mark.parametrize("read", [read_confluent, read_kafka_python, read_aiokafka, read_kcat, read_java])
@pytest.mark.timeout(400, func_only=True)
def test_every_client_reads_the_table_to_its_end(broker: brokers.Server, table: Table, read: Reader) -> None:
    found = read(broker.bootstrap, "table")
    assert len(found) < 5 * KEYS, "compacted"
    assert {key: value for key, value in dict(found).items() if value is not None} == table


@pytest.mark.timeout(400, func_only=True)
def test_the_table_outlives_a_kill_and_deleted_keys_leave_nothing(broker: brokers.Server, table: Table) -> None:
    broker.kill()
    broker.start()
    producer = Producer({"bootstrap.servers": broker.bootstrap})

    def deleted_are_gone() -> bool:
        for n in range(100):
            producer.produce("table", "y" * 300, f"last{n % 2}")
            producer.flush(DEADLINE)
        found = read_confluent(broker.bootstrap, "table")
        assert {key: value for key, value in dict(found).items() if value is not None} == table
        return not any(key in {f"key{n}" for n in range(10)} for key, _ in found)

    until("tombstones are past their time", deleted_are_gone, DEADLINE)


def test_what_a_compacted_topic_refuses(broker: brokers.Server, table: Table) -> None:
    del table
    told: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce("table", "no key", on_delivery=lambda error, _: told.append(error))
    assert producer.flush(DEADLINE) == 0
    assert told[0] is not None and told[0].code() == KafkaError.INVALID_RECORD
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    with pytest.raises(KafkaException) as refused:
        admin.delete_records([TopicPartition("table", 0, 10)])[TopicPartition("table", 0)].result(DEADLINE)
    assert refused.value.args[0].code() == KafkaError.POLICY_VIOLATION
