"""What each client does on a cluster: it makes a topic of six partitions with three replicas, writes idempotently, and
reads all of it in a group of two members, each record once and each partition in order; then it finds the group among
all, sees that it is empty, and deletes group and topic.

The clients in other languages run scenarios of their own programs for that. A journey fails by raising.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path

import confluent_kafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin import NewTopic as AIOKafkaNewTopic
from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin import NewTopic as ConfluentNewTopic
from kafka import KafkaConsumer, KafkaProducer
from kafka.admin import KafkaAdminClient
from kafka.admin import NewTopic as KafkaPythonNewTopic

from compat_tests import golang
from compat_tests.java import building as java
from compat_tests.java_tools.test_console_tools import call
from compat_tests.node import building as node
from compat_tests.programs import caller
from compat_tests.waiting import Deadline, until

Journey = Callable[[str, str], None]
"""Called with an address and a name for topic and group."""
PARTITIONS = 6
REPLICAS = 3
COUNT = 600

Record = tuple[int, int, int]
"""Partition, offset, and the number that was written."""


def kafka_python(address: str, name: str) -> None:
    with closing(KafkaAdminClient(bootstrap_servers=address)) as admin:
        admin.create_topics([KafkaPythonNewTopic(name, num_partitions=PARTITIONS, replication_factor=REPLICAS)])
    with closing(KafkaProducer(bootstrap_servers=address, enable_idempotence=True, acks="all")) as producer:
        sent = [producer.send(name, b"%d" % each, partition=each % PARTITIONS) for each in range(COUNT)]
        for each in sent:
            each.get(30)
    seen: list[Record] = []
    deadline = Deadline()

    def read() -> None:
        settings = {"bootstrap_servers": address, "group_id": name, "auto_offset_reset": "earliest"}
        with closing(KafkaConsumer(name, enable_auto_commit=False, **settings)) as consumer:
            while len(seen) < COUNT and not deadline.over:
                for batch in consumer.poll(timeout_ms=1000).values():
                    seen.extend((each.partition, each.offset, int(each.value)) for each in batch)
                    consumer.commit()

    _together(read, read)
    _complete(seen)
    with closing(KafkaAdminClient(bootstrap_servers=address)) as admin:
        assert name in {each["group_id"] for each in admin.list_groups()}
        until("an empty group", lambda: admin.describe_groups([name])[name]["group_state"] == "Empty")
        admin.delete_groups([name])
        assert name not in {each["group_id"] for each in admin.list_groups()}
        admin.delete_topics([name])
        until("the topic's end", lambda: name not in admin.list_topics())


def confluent(address: str, name: str) -> None:
    create_topic(address, name)
    producer = confluent_kafka.Producer({"bootstrap.servers": address, "enable.idempotence": True, "linger.ms": 1})
    failed: list[object] = []
    for each in range(COUNT):
        producer.produce(
            name,
            b"%d" % each,
            partition=each % PARTITIONS,
            on_delivery=lambda error, _: failed.append(error) if error else None,
        )
    assert producer.flush(30) == 0 and not failed, failed[:3]
    seen: list[Record] = []
    deadline = Deadline()

    def read() -> None:
        settings = {"bootstrap.servers": address, "group.id": name, "auto.offset.reset": "earliest"}
        consumer = confluent_kafka.Consumer({**settings, "enable.auto.commit": False})
        consumer.subscribe([name])
        while len(seen) < COUNT and not deadline.over:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                seen.append((message.partition(), message.offset(), int(message.value())))
                consumer.commit(message, asynchronous=False)
        consumer.close()

    _together(read, read)
    _complete(seen)
    admin = AdminClient({"bootstrap.servers": address, "log_level": 2})
    assert name in {each.group_id for each in admin.list_consumer_groups().result(20).valid}
    empty = ConsumerGroupState.EMPTY
    until("an empty group", lambda: admin.describe_consumer_groups([name])[name].result(20).state == empty)
    admin.delete_consumer_groups([name])[name].result(20)
    assert name not in {each.group_id for each in admin.list_consumer_groups().result(20).valid}
    admin.delete_topics([name])[name].result(20)
    until("the topic's end", lambda: name not in admin.list_topics(timeout=20).topics)


@asynccontextmanager
async def administering(address: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


def aiokafka(address: str, name: str) -> None:
    async def travel() -> None:
        topic = AIOKafkaNewTopic(name, num_partitions=PARTITIONS, replication_factor=REPLICAS)
        async with administering(address) as admin:
            await admin.create_topics([topic])
        producer = AIOKafkaProducer(bootstrap_servers=address, enable_idempotence=True, acks="all")
        await producer.start()
        try:
            sent = [await producer.send(name, b"%d" % each, partition=each % PARTITIONS) for each in range(COUNT)]
            await asyncio.wait_for(asyncio.gather(*sent), 30)
        finally:
            await producer.stop()
        seen: list[Record] = []
        deadline = Deadline()

        async def read(consumer: AIOKafkaConsumer) -> None:
            while len(seen) < COUNT and not deadline.over:
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    seen.extend((each.partition, each.offset, int(each.value)) for each in batch)
                    await consumer.commit()

        async with AsyncExitStack() as stack:
            members = []
            for _ in range(2):
                one = AIOKafkaConsumer(
                    name,
                    bootstrap_servers=address,
                    group_id=name,
                    auto_offset_reset="earliest",
                    enable_auto_commit=False,
                )
                await one.start()
                stack.push_async_callback(one.stop)
                members.append(one)
            await asyncio.gather(*map(read, members))
        _complete(seen)
        async with administering(address) as admin:
            assert name in {each[0] for each in await admin.list_consumer_groups()}
            (described,) = await admin.describe_consumer_groups([name])
            assert described.groups[0][2] == "Empty"
            await admin.delete_topics([name])

    asyncio.run(travel())


def kcat(address: str, name: str) -> None:
    create_topic(address, name)  # kcat makes none

    def run(*arguments: str, given: bytes = b"") -> bytes:
        command = ["kcat", "-b", address, *arguments]
        done = subprocess.run(command, input=given, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    for partition in range(PARTITIONS):
        lines = b"".join(b"%d\n" % each for each in range(partition, COUNT, PARTITIONS))
        run("-P", "-t", name, "-p", str(partition), "-X", "enable.idempotence=true", given=lines)
    seen: list[Record] = []
    for _ in range(2):  # the second reads on where the first has committed
        said = run("-G", name, "-q", "-c", str(COUNT // 2), "-J", "-X", "auto.offset.reset=earliest", name)
        told = map(json.loads, said.splitlines())
        seen += [(each["partition"], each["offset"], int(each["payload"])) for each in told]
    _complete(seen)


def java_tools(address: str, name: str) -> None:
    at = ("--bootstrap-server", address)
    making = ("--create", "--partitions", str(PARTITIONS), "--replication-factor", str(REPLICAS))
    call("topics", *at, "--topic", name, *making)
    acknowledged = call("verifiable-producer", *at, "--topic", name, "--max-messages", str(COUNT))
    assert f'"sent":{COUNT},"acked":{COUNT}' in acknowledged
    seen: list[str] = []
    reader = ("console-consumer", *at, "--topic", name, "--group", name, "--from-beginning")
    for _ in range(2):  # the second reads on where the first has committed
        seen += call(*reader, "--max-messages", str(COUNT // 2)).split()
    assert sorted(map(int, seen)) == list(range(COUNT))
    described = call("topics", *at, "--describe", "--topic", name)
    leaders = set(re.findall(r"Leader: (\S+)", described))
    assert leaders == {"1", "2", "3"}, "with one address for all, too, operators are told true leaders"
    told = call("consumer-groups", *at, "--describe", "--group", name)
    assert sum(int(line.split()[3]) for line in told.splitlines() if f" {name} " in line) == COUNT
    assert name in call("consumer-groups", *at, "--list").split()
    call("consumer-groups", *at, "--delete", "--group", name)
    call("topics", *at, "--delete", "--topic", name)


def create_topic(address: str, name: str, partitions: int = PARTITIONS, config: dict[str, str] | None = None) -> None:
    """By librdkafka; returns once every replica is there."""
    wanted = ConfluentNewTopic(name, num_partitions=partitions, replication_factor=REPLICAS, config=config or {})
    admin = AdminClient({"bootstrap.servers": address, "log_level": 2})
    admin.create_topics([wanted], request_timeout=60)[name].result(70)


def program(command: list[str], scenarios: Iterable[tuple[str, ...]]) -> Journey:
    """The journey of a program: these of its scenarios, each with a topic of its own."""

    def travel(address: str, name: str) -> None:
        for scenario, *options in scenarios:
            caller(command, address, lambda scenario=scenario: f"{name}-{scenario}", replicas=REPLICAS)(
                scenario, *options
            )

    return travel


def journey_of(client: str, where: Path) -> Journey:
    """`where` is a directory for what has to be built."""
    if client in _IN_PYTHON:
        return _IN_PYTHON[client]
    build, scenarios = _PROGRAMS[client]
    where.mkdir(parents=True, exist_ok=True)
    return program(build(where), scenarios)


_IN_PYTHON: dict[str, Journey] = {
    "kafka_python": kafka_python,
    "confluent": confluent,
    "aiokafka": aiokafka,
    "kcat": kcat,
    "java_tools": java_tools,
}
_MORE = (("committed",), ("admin-topics",), ("admin-groups",), ("admin-records",))
_ASSIGNOR = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"
_PROGRAMS: dict[str, tuple[Callable[[Path], list[str]], tuple[tuple[str, ...], ...]]] = {
    "java": (java.build, (("many-batches",), ("join-and-leave", _ASSIGNOR), *_MORE)),
    "franz": (
        lambda where: golang.build("franz", where),
        (("many-batches",), ("join-and-leave", "cooperative-sticky"), *_MORE),
    ),
    "sarama": (
        lambda where: golang.build("sarama", where),
        (("idempotent",), ("join-and-leave", "sticky"), *_MORE),
    ),
    "node": (node.build, (("idempotent",), ("join-and-leave",), *_MORE)),
}
CLIENTS = (*_IN_PYTHON, *_PROGRAMS)


def _together(*works: Callable[[], None]) -> None:
    """Run in threads; the first problem of any is raised."""
    problems: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as problem:  # noqa: BLE001 - raised again by who waits for it
            problems.append(problem)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if problems:
        raise problems[0]


def _complete(seen: Iterable[Record]) -> None:
    """Every record is there; one may come twice, to the next owner of a partition that was not committed yet."""
    partitions: dict[int, dict[int, int]] = defaultdict(dict)
    for partition, offset, number in seen:
        assert partitions[partition].setdefault(offset, number) == number, "one offset, two records"
    for partition in range(PARTITIONS):
        expected = dict(enumerate(range(partition, COUNT, PARTITIONS)))
        assert partitions[partition] == expected, f"partition {partition}: {len(partitions[partition])} records"
