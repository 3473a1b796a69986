"""What librdkafka is told when something can't be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from compat_tests.confluent.conftest import MakeConsumer, Produce, take
from compat_tests.conftest import MakeTopic, StartBroker

pytestmark = pytest.mark.feature("errors")


def code_of(error: pytest.ExceptionInfo[KafkaException]) -> int:
    return int(error.value.args[0].code())


def test_producing_to_an_unknown_topic_fails(produce: Produce, new_name: Callable[[], str]) -> None:
    with pytest.raises(KafkaException) as error:
        produce(new_name(), [{"value": b"v"}], {"topic.metadata.propagation.max.ms": 500, "message.timeout.ms": 5000})
    assert code_of(error) in (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)


def test_a_record_larger_than_the_topic_allows_is_refused(new_topic: MakeTopic, produce: Produce) -> None:
    topic = new_topic(config={"max.message.bytes": "1000"})
    with pytest.raises(KafkaException) as error:
        produce(topic, [{"value": b"x" * 5000}])
    assert code_of(error) == KafkaError.MSG_SIZE_TOO_LARGE
    (after,) = produce(topic, [{"value": b"small"}])
    assert after.offset() == 0


def test_an_offset_out_of_range_is_told(topic: str, produce: Produce, new_consumer: MakeConsumer) -> None:
    produce(topic, [{"value": b"v"}])
    consumer = new_consumer(auto_offset_reset="error")
    consumer.assign([TopicPartition(topic, 0, 99)])
    with pytest.raises(KafkaException) as error:
        take(consumer, bool)
    assert code_of(error) in (KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._AUTO_OFFSET_RESET)


def test_consuming_an_unknown_topic_is_told(new_consumer: MakeConsumer, new_name: Callable[[], str]) -> None:
    consumer = new_consumer()
    consumer.subscribe([new_name()])
    with pytest.raises(KafkaException) as error:
        take(consumer, bool)
    assert code_of(error) == KafkaError.UNKNOWN_TOPIC_OR_PART


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"num_partitions": 1, "replication_factor": 3}, KafkaError.INVALID_REPLICATION_FACTOR),
        ({"num_partitions": 1, "replication_factor": 1, "config": {"retention.ms": "soon"}}, KafkaError.INVALID_CONFIG),
        ({"num_partitions": 1, "replication_factor": 1, "config": {"no.such": "1"}}, KafkaError.INVALID_CONFIG),
        ({"num_partitions": 1, "replica_assignment": [[77]]}, KafkaError.INVALID_REPLICA_ASSIGNMENT),
        ({"num_partitions": 1, "replica_assignment": [[1, 1]]}, KafkaError.INVALID_REPLICA_ASSIGNMENT),
    ],
)
def test_a_topic_that_cannot_be_is_refused(
    admin: AdminClient, new_name: Callable[[], str], wanted: dict[str, object], expected: int
) -> None:
    name = new_name()
    with pytest.raises(KafkaException) as error:
        admin.create_topics([NewTopic(name, **wanted)])[name].result(20)
    assert code_of(error) == expected
    assert error.value.args[0].str(), "the error says what was wrong"
    assert name not in admin.list_topics(timeout=10).topics


def test_a_topic_that_exists_is_not_created_again(topic: str, admin: AdminClient) -> None:
    with pytest.raises(KafkaException) as error:
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    assert code_of(error) == KafkaError.TOPIC_ALREADY_EXISTS


def test_names_that_differ_only_in_dot_and_underscore_collide(admin: AdminClient, new_name: Callable[[], str]) -> None:
    name = new_name()
    admin.create_topics([NewTopic(f"{name}.a_b", 1, 1)])[f"{name}.a_b"].result(20)
    with pytest.raises(KafkaException) as error:
        admin.create_topics([NewTopic(f"{name}.a.b", 1, 1)])[f"{name}.a.b"].result(20)
    assert code_of(error) == KafkaError.TOPIC_EXCEPTION


def test_altering_to_an_invalid_value_is_refused(topic: str, admin: AdminClient) -> None:
    entry = ConfigEntry("retention.ms", "soon", incremental_operation=AlterConfigOpType.SET)
    wanted = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    (future,) = admin.incremental_alter_configs([wanted]).values()
    with pytest.raises(KafkaException) as error:
        future.result(20)
    assert code_of(error) == KafkaError.INVALID_CONFIG


def test_settings_of_an_unknown_topic_are_not_described(admin: AdminClient, new_name: Callable[[], str]) -> None:
    (future,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, new_name())]).values()
    with pytest.raises(KafkaException) as error:
        future.result(20)
    assert code_of(error) == KafkaError.UNKNOWN_TOPIC_OR_PART


def test_partitions_cannot_become_fewer(new_topic: MakeTopic, admin: AdminClient) -> None:
    topic = new_topic(partitions=3)
    with pytest.raises(KafkaException) as error:
        admin.create_partitions([NewPartitions(topic, 2)])[topic].result(20)
    assert code_of(error) == KafkaError.INVALID_PARTITIONS


def test_deleting_an_unknown_group_fails(admin: AdminClient, group: str) -> None:
    with pytest.raises(KafkaException) as error:
        admin.delete_consumer_groups([group])[group].result(20)
    assert code_of(error) == KafkaError.GROUP_ID_NOT_FOUND


def test_a_session_timeout_outside_the_brokers_range_is_refused(
    topic: str, new_consumer: MakeConsumer, group: str
) -> None:
    consumer = new_consumer(group_id=group, session_timeout_ms=100, heartbeat_interval_ms=50)
    consumer.subscribe([topic])
    with pytest.raises(KafkaException) as error:
        take(consumer, bool, seconds=15)
    assert code_of(error) == KafkaError.INVALID_SESSION_TIMEOUT


@pytest.mark.feature("auto-create")
@pytest.mark.parametrize("allowed", [True, False])
def test_auto_creation_needs_both_the_brokers_and_the_clients_leave(
    start_broker: StartBroker, new_name: Callable[[], str], allowed: bool
) -> None:
    broker = start_broker({"auto.create.topics.enable": "true"})
    settings = {"bootstrap.servers": broker.bootstrap, "allow.auto.create.topics": allowed, "message.timeout.ms": 4000}
    errors: list[KafkaError | None] = []
    producer = Producer({**settings, "topic.metadata.propagation.max.ms": 1000})
    producer.produce(new_name(), b"v", on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(20) == 0
    assert (errors[0] is None) == allowed
