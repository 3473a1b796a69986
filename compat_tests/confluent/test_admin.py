"""librdkafka's admin client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)

from compat_tests.confluent.conftest import MakeConsumer, Produce, read_to_end
from compat_tests.conftest import MakeTopic
from compat_tests.moments import LATELY
from compat_tests.waiting import until


def config_of(admin: AdminClient, topic: str) -> dict[str, ConfigEntry]:
    (future,) = admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]).values()
    settings: dict[str, ConfigEntry] = future.result(20)
    return settings


def alter(admin: AdminClient, topic: str, *entries: ConfigEntry) -> None:
    (future,) = admin.incremental_alter_configs(
        [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=list(entries))]
    ).values()
    future.result(20)


def entry(name: str, value: str | None, operation: AlterConfigOpType) -> ConfigEntry:
    return ConfigEntry(name, value, incremental_operation=operation)


@pytest.mark.feature("admin: topics")
def test_topics_are_created_listed_described_and_deleted(admin: AdminClient, new_name: Callable[[], str]) -> None:
    name = new_name()
    admin.create_topics([NewTopic(name, 3, 1)])[name].result(20)
    until("the topic in the list", lambda: name in admin.list_topics(timeout=10).topics)
    described = admin.describe_topics(TopicCollection([name]))[name].result(20)
    assert [partition.id for partition in described.partitions] == [0, 1, 2]
    assert all(partition.leader is not None and partition.isr for partition in described.partitions)
    assert str(described.topic_id)
    admin.delete_topics([name])[name].result(20)
    until("the topic's end", lambda: name not in admin.list_topics(timeout=10).topics)


@pytest.mark.feature("admin: topics")
def test_a_topic_deleted_and_made_again_is_empty_and_new(
    topic: str, admin: AdminClient, produce: Produce, new_consumer: MakeConsumer
) -> None:
    produce(topic, [{"value": b"old"}])
    before = admin.describe_topics(TopicCollection([topic]))[topic].result(20).topic_id
    admin.delete_topics([topic])[topic].result(20)
    until("the topic's end", lambda: topic not in admin.list_topics(timeout=10).topics)
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(20)
    assert str(admin.describe_topics(TopicCollection([topic]))[topic].result(20).topic_id) != str(before)
    produce(topic, [{"value": b"new"}])
    assert [record.value() for record in read_to_end(new_consumer(), topic)] == [b"new"]


@pytest.mark.feature("admin: topics")
def test_a_manual_assignment_is_honoured(admin: AdminClient, new_name: Callable[[], str]) -> None:
    name = new_name()
    node = next(iter(admin.list_topics(timeout=10).brokers))
    admin.create_topics([NewTopic(name, num_partitions=2, replica_assignment=[[node], [node]])])[name].result(20)
    described = admin.describe_topics(TopicCollection([name]))[name].result(20)
    assert [[replica.id for replica in partition.replicas] for partition in described.partitions] == [[node], [node]]


@pytest.mark.feature("admin: partitions")
def test_partitions_are_added(topic: str, admin: AdminClient, produce: Produce) -> None:
    admin.create_partitions([NewPartitions(topic, 4)])[topic].result(20)
    until("four partitions", lambda: len(admin.list_topics(topic, timeout=10).topics[topic].partitions) == 4)
    (sent,) = produce(topic, [{"value": b"v", "partition": 3}])
    assert (sent.partition(), sent.offset()) == (3, 0)


@pytest.mark.feature("admin: configs")
def test_a_topics_settings_are_described_with_their_source(new_topic: MakeTopic, admin: AdminClient) -> None:
    settings = config_of(admin, new_topic(config={"retention.ms": "60000"}))
    assert settings["retention.ms"].value == "60000"
    assert (settings["retention.ms"].source, settings["retention.ms"].is_default) == (1, False)
    assert settings["cleanup.policy"].value == "delete"
    assert settings["cleanup.policy"].is_default
    assert not settings["cleanup.policy"].is_read_only


@pytest.mark.feature("admin: configs")
def test_settings_are_set_and_deleted_one_by_one(new_topic: MakeTopic, admin: AdminClient) -> None:
    topic = new_topic(config={"retention.bytes": "1000000"})
    alter(admin, topic, entry("retention.ms", "123456", AlterConfigOpType.SET))
    until("the new value", lambda: config_of(admin, topic)["retention.ms"].value == "123456")
    assert config_of(admin, topic)["retention.bytes"].value == "1000000"
    alter(admin, topic, entry("retention.bytes", None, AlterConfigOpType.DELETE))
    until("the default", lambda: config_of(admin, topic)["retention.bytes"].value == "-1")


@pytest.mark.feature("admin: configs")
def test_lists_are_appended_to_and_subtracted_from(topic: str, admin: AdminClient) -> None:
    key = "leader.replication.throttled.replicas"
    alter(admin, topic, entry(key, "0:1", AlterConfigOpType.APPEND))
    until("one", lambda: config_of(admin, topic)[key].value == "0:1")
    alter(admin, topic, entry(key, "1:1", AlterConfigOpType.APPEND))
    until("two", lambda: config_of(admin, topic)[key].value == "0:1,1:1")
    alter(admin, topic, entry(key, "0:1", AlterConfigOpType.SUBTRACT))
    until("one again", lambda: config_of(admin, topic)[key].value == "1:1")


@pytest.mark.feature("admin: configs")
def test_a_changed_limit_acts_at_once(topic: str, admin: AdminClient, produce: Produce) -> None:
    produce(topic, [{"value": b"x" * 5000}])
    alter(admin, topic, entry("max.message.bytes", "1000", AlterConfigOpType.SET))

    def refused() -> bool:
        try:
            produce(topic, [{"value": b"x" * 5000}])
        except KafkaException as error:
            return bool(error.args[0].code() == KafkaError.MSG_SIZE_TOO_LARGE)
        return False

    until("the limit's effect", refused)


@pytest.mark.feature("admin: delete records")
def test_records_before_an_offset_are_deleted(
    topic: str, admin: AdminClient, produce: Produce, new_consumer: MakeConsumer
) -> None:
    produce(topic, [{"value": b"%d" % number} for number in range(10)])
    (future,) = admin.delete_records([TopicPartition(topic, 0, 4)]).values()
    assert future.result(20).low_watermark == 4
    consumer = new_consumer()
    assert consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (4, 10)
    assert [int(record.value()) for record in read_to_end(consumer, topic)] == list(range(4, 10))


@pytest.mark.feature("admin: delete records")
def test_minus_one_deletes_all_records(
    topic: str, admin: AdminClient, produce: Produce, new_consumer: MakeConsumer
) -> None:
    produce(topic, [{"value": b"%d" % number} for number in range(10)])
    (future,) = admin.delete_records([TopicPartition(topic, 0, -1)]).values()
    assert future.result(20).low_watermark == 10
    assert new_consumer().get_watermark_offsets(TopicPartition(topic, 0), timeout=10) == (10, 10)


@pytest.mark.feature("admin: groups")
def test_groups_are_listed_described_and_deleted(
    topic: str, admin: AdminClient, new_consumer: MakeConsumer, group: str
) -> None:
    member = new_consumer(group_id=group, client_id="the-one")
    member.subscribe([topic])
    until("the member's partitions", lambda: member.poll(0.1) or member.assignment())
    assert group in {each.group_id for each in admin.list_consumer_groups().result(20).valid}
    described = admin.describe_consumer_groups([group])[group].result(20)
    assert described.state == ConsumerGroupState.STABLE
    (one,) = described.members
    assert one.client_id == "the-one"
    assert [where.topic for where in one.assignment.topic_partitions] == [topic]
    with pytest.raises(KafkaException) as refused:
        admin.delete_consumer_groups([group])[group].result(20)
    assert refused.value.args[0].code() == KafkaError.NON_EMPTY_GROUP
    member.commit(offsets=[TopicPartition(topic, 0, 0)], asynchronous=False)
    member.unsubscribe()

    def empty() -> bool:
        member.poll(0.05)
        return bool(admin.describe_consumer_groups([group])[group].result(20).state == ConsumerGroupState.EMPTY)

    until("an empty group", empty)
    admin.delete_consumer_groups([group])[group].result(20)
    assert group not in {each.group_id for each in admin.list_consumer_groups().result(20).valid}


@pytest.mark.feature("admin: groups")
def test_offsets_of_an_empty_group_are_set_and_read(topic: str, admin: AdminClient, group: str) -> None:
    wanted = [TopicPartition(topic, 0, 7)]
    admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)])[group].result(20)
    found: Any = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group].result(20)
    assert [(where.topic, where.partition, where.offset) for where in found.topic_partitions] == [(topic, 0, 7)]


@pytest.mark.feature("admin: cluster")
def test_the_cluster_is_described(admin: AdminClient, bootstrap: str) -> None:
    cluster = admin.describe_cluster().result(20)
    assert [f"{node.host}:{node.port}" for node in cluster.nodes] == [bootstrap]
    assert cluster.controller is not None
    assert cluster.cluster_id


@pytest.mark.feature("seek by time")
def test_offsets_are_listed_by_every_kind_of_spec(topic: str, admin: AdminClient, produce: Produce) -> None:
    times = [1000, 5000, 3000]
    for moment in times:
        produce(topic, [{"value": b"v", "timestamp": LATELY + moment}])
    where = TopicPartition(topic, 0)

    def offset(spec: OffsetSpec) -> int:
        return int(admin.list_offsets({where: spec})[where].result(20).offset)

    assert offset(OffsetSpec.earliest()) == 0
    assert offset(OffsetSpec.latest()) == 3
    assert offset(OffsetSpec.max_timestamp()) == 1
    assert offset(OffsetSpec.for_timestamp(LATELY + 4000)) == 1
    assert offset(OffsetSpec.for_timestamp(LATELY + 6000)) == -1
