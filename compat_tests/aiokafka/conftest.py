"""aiokafka's producers and consumers as async context managers, and what reads a topic to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from compat_tests.waiting import Deadline

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture
def run() -> Run:
    return asyncio.run


@asynccontextmanager
async def producing(bootstrap: str, **settings: Any) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, **settings)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def consuming(bootstrap: str, *topics: str, **settings: Any) -> AsyncIterator[AIOKafkaConsumer]:
    wanted = {"auto_offset_reset": "earliest", "enable_auto_commit": False, **settings}
    consumer = AIOKafkaConsumer(*topics, bootstrap_servers=bootstrap, **wanted)
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


async def take(
    consumer: AIOKafkaConsumer, enough: Callable[[list[ConsumerRecord]], bool], seconds: float = 30.0
) -> list[ConsumerRecord]:
    deadline, records = Deadline(seconds), []
    while not enough(records):
        assert not deadline.over, f"only {len(records)} records within {seconds:.0f} s"
        for batch in (await consumer.getmany(timeout_ms=200)).values():
            records.extend(batch)
    return records


async def read(bootstrap: str, topic: str, partition: int = 0) -> list[ConsumerRecord]:
    where = TopicPartition(topic, partition)
    async with consuming(bootstrap) as consumer:
        consumer.assign([where])
        await consumer.seek_to_beginning(where)
        end = (await consumer.end_offsets([where]))[where]
        return await take(consumer, lambda records: end == 0 or (bool(records) and records[-1].offset >= end - 1))
