"""The loads, each run in a child process: `python -m tools.bench.versus_kafka.loads produce|fetch|single ...` prints
one line of JSON.

Connections and first metadata are not timed: each load first exchanges a few records. The broker's CPU time is read
(by its process id)
where the clock is, so that it covers the same work.
"""

from __future__ import annotations

import argparse
import json
import resource
import socket
import struct
import time
from typing import Any

import psutil
from kafka.protocol.producer import ProduceRequest, ProduceResponse
from kafka.record.default_records import DefaultRecordBatchBuilder

from tools.bench.versus_kafka.rdkafka import BatchConsumer, BatchProducer

_COMMON = {"log_level": 2, "socket.nagle.disable": "true"}
_PRODUCE = {
    "acks": "all",
    "linger.ms": 5,
    "queue.buffering.max.messages": 1_000_000,
    "queue.buffering.max.kbytes": 1_000_000,
}
#: A queue that is never full: librdkafka rests for a second (fetch.queue.backoff.ms) when it is.
_FETCH = {
    "group.id": "bench",
    "fetch.message.max.bytes": 1 << 20,
    "queued.min.messages": 10_000_000,
    "queued.max.messages.kbytes": 2_000_000,
    "check.crcs": "false",
}
_SINGLE_VERSION = 9


class Meter:
    """A stopwatch that reads the broker's CPU time too."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def start(self) -> None:
        self._cpu, self._started = self._used(), time.perf_counter()

    def stop(self, records: int, size: int) -> dict[str, float]:
        seconds = time.perf_counter() - self._started
        return {
            "seconds": seconds,
            "records": records,
            "bytes": records * size,
            "broker_cpu": self._used() - self._cpu,
        }

    def _used(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def produce(meter: Meter, bootstrap: str, topic: str, partitions: int, size: int, count: int) -> dict[str, float]:
    """`count` records of `size` bytes, acks=all, as fast as librdkafka can; until the last acknowledgement."""
    settings = {"bootstrap.servers": bootstrap, **_COMMON, **_PRODUCE}
    with BatchProducer(topic, partitions, size, settings) as producer:
        producer.produce(10_000)
        producer.flush()
        meter.start()
        producer.produce(count)
        producer.flush()
        return meter.stop(count, size)


def fetch(meter: Meter, bootstrap: str, topic: str, partitions: int, size: int, count: int) -> dict[str, float]:
    """Everything in the topic, until `count` records have come; the clock starts with the first."""
    settings = {"bootstrap.servers": bootstrap, **_COMMON, **_FETCH}
    with BatchConsumer(topic, partitions, settings) as consumer:
        got, deadline = 0, time.perf_counter() + 120
        while got == 0:
            got = consumer.take()
            _in_time(deadline, got, count)
        meter.start()
        first = got
        while got < count:
            got += consumer.take()
            _in_time(deadline, got, count)
        return meter.stop(got - first, size)


def _in_time(deadline: float, got: int, count: int) -> None:
    if time.perf_counter() > deadline:
        raise TimeoutError(f"only {got} of {count} records came within two minutes")


def single(meter: Meter, bootstrap: str, topic: str, partitions: int, size: int, count: int) -> dict[str, float]:
    """One record per request, one request in flight, over a plain socket; the median and the 99th percentile too."""
    with SingleProducer(bootstrap, topic, size) as producer:
        for _ in range(200):
            producer.send()
        times = []
        meter.start()
        for _ in range(count):
            before = time.perf_counter()
            producer.send()
            times.append(time.perf_counter() - before)
        found = meter.stop(count, size)
    times.sort()
    return {**found, "p50_ms": times[count // 2] * 1000, "p99_ms": times[count * 99 // 100] * 1000}


class SingleProducer:
    """Sends the same request again and again over one connection, and checks each answer's error."""

    def __init__(self, bootstrap: str, topic: str, size: int) -> None:
        host, port = bootstrap.rsplit(":", 1)
        builder = DefaultRecordBatchBuilder(
            magic=2, compression_type=0, is_transactional=False, producer_id=-1, producer_epoch=-1, base_sequence=-1,
            batch_size=1 << 20,
        )  # fmt: skip
        builder.append(0, timestamp=int(time.time() * 1000), key=None, value=b"x" * size, headers=[])
        part = ProduceRequest.TopicProduceData.PartitionProduceData(index=0, records=bytes(builder.build()))
        data = ProduceRequest.TopicProduceData(name=topic, partition_data=[part])
        request: Any = ProduceRequest(
            transactional_id=None, acks=-1, timeout_ms=10_000, topic_data=[data], version=_SINGLE_VERSION
        )
        request.with_header(correlation_id=1, client_id="bench")
        self._frame = bytes(request.encode(version=_SINGLE_VERSION, header=True, framed=True))
        self._socket = socket.create_connection((host, int(port)), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self) -> None:
        """One record, acknowledged; raises if it is refused."""
        self._socket.sendall(self._frame)
        answer = self._socket.recv(65536)
        while len(answer) < 4 or len(answer) < 4 + struct.unpack_from(">i", answer)[0]:
            more = self._socket.recv(65536)
            if not more:
                raise ConnectionError("closed by the broker")
            answer += more
        told: Any = (
            ProduceResponse.decode(answer[4:], version=_SINGLE_VERSION, header=True) if self._odd(answer) else None
        )
        if told is not None:
            raise RuntimeError(f"refused: {told}")

    def _odd(self, answer: bytes) -> bool:
        """Whether an error is in the answer: its place is the same in all answers of this one request."""
        topic_end = 4 + 4 + 1 + 1 + 1 + answer[10] - 1
        (error,) = struct.unpack_from(">h", answer, topic_end + 1 + 4)
        return bool(error != 0)

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> SingleProducer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


LOADS = {"produce": produce, "fetch": fetch, "single": single}


def main() -> None:
    parser = argparse.ArgumentParser(description="One load against one broker.")
    parser.add_argument("load", choices=LOADS)
    parser.add_argument("--pid", type=int, required=True, help="the broker's process")
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--partitions", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    given = parser.parse_args()
    found = LOADS[given.load](Meter(given.pid), given.bootstrap, given.topic, given.partitions, given.size, given.count)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({**found, "client_cpu": used.ru_utime + used.ru_stime}))


if __name__ == "__main__":
    main()
