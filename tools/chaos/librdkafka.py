"""The librdkafka clients of a run, as a program: producers that write numbered records, and a group that reads them.

In: addresses, a topic, where to keep journals; on standard input `halt` (write no more, but read on), then its end.
Out: journals (`journal.py`), and on standard output a line of JSON per second with how much was done so far.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import os
import sys
import threading
import time
from collections import Counter
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from tools.chaos.journal import Journal

#: The records of one producer are numbered from its own multiple of this.
SPACE: Final = 1_000_000_000
_OUTSTANDING: Final = 60
"""Records of one partition that wait for their answers: one that answers nothing does not keep the others waiting."""
_IDEMPOTENT_PATIENCE: Final = 120_000
_PLAIN_PATIENCE: Final = 15_000
_COMMIT_EVERY: Final = 1.0
_LOG_BYTES: Final = 5 * 1024 * 1024
_MOST: Final = 500
"""Records that are noted together."""
#: Errors that say by themselves that the record was never sent.
_SURELY_NOT: Final = frozenset({KafkaError._QUEUE_FULL, KafkaError._PURGE_QUEUE, KafkaError.MSG_SIZE_TOO_LARGE})

_quiet = logging.getLogger("librdkafka")


class Tally:
    """What all clients of this program did so far."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.counts[what] += number


