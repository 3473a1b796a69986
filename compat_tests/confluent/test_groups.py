"""librdkafka's classic consumer groups, eager and cooperative."""

from __future__ import annotations

import pytest
from confluent_kafka import Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from compat_tests.confluent.conftest import MakeConsumer, Produce, take
from compat_tests.conftest import MakeTopic
from compat_tests.waiting import until

SESSION_MS = 6000


def settle(members: list[Consumer], partitions: int, seconds: float = 30.0) -> list[set[int]]:
    """Polls all members until each partition has exactly one owner and the shares are fair."""

    def fair() -> list[set[int]] | None:
        for member in members:
            member.poll(0.05)
        shares = [{where.partition for where in member.assignment()} for member in members]
        whole = sorted(partition for share in shares for partition in share) == list(range(partitions))
        return shares if whole and max(map(len, shares)) - min(map(len, shares)) <= 1 else None

    return until(f"{len(members)} members sharing {partitions} partitions", fair, seconds)


@pytest.mark.feature("groups: join and leave")
@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_partitions_are_shared_out_as_members_join_and_leave(
    new_topic: MakeTopic, new_consumer: MakeConsumer, group: str, strategy: str
) -> None:
    topic = new_topic(partitions=6)

    def join() -> Consumer:
        member = new_consumer(
            group_id=group, partition_assignment_strategy=strategy, heartbeat_interval_ms=200, session_timeout_ms=10_000
        )
        member.subscribe([topic])
        return member

    members = [join()]
    settle(members, 6)
    members.append(join())
    settle(members, 6)
    members.append(join())
    settle(members, 6)
    members.pop(0).close()
    settle(members, 6)


@pytest.mark.feature("groups: join and leave")
def test_every_record_reaches_exactly_one_member(
    new_topic: MakeTopic, new_consumer: MakeConsumer, produce: Produce, group: str
) -> None:
    topic = new_topic(partitions=6)
    members = [new_consumer(group_id=group, heartbeat_interval_ms=200) for _ in range(3)]
    for member in members:
        member.subscribe([topic])
    settle(members, 6)
    produce(topic, [{"value": b"%d" % number, "partition": number % 6} for number in range(600)])
    seen: list[int] = []

    def all_read() -> bool:
        for member in members:
            seen.extend(int(message.value()) for message in member.consume(100, timeout=0.05))
        return len(seen) >= 600

    until("all 600 records", all_read)
    assert sorted(seen) == list(range(600))


@pytest.mark.feature("groups: join and leave")
def test_a_new_partition_of_a_subscribed_topic_is_found(
    new_topic: MakeTopic, new_consumer: MakeConsumer, admin: AdminClient, group: str
) -> None:
    topic = new_topic(partitions=1)
    member = new_consumer(group_id=group, heartbeat_interval_ms=200, topic_metadata_refresh_interval_ms=500)
    member.subscribe([topic])
    settle([member], 1)
    admin.create_partitions([NewPartitions(topic, 3)])[topic].result(20)
    settle([member], 3)


@pytest.mark.feature("groups: static membership")
def test_a_static_member_comes_back_to_its_partitions(
    new_topic: MakeTopic, new_consumer: MakeConsumer, group: str
) -> None:
    topic = new_topic(partitions=4)

    def join(name: str) -> Consumer:
        member = new_consumer(
            group_id=group, group_instance_id=name, heartbeat_interval_ms=200, session_timeout_ms=30_000
        )
        member.subscribe([topic])
        return member

    one, two = join("one"), join("two")
    before = settle([one, two], 4)
    two.close()
    after = settle([one, join("two")], 4)
    assert after == before


@pytest.mark.feature("groups: static membership")
def test_of_two_members_with_one_name_the_older_is_fenced(
    new_topic: MakeTopic, new_consumer: MakeConsumer, group: str
) -> None:
    topic = new_topic(partitions=2)
    older = new_consumer(group_id=group, group_instance_id="same", heartbeat_interval_ms=200)
    older.subscribe([topic])
    settle([older], 2)
    newer = new_consumer(group_id=group, group_instance_id="same", heartbeat_interval_ms=200)
    newer.subscribe([topic])
    fenced: list[int] = []

    def heard() -> bool:
        newer.poll(0.05)
        message = older.poll(0.05)
        if message is not None and message.error():
            fenced.append(message.error().code())
        return bool(fenced)

    until("the older member's fencing", heard)
    assert fenced[0] in (KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL)


@pytest.mark.feature("groups: committed offsets")
def test_a_new_member_goes_on_where_the_group_committed(
    topic: str, new_consumer: MakeConsumer, produce: Produce, group: str
) -> None:
    produce(topic, [{"value": b"%d" % number} for number in range(20)])
    first = new_consumer(group_id=group)
    first.subscribe([topic])
    take(first, lambda messages: len(messages) >= 20)
    first.commit(offsets=[TopicPartition(topic, 0, 13, "halfway")], asynchronous=False)
    first.close()
    second = new_consumer(group_id=group)
    second.subscribe([topic])
    assert take(second, bool)[0].offset() == 13
    (kept,) = second.committed([TopicPartition(topic, 0)], timeout=10)
    assert (kept.offset, kept.metadata) == (13, "halfway")


@pytest.mark.feature("groups: committed offsets")
def test_offsets_are_committed_without_membership(topic: str, new_consumer: MakeConsumer, group: str) -> None:
    alone = new_consumer(group_id=group)
    alone.assign([TopicPartition(topic, 0)])
    alone.commit(offsets=[TopicPartition(topic, 0, 5)], asynchronous=False)
    (kept,) = new_consumer(group_id=group).committed([TopicPartition(topic, 0)], timeout=10)
    assert kept.offset == 5
