"""An idempotent producer (librdkafka) that writes numbers to every partition of a topic until it is told to stop, and
the reading of all that came of it: every acknowledged number once, in order, none twice, and nothing else than what
others have read meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from compat_tests.waiting import Deadline, until


class Load:
    """A context manager: inside it is under way; leaving sends the rest and waits for every answer."""

    def __init__(self, address: str, topic: str, partitions: int, *, pause: float = 0.001) -> None:
        self.topic = topic
        self.partitions = partitions
        self.acknowledged: dict[int, list[int]] = defaultdict(list)
        """By partition, in the order of the answers."""
        self.last: dict[int, float] = {}
        """When the last answer came for each partition."""
        self._moments: dict[int, list[float]] = defaultdict(list)
        self._address = address
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._refused: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if error is None:
            assert not self._refused, self._refused[:3]

    def flows(self, seconds: float = 60) -> None:
        """Returns once every partition has acknowledged something that was sent after this was asked."""
        asked = time.monotonic()
        partitions = range(self.partitions)
        until(
            "an acknowledgement of every partition",
            lambda: all(self.last.get(each, 0.0) > asked for each in partitions),
            seconds,
        )

    def first_after(self, partition: int, moment: float) -> float:
        """When the first answer for a partition came after a moment."""
        return next(each for each in self._moments[partition] if each > moment)

    def check(self, witness: Witness | None = None) -> int:
        """Read everything and compare; returns how many records there are."""
        whole = read(self._address, self.topic, range(self.partitions))
        for partition, records in whole.items():
            sent, found = self.acknowledged[partition], list(records.values())
            assert sent == sorted(sent), f"partition {partition}: acknowledged out of order"
            assert len(set(found)) == len(found), f"partition {partition}: something is there twice"
            assert found == sorted(found), f"partition {partition}: out of order"
            lost = set(sent) - set(found)
            assert not lost, f"partition {partition}: {len(lost)} acknowledged records are gone: {sorted(lost)[:5]}"
        for (partition, offset), value in (witness.seen if witness is not None else {}).items():
            assert whole[partition].get(offset) == value, f"{partition}, offset {offset}: {value} was read there before"
        return sum(map(len, whole.values()))

    def _run(self) -> None:
        producer = Producer({
            "bootstrap.servers": self._address,
            "enable.idempotence": True,
            "linger.ms": 0,
            "message.timeout.ms": 120_000,
            "topic.metadata.refresh.interval.ms": 1000,
        })  # fmt: skip
        number = 0
        while not self._stop.is_set():
            producer.produce(
                self.topic, b"%d" % number, partition=number % self.partitions, on_delivery=self._answered(number)
            )
            producer.poll(0)
            number += 1
            time.sleep(self._pause)
        assert producer.flush(120) == 0

    def _answered(self, number: int) -> Callable[[object, Message], None]:
        def answered(error: object, message: Message) -> None:
            if error is not None:
                self._refused.append(str(error))
                return
            partition = message.partition()
            assert partition is not None
            self.acknowledged[partition].append(number)
            self.last[partition] = time.monotonic()
            self._moments[partition].append(self.last[partition])

        return answered


class Witness:
    """A consumer that reads along from the beginning, and keeps what it saw where. A context manager."""

    def __init__(self, address: str, topic: str, partitions: int) -> None:
        self.seen: dict[tuple[int, int], int] = {}
        """By partition and offset."""
        self._consumer = Consumer({"bootstrap.servers": address, "group.id": "witness", "enable.auto.commit": False})
        self._consumer.assign([TopicPartition(topic, each, 0) for each in range(partitions)])
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._contradictions: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()
        if error is None:
            assert not self._contradictions, self._contradictions[:3]

    def _run(self) -> None:
        while not self._stop.is_set():
            for partition, offset, value in _records(self._consumer, 0.2):
                before = self.seen.setdefault((partition, offset), value)
                if before != value:
                    self._contradictions.append(f"{partition}, offset {offset}: {before}, then {value}")


def read(address: str, topic: str, partitions: Iterable[int], seconds: float = 90) -> dict[int, dict[int, int]]:
    """By partition and offset, everything up to the high watermark of now."""
    consumer = Consumer({"bootstrap.servers": address, "group.id": "reading", "enable.auto.commit": False})
    deadline = Deadline(seconds)
    try:
        ends = {each: _end(consumer, TopicPartition(topic, each), deadline) for each in partitions}
        found: dict[int, dict[int, int]] = {each: {} for each in ends}
        missing = {each for each, end in ends.items() if end}
        consumer.assign([TopicPartition(topic, each, 0) for each in missing])
        while missing:
            assert not deadline.over, f"{topic}: partitions {sorted(missing)[:5]} were not read to the end"
            for partition, offset, value in _records(consumer, 0.5):
                if partition in missing:
                    found[partition][offset] = value
                    if offset >= ends[partition] - 1:
                        missing.discard(partition)
        return found
    finally:
        consumer.close()


def _records(consumer: Consumer, seconds: float) -> Iterator[tuple[int, int, int]]:
    """Partition, offset and number of what comes."""
    for message in consumer.consume(1000, timeout=seconds):
        partition, value, offset = message.partition(), message.value(), message.offset()
        if message.error() is None and partition is not None and value is not None and offset is not None:
            yield partition, offset, int(value)


def _end(consumer: Consumer, place: TopicPartition, deadline: Deadline) -> int:
    while True:
        try:
            return int(consumer.get_watermark_offsets(place, timeout=5)[1])
        except KafkaException:
            if deadline.over:
                raise


def in_sync(address: str, topic: str, count: int) -> bool:
    """Whether every partition has a leader and so many replicas in sync, by what clients are told."""
    found = AdminClient({"bootstrap.servers": address}).list_topics(topic, timeout=20).topics[topic]
    return all(each.leader >= 0 and len(each.isrs) == count for each in found.partitions.values())
