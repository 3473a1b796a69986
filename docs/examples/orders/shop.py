"""A small application: orders go in, and are counted by customer. Its tests are in test_shop.py."""

from __future__ import annotations

import json
from collections import Counter

from kafka import KafkaConsumer, KafkaProducer


def place(bootstrap_servers: str, topic: str, orders: list[dict[str, str]]) -> None:
    """Write the orders; returns once all of them are safe."""
    with KafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", retry_backoff_ms=50) as producer:
        sent = [producer.send(topic, json.dumps(order).encode(), order["customer"].encode()) for order in orders]
        for one in sent:
            one.get(timeout=20)


def count(bootstrap_servers: str, topic: str, group: str, expected: int) -> Counter[str]:
    """Read so many orders, and commit that they were read."""
    consumer = KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        consumer_timeout_ms=20_000,
        retry_backoff_ms=50,
    )
    try:
        found: Counter[str] = Counter()
        for _, message in zip(range(expected), consumer, strict=False):
            found[json.loads(message.value)["customer"]] += 1
        consumer.commit()
        return found
    finally:
        consumer.close(timeout_ms=2000)
