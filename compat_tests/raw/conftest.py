"""Connections that are closed at the end of a test, and the few requests that most raw tests begin with."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from compat_tests.brokers import Server
from compat_tests.raw.batches import batch
from compat_tests.raw.wire import Connection, message
from compat_tests.waiting import until

Connect = Callable[[], Connection]


@pytest.fixture
def connect(broker: Server) -> Iterator[Connect]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Connection(broker.port))


@pytest.fixture
def connection(connect: Connect) -> Connection:
    return connect()


@pytest.fixture
def topic_id(connection: Connection, topic: str) -> uuid.UUID:
    return id_of(connection, topic)


def id_of(connection: Connection, topic: str) -> uuid.UUID:
    """The topic's id, once the broker knows the topic and its leaders."""
    request = message("MetadataRequest")

    def known() -> Any:
        asked = request(topics=[request.MetadataRequestTopic(name=topic)], allow_auto_topic_creation=False)
        (found,) = connection.ask(asked, 12).topics
        ready = found.error_code == 0 and all(partition.error_code == 0 for partition in found.partitions)
        return found.topic_id if ready else None

    def led() -> bool:
        """Kafka's metadata may name a leader that does not know of it yet."""
        offsets = message("ListOffsetsRequest")
        part = offsets.ListOffsetsTopic.ListOffsetsPartition(partition_index=0, current_leader_epoch=-1, timestamp=-1)
        asked = offsets(replica_id=-1, topics=[offsets.ListOffsetsTopic(name=topic, partitions=[part])])
        return bool(connection.ask(asked, 5).topics[0].partitions[0].error_code == 0)

    found: uuid.UUID = until(f"topic {topic}", known)
    until(f"the leader of {topic}", led)
    return found


def produce_request(
    topic: str, data: bytes | None, *, topic_id: uuid.UUID | None = None, partition: int = 0, acks: int = -1
) -> Any:
    request = message("ProduceRequest")
    part = request.TopicProduceData.PartitionProduceData(index=partition, records=data)
    topics = [request.TopicProduceData(name=topic, topic_id=topic_id, partition_data=[part])]
    return request(transactional_id=None, acks=acks, timeout_ms=10_000, topic_data=topics)


def produced(answer: Any) -> Any:
    """The only partition's part of a Produce answer."""
    return answer.responses[0].partition_responses[0]


def produce(connection: Connection, topic: str, *values: bytes, data: bytes | None = None, version: int = 9) -> Any:
    return produced(connection.ask(produce_request(topic, data if data is not None else batch(*values)), version))


def fetch_request(
    topic: str,
    offset: int,
    *,
    topic_id: uuid.UUID | None = None,
    partition: int = 0,
    max_wait_ms: int = 2000,
    min_bytes: int = 1,
    max_bytes: int = 50 << 20,
    partition_max_bytes: int = 1 << 20,
    session: tuple[int, int] = (0, -1),
    isolation_level: int = 0,
) -> Any:
    request = message("FetchRequest")
    part = request.FetchTopic.FetchPartition(
        partition=partition, fetch_offset=offset, partition_max_bytes=partition_max_bytes, current_leader_epoch=-1
    )
    return request(
        replica_id=-1,
        max_wait_ms=max_wait_ms,
        min_bytes=min_bytes,
        max_bytes=max_bytes,
        isolation_level=isolation_level,
        session_id=session[0],
        session_epoch=session[1],
        topics=[request.FetchTopic(topic=topic, topic_id=topic_id, partitions=[part])],
    )


def fetched(answer: Any) -> Any:
    """The only partition's part of a Fetch answer."""
    return answer.responses[0].partitions[0]
