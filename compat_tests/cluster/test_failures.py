"""Nodes of a real cluster that are killed, frozen, emptied, or cut off from their majority, under a real load."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

import confluent_kafka
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from compat_tests.cluster.conftest import StartCluster
from compat_tests.cluster.journeys import create_topic
from compat_tests.cluster.load import Load, Witness, in_sync, read
from compat_tests.cluster.neighbours import Neighbours
from compat_tests.cluster.nodes import Cluster
from compat_tests.waiting import Deadline, until

QUICK = {"default.replication.factor": "3", "min.insync.replicas": "2"}
PARTITIONS = 6


def leaders(address: str, topic: str) -> dict[int, int]:
    found = AdminClient({"bootstrap.servers": address}).list_topics(topic, timeout=20).topics[topic]
    return {index: each.leader for index, each in found.partitions.items()}


def controller(address: str) -> int:
    return int(AdminClient({"bootstrap.servers": address}).list_topics(timeout=20).controller_id)


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("struck"), QUICK) as running:
        yield running


@pytest.fixture
def trio(struck: Cluster) -> Cluster:
    """All of its nodes are up, whatever was done to them before."""
    for each in struck.nodes:
        if each.process is None:
            each.start(wait=False)
        each.thaw()
    for each in struck.nodes:
        each.wait_ready()
    return struck


@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_a_node_that_dies_or_hangs_under_load_costs_nothing(
    trio: Cluster, new_name: Callable[[], str], how: str
) -> None:
    topic = new_name()
    create_topic(trio.bootstrap, topic, PARTITIONS)
    with Witness(trio.bootstrap, topic, PARTITIONS) as witness, Load(trio.bootstrap, topic, PARTITIONS) as load:
        for number in (1, 2):
            load.flows()
            node = trio.node(number)
            if how == "kill":
                node.kill()
                load.flows()
                node.start()
            else:
                node.freeze()
                load.flows()
                node.thaw()
            until("all in sync", lambda: in_sync(trio.bootstrap, topic, 3), 60)
        until("the witness to have read on", lambda: witness.seen.keys() >= {(each, 0) for each in range(PARTITIONS)})
    assert load.check(witness) > 100


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_a_group_goes_on_when_its_coordinator_dies(trio: Cluster, new_name: Callable[[], str], kind: str) -> None:
    topic, group = new_name(), new_name()
    create_topic(trio.bootstrap, topic, 4)
    seen: dict[tuple[int, int], int] = {}
    owned: dict[str, list[list[int]]] = {"one": [], "two": []}

    def member(name: str) -> Consumer:
        consumer = Consumer({
            "bootstrap.servers": trio.bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 45_000,
            **({"group.instance.id": name} if kind == "static" else {}),
        })  # fmt: skip
        consumer.subscribe([topic], on_assign=lambda _, places: owned[name].append([each.partition for each in places]))
        return consumer

    def read_all(load: Load) -> bool:
        for each in members.values():
            message = each.poll(0.1)
            if message is not None and message.error() is None:
                partition, offset, value = message.partition(), message.offset(), message.value()
                assert partition is not None and offset is not None and value is not None
                assert seen.setdefault((partition, offset), int(value)) == int(value), "one offset, two records"
                each.commit(message, asynchronous=False)
        got: dict[int, list[int]] = {each: [] for each in range(4)}
        for (partition, _), value in sorted(seen.items()):
            got[partition].append(value)
        return all(set(got[each]) >= set(load.acknowledged[each]) for each in range(4))

    members = {name: member(name) for name in owned}
    try:
        until("two shares", lambda: [each.poll(0.1) for each in members.values()] and shares(owned) == [2, 2], 60)
        before = {name: len(times) for name, times in owned.items()}
        with Load(trio.bootstrap, topic, 4, pause=0.2) as first:
            first.flows()
        until("everything", lambda: read_all(first), 60)
        coordinator = coordinator_of(trio, group)
        trio.node(coordinator).kill()
        with Load(trio.bootstrap, topic, 4, pause=0.2) as second:
            second.flows()
        until("everything", lambda: read_all(second), 60)
        assert {name: len(times) for name, times in owned.items()} == before, "the members had to join again"
        assert coordinator_of(trio, group) != coordinator
    finally:
        for each in members.values():
            each.close()
    committed = Consumer({"bootstrap.servers": trio.bootstrap, "group.id": group})
    try:
        kept = committed.committed([confluent_kafka.TopicPartition(topic, each) for each in range(4)], timeout=30)
        ends = {partition: max(offset for where, offset in seen if where == partition) + 1 for partition in range(4)}
        assert {each.partition: each.offset for each in kept} == ends, "what was committed was forgotten"
    finally:
        committed.close()


def shares(owned: dict[str, list[list[int]]]) -> list[int]:
    return [len(times[-1]) if times else 0 for times in owned.values()]


def next_value(consumer: Consumer) -> int:
    deadline = Deadline(60)
    while not deadline.over:
        message = consumer.poll(0.5)
        if message is not None and message.error() is None:
            value = message.value()
            assert value is not None
            return int(value)
    raise AssertionError("nothing came")


def coordinator_of(cluster: Cluster, group: str) -> int:
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    described = admin.describe_consumer_groups([group], request_timeout=20)[group].result()
    return int(described.coordinator.id)


def test_every_one_of_500_partitions_is_written_again_within_5_seconds_of_a_death(
    start_cluster: StartCluster, new_name: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """p99 of the time from kill -9 to the first acknowledged record, over the partitions that the dead node led."""
    cluster, topic, partitions = start_cluster(QUICK), new_name(), 500
    create_topic(cluster.bootstrap, topic, partitions)
    until("all in sync", lambda: in_sync(cluster.bootstrap, topic, 3), 90)
    with Load(cluster.bootstrap, topic, partitions, pause=0.002) as load:
        load.flows(90)
        led = Counter(leaders(cluster.bootstrap, topic).values())
        victim = max(led, key=lambda node: led[node])
        dead = [index for index, leader in leaders(cluster.bootstrap, topic).items() if leader == victim]
        with Neighbours(each.pid for each in cluster.others(victim)) as neighbours:
            began = time.monotonic()
            cluster.node(victim).kill()
            until("all written", lambda: written_since(load, began + ON_THEIR_WAY) >= set(dead), 90)
    took = sorted(load.first_after(each, began + ON_THEIR_WAY) - began for each in dead)
    p99 = took[int(len(took) * 0.99)]
    with capsys.disabled():
        print(
            f"\n{len(took)} leaders died: first record again after {took[0]:.2f} s, median "
            f"{took[len(took) // 2]:.2f} s, p99 {p99:.2f} s; others had {neighbours.share:.0%} of the machine"
        )
    assert p99 <= 5.0 / max(0.1, 1.0 - neighbours.share)
    load.check()


ON_THEIR_WAY = 0.2
"""Seconds in which answers may still come that were given before the node died."""


def written_since(load: Load, moment: float) -> set[int]:
    return {each for each, last in load.last.items() if last > moment}


def test_a_wiped_disk_comes_back_as_a_new_directory_and_is_filled(trio: Cluster, new_name: Callable[[], str]) -> None:
    topic = new_name()
    create_topic(trio.bootstrap, topic, PARTITIONS)
    with Load(trio.bootstrap, topic, PARTITIONS) as load:
        load.flows()
        node = trio.node(2)
        node.kill()
        node.wipe()
        node.format(trio.cluster_id, trio.secret)
        load.flows()
        node.start()
        until("all in sync", lambda: in_sync(trio.bootstrap, topic, 3), 90)
        trio.node(1).kill()  # what node 2 has now is needed
        load.flows()
    assert load.check() > 100


def test_without_a_majority_reads_go_on_and_writes_are_refused_until_it_is_back(
    trio: Cluster, new_name: Callable[[], str]
) -> None:
    topic = new_name()
    create_topic(trio.bootstrap, topic, 1)
    producer = Producer({"bootstrap.servers": trio.bootstrap, "enable.idempotence": True, "message.timeout.ms": 6000})
    producer.produce(topic, b"0")
    assert producer.flush(30) == 0
    leader = leaders(trio.bootstrap, topic)[0]
    for each in trio.others(leader):
        each.kill()
    here = trio.node(leader).bootstrap
    consumer = Consumer({"bootstrap.servers": here, "group.id": "any", "enable.auto.commit": False})
    consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
    assert next_value(consumer) == 0
    consumer.close()
    until("the survivor stands for the controller", lambda: controller(here) == leader, 60)
    with pytest.raises(KafkaException, match="metadata quorum"):
        create_topic(here, new_name(), 1)
    refused: list[KafkaError | None] = []
    producer.produce(topic, b"1", on_delivery=lambda error, _: refused.append(error))
    producer.flush(30)
    assert refused[0] is not None, "acknowledged without a majority"
    for each in trio.others(leader):
        each.start(wait=False)
    for each in trio.nodes:
        each.wait_ready()
    with Load(trio.bootstrap, topic, 1) as load:
        load.flows()
    kept = set(read(trio.bootstrap, topic, [0])[0].values())
    assert kept >= {0, *load.acknowledged[0]}
