"""The broker under test: Sprawl by default, Apache Kafka if `SPRAWL_COMPAT_TARGET=kafka`.

Both are started over a temporary directory on free ports, with the settings of `SETTINGS` and whatever a test adds.
"""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

import pytest

from tools.bench.kafka_dist import KafkaServer, KafkaUnavailableError, obtain
from tools.bench.sprawl_server import SprawlServer

Server = SprawlServer | KafkaServer

TARGET = os.environ.get("SPRAWL_COMPAT_TARGET", "sprawl")
#: Small and quick, and otherwise what both ship with.
SETTINGS = {
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "8",
    "offsets.topic.replication.factor": "1",
}


def is_kafka() -> bool:
    return TARGET == "kafka"


def server(directory: Path, settings: dict[str, str] | None = None) -> Server:
    """A broker of the kind under test, not started yet."""
    wanted = {**SETTINGS, **(settings or {})}
    if not is_kafka():
        return SprawlServer(directory, settings=wanted)
    try:
        return KafkaServer(obtain(), directory, settings=wanted)
    except KafkaUnavailableError as missing:
        pytest.skip(f"Apache Kafka is the target, but {missing}")


def describe() -> str:
    """Name and version of what is tested."""
    if is_kafka():
        return f"Apache Kafka {obtain().version}"
    return f"Sprawl {importlib.metadata.version('sprawl-broker')}"
