"""The comparison as a command; see the package's docstring."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tools.bench.kafka_dist import KafkaUnavailableError
from tools.bench.versus_kafka import contenders
from tools.bench.versus_kafka.contenders import Contender, Sample
from tools.bench.versus_kafka.report import Figures

#: Records per load: (size, count, count of a quick run).
THROUGHPUT = (("1 KB", 1000, 300_000, 100_000), ("100 B", 100, 2_000_000, 500_000))
SINGLE = (10_000, 3000)
COLD = 2000


def main() -> None:
    given = _arguments()
    with tempfile.TemporaryDirectory(prefix="versus-", dir=given.directory) as directory, ExitStack() as stack:
        brokers = _brokers(given, Path(directory))
        for broker in brokers:
            stack.enter_context(broker.server)
            print(f"{broker.name} on {broker.server.bootstrap}, pid {broker.server.pid}", flush=True)
        figures = Figures()
        for number in range(given.rounds + 1):
            order = brokers if number % 2 else brokers[::-1]
            for broker in order:
                _round(broker, figures if number else Figures(), quick=given.quick or number == 0)
            print(f"round {number} of {given.rounds}" + ("" if number else " (warm-up, not counted)"), flush=True)
        for broker in brokers:
            figures.add("memory after the load, MB", broker.name, broker.memory() / 1e6)
        for _ in range(min(given.rounds, 3)):
            for broker in brokers:
                _start(broker, figures)
        figures.show(given.rounds)
        if given.json:
            given.json.write_text(figures.json() + "\n")


def _round(broker: Contender, figures: Figures, *, quick: bool) -> None:
    for title, size, count, few in THROUGHPUT:
        count = few if quick else count
        with broker.topic() as topic:
            _throughput(figures, broker, "produce", title, broker.run("produce", topic, size, count))
            _throughput(figures, broker, "fetch", title, broker.run("fetch", topic, size, count))
    with broker.topic() as topic:
        sample = broker.run("single", topic, 100, SINGLE[quick])
    figures.add("one-record requests/s", broker.name, sample.records / sample.seconds)
    figures.add("one-record request, median ms", broker.name, sample.p50_ms)
    figures.add("one-record request, 99th percentile ms", broker.name, sample.p99_ms)
    figures.add("broker CPU-s per 1,000 one-record requests", broker.name, sample.broker_cpu / sample.records * 1000)


def _start(broker: Contender, figures: Figures) -> None:
    seconds, cold = broker.start(COLD)
    figures.add("start to first record, s", broker.name, seconds)
    figures.add("one-record requests/s, just started", broker.name, cold.records / cold.seconds)
    figures.add("broker CPU-s per 1,000, just started", broker.name, cold.broker_cpu / cold.records * 1000)


def _throughput(figures: Figures, broker: Contender, load: str, title: str, sample: Sample) -> None:
    figures.add(f"{load} {title}, MB/s", broker.name, sample.bytes / sample.seconds / 1e6)
    figures.add(f"{load} {title}, records/s", broker.name, sample.records / sample.seconds)
    figures.add(f"{load} {title}, broker CPU-s/GB", broker.name, sample.broker_cpu / sample.bytes * 1e9)


def _brokers(given: argparse.Namespace, directory: Path) -> list[Contender]:
    brokers = []
    if not given.sprawl_only:
        try:
            brokers.append(contenders.kafka(directory))
        except KafkaUnavailableError as missing:
            raise SystemExit(f"No Apache Kafka to compare with: {missing}. Run with --sprawl-only.") from missing
    if not given.kafka_only:
        settings = dict(item.split("=", 1) for item in given.set)
        brokers.append(contenders.sprawl(directory, settings))
    return brokers


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="versus_kafka", description="Sprawl beside Apache Kafka: ratios.")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds; one warm-up comes before them")
    parser.add_argument("--quick", action="store_true", help="small loads: less than a minute, and less exact")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--directory", type=Path, help="where the brokers keep their data (default: the system's)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for Sprawl")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--sprawl-only", action="store_true", help="no Kafka: to profile Sprawl under the same loads")
    only.add_argument("--kafka-only", action="store_true", help="no Sprawl")
    given = parser.parse_args()
    if given.quick:
        given.rounds = min(given.rounds, 2)
    return given


if __name__ == "__main__":
    main()
