"""aiokafka's consumer groups."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from compat_tests.aiokafka.conftest import Run, consuming, producing, take
from compat_tests.conftest import MakeTopic
from compat_tests.waiting import until_async


async def settle(members: list[AIOKafkaConsumer], partitions: int) -> list[set[int]]:
    async def fair() -> list[set[int]] | None:
        shares = [{where.partition for where in member.assignment()} for member in members]
        whole = sorted(partition for share in shares for partition in share) == list(range(partitions))
        return shares if whole and max(map(len, shares)) - min(map(len, shares)) <= 1 else None

    return await until_async(f"{len(members)} members sharing {partitions} partitions", fair)


@pytest.mark.feature("groups: join and leave")
def test_partitions_are_shared_out_as_members_join_and_leave(
    bootstrap: str, new_topic: MakeTopic, group: str, run: Run
) -> None:
    topic = new_topic(partitions=4)

    async def scenario() -> None:
        async with AsyncExitStack() as stack:

            async def join() -> AIOKafkaConsumer:
                joining = consuming(bootstrap, topic, group_id=group, heartbeat_interval_ms=200)
                return await stack.enter_async_context(joining)

            first = await join()
            await settle([first], 4)
            second = await join()
            await settle([first, second], 4)
            await first.stop()
            await settle([second], 4)

    run(scenario())


@pytest.mark.feature("groups: static membership")
def test_a_static_member_comes_back_to_its_partitions(
    bootstrap: str, new_topic: MakeTopic, group: str, run: Run
) -> None:
    topic = new_topic(partitions=4)
    settings = {"group_id": group, "heartbeat_interval_ms": 200, "session_timeout_ms": 30_000}

    async def scenario() -> None:
        async with consuming(bootstrap, topic, group_instance_id="one", **settings) as one:
            async with consuming(bootstrap, topic, group_instance_id="two", **settings) as two:
                before = await settle([one, two], 4)
            async with consuming(bootstrap, topic, group_instance_id="two", **settings) as two:
                assert await settle([one, two], 4) == before

    run(scenario())


@pytest.mark.feature("groups: committed offsets")
def test_a_new_member_goes_on_where_the_group_committed(bootstrap: str, topic: str, group: str, run: Run) -> None:
    where = TopicPartition(topic, 0)

    async def scenario() -> None:
        async with producing(bootstrap) as producer:
            for number in range(20):
                await producer.send_and_wait(topic, b"%d" % number)
        async with consuming(bootstrap, topic, group_id=group) as first:
            await take(first, lambda records: len(records) >= 20)
            await first.commit({where: (13, "halfway")})
        async with consuming(bootstrap, topic, group_id=group) as second:
            assert await second.committed(where) == 13
            assert (await take(second, bool))[0].offset == 13

    run(scenario())
