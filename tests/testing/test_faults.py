"""Faults on order, as clients meet them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from kafka import KafkaProducer
from kafka.errors import KafkaError

from sprawl.testing import Cluster
from sprawl.testing.refusals import CANNOT_REFUSE, refusal
from sprawl_protocol.api import ApiKey
from sprawl_protocol.framing import frame_response
from sprawl_protocol.messages import (
    REQUESTS,
    AddPartitionsToTxnTopic,
    CreatableTopic,
    CreatePartitionsTopic,
    CreateTopicsRequest,
    DeleteRecordsPartition,
    DeleteRecordsTopic,
    DeleteTopicState,
    FetchPartition,
    FetchTopic,
    ListOffsetsPartition,
    ListOffsetsTopic,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetForLeaderPartition,
    OffsetForLeaderTopic,
    PartitionProduceData,
    TopicProduceData,
    TxnOffsetCommitRequestPartition,
    TxnOffsetCommitRequestTopic,
)

TOPIC = "words"


@pytest.fixture(scope="module")
def shared() -> Iterator[Cluster]:
    with Cluster(in_memory=True) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared: Cluster) -> Iterator[Cluster]:
    shared.create_topic(TOPIC)
    yield shared
    shared.faults.clear()
    shared.delete_topic(TOPIC)


def produce(cluster: Cluster, value: bytes, topic: str = TOPIC, **settings: object) -> None:
    with KafkaProducer(bootstrap_servers=cluster.bootstrap_servers, retry_backoff_ms=20, **settings) as producer:
        producer.send(topic, value).get(timeout=20)


def everything(cluster: Cluster, topic: str = TOPIC) -> list[bytes]:
    """What there is now, read to the end."""

    async def read() -> list[bytes]:
        consumer = AIOKafkaConsumer(bootstrap_servers=cluster.bootstrap_servers, auto_offset_reset="earliest")
        async with consumer:
            partition = TopicPartition(topic, 0)
            consumer.assign([partition])
            end = (await consumer.end_offsets([partition]))[partition]
            await consumer.seek_to_beginning(partition)
            found: list[bytes] = []
            while len(found) < end:
                found.append((await asyncio.wait_for(consumer.getone(), 20)).value)
            return found

    return asyncio.run(read())


def test_the_next_three_produces_are_refused_and_the_fourth_is_not(cluster: Cluster) -> None:
    fault = cluster.faults.fail("Produce", "NOT_LEADER_OR_FOLLOWER", times=3)
    produce(cluster, b"one")
    assert fault.hits == 3
    assert cluster.faults.ordered == ()
    assert everything(cluster) == [b"one"]


def test_an_error_without_remedy_reaches_the_caller(cluster: Cluster) -> None:
    with cluster.faults.fail("Produce", "TOPIC_AUTHORIZATION_FAILED", times=None), pytest.raises(KafkaError):
        produce(cluster, b"one")
    produce(cluster, b"two")
    assert everything(cluster) == [b"two"]


def test_a_fault_holds_for_its_topic_node_and_client_only(cluster: Cluster) -> None:
    cluster.create_topic("other")
    others = [
        cluster.faults.fail("Produce", "UNKNOWN_SERVER_ERROR", topic="other"),
        cluster.faults.fail("Produce", "UNKNOWN_SERVER_ERROR", node=2),
        cluster.faults.fail("Produce", "UNKNOWN_SERVER_ERROR", client_id="somebody else"),
        cluster.faults.fail("Fetch", "UNKNOWN_SERVER_ERROR", topic="other"),
    ]
    produce(cluster, b"one")
    assert everything(cluster) == [b"one"]
    assert [fault.hits for fault in others] == [0, 0, 0, 0]
    with pytest.raises(KafkaError):
        produce(cluster, b"two", "other", retries=0, enable_idempotence=False)
    assert [fault.hits for fault in others] == [1, 0, 0, 0]
    cluster.delete_topic("other")


def test_a_request_that_is_dropped_is_not_carried_out(cluster: Cluster) -> None:
    fault = cluster.faults.drop("Produce")
    with pytest.raises(KafkaError):
        produce(cluster, b"lost", retries=0, enable_idempotence=False)
    assert fault.hits == 1
    assert everything(cluster) == []


def test_a_lost_answer_doubles_a_record_unless_the_producer_is_idempotent(cluster: Cluster) -> None:
    cluster.faults.drop("Produce", answer_only=True)
    produce(cluster, b"plain", retries=5, enable_idempotence=False)
    assert everything(cluster) == [b"plain", b"plain"]
    fault = cluster.faults.drop("Produce", answer_only=True)
    produce(cluster, b"idempotent", enable_idempotence=True)
    assert fault.hits == 1
    assert everything(cluster) == [b"plain", b"plain", b"idempotent"]


def test_answers_come_late_and_in_order(cluster: Cluster) -> None:
    async def story() -> float:
        async with AIOKafkaProducer(bootstrap_servers=cluster.bootstrap_servers) as producer:
            await producer.send_and_wait(TOPIC, b"0")
            with cluster.faults.delay("Produce", 0.3, times=1) as fault:
                began = time.monotonic()
                sent = [await producer.send(TOPIC, b"%d" % number) for number in range(1, 5)]
                await asyncio.wait_for(asyncio.gather(*sent), 20)
                assert fault.hits == 1
                return time.monotonic() - began

    assert asyncio.run(story()) >= 0.29
    assert everything(cluster) == [b"0", b"1", b"2", b"3", b"4"]


def test_a_consumer_goes_on_after_refused_fetches_and_cut_connections(cluster: Cluster) -> None:
    async def story() -> list[bytes]:
        consumer = AIOKafkaConsumer(
            TOPIC, bootstrap_servers=cluster.bootstrap_servers, auto_offset_reset="earliest", retry_backoff_ms=20
        )
        found: list[bytes] = []
        async with consumer, AIOKafkaProducer(bootstrap_servers=cluster.bootstrap_servers) as producer:
            for trouble in ("none", "fetch", "cut"):
                reading = asyncio.create_task(consumer.getone())
                if trouble == "fetch":
                    refused = cluster.faults.fail("Fetch", "NOT_LEADER_OR_FOLLOWER", times=2)
                    await asyncio.to_thread(refused.wait_until_hit, 2)
                elif trouble == "cut":
                    assert cluster.drop_connections() >= 2
                await asyncio.wait_for(producer.send_and_wait(TOPIC, trouble.encode()), 20)
                found.append((await asyncio.wait_for(reading, 20)).value)
        return found

    assert asyncio.run(story()) == [b"none", b"fetch", b"cut"]


def test_a_producer_asks_again_where_metadata_has_no_leader(cluster: Cluster) -> None:
    fault = cluster.faults.fail("Metadata", "LEADER_NOT_AVAILABLE", times=2, topic=TOPIC)
    produce(cluster, b"one")
    assert fault.hits == 2
    assert everything(cluster) == [b"one"]


def test_a_group_survives_errors_of_its_coordinator(cluster: Cluster) -> None:
    produce(cluster, b"one")

    async def story() -> int | None:
        consumer = AIOKafkaConsumer(
            TOPIC,
            bootstrap_servers=cluster.bootstrap_servers,
            group_id="readers",
            auto_offset_reset="earliest",
            retry_backoff_ms=20,
        )
        async with consumer:
            faults = [
                cluster.faults.fail("FindCoordinator", "COORDINATOR_NOT_AVAILABLE"),
                cluster.faults.fail("OffsetCommit", "NOT_COORDINATOR"),
            ]
            await asyncio.wait_for(consumer.getone(), 20)
            await asyncio.wait_for(consumer.commit(), 20)
            assert faults[1].hits == 1
            found: int | None = await consumer.committed(TopicPartition(TOPIC, 0))
            return found

    assert asyncio.run(story()) == 1


def test_what_cannot_be_ordered_is_refused(cluster: Cluster) -> None:
    with pytest.raises(ValueError, match="no API"):
        cluster.faults.fail("Produces", "NOT_LEADER_OR_FOLLOWER")
    with pytest.raises(ValueError, match="no error code"):
        cluster.faults.fail("Produce", "NOT_LEADER")
    with pytest.raises(ValueError, match="drop or delay"):
        cluster.faults.fail("DescribeConfigs", "UNKNOWN_SERVER_ERROR")
    with pytest.raises(ValueError, match="at least once"):
        cluster.faults.drop("Produce", times=0)
    with pytest.raises(ValueError, match="not a time"):
        cluster.faults.delay(None, -1)
    fault = cluster.faults.drop("DescribeAcls")
    with pytest.raises(TimeoutError, match="struck 0 times"):
        fault.wait_until_hit(timeout=0.01)


TOPICS: dict[ApiKey, list[object]] = {
    ApiKey.OFFSET_FETCH: [OffsetFetchRequestTopic(name="t", partition_indexes=[1])],
    ApiKey.PRODUCE: [TopicProduceData(name="t", partition_data=[PartitionProduceData(index=1)])],
    ApiKey.FETCH: [FetchTopic(topic="t", partitions=[FetchPartition(partition=1)])],
    ApiKey.LIST_OFFSETS: [ListOffsetsTopic(name="t", partitions=[ListOffsetsPartition(partition_index=1)])],
    ApiKey.OFFSET_COMMIT: [
        OffsetCommitRequestTopic(name="t", partitions=[OffsetCommitRequestPartition(partition_index=1)])
    ],
    ApiKey.TXN_OFFSET_COMMIT: [
        TxnOffsetCommitRequestTopic(name="t", partitions=[TxnOffsetCommitRequestPartition(partition_index=1)])
    ],
    ApiKey.CREATE_TOPICS: [CreatableTopic(name="t")],
    ApiKey.DELETE_TOPICS: [DeleteTopicState(name="t")],
    ApiKey.CREATE_PARTITIONS: [CreatePartitionsTopic(name="t")],
    ApiKey.DELETE_RECORDS: [DeleteRecordsTopic(name="t", partitions=[DeleteRecordsPartition(partition_index=1)])],
    ApiKey.OFFSET_FOR_LEADER_EPOCH: [
        OffsetForLeaderTopic(topic="t", partitions=[OffsetForLeaderPartition(partition=1)])
    ],
}


@pytest.mark.parametrize("key", sorted({*ApiKey} & {ApiKey(each) for each in REQUESTS} - CANNOT_REFUSE - {3}))
def test_every_refusal_can_be_sent_in_every_version_and_has_its_code(key: ApiKey) -> None:
    request = REQUESTS[key]()
    if key in TOPICS:
        setattr(request, "topic_data" if key == ApiKey.PRODUCE else "topics", TOPICS[key])
    for name, value in {
        "coordinator_keys": ["g"],
        "groups_names": ["g"],
        "topic_names": ["t"],
        "v3_and_below_topics": [AddPartitionsToTxnTopic(name="t", partitions=[1])],
        "groups": [OffsetFetchRequestGroup(group_id="g")] if key == ApiKey.OFFSET_FETCH else ["g"],
    }.items():
        if hasattr(request, name):
            setattr(request, name, value)
    for version in range(request.MIN_VERSION, request.MAX_VERSION + 1):
        answer = refusal(request, version, 42)
        assert b"\0\x2a" in b"".join(frame_response(1, answer, version)), f"version {version}"


def test_a_default_request_has_nothing_to_refuse() -> None:
    assert refusal(CreateTopicsRequest(), 7, 42).topics == []  # type: ignore[attr-defined]
