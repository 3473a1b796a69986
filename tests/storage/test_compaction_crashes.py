"""A log is compacted, and its process dies, or its machine, at every single step of that.

What the next start finds is sound: of each key the newest record at least, nothing that was not written, no offset
missing, look-ups by offset and time right; and compaction goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

import pytest

from sprawl.config.topics import TopicConfig
from sprawl.runtime import Runtime
from sprawl.runtime.simulated import SimulatedNode, Simulation
from sprawl.runtime.simulated.node import NodeDownError
from sprawl.storage.cleaner import Cleaner, CleanerSettings, due
from sprawl.storage.log import Log
from sprawl.storage.manager import LogManager, StorageSettings
from sprawl_protocol.records import Record, build_batch, headers, records_of
from tests.storage.test_truncation_crashes import at_every_step
from tests.storage.tripwire import Tripwire

SETTINGS = StorageSettings(
    memory_bytes=0, disk_reserve_bytes=0, retention_check_ms=300_000, producer_expiration_ms=86_400_000
)
CLEANING = CleanerSettings(enabled=True, backoff=0.0, memory_bytes=1 << 20, bytes_per_second=1e12)
CONFIG = {
    "cleanup.policy": "compact",
    "sprawl.durability": "fsync",
    "internal.segment.bytes": "1500",
    "index.interval.bytes": "300",
    "min.cleanable.dirty.ratio": "0",
}
KEYS = 5


@dataclass
class Book:
    written: list[tuple[bytes, bytes]] = field(default_factory=list)
    stable: int = 0


async def start(runtime: Runtime, *, power_failed: bool) -> tuple[LogManager, Log]:
    manager = LogManager(runtime, "/data", SETTINGS, power_failed=power_failed)
    await manager.start()
    return manager, await manager.open(UUID(int=42), "table", 0, TopicConfig.of(CONFIG))


def put(log: Log, book: Book, count: int) -> None:
    pairs = [(b"key%d" % (len(book.written) * 7 % KEYS), b"value %d" % (len(book.written) + n)) for n in range(count)]
    records = [Record(0, 1_000 + len(book.written) + n, key, value * 6) for n, (key, value) in enumerate(pairs)]
    view = memoryview(build_batch(records))
    log.append(view, headers(view), len(book.written) // 40, now_ms=5_000)
    book.written += [(key, value * 6) for key, value in pairs]
    log.write_pending()


async def compact(runtime: Runtime, log: Log) -> None:
    cleaner = Cleaner(CLEANING, runtime.clock, lambda: [log], lambda _: log.durable_offset)
    work = due(log, log.durable_offset, runtime.clock.wall_ms())
    assert work is None or await cleaner.clean(work)


async def live(runtime: Runtime, wire: Tripwire, book: Book) -> None:
    manager, log = await start(runtime, power_failed=False)
    for n in range(60):
        put(log, book, 1 + n % 3)
        if n in (10, 30):
            await manager.checkpoint()
    await log.make_stable()
    book.stable = log.log_end_offset
    await compact(runtime, log)
    for n in range(30):
        put(log, book, 1 + n % 3)
    await log.make_stable()
    book.stable = log.log_end_offset
    wire.armed = True
    await compact(runtime, log)
    if not wire.tripped:
        await manager.checkpoint()


async def check(runtime: Runtime, book: Book, power: bool) -> None:
    manager, log = await start(runtime, power_failed=power)
    assert log.damaged is None
    assert log.log_end_offset >= book.stable
    await check_contents(log, book)
    await compact(runtime, log)
    await check_contents(log, book)
    assert not log.index.swaps()
    for n in range(20):
        put(log, book, 1 + n % 3)
    await log.make_stable()
    await compact(runtime, log)
    await check_contents(log, book)
    await manager.close()
    manager, log = await start(runtime, power_failed=False)
    await check_contents(log, book)
    await manager.close()


async def check_contents(log: Log, book: Book) -> None:
    found: dict[int, tuple[int, tuple[bytes, bytes]]] = {}
    offset = 0
    while offset < log.log_end_offset:
        read = await log.read(offset, 1_000, log.log_end_offset)
        for buffer in read.buffers:
            for pos, header in headers(buffer):
                assert header.base_offset == offset
                offset = header.next_offset
                for one in records_of(buffer, pos):
                    assert one.key is not None and one.value is not None
                    found[one.offset] = one.timestamp, (bytes(one.key), bytes(one.value))
    assert offset == log.log_end_offset == len(book.written)
    assert all(book.written[at] == pair for at, (_, pair) in found.items())
    newest = {key: at for at, (key, _) in enumerate(book.written)}
    assert set(newest.values()) <= set(found)
    for at, (timestamp, _) in list(found.items())[::5]:
        located = await log.offset_for_timestamp(timestamp)
        assert located is not None and located[0] == at


def story(at: int, seed: int, power: bool) -> bool:
    """Whether the node lived to the end of it."""
    book = Book()
    with Simulation(seed) as world:
        node = world.node("broker")
        node.runtime.files.make_dirs("/data")
        node.runtime.files.sync_dir("/")
        wire = Tripwire(at, node.crash if power else node.kill)
        world.run(lives(node, wire, book, power))
    return not wire.tripped


async def lives(node: SimulatedNode, wire: Tripwire, book: Book, power: bool) -> None:
    try:
        await node.run(live(wire.runtime(node.runtime), wire, book))
    except NodeDownError:
        assert wire.tripped
    if not wire.tripped:
        (node.crash if power else node.kill)()
    node.boot()
    await node.run(check(node.runtime, book, power))


@pytest.mark.parametrize("power", [False, True], ids=["killed", "without power"])
def test_a_node_that_dies_at_any_step_of_compaction(power: bool) -> None:
    for seed in range(2):
        steps = at_every_step(lambda at: story(at, 1_000 * seed + at, power))  # noqa: B023 - used at once
        assert steps > 15, "the wire is stretched where nothing happens"
