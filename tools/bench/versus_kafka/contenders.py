"""The two brokers of a comparison: started alike, loaded alike, and what each used of CPU and memory meanwhile."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tools.bench.kafka_dist import KafkaServer, obtain
from tools.bench.sprawl_server import SprawlServer
from tools.bench.versus_kafka.loads import SingleProducer

PARTITIONS = 4
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Sample:
    """One load on one broker."""

    seconds: float
    records: float
    bytes: float
    broker_cpu: float
    client_cpu: float
    p50_ms: float = 0.0
    p99_ms: float = 0.0


class Contender:
    """A running broker with a name."""

    def __init__(self, name: str, server: KafkaServer | SprawlServer) -> None:
        self.name = name
        self.server = server

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.server.bootstrap, "log_level": 2})

    @contextmanager
    def topic(self) -> Iterator[str]:
        """A fresh topic, deleted afterwards so that the disk stays free and the page cache is not crowded."""
        name, admin = f"bench-{next(_numbers)}", self.admin()
        admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(30)
        yield name
        admin.delete_topics([name])[name].result(30)

    def run(self, load: str, topic: str, size: int, count: int) -> Sample:
        """Runs one load in a child process."""
        command = [sys.executable, "-m", "tools.bench.versus_kafka.loads", load]
        command += [
            "--pid",
            str(self.server.pid),
            "--bootstrap",
            self.server.bootstrap,
            "--topic",
            topic,
            "--partitions",
            str(PARTITIONS),
        ]
        command += ["--size", str(size), "--count", str(count)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}, {load}: {done.stderr[-2000:]}")
        return Sample(**json.loads(done.stdout.splitlines()[-1]))

    def memory(self) -> int:
        return int(psutil.Process(self.server.pid).memory_info().rss)

    def start(self, cold_requests: int) -> tuple[float, Sample]:
        """Stops the broker and starts it again over the same data; asks until a record is acknowledged.

        Gives the seconds that took, and one-record requests to the broker while it is still cold.
        """
        with self.topic() as topic:
            self.server.stop()
            started = time.perf_counter()
            self.server.start(wait=False)
            seconds = self._first_record(started, topic)
            return seconds, self.run("single", topic, 100, cold_requests)

    def _first_record(self, started: float, topic: str) -> float:
        while time.perf_counter() - started < 60:
            try:
                with SingleProducer(self.server.bootstrap, topic, 100) as producer:
                    producer.send()
                return time.perf_counter() - started
            except (OSError, RuntimeError):
                time.sleep(0.005)
        raise RuntimeError(f"{self.name} did not take a record within a minute of its start")


def sprawl(directory: Path, settings: dict[str, str]) -> Contender:
    wanted = {"sprawl.durability": "disk", **settings}
    return Contender("Sprawl", SprawlServer(directory / "sprawl", settings=wanted))


def kafka(directory: Path) -> Contender:
    dist = obtain()
    return Contender(f"Kafka {dist.version}", KafkaServer(dist, directory / "kafka"))
