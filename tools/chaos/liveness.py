"""What must be true again soon after all harm has ended: nodes ready, replicas in sync, partitions writable, groups
stable.

In: the addresses. Out: what is still missing, as lines of text; nothing if all is well. Asks as any client may.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tools.chaos.cluster import Cluster
from tools.chaos.journal import Journal
from tools.chaos.librdkafka import SPACE, offset_told

GROUPS: Final = ("librdkafka-group", "java-group")
_ASK_SECONDS: Final = 5.0
_PROBES: Final = 90
"""The number of the writer that probes partitions."""

_quiet = logging.getLogger("librdkafka")


class Observer:
    def __init__(self, cluster: Cluster, journal: Journal) -> None:
        self._cluster = cluster
        self._journal = journal
        self._values = itertools.count(_PROBES * SPACE)
        base: dict[str, Any] = {
            "bootstrap.servers": cluster.bootstrap,
            "socket.timeout.ms": 8_000,
            "reconnect.backoff.max.ms": 500,
        }
        base |= {"topic.metadata.refresh.interval.ms": 2_000, "log_level": 0, "error_cb": lambda _: None}
        self._settings = base
        self._admin = self._new_admin()
        settings = {**base, "enable.idempotence": True, "message.timeout.ms": 10_000, "linger.ms": 0}
        self._producer = Producer(settings, logger=_quiet)
        self._unanswered: set[int] = set()
        self._lock = threading.Lock()

    def _new_admin(self) -> AdminClient:
        return AdminClient(dict(self._settings), logger=_quiet)

    def create(self, topic: str, partitions: int, replicas: int, config: dict[str, str], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while True:
            wanted = NewTopic(topic, num_partitions=partitions, replication_factor=replicas, config=config)
            try:
                self._admin.create_topics([wanted], request_timeout=20)[topic].result(20)
                return
            except KafkaException as error:
                if error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
                    return
                if not error.args[0].retriable() or time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def whole(self) -> bool:
        """Whether all nodes serve and all replicas of all partitions are in sync."""
        return not self.not_ready() and not self.out_of_sync()

    def not_ready(self) -> list[str]:
        return [f"node {node.number} is not ready" for node in self._cluster.nodes if not node.ready()]

    def out_of_sync(self) -> list[str]:
        """As every node sees it: one that was cut off may not know yet."""
        told = (
            self._out_of_sync(AdminClient({"bootstrap.servers": each.bootstrap}, logger=_quiet))
            for each in self._cluster.nodes
        )
        return next((wrong for wrong in told if wrong), [])

    def _out_of_sync(self, admin: AdminClient) -> list[str]:
        try:
            metadata = admin.list_topics(timeout=_ASK_SECONDS)
        except KafkaException as error:
            return [f"no metadata: {error.args[0].str()}"]
        wrong = []
        if len(metadata.brokers) < len(self._cluster.nodes):
            wrong.append(f"only brokers {sorted(metadata.brokers)} are known")
        for topic in metadata.topics.values():
            for partition in topic.partitions.values():
                name = f"{topic.topic}-{partition.id}"
                if partition.leader < 0:
                    wrong.append(f"{name} has no leader")
                elif len(partition.isrs) < len(partition.replicas):
                    wrong.append(f"{name}: in sync {sorted(partition.isrs)} of {sorted(partition.replicas)}")
        return wrong

    def not_writable(self, topic: str, partitions: int) -> list[str]:
        """Writes a record to each partition and waits for the answers."""
        answers: dict[int, str] = {}
        for partition in range(partitions):
            self._probe(topic, partition, answers)
        self._producer.flush(11)
        return [
            f"{topic}-{partition} takes no record: {answers.get(partition, 'no answer')}"
            for partition in range(partitions)
            if answers.get(partition) or partition not in answers
        ]

    def _probe(self, topic: str, partition: int, answers: dict[int, str]) -> None:
        value = next(self._values)

        def done(error: KafkaError | None, message: Message) -> None:
            answers[partition] = "" if error is None else str(error)
            if error is None:
                self._journal.note("ack", partition, value, offset_told(message.offset()))
            else:
                self._journal.note("unknown", partition, value, str(error))

        self._journal.note("send", partition, value)
        self._producer.produce(topic, str(value).encode(), partition=partition, on_delivery=done)

    def unstable(self, groups: list[str]) -> list[str]:
        wrong = []
        admin = self._new_admin()  # one that asked before goes on asking the group's former coordinator for minutes
        for group, answer in admin.describe_consumer_groups(groups, request_timeout=_ASK_SECONDS).items():
            try:
                told = answer.result(_ASK_SECONDS + 5)
            except KafkaException as error:
                wrong.append(f"{group} cannot be described: {error.args[0].str()}")
                continue
            if told.state != ConsumerGroupState.STABLE:
                wrong.append(f"{group} is {told.state.name}")
            elif len(told.members) < 2:
                wrong.append(f"{group} has {len(told.members)} members")
        return wrong

    def behind(self, groups: list[str], topic: str, ends: dict[int, int]) -> list[str]:
        """Groups that have not committed all there is."""
        wrong = []
        admin = self._new_admin()
        for group in groups:
            asked = [ConsumerGroupTopicPartitions(group)]
            try:
                told = admin.list_consumer_group_offsets(asked, request_timeout=_ASK_SECONDS)[group].result(10)
            except KafkaException as error:
                wrong.append(f"{group} has no answer: {error.args[0].str()}")
                continue
            at = {each.partition: each.offset for each in told.topic_partitions or [] if each.topic == topic}
            short = {partition: (at.get(partition), end) for partition, end in ends.items() if at.get(partition) != end}
            if short:
                wrong.append(f"{group} has not read all, by partition (committed, end): {short}")
        return wrong

    def describe(self, topic: str) -> str:
        """Leaders and replicas in sync, for a log."""
        told = self._admin.describe_topics(TopicCollection([topic]), request_timeout=_ASK_SECONDS)[topic].result(10)
        return "; ".join(
            f"{each.id}: leader {each.leader.id if each.leader else None}, in sync {[node.id for node in each.isr]}"
            for each in told.partitions
        )


def waited(checks: list[Callable[[], list[str]]], seconds: float, stop: Callable[[], None]) -> tuple[float, list[str]]:
    """How long it took until each check was content once, one after the other; and what was still wrong at the end.
    `stop` is called between questions, and may raise."""
    began = time.monotonic()
    for check in checks:
        while wrong := check():
            stop()
            if time.monotonic() - began > seconds:
                return time.monotonic() - began, wrong
            time.sleep(0.25)
    return time.monotonic() - began, []
