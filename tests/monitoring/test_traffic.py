"""What is counted of the requests that pass."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from sprawl.handlers.context import RequestContext
from sprawl.monitoring.traffic import SAMPLED, Traffic
from sprawl.observability.metrics import OTHER, Registry
from sprawl.quorum.image import MetadataImage, TopicImage
from sprawl.security.access import ANONYMOUS
from sprawl.security.peers import PeerIdentity
from sprawl.wire.dispatch import Later
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    MetadataRequest,
    PartitionData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceResponse,
)
from sprawl_protocol.records import Record, build_batch

TOPIC_ID = UUID(int=7)


@dataclass
class Led:
    """As a partition counts."""

    topic: str = "orders"
    topic_id: UUID = TOPIC_ID
    index: int = 0
    appends: int = 0
    records_in: int = 0
    bytes_in: int = 0

    def append(self) -> None:
        self.appends += 1
        self.records_in += 3
        self.bytes_in += len(THREE)


ORDERS = TopicImage("orders", TOPIC_ID, (), internal=False)
IMAGE = MetadataImage("cluster", topics={"orders": ORDERS}, topics_by_id={ORDERS.id: ORDERS})

THREE = build_batch([Record(at, 0, None, b"x", []) for at in range(3)])


class World:
    def __init__(self, key: ApiKey, answer: Any) -> None:
        self.registry = Registry()
        self.now = 0.0
        self.partitions: list[Any] = []
        self.traffic = Traffic(self.registry, lambda: IMAGE, lambda: self.partitions, lambda: self.now)
        self.answer = answer
        self.routes: dict[ApiKey, Any] = {key: lambda context, request: self._answered()}
        self.traffic.count(self.routes)
        self.handle = self.routes[key]

    def _answered(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer() if callable(self.answer) else self.answer

    def value(self, metric: str, labels: str) -> float:
        return {(name, pairs): number for _, name, pairs, number in self.registry.samples()}[(metric, labels)]


def context(peer: PeerIdentity | None = None) -> RequestContext:
    return RequestContext(12, "client", "127.0.0.1", ANONYMOUS, "PLAINTEXT", 1, peer=peer)


def test_records_that_came_in_are_counted_by_the_partitions_and_stay_counted_when_those_go() -> None:
    world = World(ApiKey.PRODUCE, Later)
    first, second = Led(index=0), Led(index=1)
    world.partitions = [first, second]
    for each in (first, first, second):
        each.append()
    assert world.value("kafka_server_brokertopicmetrics_messagesin_total", 'topic="orders"') == 9
    world.partitions = [Led(index=0)]  # opened anew; the other one has moved away
    assert world.value("kafka_server_brokertopicmetrics_messagesin_total", 'topic="orders"') == 9
    world.partitions[0].append()
    assert world.value("kafka_server_brokertopicmetrics_bytesin_total", 'topic="orders"') == 4 * len(THREE)
    assert world.value("kafka_server_brokertopicmetrics_totalproducerequests_total", 'topic="orders"') == 4


def test_appends_that_are_refused_are_counted_by_topic() -> None:
    partitions = [PartitionProduceResponse(index=0), PartitionProduceResponse(index=1, error_code=6)]
    answer = ProduceResponse(responses=[TopicProduceResponse(topic_id=ORDERS.id, partition_responses=partitions)])
    world = World(ApiKey.PRODUCE, answer)
    for _ in range(2):
        assert world.handle(context(), ProduceRequest()) is answer
    assert world.value("kafka_server_brokertopicmetrics_failedproducerequests_total", 'topic="orders"') == 2


def test_topics_that_do_not_exist_are_counted_together() -> None:
    partitions = [PartitionProduceResponse(index=0, error_code=3)]
    answers = [TopicProduceResponse(name=f"guess-{at}", partition_responses=partitions) for at in range(5)]
    world = World(ApiKey.PRODUCE, ProduceResponse(responses=answers))
    world.handle(context(), ProduceRequest())
    assert set(world.traffic.topics) == {OTHER}


def test_deleted_topics_are_forgotten() -> None:
    world = World(ApiKey.PRODUCE, Later)
    world.partitions = [Led(appends=1)]
    assert world.traffic.look()
    world.traffic.forget_deleted(MetadataImage("cluster"))
    assert not world.traffic.topics


async def test_what_followers_fetch_is_counted_apart() -> None:
    partitions = [PartitionData(partition_index=0, records=THREE), PartitionData(partition_index=1, error_code=6)]
    answer = FetchResponse(responses=[FetchableTopicResponse(topic_id=ORDERS.id, partitions=partitions)])

    async def later() -> FetchResponse:
        return answer

    world = World(ApiKey.FETCH, later)
    assert await world.handle(context(), FetchRequest()) is answer
    assert world.value("kafka_server_brokertopicmetrics_bytesout_total", 'topic="orders"') == len(THREE)
    assert world.value("kafka_server_brokertopicmetrics_failedfetchrequests_total", 'topic="orders"') == 1
    await world.handle(context(PeerIdentity(2, "d", "c")), FetchRequest())
    assert world.value("kafka_server_brokertopicmetrics_bytesout_total", 'topic="orders"') == len(THREE)
    assert world.value("kafka_server_brokertopicmetrics_replicationbytesout_total", "") == len(THREE)


async def test_one_request_of_many_is_timed_however_it_is_answered() -> None:
    given = Later()
    for answer in (given, lambda: asyncio.sleep(0)):
        world = World(ApiKey.METADATA, answer)
        result = world.handle(context(), MetadataRequest())
        world.now = 2.0
        if answer is given:
            heard: list[object] = []
            result.when_settled(heard.append)
            given.settle(None)
            assert heard == [None], "the answer is handed on"
        else:
            await result
        assert world.value("sprawl_request_seconds_sum", 'request="Metadata"') == 2.0
        world.answer = None
        for _ in range(SAMPLED):
            world.handle(context(), MetadataRequest())
        assert world.value("sprawl_request_seconds_count", 'request="Metadata"') == 2
        assert world.value("kafka_network_requestmetrics_requests_total", 'request="Metadata"') == SAMPLED + 1


def test_refusals_are_counted_and_raised_as_before() -> None:
    world = World(ApiKey.METADATA, ApiError(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, "no"))
    for _ in range(2):
        with pytest.raises(ApiError):
            world.handle(context(), MetadataRequest())
    assert world.value("sprawl_requests_refused_total", 'request="Metadata"') == 2
