"""SIGKILL in the middle of an idempotent load, again and again: nothing lost, nothing twice, order kept.

Each record carries its number within its partition. After the last round the log of each partition has to read 0, 1,
2, ... without a gap
or a repetition, and every acknowledged record has to be at the offset its acknowledgement told.
"""

from __future__ import annotations

import os
import random
import threading
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from compat_tests import brokers
from compat_tests.confluent.conftest import read_to_end
from compat_tests.conftest import StartBroker, create_topic
from compat_tests.waiting import until

PARTITIONS = 4
ROUNDS = int(os.environ.get("SPRAWL_KILL_ROUNDS", "5" if brokers.is_kafka() else "20"))
#: Acknowledgements to wait for before the next kill.
_BETWEEN = 1000

pytestmark = [pytest.mark.feature("kill -9"), pytest.mark.timeout(600)]


class Load:
    """Writes numbered records to every partition until told to stop; keeps each acknowledgement."""

    def __init__(self, bootstrap: str, topic: str) -> None:
        self.acknowledged: dict[int, dict[int, int]] = defaultdict(dict)
        self.sent = [0] * PARTITIONS
        self.failed: list[str] = []
        self._topic = topic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "linger.ms": 1,
                "batch.num.messages": 50,
                "message.timeout.ms": 300_000,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 200,
                "retry.backoff.ms": 50,
                "error_cb": self._error,
            }
        )

    @property
    def count(self) -> int:
        return sum(len(offsets) for offsets in self.acknowledged.values())

    def _error(self, error: Any) -> None:
        if error.fatal():
            self.failed.append(str(error))

    def _run(self) -> None:
        while not self._stop.is_set():
            for partition in range(PARTITIONS):
                self._send(partition)
            # At most a few thousand records wait at a time, so that a broker that is away stops the load.
            self._producer.poll(0.001 if len(self._producer) < 4000 else 0.1)

    def _send(self, partition: int) -> None:
        if len(self._producer) >= 4000:
            return
        number = self.sent[partition]
        self.sent[partition] += 1

        def done(error: Any, message: Message) -> None:
            if error is not None:
                self.failed.append(f"partition {partition}, record {number}: {error}")
            else:
                self.acknowledged[partition][number] = message.offset()

        self._producer.produce(self._topic, b"%d" % number, partition=partition, on_delivery=done)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        """Stops writing and waits for every record's answer."""
        self._stop.set()
        self._thread.join(30)
        left = self._producer.flush(60)
        assert left == 0, f"{left} records were never answered"


def test_an_idempotent_load_survives_kills(start_broker: StartBroker, new_name: Callable[[], str]) -> None:
    broker = start_broker()
    topic = create_topic(AdminClient({"bootstrap.servers": broker.bootstrap}), new_name(), PARTITIONS)
    load, chance = Load(broker.bootstrap, topic), random.Random(9)
    load.start()
    try:
        for turn in range(ROUNDS):
            enough = load.count + chance.randrange(_BETWEEN // 2, _BETWEEN * 2)
            until(f"progress in round {turn}", lambda enough=enough: load.failed or load.count >= enough, 90)
            assert not load.failed, f"round {turn}: {load.failed[:3]}"
            broker.kill()
            broker.start()
        enough = load.count + _BETWEEN
        until("progress after the last kill", lambda: load.failed or load.count >= enough, 90)
    finally:
        load.finish()
    assert not load.failed, load.failed[:3]
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "checker", "enable.auto.commit": False})
    for partition in range(PARTITIONS):
        records = read_to_end(consumer, topic, partition)
        numbers = [int(record.value()) for record in records]
        wrong = next((at for at, number in enumerate(numbers) if number != at), None)
        assert wrong is None, f"partition {partition}: at place {wrong} stand {numbers[wrong : wrong + 5]}"
        assert len(numbers) == load.sent[partition], f"partition {partition}: records at the end are lost"
        where = {int(record.value()): record.offset() for record in records}
        misplaced = [number for number, offset in load.acknowledged[partition].items() if where[number] != offset]
        # A retried batch may be acknowledged without its offset (-1, -1001): the broker only said that it has it.
        told = [number for number in misplaced if load.acknowledged[partition][number] >= 0]
        assert not told, f"partition {partition}: records {told[:5]} are not where their acknowledgement said"
    consumer.close()


def test_committed_offsets_survive_kills(start_broker: StartBroker, new_name: Callable[[], str]) -> None:
    broker = start_broker()
    topic = create_topic(AdminClient({"bootstrap.servers": broker.bootstrap}), new_name(), PARTITIONS)
    settings = {"bootstrap.servers": broker.bootstrap, "group.id": "kept", "enable.auto.commit": False}
    for turn in range(1, 4):
        consumer = Consumer(settings)
        consumer.commit(
            offsets=[TopicPartition(topic, each, turn * 10 + each) for each in range(4)], asynchronous=False
        )
        broker.kill()
        broker.start()
        consumer.close()
        reader = Consumer(settings)
        kept = reader.committed([TopicPartition(topic, each) for each in range(PARTITIONS)], timeout=30)
        assert [each.offset for each in kept] == [turn * 10 + each for each in range(PARTITIONS)]
        reader.close()
