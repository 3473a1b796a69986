"""Storage's log on a simulated disk: power failures and kill -9 in the middle of a load, life after life.

The load runs until the node dies at a random moment; the next life recovers, checks every record against what was
sent, and goes on where the log ends.
"""

from __future__ import annotations

import asyncio
import dataclasses
from uuid import UUID

import pytest

from sprawl.config.topics import TopicConfig
from sprawl.runtime import Runtime
from sprawl.runtime.simulated import SimulatedNode, Simulation
from sprawl.storage.log import Log
from sprawl.storage.manager import LogManager, StorageSettings
from sprawl_protocol.records import Record, build_batch, headers, records_of

TOPIC_ID = UUID(int=42)
SETTINGS = StorageSettings(
    memory_bytes=1 << 16, disk_reserve_bytes=0, retention_check_ms=300_000, producer_expiration_ms=86_400_000
)
LIVES = 5


@dataclasses.dataclass
class Book:
    """What a client knows."""

    sent: dict[int, bytes] = dataclasses.field(default_factory=dict)
    durable: int = 0
    """Below this all was acknowledged as being on stable storage."""
    damaged: str | None = None
    boot_id: str = ""


async def live(runtime: Runtime, book: Book, durability: str) -> None:
    manager = LogManager(runtime, "/data", SETTINGS, power_failed=book.boot_id not in ("", runtime.boot_id))
    await manager.start()
    log = await manager.open(TOPIC_ID, "orders", 0, TopicConfig.of({"sprawl.durability": durability}))
    log.apply_config(dataclasses.replace(log.config, segment_bytes=20_000))
    book.boot_id = runtime.boot_id
    await check(log, book)
    book.damaged = log.damaged
    while log.damaged is None:
        values = [runtime.rng.randbytes(runtime.rng.randrange(1, 800)) for _ in range(runtime.rng.randrange(1, 4))]
        now = runtime.clock.wall_ms()
        view = memoryview(build_batch([Record(0, now, b"key", value) for value in values]))
        base = log.append(view, headers(view), 0, now_ms=now).base_offset
        book.sent.update(enumerate(values, base))
        if runtime.rng.random() < 0.7:
            await asyncio.sleep(runtime.rng.random() * 0.004)
        if durability == "fsync":
            book.durable = max(book.durable, log.durable_offset)


async def check(log: Log, book: Book) -> None:
    end = log.log_end_offset
    assert end >= book.durable, f"offsets {end} to {book.durable - 1} were on stable storage and are gone"
    offset = log.log_start_offset
    assert offset == 0
    while offset < end:
        read = await log.read(offset, 64 * 1024, end)
        found = [record for buffer in read.buffers for at, _ in headers(buffer) for record in records_of(buffer, at)]
        for record in found:
            assert book.sent[record.offset] == record.value, f"another record at offset {record.offset}"
        assert read.next_offset > offset, f"nothing to be read at offset {offset} of {end}"
        offset = read.next_offset
    book.sent = {offset: value for offset, value in book.sent.items() if offset < end}


async def lives(world: Simulation, node: SimulatedNode, book: Book, durability: str, *, power: bool) -> None:
    for _ in range(LIVES):
        life = node.run(live(node.runtime, book, durability))
        await asyncio.wait([life], timeout=world.driver.runtime.rng.random() * 0.5)
        if life.done():
            life.result()
            return
        (node.crash if power else node.kill)()
        await asyncio.wait([life])
        life.exception()
        node.boot()


def story(seed: int, durability: str, *, power: bool) -> Book:
    book = Book()
    with Simulation(seed) as world:
        node = world.node("broker")
        node.runtime.files.make_dirs("/data")
        node.runtime.files.sync_dir("/")
        world.run(lives(world, node, book, durability, power=power))
    return book


@pytest.mark.parametrize("seed", range(8))
def test_power_failure_never_takes_what_was_durable(seed: int) -> None:
    story(seed, "fsync", power=True)
    story(seed, "disk", power=True)  # nothing was promised, but what is read must be what was sent


@pytest.mark.parametrize("seed", range(6))
def test_kill_never_damages_a_log(seed: int) -> None:
    for durability in ("fsync", "disk", "memory"):
        assert story(seed, durability, power=False).damaged is None


def test_power_failure_never_damages_a_log() -> None:
    """What was not synced may be torn anywhere, also before batches that are whole. That is a tail, to be cut."""
    for seed in range(8):
        assert story(seed, "fsync", power=True).damaged is None, f"seed {seed}"
