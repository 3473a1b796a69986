"""A follower's log is cut, or begun anew, and goes on; its process dies, or its machine, at every single step of that.

What the next start finds must be the log as it was up to some point, or the new one up to some point, without a gap,
without a record of the one behind a record of the other; with the epochs and producer states that belong to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from sprawl.config.topics import TopicConfig
from sprawl.runtime import Runtime
from sprawl.runtime.simulated import SimulatedNode, Simulation
from sprawl.runtime.simulated.node import NodeDownError
from sprawl.storage.epochs import LeaderEpochs
from sprawl.storage.log import Log
from sprawl.storage.manager import LogManager, StorageSettings
from sprawl.storage.producers import ProducerStates
from sprawl_protocol.records import BatchHeader, Record, build_batch, headers, read_header, stamp
from tests.storage.tripwire import Tripwire

TOPIC_ID = UUID(int=42)
SETTINGS = StorageSettings(
    memory_bytes=1 << 11, disk_reserve_bytes=0, retention_check_ms=300_000, producer_expiration_ms=86_400_000
)
POWER_FAILURES = 2


@dataclass
class Book:
    """Batches as they were written, byte by byte."""

    old: list[bytes] = field(default_factory=list)
    cut: list[bytes] = field(default_factory=list)
    """Those of `old` that the cut is to leave."""
    new: list[bytes] = field(default_factory=list)
    """What was appended behind the cut."""
    written: int = 0
    """So many of `new` were in the file."""
    done: bool = False
    """The cut was reported to be done."""
    stable: int = 0
    """Everything below was reported to be on stable storage, the cut disregarded."""
    reset_to: int = -1


def batch(base: int, count: int, epoch: int, producer: int, sequence: int, size: int) -> bytes:
    records = [Record(0, 1_000 * base + n, b"key", bytes([epoch]) * size) for n in range(count)]
    data = build_batch(records, producer_id=producer, producer_epoch=0, base_sequence=sequence)
    ((pos, _),) = headers(data)
    stamp(data, pos, base, epoch)
    return bytes(data)


class Leader:
    """Makes the batches that a leader would."""

    def __init__(self, base: int, epoch: int) -> None:
        self.base = base
        self.epoch = epoch
        self.sequences = {1: 0, 2: 0}

    def next(self, n: int) -> bytes:
        producer = 1 + n % 2
        count = 1 + n % 3
        made = batch(self.base, count, self.epoch + n // 7, producer, self.sequences[producer], 150 + 37 * (n % 5))
        self.sequences[producer] += count
        self.base += count
        return made


def put(log: Log, data: bytes) -> None:
    view = memoryview(bytearray(data))
    log.append_replicated(view, headers(view))


@dataclass
class Course:
    """What happens before the cut, and what cut."""

    name: str
    segment_bytes: int
    checkpoints: tuple[int, ...]
    """After so many batches."""
    stable: int
    """So many batches are on stable storage, of 24."""
    cut: int
    """So many batches are to be left; -1: begin anew at `reset_to`."""
    reset_to: int = -1


COURSES = [
    Course("within one segment", 100_000, (), 24, 15),
    Course("before the checkpoint", 100_000, (20,), 22, 8),
    Course("behind the checkpoint", 100_000, (8,), 10, 15),
    Course("across segments", 1_500, (), 24, 9),
    Course("across segments and checkpoints", 1_500, (6, 16, 22), 24, 12),
    Course("across segments, little of it stable", 1_500, (3,), 4, 10),
    Course("all of it", 1_500, (12,), 20, 0),
    Course("anew behind", 1_500, (12,), 20, -1, 500),
    Course("anew at the beginning", 1_500, (12,), 12, -1, 0),
    Course("anew in the middle", 1_500, (), 24, -1, 20),
]


async def live(runtime: Runtime, wire: Tripwire, book: Book, course: Course) -> None:
    manager, log = await start(runtime, course, power_failed=False)
    leader = Leader(0, 1)
    for n in range(24):
        book.old.append(leader.next(n))
        put(log, book.old[-1])
        log.write_pending()
        if n + 1 in course.checkpoints:
            await manager.checkpoint()
            book.stable = leader.base
        if n + 1 == course.stable:
            await log.make_stable()
            book.stable = leader.base
    wire.armed = True
    if course.cut >= 0:
        book.cut = book.old[: course.cut]
        at = read_header(book.old[course.cut]).base_offset
        await log.truncate_to(at)
    else:
        book.reset_to = at = course.reset_to
        await log.reset_to(at)
    assert not wire.tripped
    book.done = True
    book.stable = at
    assert log.log_end_offset == at
    leader = Leader(at, 9)
    for n in range(12):
        # As large as those that were cut: where one of them ended, one of these ends.
        book.new.append(leader.next(n + max(course.cut, 0)))
        put(log, book.new[-1])
        log.write_pending()
        if wire.tripped:
            return
        book.written += 1
        if n % 4 == 2:
            await log.make_stable()
            book.stable = leader.base
    await manager.checkpoint()
    book.stable = leader.base


async def start(runtime: Runtime, course: Course, *, power_failed: bool) -> tuple[LogManager, Log]:
    manager = LogManager(runtime, "/data", SETTINGS, power_failed=power_failed)
    await manager.start()
    config = TopicConfig.of(
        {
            "sprawl.durability": "fsync",
            "internal.segment.bytes": str(course.segment_bytes),
            "index.interval.bytes": "300",
        }
    )
    return manager, await manager.open(TOPIC_ID, "orders", 0, config)


async def stored(log: Log) -> list[bytes]:
    found = []
    offset = log.log_start_offset
    while offset < log.log_end_offset:
        read = await log.read(offset, 4_000, log.log_end_offset)
        for buffer in read.buffers:
            found += [bytes(buffer[pos : pos + header.size]) for pos, header in headers(buffer)]
        assert read.next_offset > offset
        offset = read.next_offset
    return found


async def check(runtime: Runtime, book: Book, course: Course, power: bool) -> None:
    manager, log = await start(runtime, course, power_failed=power)
    assert log.damaged is None
    found = await stored(log)
    allowed = [book.cut + book.new]
    if not book.done:
        allowed.append(book.old)
    assert any(found == each[: len(found)] for each in allowed), "neither the old log nor the new one"
    if not found and book.reset_to >= 0:
        assert log.log_start_offset == log.log_end_offset
        assert log.log_start_offset in ((book.reset_to,) if book.done else (0, book.reset_to))
    certain = book.cut + book.new[: book.written] if book.done else book.cut
    if power:
        certain = [each for each in certain if read_header(each).next_offset <= book.stable]
    assert found[: len(certain)] == certain, "something is missing"
    await check_what_belongs_to_it(log, found)
    # And it goes on.
    leader = Leader(log.log_end_offset, 40)
    for n in range(6):
        found.append(leader.next(n))
        put(log, found[-1])
        log.write_pending()
    await log.make_stable()
    assert await stored(log) == found
    await manager.close()
    manager, log = await start(runtime, course, power_failed=False)
    assert log.damaged is None
    assert await stored(log) == found
    await check_what_belongs_to_it(log, found)


async def check_what_belongs_to_it(log: Log, batches: list[bytes]) -> None:
    epochs, producers = LeaderEpochs(), ProducerStates()
    all_headers = [read_header(each) for each in batches]
    for header in all_headers:
        epochs.assign(header.partition_leader_epoch, header.base_offset)
        producers.note(header)
    assert log.epochs.entries == epochs.entries
    assert dict(log.producers.items()) == dict(producers.items())
    log._tail.clear()  # the index and the files are to be looked at
    for header in all_headers:
        assert await first_at(log, header.last_offset) == header.base_offset
        await check_time(log, header.base_timestamp, all_headers)
    newest = await log.max_timestamp_offset()
    assert (newest and newest[1]) == (max(h.max_timestamp for h in all_headers) if all_headers else None)


async def first_at(log: Log, offset: int) -> int:
    read = await log.read(offset, 1, log.log_end_offset)
    return headers(read.buffers[0])[0][1].base_offset


async def check_time(log: Log, timestamp: int, batches: list[BatchHeader]) -> None:
    due = next(header for header in batches if header.max_timestamp >= timestamp)
    found = await log.offset_for_timestamp(timestamp)
    assert found is not None
    assert due.base_offset <= found[0] <= due.last_offset


def story(course: Course, at: int, seed: int, power: bool) -> bool:
    """Whether the node lived to the end of it."""
    book = Book()
    with Simulation(seed) as world:
        node = world.node("broker")
        node.runtime.files.make_dirs("/data")
        node.runtime.files.sync_dir("/")
        wire = Tripwire(at, node.crash if power else node.kill)
        world.run(lives(node, wire, book, course, power))
    return not wire.tripped


async def lives(node: SimulatedNode, wire: Tripwire, book: Book, course: Course, power: bool) -> None:
    try:
        await node.run(live(wire.runtime(node.runtime), wire, book, course))
    except NodeDownError:
        assert wire.tripped
    if not wire.tripped:
        (node.crash if power else node.kill)()
    node.boot()
    await node.run(check(node.runtime, book, course, power))


def at_every_step(run: Callable[[int], bool]) -> int:
    for at in range(1_000):
        try:
            if run(at):
                return at
        except BaseException as error:
            error.add_note(f"it died before step {at}")
            raise
    raise AssertionError("it never ends")


@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.name)
def test_a_process_killed_at_any_step(course: Course) -> None:
    steps = at_every_step(lambda at: story(course, at, at, power=False))
    assert steps > 20, "the wire is stretched where nothing happens"


@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.name)
def test_a_power_failure_at_any_step(course: Course) -> None:
    for seed in range(POWER_FAILURES):
        at_every_step(lambda at: story(course, at, 1_000 * seed + at, power=True))  # noqa: B023 - used at once
