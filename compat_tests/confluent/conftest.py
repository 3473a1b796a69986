"""Producers and consumers of confluent-kafka, and the reading of a topic to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from compat_tests.waiting import Deadline

Read = Callable[..., list[Message]]
MakeConsumer = Callable[..., Consumer]
Produce = Callable[..., list[Message]]


@pytest.fixture
def closing_all() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def new_consumer(bootstrap: str, closing_all: ExitStack, new_name: Callable[[], str]) -> MakeConsumer:
    def create(**settings: Any) -> Consumer:
        wanted = {"group.id": new_name(), "auto.offset.reset": "earliest", "enable.auto.commit": False}
        wanted |= {name.replace("_", "."): value for name, value in settings.items()}
        consumer = Consumer({"bootstrap.servers": bootstrap, **wanted})
        closing_all.callback(consumer.close)
        return consumer

    return create


@pytest.fixture
def produce(bootstrap: str) -> Produce:
    """Sends `records` (keyword arguments of `Producer.produce`) to a topic; gives the delivered messages in the order
    sent."""

    def send(topic: str, records: list[dict[str, Any]], settings: dict[str, Any] | None = None) -> list[Message]:
        producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, **(settings or {})})
        delivered: dict[int, Message] = {}

        def report(number: int) -> Callable[[Any, Message], None]:
            def done(error: Any, message: Message) -> None:
                if error is None:
                    delivered[number] = message
                else:
                    failures.append(error)

            return done

        failures: list[Any] = []
        for number, record in enumerate(records):
            producer.produce(topic, on_delivery=report(number), **record)
            producer.poll(0)
        left = producer.flush(30)
        if failures:
            raise KafkaException(failures[0])
        assert left == 0, f"{left} records were never answered"
        return [delivered[number] for number in range(len(records))]

    return send


@pytest.fixture
def read(new_consumer: MakeConsumer) -> Read:
    """Every record of one partition from its start to the end it has now."""

    def read_partition(topic: str, partition: int = 0, **settings: Any) -> list[Message]:
        return read_to_end(new_consumer(**settings), topic, partition)

    return read_partition


def read_to_end(consumer: Consumer, topic: str, partition: int = 0) -> list[Message]:
    where = TopicPartition(topic, partition, 0)
    low, high = consumer.get_watermark_offsets(where, timeout=20)
    where.offset = low
    consumer.assign([where])
    if low == high:
        return []
    return take(consumer, lambda messages: bool(messages) and messages[-1].offset() >= high - 1)


def take(consumer: Consumer, enough: Callable[[list[Message]], bool], seconds: float = 30.0) -> list[Message]:
    """Polls until `enough(messages)`; an error message is raised."""
    deadline = Deadline(seconds)
    messages: list[Message] = []
    while not enough(messages):
        assert not deadline.over, f"only {len(messages)} records within {seconds:.0f} s"
        for message in consumer.consume(10_000, timeout=0.2):
            if message.error():
                raise KafkaException(message.error())
            messages.append(message)
    return messages