class Writer:
    """Writes to all partitions in turn, so many records a second, until told to halt; then waits for all answers."""

    def __init__(self, settings: argparse.Namespace, number: int, *, idempotent: bool, tally: Tally) -> None:
        self._settings = settings
        self._idempotent = idempotent
        self._tally = tally
        kind = "idempotent" if idempotent else "plain"
        self._journal = Journal(settings.directory, f"librdkafka-{kind}-{number}", {"kind": f"{kind} producer"})
        self._values = itertools.count(number * SPACE)
        self._fatal = ""
        self._outstanding: Counter[int] = Counter()
        self._producer = self._new()

    def _new(self) -> Producer:
        self._fatal = ""
        return Producer(
            {
                "bootstrap.servers": self._settings.bootstrap,
                "acks": "all",
                "enable.idempotence": self._idempotent,
                "linger.ms": 5,
                "message.timeout.ms": _IDEMPOTENT_PATIENCE if self._idempotent else _PLAIN_PATIENCE,
                "socket.timeout.ms": 10_000,
                "request.timeout.ms": 8_000,
                "socket.connection.setup.timeout.ms": 5_000,
                "reconnect.backoff.ms": 50,
                "reconnect.backoff.max.ms": 1_000,
                "topic.metadata.refresh.interval.ms": 10_000,
                "log_level": 0,
                "error_cb": self._failed,
            },
            logger=_quiet,
        )

    def run(self, halt: threading.Event) -> None:
        pause = 1.0 / self._settings.rate
        due = time.monotonic()
        for partition in itertools.cycle(range(self._settings.partitions)):
            if halt.is_set():
                break
            due = max(due + pause, time.monotonic() - 1.0)
            self._producer.poll(max(0.0, due - time.monotonic()))
            if self._fatal:
                self._renew()
            if self._outstanding[partition] < _OUTSTANDING:
                self._send(partition)
        end = time.monotonic() + _IDEMPOTENT_PATIENCE / 1000 + 10
        while len(self._producer) and time.monotonic() < end and not self._fatal:
            self._producer.flush(0.5)
        if self._fatal or len(self._producer):
            self._renew()
        self._journal.close()
        self._tally.add("halted")

    def _renew(self) -> None:
        self._journal.note("fatal", self._fatal)
        self._tally.add("fatal")
        self._producer.purge()
        self._producer.flush(5)
        self._producer = self._new()

    def _send(self, partition: int) -> None:
        value = next(self._values)

        def done(error: KafkaError | None, message: Message) -> None:
            self._outstanding[partition] -= 1
            if error is None:
                self._journal.note("ack", partition, value, offset_told(message.offset()))
                self._tally.add("acked")
            else:
                outcome = "fail" if error.code() in _SURELY_NOT else "unknown"
                self._journal.note(outcome, partition, value, str(error))
                self._tally.add(outcome)

        self._journal.note("send", partition, value)
        self._tally.add("sent")
        self._outstanding[partition] += 1
        padding = " " * self._settings.padding
        try:
            self._producer.produce(
                self._settings.topic, f"{value}{padding}".encode(), partition=partition, on_delivery=done
            )
        except (BufferError, KafkaException) as error:
            self._outstanding[partition] -= 1
            self._journal.note("fail", partition, value, str(error))
            self._tally.add("fail")

    def _failed(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = str(error)


class Member:
    """One member of a group: reads, writes down what it read, commits that."""

    def __init__(self, settings: argparse.Namespace, number: int, tally: Tally) -> None:
        self._topic = settings.topic
        self._tally = tally
        group = "librdkafka-group"
        about = {"kind": "group consumer", "group": group}
        self._journal = Journal(settings.directory, f"librdkafka-member-{number}", about)
        self._read: dict[int, int] = {}
        """What is to be committed."""
        self._batch: list[tuple[int, int, int]] = []
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "check.crcs": True,
                "session.timeout.ms": 10_000,
                "heartbeat.interval.ms": 1_000,
                "max.poll.interval.ms": 60_000,
                "partition.assignment.strategy": "cooperative-sticky",
                "fetch.wait.max.ms": 200,
                "socket.timeout.ms": 10_000,
                "socket.connection.setup.timeout.ms": 5_000,
                "reconnect.backoff.max.ms": 1_000,
                "topic.metadata.refresh.interval.ms": 10_000,
                "debug": "cgrp",
                "log_level": 7,
                "error_cb": lambda _: None,
            },
            logger=_newest_words(settings.directory / f"librdkafka-member-{number}.log"),
        )

    def run(self, end: threading.Event) -> None:
        self._consumer.subscribe([self._topic], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
        committed = time.monotonic()
        while not end.is_set():
            self._take(self._consumer.poll(0.2))
            for _ in range(_MOST):
                if (message := self._consumer.poll(0)) is None:
                    break
                self._take(message)
            self._note()
            if self._read and time.monotonic() - committed > _COMMIT_EVERY:
                committed = time.monotonic()
                self._commit()
        self._consumer.close()
        self._journal.close()

    def _take(self, message: Message | None) -> None:
        if message is not None and message.error() is None:
            partition, offset = message.partition(), message.offset()
            assert partition is not None and offset is not None, "what was read has a place"
            self._batch.append((partition, offset, value_of(message.value())))

    def _note(self) -> None:
        """Before anything else happens: partitions come and go in the middle of polling."""
        if self._batch:
            self._journal.note("poll", self._batch)
            self._tally.add("polled", len(self._batch))
            self._read.update({partition: offset + 1 for partition, offset, _ in self._batch})
            self._batch = []

    def _commit(self) -> None:
        wanted = [TopicPartition(self._topic, partition, offset) for partition, offset in self._read.items()]
        try:
            done = self._consumer.commit(offsets=wanted, asynchronous=False)
        except KafkaException:
            self._tally.add("commit errors")
            return
        kept = [[each.partition, each.offset] for each in done or [] if each.error is None]
        self._journal.note("commit", kept)
        for partition, offset in kept:
            if self._read.get(partition) == offset:
                del self._read[partition]

    def _assigned(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._note()
        self._journal.note("assign", [each.partition for each in partitions])

    def _revoked(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._note()
        if self._read:
            self._commit()
        self._gone(partitions, lost=False)

    def _lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        self._note()
        self._gone(partitions, lost=True)

    def _gone(self, partitions: list[TopicPartition], *, lost: bool) -> None:
        self._journal.note("revoke", [each.partition for each in partitions], lost)
        for each in partitions:
            self._read.pop(each.partition, None)


def _newest_words(path: Path) -> logging.Logger:
    """What a member says of its group, so that one that falls silent can be understood: the last ten megabytes."""
    handler = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    found = logging.Logger(path.stem)
    found.addHandler(handler)
    return found


def offset_told(offset: int | None) -> int:
    """-1 where the acknowledgement of a record that was sent again says only that it is there."""
    return -1 if offset is None else offset


def value_of(payload: bytes | None) -> int:
    """-1 for what no producer of a run can have written."""
    try:
        return int(payload or b"")
    except ValueError:
        return -1


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=50.0)
    parser.add_argument("--padding", type=int, default=0)
    parser.add_argument("--idempotent", type=int, default=2)
    parser.add_argument("--plain", type=int, default=1)
    parser.add_argument("--members", type=int, default=2)
    settings = parser.parse_args()
    tally, halt, end = Tally(), threading.Event(), threading.Event()
    writers = [Writer(settings, each + 1, idempotent=True, tally=tally) for each in range(settings.idempotent)]
    first = settings.idempotent + 1
    writers += [Writer(settings, first + each, idempotent=False, tally=tally) for each in range(settings.plain)]
    members = [Member(settings, each + 1, tally) for each in range(settings.members)]
    threads = [threading.Thread(target=each.run, args=(halt,)) for each in writers]
    threads += [threading.Thread(target=each.run, args=(end,)) for each in members]
    for thread in threads:
        thread.start()
    threading.Thread(target=_listen, args=(halt, end), daemon=True).start()
    while not end.wait(1.0):
        _say({**tally.counts, "writers": len(writers)})
        if not all(each.is_alive() for each in threads[len(writers) :]):
            os._exit(70)  # what went wrong is on standard error
    for thread in threads:
        thread.join(30)
    _say({**tally.counts, "writers": len(writers)})


def _listen(halt: threading.Event, end: threading.Event) -> None:
    for line in sys.stdin:
        if line.strip() == "halt":
            halt.set()
    halt.set()
    end.set()


def _say(words: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
