"""What cold readers cost, and what they get: produce latency beside them, their throughput, requests and CPU per GB.

    python -m tools.bench.tier --minio [--megabytes 400] [--readers 10]

Starts a broker of its own over a temporary directory, fills a tiered topic whose local retention is a tenth of it,
waits until the rest has left the disk, then produces at a steady pace: alone first, then while readers read the topic
whole. The broker's cache is smaller than the topic, so that readers do go to the store. With `--keep` all of it stays
on the disk, too: so much is the readers' doing, cold or not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from tools.bench.sprawl_server import SprawlServer

MIB = 1024 * 1024
RECORD = 20_000
SEGMENT = 8 * MIB
_STARTING = 5.0
"""Seconds in which the readers' processes start, which costs what it costs."""


@contextmanager
def store(minio: bool, directory: Path) -> Iterator[str]:
    """A URL, with the AWS variables set for it."""
    if not minio:
        yield f"file://{directory}/tier"
        return
    from compat_tests.objects.minio import SECRET, USER
    from compat_tests.objects.minio import minio as started
    from tests.objects.conftest import make_bucket

    with started(directory / "minio") as running:
        given = {"AWS_ENDPOINT_URL_S3": running.endpoint, "AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": SECRET}
        os.environ.update({**given, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1"})
        asyncio.run(make_bucket("bench"))
        yield "s3://bench/sprawl"


def fill(bootstrap: str, megabytes: int, local: int) -> int:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    cold = {
        "remote.storage.enable": "true",
        "segment.bytes": str(SEGMENT),
        "local.retention.bytes": str(local),
        "file.delete.delay.ms": "0",
    }
    topics = [NewTopic("cold", 1, 1, config=cold), NewTopic("hot", 1, 1)]
    for made in admin.create_topics(topics).values():
        made.result(30)
    producer, rng = Producer({"bootstrap.servers": bootstrap, "linger.ms": 20, "batch.size": 500_000}), random.Random(5)
    count = megabytes * MIB // RECORD
    for _ in range(count):
        while producer.produce("cold", rng.randbytes(RECORD)) if len(producer) < 5000 else True:
            producer.poll(0.05)
        producer.poll(0)
    producer.flush()
    return count


def metrics(broker: SprawlServer) -> dict[str, float]:
    text = urllib.request.urlopen(f"http://127.0.0.1:{broker.http_port}/metrics").read().decode()
    rows = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in rows}


def latencies(bootstrap: str, seconds: float, rate: float = 100.0) -> list[float]:
    """Milliseconds from send to acknowledgement, of records sent at a steady pace."""
    producer, found = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0}), []
    end = time.monotonic() + seconds
    due = time.monotonic()
    while due < end:
        while (left := due - time.monotonic()) > 0:
            producer.poll(min(left, 0.002))
        sent = time.monotonic()
        producer.produce("hot", b"x" * 500, on_delivery=lambda *_, sent=sent: found.append(time.monotonic() - sent))
        producer.poll(0)
        due += 1 / rate
    producer.flush()
    return sorted(each * 1000 for each in found)


def read(bootstrap: str, count: int, rate: float) -> None:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "bench", "queued.max.messages.kbytes": 4096})
    consumer.assign([TopicPartition("cold", 0, 0)])
    found, began = 0, time.monotonic()
    while found < count:
        found += sum(not message.error() for message in consumer.consume(50, 1.0))
        if rate:
            time.sleep(max(0.0, began + found * RECORD / MIB / rate - time.monotonic()))
    consumer.close()


def told(name: str, found: list[float]) -> str:
    at = [found[min(int(len(found) * share), len(found) - 1)] for share in (0.5, 0.99, 0.999)]
    return f"{name:<24} p50 {at[0]:7.2f} ms   p99 {at[1]:7.2f} ms   p99.9 {at[2]:7.2f} ms   of {len(found)} records"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minio", action="store_true", help="in MinIO; otherwise in a directory")
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--readers", type=int, default=10)
    parser.add_argument("--keep", action="store_true", help="for comparison: nothing leaves the disk")
    parser.add_argument(
        "--rate", type=float, default=0.0, help="megabytes a second that each reader reads; 0: all it can"
    )
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--read", nargs=2, metavar=("BOOTSTRAP", "COUNT"), help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.read:
        read(wanted.read[0], int(wanted.read[1]), wanted.rate)
        return
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {
            "remote.log.storage.system.enable": "true",
            "sprawl.tier.url": stack.enter_context(store(wanted.minio, directory)),
            "sprawl.tier.cache.bytes": str(wanted.megabytes * MIB // 4),
            "log.retention.check.interval.ms": "500",
        }
        broker = SprawlServer(directory / "broker", settings=settings)
        stack.enter_context(broker)
        local = (2 if wanted.keep else 0.1) * wanted.megabytes * MIB
        count = fill(broker.bootstrap, wanted.megabytes, int(local))
        lag = 'kafka_server_brokertopicmetrics_remotecopylagsegments{topic="cold",partition="0"}'
        size = 'kafka_log_log_size{topic="cold",partition="0"}'
        while metrics(broker)[lag] or metrics(broker)[size] > local + 2 * SEGMENT:
            time.sleep(0.5)
        alone = latencies(broker.bootstrap, wanted.seconds)
        command = [sys.executable, "-m", "tools.bench.tier", "--read", broker.bootstrap, str(count)]
        command += ["--rate", str(wanted.rate)]
        before, began = metrics(broker), time.monotonic()
        readers = [subprocess.Popen(command) for _ in range(wanted.readers)]
        time.sleep(_STARTING)
        beside = latencies(broker.bootstrap, wanted.seconds)
        for reader in readers:
            reader.wait()
        took, after = time.monotonic() - began, metrics(broker)
        given = wanted.readers * wanted.megabytes / 1024
        print(told("alone", alone))
        print(told(f"beside {wanted.readers} {'hot' if wanted.keep else 'cold'} readers", beside))

        def spent(name: str) -> float:
            return after[name] - before[name]

        kafka = "kafka_server_brokertopicmetrics_remotefetch"
        fetched = spent(f"{kafka}bytes_total") / MIB / 1024
        print(f"read {given:.2f} GB in {took:.1f} s: {given * 1024 / took:.0f} MB/s, all readers together")
        print(f"from the store {fetched:.2f} GB in {spent(f'{kafka}requests_total'):.0f} requests")
        print(f"CPU of the broker: {spent('process_cpu_seconds_total') / given:.1f} s for each GB read")


if __name__ == "__main__":
    main()
