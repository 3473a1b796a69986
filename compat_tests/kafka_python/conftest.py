"""Producers, consumers and an admin client of kafka-python that are closed at the end of each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient

from compat_tests.waiting import Deadline

#: Long enough for a whole rebalance: kafka-python 3.0.12 stops its heartbeats for good if `poll` times out between the
#: answers of JoinGroup and SyncGroup. A poll returns as soon as there are records.
POLL_MS = 1000
MakeProducer = Callable[..., KafkaProducer]
MakeConsumer = Callable[..., KafkaConsumer]


@pytest.fixture
def closing_all() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def new_producer(bootstrap: str, closing_all: ExitStack) -> MakeProducer:
    def create(**settings: Any) -> KafkaProducer:
        return closing_all.enter_context(closing(KafkaProducer(bootstrap_servers=bootstrap, **settings)))

    return create


@pytest.fixture
def new_consumer(bootstrap: str, closing_all: ExitStack) -> MakeConsumer:
    def create(*topics: str, **settings: Any) -> KafkaConsumer:
        wanted = {"auto_offset_reset": "earliest", **settings}
        return closing_all.enter_context(closing(KafkaConsumer(*topics, bootstrap_servers=bootstrap, **wanted)))

    return create


@pytest.fixture
def producer(new_producer: MakeProducer) -> KafkaProducer:
    return new_producer()


@pytest.fixture
def kadmin(bootstrap: str, closing_all: ExitStack) -> KafkaAdminClient:
    return closing_all.enter_context(closing(KafkaAdminClient(bootstrap_servers=bootstrap)))


@pytest.fixture
def read_all(new_consumer: MakeConsumer) -> Callable[..., list[Any]]:
    """Reads every record of a topic's partition, from the start to the end it has now."""

    def read(topic: str, partition: int = 0, **settings: Any) -> list[Any]:
        consumer = new_consumer(**settings)
        where = TopicPartition(topic, partition)
        consumer.assign([where])
        consumer.seek_to_beginning(where)
        end = consumer.end_offsets([where])[where]
        return take(consumer, lambda _: consumer.position(where) >= end)

    return read


def take(consumer: KafkaConsumer, enough: Callable[[list[Any]], bool], seconds: float = 30.0) -> list[Any]:
    """Polls until `enough(records)`."""
    deadline, records = Deadline(seconds), []
    while not enough(records):
        assert not deadline.over, f"only {len(records)} records within {seconds:.0f} s"
        for batch in consumer.poll(timeout_ms=POLL_MS).values():
            records.extend(batch)
    return records
