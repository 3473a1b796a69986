"""A whole run: start, rounds of harm and peace, the last reading, the verdict.

In: a `Plan`. Out: an `Outcome`, and a directory with the timeline, the clients' journals, the logs of nodes and
clients, and, if something was wrong, the disks of the nodes.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, TopicPartition

from tools.chaos import clients
from tools.chaos.clients import Program
from tools.chaos.cluster import Cluster
from tools.chaos.faults import Kind
from tools.chaos.journal import Journal, read_journals
from tools.chaos.librdkafka import value_of
from tools.chaos.liveness import GROUPS, Observer, waited
from tools.chaos.nemesis import Nemesis
from tools.chaos.network import Loopback, Namespaces, Network
from tools.chaos.replicas import compare
from tools.chaos.timeline import Timeline
from tools.history.judge import judge

TOPIC: Final = "orders"
REPLICAS: Final = 3
_FIRST_RECORDS: Final = 60.0
_READ_SECONDS: Final = 180.0
_HALT_SECONDS: Final = 150.0
_TOPIC_CONFIG: Final = {"min.insync.replicas": "2", "segment.ms": "10000", "retention.ms": "-1"}


@dataclass(frozen=True, slots=True)
class Plan:
    directory: Path
    nodes: int
    seconds: float
    """Of harm, over all rounds; peace is not counted."""
    seed: int
    kinds: tuple[Kind, ...]
    isolated: bool
    java: bool
    partitions: int = 6
    rate: float = 40.0
    """Records a second of each producer."""
    padding: int = 100
    round_seconds: float = 60.0
    pause: float = 8.0
    """Seconds between two faults of a lane, at most."""
    liveness_seconds: float = 90.0
    disk_mb: int = 512
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Outcome:
    problems: list[str] = field(default_factory=list)
    fired: Counter[Kind] = field(default_factory=Counter)
    skipped: Counter[Kind] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    settled: list[float] = field(default_factory=list)
    """Seconds from the end of each round's harm until all was well."""
    gaps: dict[int, float] = field(default_factory=dict)
    """The longest time without an acknowledgement, by partition."""
    records: int = 0
    """Found by the last reading."""
    unread_flips: int = 0
    """Flipped bits that nobody has read, so that nobody could mend them."""


