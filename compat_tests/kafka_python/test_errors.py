"""What kafka-python is told when something can't be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kafka import KafkaProducer, TopicPartition, errors
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from compat_tests.conftest import MakeTopic, StartBroker
from compat_tests.kafka_python.conftest import POLL_MS, MakeConsumer, MakeProducer

pytestmark = pytest.mark.feature("errors")


def test_producing_to_an_unknown_topic_fails(new_producer: MakeProducer, new_name: Callable[[], str]) -> None:
    with pytest.raises(errors.KafkaTimeoutError):
        new_producer(max_block_ms=1500).send(new_name(), b"v").get(5)


def test_a_record_larger_than_the_topic_allows_is_refused(new_topic: MakeTopic, new_producer: MakeProducer) -> None:
    topic = new_topic(config={"max.message.bytes": "1000"})
    producer = new_producer(enable_idempotence=False)
    with pytest.raises(errors.MessageSizeTooLargeError):
        producer.send(topic, b"x" * 5000).get(10)
    assert producer.send(topic, b"small").get(10).offset == 0


def test_an_offset_out_of_range_is_told(topic: str, producer: KafkaProducer, new_consumer: MakeConsumer) -> None:
    producer.send(topic, b"v").get(10)
    consumer = new_consumer(auto_offset_reset="none")
    where = TopicPartition(topic, 0)
    consumer.assign([where])
    consumer.seek(where, 99)
    with pytest.raises(errors.OffsetOutOfRangeError):
        for _ in range(50):
            consumer.poll(timeout_ms=POLL_MS)


def test_a_topic_that_exists_is_not_created_again(topic: str, kadmin: KafkaAdminClient) -> None:
    with pytest.raises(errors.TopicAlreadyExistsError):
        kadmin.create_topics([topic])


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "ä", "x" * 250])
def test_an_invalid_topic_name_is_refused(kadmin: KafkaAdminClient, name: str) -> None:
    with pytest.raises(errors.InvalidTopicError):
        kadmin.create_topics({name: {"num_partitions": 1, "replication_factor": 1}})


def test_more_replicas_than_brokers_are_refused(kadmin: KafkaAdminClient, new_name: Callable[[], str]) -> None:
    with pytest.raises(errors.InvalidReplicationFactorError):
        kadmin.create_topics({new_name(): {"num_partitions": 1, "replication_factor": 3}})


def test_no_partitions_are_refused(kadmin: KafkaAdminClient, new_name: Callable[[], str]) -> None:
    with pytest.raises(errors.InvalidPartitionsError):
        kadmin.create_topics({new_name(): {"num_partitions": 0, "replication_factor": 1}})


@pytest.mark.parametrize(
    ("key", "value"),
    [("retention.ms", "soon"), ("no.such.setting", "1"), ("cleanup.policy", "burn"), ("segment.bytes", "1")],
)
def test_an_invalid_setting_is_refused(
    kadmin: KafkaAdminClient, new_name: Callable[[], str], key: str, value: str
) -> None:
    with pytest.raises(errors.InvalidConfigurationError):
        kadmin.create_topics({new_name(): {"num_partitions": 1, "replication_factor": 1, "configs": {key: value}}})


def test_altering_to_an_invalid_value_is_refused_and_changes_nothing(topic: str, kadmin: KafkaAdminClient) -> None:
    wanted = ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "soon"})
    answer = kadmin.alter_configs([wanted])
    assert "retention.ms" in str(answer["topic"][topic])
    after = kadmin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
    assert after["topic"][topic]["retention.ms"]["value"] == "604800000"


def test_fewer_partitions_are_refused(new_topic: MakeTopic, kadmin: KafkaAdminClient) -> None:
    topic = new_topic(partitions=3)
    with pytest.raises(errors.InvalidPartitionsError):
        kadmin.create_partitions({topic: 2})


def test_deleting_an_unknown_topic_fails(kadmin: KafkaAdminClient, new_name: Callable[[], str]) -> None:
    with pytest.raises(errors.UnknownTopicOrPartitionError):
        kadmin.delete_topics([new_name()])


def test_deleting_records_past_the_end_is_refused(topic: str, kadmin: KafkaAdminClient) -> None:
    with pytest.raises(errors.OffsetOutOfRangeError):
        kadmin.delete_records({TopicPartition(topic, 0): 5})


@pytest.mark.feature("auto-create")
def test_a_topic_appears_at_first_use_where_the_broker_allows_it(
    start_broker: StartBroker, new_name: Callable[[], str]
) -> None:
    broker = start_broker({"auto.create.topics.enable": "true", "num.partitions": "3"})
    name = new_name()
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap)
    assert producer.send(name, b"v").get(20).topic == name
    assert producer.partitions_for(name) == {0, 1, 2}
    producer.close()
