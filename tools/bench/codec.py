"""What parsing and building cost: by hand, compiled, interpreted. Microseconds a message.

`python -m tools.bench.codec` prints a table; `--json` prints figures. The floor is what a person would write with
`struct.unpack_from` for exactly this message, making the same objects. Rounds are interleaved, and medians are shown.
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sprawl_protocol.layout import interpret, interpret_build
from sprawl_protocol.message import Struct
from sprawl_protocol.messages import (
    FetchPartition,
    FetchRequest,
    FetchTopic,
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
    PartitionProduceData,
    ProduceRequest,
    TopicProduceData,
)
from sprawl_protocol.records import Record, build_batch

ROUNDS = 9


@dataclass(frozen=True)
class Case:
    title: str
    floor: Callable[[], Any] | None
    compiled: Callable[[], Any]
    interpreted: Callable[[], Any]


def time_call(call: Callable[[], Any], number: int) -> float:
    """Microseconds a call."""
    began = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - began) / number * 1e6


_ACKS = struct.Struct(">hi")
_INDEX = struct.Struct(">i")


def produce_by_hand(buf: memoryview) -> ProduceRequest:
    """Produce version 9, as one would write it for this one message."""
    pos = 0
    length = buf[pos] - 1
    pos += 1
    transactional_id = None
    if length >= 0:
        transactional_id = str(buf[pos : pos + length], "utf-8")
        pos += length
    acks, timeout = _ACKS.unpack_from(buf, pos)
    pos += 6
    topics = []
    count = buf[pos] - 1
    pos += 1
    for _ in range(count):
        length = buf[pos] - 1
        pos += 1
        topic = str(buf[pos : pos + length], "utf-8")
        pos += length
        partitions = []
        inner = buf[pos] - 1
        pos += 1
        for _ in range(inner):
            (index,) = _INDEX.unpack_from(buf, pos)
            pos += 4
            length = buf[pos]
            pos += 1
            if length > 127:
                length = (length & 0x7F) | (buf[pos] << 7)
                pos += 1
            length -= 1
            records = buf[pos : pos + length]
            pos += length + 1
            partitions.append(PartitionProduceData(index, records))
        pos += 1
        topics.append(TopicProduceData(topic, _NO_ID, partitions))
    assert pos + 1 == len(buf)
    return ProduceRequest(transactional_id, acks, timeout, topics)


_FETCH = struct.Struct(">iiibii")
_FETCH_PARTITION = struct.Struct(">iiqiqi")


def fetch_by_hand(buf: memoryview) -> FetchRequest:
    """Fetch version 12, likewise."""
    replica, wait, least, most, isolation, session, epoch = struct.unpack_from(">iiiibii", buf, 0)
    pos = 25
    topics = []
    count = buf[pos] - 1
    pos += 1
    for _ in range(count):
        length = buf[pos] - 1
        pos += 1
        topic = str(buf[pos : pos + length], "utf-8")
        pos += length
        partitions = []
        inner = buf[pos] - 1
        pos += 1
        for _ in range(inner):
            found = _FETCH_PARTITION.unpack_from(buf, pos)
            pos += 33
            partitions.append(FetchPartition(*found))
        pos += 1
        topics.append(FetchTopic(topic, _NO_ID, partitions))
    pos += 1
    length = buf[pos] - 1
    pos += 1
    rack = str(buf[pos : pos + length], "utf-8")
    pos += length + 1
    assert pos == len(buf)
    return FetchRequest(
        replica_id=replica,
        max_wait_ms=wait,
        min_bytes=least,
        max_bytes=most,
        isolation_level=isolation,
        session_id=session,
        session_epoch=epoch,
        topics=topics,
        rack_id=rack,
    )


def metadata_by_hand(buf: memoryview) -> MetadataRequest:
    """Metadata version 9, likewise."""
    pos = 0
    count = buf[pos] - 1
    pos += 1
    topics = []
    for _ in range(count):
        length = buf[pos] - 1
        pos += 1
        topics.append(MetadataRequestTopic(_NO_ID, str(buf[pos : pos + length], "utf-8")))
        pos += length + 1
    create, cluster, topic = buf[pos] != 0, buf[pos + 1] != 0, buf[pos + 2] != 0
    assert pos + 4 == len(buf)
    return MetadataRequest(topics, create, cluster, topic)


_NO_ID = UUID(int=0)


def _parse(title: str, message: Struct, version: int, by_hand: Callable[[memoryview], Struct] | None) -> Case:
    data = message.encode(version)
    view = memoryview(data)
    cls = type(message)
    if by_hand is not None:
        assert by_hand(view) == cls.parse(view, version), "the floor must do the same work"
    return Case(
        f"parse {title}",
        None if by_hand is None else lambda: by_hand(view),
        lambda: cls.parse(view, version),
        lambda: interpret(cls, data, version),
    )


def _build(title: str, message: Struct, version: int) -> Case:
    return Case(f"build {title}", None, lambda: message.build(version), lambda: interpret_build(message, version))


def _produce() -> ProduceRequest:
    batch = bytes(build_batch([Record(0, 0, b"key", b"value" * 10)]))
    data = PartitionProduceData(index=0, records=batch)
    return ProduceRequest(
        acks=-1, timeout_ms=30_000, topic_data=[TopicProduceData(name="orders", partition_data=[data])]
    )


def _fetch() -> FetchRequest:
    partitions = [FetchPartition(partition=index, fetch_offset=1_000) for index in range(4)]
    return FetchRequest(max_wait_ms=500, min_bytes=1, topics=[FetchTopic(topic="orders", partitions=partitions)])


def _metadata() -> MetadataResponse:
    partitions = [
        MetadataResponsePartition(partition_index=index, leader_id=1, replica_nodes=[1], isr_nodes=[1])
        for index in range(4)
    ]
    return MetadataResponse(
        brokers=[MetadataResponseBroker(node_id=1, host="127.0.0.1", port=9092)],
        topics=[MetadataResponseTopic(name="orders", partitions=partitions)],
    )


PRODUCE = _parse("Produce v9, one small batch", _produce(), 9, produce_by_hand)
CASES = (
    PRODUCE,
    _parse("Fetch v12, four partitions", _fetch(), 12, fetch_by_hand),
    _parse(
        "Metadata v9, one topic", MetadataRequest(topics=[MetadataRequestTopic(name="orders")]), 9, metadata_by_hand
    ),
    _build("Produce v9, one small batch", _produce(), 9),
    _build("Fetch v12, four partitions", _fetch(), 12),
    _build("Metadata v12 answer, four partitions", _metadata(), 12),
)


def measure(case: Case, number: int) -> dict[str, float]:
    """Medians of interleaved rounds, microseconds."""
    ways = {"by hand": case.floor, "compiled": case.compiled, "interpreted": case.interpreted}
    times: dict[str, list[float]] = {way: [] for way, call in ways.items() if call is not None}
    for _ in range(ROUNDS):
        for way, call in ways.items():
            if call is not None:
                times[way].append(time_call(call, number // 10 if way == "interpreted" else number))
    return {way: statistics.median(found) for way, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench.codec", description=__doc__, epilog="Example: python -m tools.bench.codec --json"
    )
    parser.add_argument("--json", action="store_true", help="figures instead of a table")
    parser.add_argument("--number", type=int, default=5_000, help="calls in a round (default: 5000)")
    options = parser.parse_args()
    results = {case.title: measure(case, options.number) for case in CASES}
    if options.json:
        print(json.dumps(results, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Microseconds a message")
    for column in ("what", "by hand", "compiled", "x by hand", "interpreted", "x compiled"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for title, found in results.items():
        floor, compiled = found.get("by hand"), found["compiled"]
        table.add_row(
            title,
            "" if floor is None else f"{floor:.2f}",
            f"{compiled:.2f}",
            "" if floor is None else f"{compiled / floor:.2f}",
            f"{found['interpreted']:.1f}",
            f"{found['interpreted'] / compiled:.0f}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