class Run:
    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.outcome = Outcome()
        self.round = 0
        self.stage = "starting"
        self.programs: list[Program] = []
        plan.directory.mkdir(parents=True, exist_ok=True)
        self.journals = plan.directory / "journals"
        self.journals.mkdir()
        self.timeline = Timeline(plan.directory / "timeline.jsonl", listener=say)
        numbers = list(range(1, plan.nodes + 1))
        self.network: Network = (Namespaces if plan.isolated else Loopback)(numbers, plan.seed)
        self.cluster = Cluster(
            plan.directory,
            plan.nodes,
            self.network,
            self.timeline,
            disk_mb=plan.disk_mb if plan.isolated else 0,
            settings=plan.settings,
        )
        self._probes = Journal(self.journals, "observer", {"kind": "idempotent producer"})
        self._observer = Observer(self.cluster, self._probes)
        self.nemesis = Nemesis(
            self.cluster,
            self.timeline,
            seed=plan.seed,
            kinds=plan.kinds,
            pause=plan.pause,
            whole=self._observer.whole,
            topic=TOPIC,
            problem=self._wrong,
        )

    def go(self) -> Outcome:
        try:
            self._begin()
            self._rounds()
            self._finish()
        except KeyboardInterrupt:
            self._wrong("interrupted")
        except Exception as error:  # noqa: BLE001 - whatever it is, the run is over and what it saw is judged
            self._wrong(f"{type(error).__name__}: {error}")
        finally:
            self.nemesis.rest()
            for program in self.programs:
                program.kill()
            for wrong in self.cluster.stop():
                self._wrong(wrong)
            self.network.close()
            self._probes.close()
        self._judge()
        return self.outcome

    @property
    def counts(self) -> Counter[str]:
        return sum((program.counts for program in self.programs), Counter[str]())

    # -- its parts --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        plan = self.plan
        self.timeline.note("start", nodes=plan.nodes, seed=plan.seed, isolated=plan.isolated)
        self.cluster.start()
        self._observer.create(TOPIC, plan.partitions, REPLICAS, dict(_TOPIC_CONFIG))
        start = [clients.librdkafka, clients.java] if plan.java else [clients.librdkafka]
        for one in start:
            self.programs.append(
                one(self.cluster.bootstrap, TOPIC, plan.partitions, self.journals, rate=plan.rate, padding=plan.padding)
            )
        self.stage = "first records"
        _, wrong = waited([self._idle_clients, self._observer.out_of_sync], _FIRST_RECORDS, self._look)
        if wrong:
            raise RuntimeError(f"before any harm: {'; '.join(wrong)}")
        self.timeline.note("clients run")

    def _rounds(self) -> None:
        rounds = max(1, round(self.plan.seconds / self.plan.round_seconds))
        length = self.plan.seconds / rounds
        for self.round in range(1, rounds + 1):
            self.stage = "harm"
            self.timeline.note("round", number=self.round, of=rounds, seconds=round(length))
            self.nemesis.act()
            end = time.monotonic() + length
            while time.monotonic() < end:
                time.sleep(0.2)
                self._look()
            self.stage = "peace"
            self.nemesis.rest()
            self.timeline.note("peace")
            if not self._settle():
                break

    def _settle(self) -> bool:
        """Whether all was well within the time there is for it."""
        groups = list(GROUPS[: len(self.programs)])
        checks = [
            self._observer.not_ready,
            self._observer.out_of_sync,
            lambda: self._observer.not_writable(TOPIC, self.plan.partitions),
            lambda: self._observer.unstable(groups),
        ]
        seconds, wrong = waited(checks, self.plan.liveness_seconds, self._look)
        self.outcome.settled.append(seconds)
        if wrong:
            self._wrong(f"round {self.round}: {seconds:.0f} s after the last fault: {'; '.join(wrong[:6])}")
            return False
        self.timeline.note("all is well", after=round(seconds, 1))
        return True

    def _finish(self) -> None:
        self.stage = "last records"
        for program in self.programs:
            program.halt()
        _, wrong = waited([self._busy_writers], _HALT_SECONDS, self._look)
        if wrong:
            self._wrong("; ".join(wrong))
        self.stage = "last reading"
        ends = self._read_all()
        self.stage = "groups read on"
        groups = list(GROUPS[: len(self.programs)])
        _, wrong = waited([lambda: self._observer.behind(groups, TOPIC, ends)], self.plan.liveness_seconds, self._look)
        if wrong:
            self._wrong(f"{self.plan.liveness_seconds:.0f} s after the last record: {'; '.join(wrong)}")
        self.outcome.counts = self.counts
        for program in self.programs:
            program.end()
        self.programs.clear()

    def _judge(self) -> None:
        self.stage = "verdict"
        self.outcome.fired, self.outcome.skipped = self.nemesis.fired, self.nemesis.skipped
        self.outcome.problems += self.cluster.died
        self.outcome.counts = self.outcome.counts or self.counts
        compared = compare([node.data for node in self.cluster.nodes], TOPIC, self.nemesis.flips)
        self.outcome.unread_flips = compared.unread
        judged = judge(read_journals(self.journals))
        for wrong in [*compared.problems, *judged.problems]:
            self._wrong(wrong)
        self.outcome.gaps = judged.gaps
        if self.outcome.problems:
            self.cluster.keep_disks()
        self.timeline.note("end", problems=len(self.outcome.problems))
        self.timeline.close()

    # -- what it asks -----------------------------------------------------------------------------------------

    def _look(self) -> None:
        self.cluster.look()
        for program in self.programs:
            program.check()

    def _wrong(self, problem: str) -> None:
        self.timeline.note("wrong", problem=problem)
        self.outcome.problems.append(problem)

    def _idle_clients(self) -> list[str]:
        return [
            f"the {program.name} clients have {what} nothing"
            for program in self.programs
            for what in ("acked", "polled")
            if not program.counts[what]
        ]

    def _busy_writers(self) -> list[str]:
        return [f"the {program.name} writers still wait" for program in self.programs if not program.halted]

    def _read_all(self) -> dict[int, int]:
        """Reads every partition from its beginning to its end; the ends."""
        journal = Journal(self.journals, "last-reader", {"kind": "reader"})
        settings: dict[str, Any] = {"bootstrap.servers": self.cluster.bootstrap, "group.id": "last-reader"}
        settings |= {
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "log_level": 0,
            "error_cb": lambda _: None,
        }
        consumer = Consumer(settings, logger=logging.getLogger("librdkafka"))
        ends: dict[int, int] = {}
        limit = time.monotonic() + _READ_SECONDS
        try:
            for partition in range(self.plan.partitions):
                place = TopicPartition(TOPIC, partition, 0)
                start, end = consumer.get_watermark_offsets(place, 20)
                if start:
                    self._wrong(f"{TOPIC}-{partition} begins at {start}: nothing was to be deleted")
                ends[partition] = end
                consumer.assign([TopicPartition(TOPIC, partition, start)])
                journal.note("assign", [partition])
                self._read_to(consumer, journal, partition, end, limit)
                journal.note("end", partition, end)
                journal.note("revoke", [partition], False)
        except KafkaException as error:
            self._wrong(f"the last reading: {error}")
        finally:
            consumer.close()
            journal.close()
        return ends

    def _read_to(self, consumer: Consumer, journal: Journal, partition: int, end: int, limit: float) -> None:
        at = 0
        while at < end:
            if time.monotonic() > limit:
                raise RuntimeError(f"{TOPIC}-{partition} could be read to {at} only, of {end}")
            found = []
            for message in consumer.consume(1000, 1.0):
                error, offset = message.error(), message.offset()
                if error is not None:
                    self._wrong(f"{TOPIC}-{partition} at {at}: {error}")
                elif offset is not None:
                    found.append((partition, offset, value_of(message.value())))
                    at = offset + 1
            if found:
                journal.note("poll", found)
                self.outcome.records += len(found)
