"""kafka-python's consumer groups: who owns what as members come, go and come back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.errors import CommitFailedError

from compat_tests.conftest import MakeTopic
from compat_tests.kafka_python.conftest import POLL_MS, MakeConsumer, MakeProducer, take
from compat_tests.waiting import until

#: The least a broker allows by default; the tests that wait for a member to be missed take as long.
SESSION_MS = 6000


def owned(consumer: KafkaConsumer) -> set[int]:
    return {where.partition for where in consumer.assignment()}


def settle(consumers: list[KafkaConsumer], partitions: int, seconds: float = 30.0) -> list[set[int]]:
    """Polls all members until each partition has exactly one owner and every member has its fair share."""

    def fair() -> list[set[int]] | None:
        # Side by side: one after the other, each would make the others wait in the middle of a rebalance.
        with ThreadPoolExecutor(len(consumers)) as pool:
            list(pool.map(lambda consumer: consumer.poll(timeout_ms=POLL_MS), consumers))
        shares = [owned(consumer) for consumer in consumers]
        whole = sorted(partition for share in shares for partition in share) == list(range(partitions))
        return shares if whole and max(map(len, shares)) - min(map(len, shares)) <= 1 else None

    return until(f"{len(consumers)} members sharing {partitions} partitions", fair, seconds)


@pytest.mark.feature("groups: join and leave")
def test_partitions_are_shared_out_as_members_join_and_leave(
    new_topic: MakeTopic, new_consumer: MakeConsumer, group: str
) -> None:
    topic = new_topic(partitions=4)
    first = new_consumer(topic, group_id=group, heartbeat_interval_ms=200)
    settle([first], 4)
    second = new_consumer(topic, group_id=group, heartbeat_interval_ms=200)
    settle([first, second], 4)
    third = new_consumer(topic, group_id=group, heartbeat_interval_ms=200)
    settle([first, second, third], 4)
    second.close()
    settle([first, third], 4)
    first.close()
    settle([third], 4)


@pytest.mark.feature("groups: join and leave")
def test_every_record_reaches_exactly_one_member(
    new_topic: MakeTopic, producer: KafkaProducer, new_consumer: MakeConsumer, group: str
) -> None:
    topic = new_topic(partitions=4)
    members = [new_consumer(topic, group_id=group, heartbeat_interval_ms=200) for _ in range(2)]
    settle(members, 4)
    for number in range(200):
        producer.send(topic, b"%d" % number, partition=number % 4)
    producer.flush()
    seen: list[int] = []

    def read() -> bool:
        for member in members:
            seen.extend(int(record.value) for batch in member.poll(timeout_ms=POLL_MS).values() for record in batch)
        return len(seen) >= 200

    until("all 200 records", read)
    assert sorted(seen) == list(range(200))


@pytest.mark.feature("groups: join and leave")
def test_a_member_that_falls_silent_loses_its_partitions(
    new_topic: MakeTopic, new_consumer: MakeConsumer, group: str
) -> None:
    topic = new_topic(partitions=2)
    settings = {"group_id": group, "session_timeout_ms": SESSION_MS, "heartbeat_interval_ms": 200}
    staying = new_consumer(topic, **settings)
    lost = new_consumer(topic, **settings, max_poll_interval_ms=SESSION_MS, group_instance_id="lost")
    settle([staying, lost], 2)
    # A static member that closes says nothing: the coordinator has to miss its heartbeats.
    lost.close()
    settle([staying], 2)


@pytest.mark.feature("groups: join and leave")
def test_a_member_with_an_old_generation_cannot_commit(
    new_topic: MakeTopic, new_consumer: MakeConsumer, group: str
) -> None:
    topic = new_topic(partitions=2)
    first = new_consumer(topic, group_id=group, enable_auto_commit=False, heartbeat_interval_ms=200)
    settle([first], 2)
    coordinator = first._coordinator
    coordinator._generation.generation_id -= 1
    with pytest.raises(CommitFailedError):
        first.commit({TopicPartition(topic, 0): OffsetAndMetadata(0, "", -1)})


@pytest.mark.feature("groups: static membership")
def test_a_static_member_comes_back_to_its_partitions_without_a_rebalance(
    new_topic: MakeTopic, new_consumer: MakeConsumer, group: str
) -> None:
    topic = new_topic(partitions=4)
    settings = {"group_id": group, "session_timeout_ms": 30_000, "heartbeat_interval_ms": 200}
    one = new_consumer(topic, **settings, group_instance_id="one")
    two = new_consumer(topic, **settings, group_instance_id="two")
    before = settle([one, two], 4)
    generation = one._coordinator.generation().generation_id
    two.close()
    back = new_consumer(topic, **settings, group_instance_id="two")
    until("the static member's return", lambda: back.poll(timeout_ms=POLL_MS) or owned(back))
    assert owned(back) == before[1]
    one.poll(timeout_ms=500)
    assert owned(one) == before[0]
    assert one._coordinator.generation().generation_id == generation


@pytest.mark.feature("groups: committed offsets")
def test_a_new_member_goes_on_where_the_group_committed(
    topic: str, producer: KafkaProducer, new_consumer: MakeConsumer, group: str
) -> None:
    for number in range(20):
        producer.send(topic, b"%d" % number)
    producer.flush()
    where = TopicPartition(topic, 0)
    first = new_consumer(topic, group_id=group, enable_auto_commit=False)
    take(first, lambda records: len(records) >= 20)
    first.commit({where: OffsetAndMetadata(13, "halfway", -1)})
    first.close()
    second = new_consumer(topic, group_id=group, enable_auto_commit=False)
    assert take(second, bool)[0].offset == 13
    kept = second.committed(where, metadata=True)
    assert (kept.offset, kept.metadata) == (13, "halfway")


@pytest.mark.feature("groups: committed offsets")
def test_auto_commit_on_close_keeps_the_place(
    topic: str, new_producer: MakeProducer, new_consumer: MakeConsumer, group: str
) -> None:
    new_producer().send(topic, b"first").get(10)
    first = new_consumer(topic, group_id=group)
    take(first, bool)
    first.close()
    assert new_consumer(group_id=group).committed(TopicPartition(topic, 0)) == 1


@pytest.mark.feature("groups: committed offsets")
def test_a_group_that_never_committed_has_no_offset(topic: str, new_consumer: MakeConsumer, group: str) -> None:
    assert new_consumer(group_id=group).committed(TopicPartition(topic, 0)) is None
