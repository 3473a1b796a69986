"""kafka-python's admin client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from kafka import KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient, NewPartitions
from kafka.errors import NoError

from compat_tests.conftest import MakeTopic
from compat_tests.kafka_python.conftest import POLL_MS, MakeConsumer, take
from compat_tests.waiting import until


def config_of(kadmin: KafkaAdminClient, topic: str, key: str) -> dict[str, Any]:
    answer = kadmin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
    found: dict[str, Any] = answer["topic"][topic][key]
    return found


@pytest.mark.feature("admin: topics")
def test_topics_are_created_listed_described_and_deleted(kadmin: KafkaAdminClient, new_name: Callable[[], str]) -> None:
    name = new_name()
    answer = kadmin.create_topics(
        {name: {"num_partitions": 3, "replication_factor": 1, "configs": {"retention.ms": "60000"}}}
    )
    created = answer["topics"][0]
    assert (created["num_partitions"], created["replication_factor"]) == (3, 1)
    until("the topic in the list", lambda: name in kadmin.list_topics())
    (described,) = kadmin.describe_topics([name])
    assert [partition["partition_index"] for partition in described["partitions"]] == [0, 1, 2]
    assert all(partition["leader_id"] >= 0 and partition["isr_nodes"] for partition in described["partitions"])
    kadmin.delete_topics([name])
    until("the topic's end", lambda: name not in kadmin.list_topics())


@pytest.mark.feature("admin: topics")
def test_a_topic_made_with_defaults_takes_the_brokers(kadmin: KafkaAdminClient, new_name: Callable[[], str]) -> None:
    name = new_name()
    created = kadmin.create_topics([name])["topics"][0]
    assert (created["num_partitions"], created["replication_factor"]) == (1, 1)


@pytest.mark.feature("admin: topics")
def test_validate_only_creates_nothing(kadmin: KafkaAdminClient, new_name: Callable[[], str]) -> None:
    name = new_name()
    kadmin.create_topics({name: {"num_partitions": 2, "replication_factor": 1}}, validate_only=True)
    assert name not in kadmin.list_topics()


@pytest.mark.feature("admin: partitions")
def test_partitions_are_added(topic: str, kadmin: KafkaAdminClient, producer: KafkaProducer) -> None:
    kadmin.create_partitions({topic: NewPartitions(total_count=5)})
    until("five partitions", lambda: len(kadmin.describe_topics([topic])[0]["partitions"]) == 5)


@pytest.mark.feature("admin: configs")
def test_a_topics_settings_are_altered_and_reset(topic: str, kadmin: KafkaAdminClient) -> None:
    kadmin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "123456"})])
    until("the new value", lambda: config_of(kadmin, topic, "retention.ms")["value"] == "123456")
    kadmin.reset_configs([ConfigResource(ConfigResourceType.TOPIC, topic, ["retention.ms"])])
    until("the default", lambda: config_of(kadmin, topic, "retention.ms")["value"] == "604800000")


@pytest.mark.feature("admin: configs")
def test_the_old_way_of_altering_replaces_all_settings(new_topic: MakeTopic, kadmin: KafkaAdminClient) -> None:
    topic = new_topic(config={"retention.bytes": "1000000"})
    wanted = ConfigResource(ConfigResourceType.TOPIC, topic, {"segment.bytes": "2000000"})
    kadmin._manager.run(kadmin._send_alter_configs_requests, [wanted], False, False)
    until("the new value", lambda: config_of(kadmin, topic, "segment.bytes")["value"] == "2000000")
    assert config_of(kadmin, topic, "retention.bytes")["value"] == "-1"


@pytest.mark.feature("admin: configs")
def test_a_broker_tells_its_settings(kadmin: KafkaAdminClient) -> None:
    node = kadmin.describe_cluster()["brokers"][0]["broker_id"]
    answer = kadmin.describe_configs([ConfigResource(ConfigResourceType.BROKER, str(node))], config_filter="all")
    settings = answer["broker"][str(node)]
    assert settings["auto.create.topics.enable"]["value"] == "false"
    assert int(settings["num.partitions"]["value"]) >= 1


@pytest.mark.feature("admin: delete records")
def test_records_before_an_offset_are_deleted(
    topic: str, kadmin: KafkaAdminClient, producer: KafkaProducer, new_consumer: MakeConsumer
) -> None:
    for number in range(10):
        producer.send(topic, b"%d" % number)
    producer.flush()
    where = TopicPartition(topic, 0)
    answer = kadmin.delete_records({where: 4})
    assert answer[where]["low_watermark"] == 4
    consumer = new_consumer()
    consumer.assign([where])
    assert consumer.beginning_offsets([where])[where] == 4
    assert take(consumer, bool)[0].offset == 4


@pytest.mark.feature("admin: groups")
def test_groups_are_listed_described_and_deleted(
    topic: str, kadmin: KafkaAdminClient, new_consumer: MakeConsumer, group: str
) -> None:
    consumer = new_consumer(topic, group_id=group, client_id="the-one")
    until("the member's partitions", lambda: consumer.poll(timeout_ms=POLL_MS) or consumer.assignment())
    assert group in {each["group_id"] for each in kadmin.list_groups()}
    described = kadmin.describe_groups([group])[group]
    assert (described["group_state"], described["protocol_type"]) == ("Stable", "consumer")
    (member,) = described["members"]
    assert member["client_id"] == "the-one"
    consumer.commit({TopicPartition(topic, 0): OffsetAndMetadata(0, "", -1)})
    (refused,) = kadmin.delete_groups([group]).values()
    assert "NonEmptyGroup" in str(refused)
    consumer.close()
    until("an empty group", lambda: kadmin.describe_groups([group])[group]["group_state"] == "Empty")
    kadmin.delete_groups([group])
    assert group not in {each["group_id"] for each in kadmin.list_groups()}


@pytest.mark.feature("admin: groups")
def test_offsets_of_an_empty_group_are_set_read_and_deleted(topic: str, kadmin: KafkaAdminClient, group: str) -> None:
    where = TopicPartition(topic, 0)
    assert kadmin.alter_group_offsets(group, {where: OffsetAndMetadata(7, "by admin", -1)})[where] is NoError
    assert kadmin.list_group_offsets(group)[group][where].offset == 7
    assert kadmin.delete_group_offsets(group, [where])[where] is NoError
    assert where not in kadmin.list_group_offsets(group)[group]


@pytest.mark.feature("admin: cluster")
def test_the_cluster_and_its_log_directories_are_described(
    topic: str, kadmin: KafkaAdminClient, producer: KafkaProducer
) -> None:
    producer.send(topic, b"x" * 1000).get(10)
    cluster = kadmin.describe_cluster()
    assert len(cluster["brokers"]) == 1
    assert cluster["cluster_id"]
    (node,) = kadmin.describe_log_dirs()
    sizes = {
        each["name"]: each["partitions"][0]["partition_size"]
        for directory in node["log_dirs"]
        for each in directory["topics"]
    }
    assert sizes[topic] >= 1000
