"""aiokafka's admin client, and what it is told when something can't be."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiokafka import TopicPartition, errors
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from compat_tests.aiokafka.conftest import Run, consuming, producing, take
from compat_tests.conftest import MakeTopic
from compat_tests.waiting import until_async


@pytest.mark.feature("admin: topics")
def test_topics_are_created_grown_and_deleted(bootstrap: str, new_name: Callable[[], str], run: Run) -> None:
    name = new_name()

    async def scenario() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            await admin.create_topics([NewTopic(name, 2, 1)])

            async def listed() -> bool:
                return name in await admin.list_topics()

            async def gone() -> bool:
                return not await listed()

            async def grown() -> bool:
                return len((await admin.describe_topics([name]))[0]["partitions"]) == 3

            await until_async("the topic in the list", listed)
            await admin.create_partitions({name: NewPartitions(3)})
            await until_async("three partitions", grown)
            await admin.delete_topics([name])
            await until_async("the topic's end", gone)
        finally:
            await admin.close()

    run(scenario())


@pytest.mark.feature("admin: configs")
def test_settings_of_a_topic_are_described_and_altered(bootstrap: str, topic: str, run: Run) -> None:
    async def scenario() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            wanted = ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "123456"})
            await admin.alter_configs([wanted])

            async def value() -> bool:
                (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
                settings = {entry[0]: entry[1] for entry in answer.resources[0][4]}
                return bool(settings["retention.ms"] == "123456")

            await until_async("the new value", value)
        finally:
            await admin.close()

    run(scenario())


@pytest.mark.feature("admin: delete records")
def test_records_before_an_offset_are_deleted(bootstrap: str, topic: str, run: Run) -> None:
    where = TopicPartition(topic, 0)

    async def scenario() -> None:
        async with producing(bootstrap) as producer:
            for number in range(10):
                await producer.send_and_wait(topic, b"%d" % number)
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        assert (await admin.delete_records({where: RecordsToDelete(before_offset=4)}))[where] == 4
        await admin.close()
        async with consuming(bootstrap, topic) as consumer:
            assert (await consumer.beginning_offsets([where]))[where] == 4

    run(scenario())


@pytest.mark.feature("admin: groups")
def test_groups_are_listed_and_described(bootstrap: str, topic: str, group: str, run: Run) -> None:
    async def scenario() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        async with consuming(bootstrap, topic, group_id=group) as member:
            await member.commit({TopicPartition(topic, 0): 5})
            assert group in {each[0] for each in await admin.list_consumer_groups()}
            (described,) = await admin.describe_consumer_groups([group])
            assert described.groups[0][2] == "Stable"
            offsets = await admin.list_consumer_group_offsets(group)
            assert offsets[TopicPartition(topic, 0)].offset == 5
        await admin.close()

    run(scenario())


@pytest.mark.feature("errors")
def test_a_record_larger_than_the_topic_allows_is_refused(bootstrap: str, new_topic: MakeTopic, run: Run) -> None:
    topic = new_topic(config={"max.message.bytes": "1000"})

    async def scenario() -> None:
        async with producing(bootstrap) as producer:
            with pytest.raises(errors.MessageSizeTooLargeError):
                await producer.send_and_wait(topic, b"x" * 5000)
            assert (await producer.send_and_wait(topic, b"small")).offset == 0

    run(scenario())


@pytest.mark.feature("errors")
def test_an_offset_out_of_range_is_told(bootstrap: str, topic: str, run: Run) -> None:
    where = TopicPartition(topic, 0)

    async def scenario() -> None:
        async with consuming(bootstrap, auto_offset_reset="none") as consumer:
            consumer.assign([where])
            consumer.seek(where, 99)
            with pytest.raises(errors.OffsetOutOfRangeError):
                await take(consumer, bool)

    run(scenario())


@pytest.mark.feature("errors")
def test_a_topic_that_cannot_be_is_refused(bootstrap: str, topic: str, new_name: Callable[[], str], run: Run) -> None:
    wanted = {
        36: NewTopic(topic, 1, 1),
        38: NewTopic(new_name(), 1, 5),
        40: NewTopic(new_name(), 1, 1, topic_configs={"retention.ms": "soon"}),
        37: NewTopic(new_name(), 0, 1),
        17: NewTopic("not a name", 1, 1),
    }

    async def scenario() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        for expected, new in wanted.items():
            answer = await admin.create_topics([new])
            assert answer.topic_errors[0][1] == expected, answer
        await admin.close()

    run(scenario())
