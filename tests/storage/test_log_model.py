"""A log on a simulated machine beside a list: whatever is done to both, and however the process ends, they agree.

One seed is one story of several lives. In each the log is opened, compared as a whole, and then random things are done
to it: batches appended, read and looked up by time, segments rolled, checkpoints made, the start moved by retention
and DeleteRecords, the end cut off, everything begun anew. A life ends with a clean stop, kill -9 or a power failure,
also in the middle of any of these. `SPRAWL_MODEL_SEEDS` (6) says how many stories are told for each durability.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from random import Random
from uuid import UUID

import pytest

from sprawl.config.topics import TopicConfig
from sprawl.runtime import Runtime
from sprawl.runtime.simulated import NodeDownError, SimulatedNode, Simulation
from sprawl.storage.log import Log
from sprawl.storage.manager import LogManager, StorageSettings
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import Record, build_batch, headers, records_of, stamp

SEEDS = int(os.environ.get("SPRAWL_MODEL_SEEDS", "6"))
LIVES = 6
TOPIC_ID = UUID(int=42)
SETTINGS = StorageSettings(
    memory_bytes=20_000, disk_reserve_bytes=0, retention_check_ms=1_000, producer_expiration_ms=1 << 50
)
_TICKS = 2.1
"""Seconds in which retention is looked at at least once."""


class End(Enum):
    STOPPED = auto()
    KILLED = auto()
    POWER_LOST = auto()


@dataclass(frozen=True)
class Batch:
    base: int
    records: tuple[tuple[int, bytes], ...]
    """Timestamp and value of each."""
    epoch: int
    producer: int
    sequence: int
    size: int

    @property
    def next(self) -> int:
        return self.base + len(self.records)

    @property
    def last_sequence(self) -> int:
        return self.sequence + len(self.records) - 1


@dataclass
class Model:
    """What the log should be, and between which bounds it may be after a crash."""

    batches: list[Batch] = field(default_factory=list)
    """Those below the start too: after a power failure, retention may not have happened."""
    origin: int = 0
    """Where the log was begun anew."""
    start: int = 0
    noted_start: int = 0
    """The start cannot be lower, whatever happens: DeleteRecords is durable."""
    written: int = 0
    """A kill loses nothing below."""
    stable: int = 0
    """Nor does a power failure below this."""
    cutting_to: int | None = None
    """The end is being cut off: the log may end anywhere from here on."""
    resetting_to: int | None = None
    """The log is being begun anew: it may be the old one, or empty here."""
    retaining: bool = False
    """The start may have moved further than we know."""
    epoch: int = 0
    boot_id: str = ""

    @property
    def end(self) -> int:
        return self.batches[-1].next if self.batches else self.origin

    @property
    def kept(self) -> list[Batch]:
        return [batch for batch in self.batches if batch.next > self.start]

    def records(self) -> list[tuple[int, int, bytes, int]]:
        """Offset, timestamp, value and epoch of each that can be read."""
        return [
            (offset, timestamp, value, batch.epoch)
            for batch in self.kept
            for offset, (timestamp, value) in enumerate(batch.records, batch.base)
            if offset >= self.start
        ]

    def last_of(self, producer: int) -> Batch | None:
        return next((one for one in reversed(self.batches) if one.producer == producer), None)

    def cut(self, offset: int) -> None:
        target = max(offset, self.start)
        left = [batch for batch in self.batches if batch.next <= target]
        if len(left) == len(self.batches):
            return
        end = left[-1].next if left else self.origin
        if target == self.start or end < self.start:
            self.begin_anew(self.start)
        else:
            self.batches = left
            self.lose_from(end)

    def begin_anew(self, offset: int) -> None:
        self.batches = []
        self.origin = self.start = self.noted_start = self.written = self.stable = offset

    def lose_from(self, offset: int) -> None:
        self.written = min(self.written, offset)
        self.stable = min(self.stable, offset)

    def mended_at(self, log: Log) -> None:
        """A batch at the very end with a gap before it is not believed after a crash; the leader has it."""
        last = next(batch for batch in self.batches if batch.base > log.damaged_from)
        assert all(batch.next <= log.damaged_from or batch.base >= last.base for batch in self.batches)
        assert f"offsets {last.base} to {last.next - 1} where {log.damaged_from} was due" in str(log.damaged)
        self.lose_from(log.damaged_from)

    def found(self, log: Log, ended: End) -> None:
        """Take over what a life finds, after checking that it may be so."""
        assert log.damaged is None
        if self.resetting_to is not None and (log.log_start_offset, log.log_end_offset) == (self.resetting_to,) * 2:
            self.begin_anew(self.resetting_to)
        floor = {End.STOPPED: self.end, End.KILLED: self.written, End.POWER_LOST: self.stable}[ended]
        if self.cutting_to is not None:
            floor = min(floor, self.cutting_to)
        assert max(floor, 0) <= log.log_end_offset <= self.end, f"nothing below {floor} was lost, nothing was made up"
        start = log.log_start_offset
        assert start >= min(self.noted_start, log.log_end_offset), "what was deleted does not come back"
        assert start >= self.start or ended is End.POWER_LOST, "nor does what retention removed, unless power failed"
        assert start <= self.start or self.retaining or self.cutting_to is not None, "no start moves by itself"
        ends = {self.origin, *(batch.next for batch in self.batches)}
        assert log.log_end_offset in ends, "it ends between two batches"
        self.batches = [batch for batch in self.batches if batch.next <= log.log_end_offset]
        self.start = start
        self.written = log.log_end_offset
        self.stable = self.written
        self.noted_start = min(self.noted_start, start)
        self.cutting_to = self.resetting_to = None
        self.retaining = False


class Life:
    """What is done to one open log, and to the model."""

    def __init__(self, runtime: Runtime, manager: LogManager, log: Log, model: Model, rng: Random) -> None:
        self.runtime = runtime
        self.manager = manager
        self.log = log
        self.model = model
        self.rng = rng

    async def go_on(self, steps: int) -> None:
        acts: list[tuple[int, Callable[[], Awaitable[None]]]] = [
            (40, self.append),
            (12, self.wait),
            (10, self.read),
            (8, self.look_up),
            (4, self.roll),
            (3, self.checkpoint),
            (3, self.delete_records),
            (2, self.retain),
            (4, self.truncate),
            (1, self.reset),
        ]
        for _ in range(steps):
            (act,) = self.rng.choices([act for _, act in acts], [weight for weight, _ in acts])
            await act()
            self.note()

    def note(self) -> None:
        model, log = self.model, self.log
        assert log.failed is None
        assert (log.log_start_offset, log.log_end_offset) == (model.start, model.end)
        assert log.durable_offset <= log.log_end_offset
        model.written = max(model.written, log.written_offset)
        if log.config.durability.value == "fsync":
            model.stable = max(model.stable, log.durable_offset)

    # -- acts -----------------------------------------------------------------------------------------------

    async def append(self) -> None:
        for _ in range(self.rng.choice((1, 1, 2, 5))):
            if self.rng.random() < 0.1:
                self.model.epoch += self.rng.randrange(1, 3)
            self._append_one(gap=self.rng.random() < 0.05 and bool(self.model.kept))
        if self.rng.random() < 0.5:
            await asyncio.sleep(0)

    def _append_one(self, *, gap: bool) -> None:
        model, rng = self.model, self.rng
        time = self.runtime.clock.wall_ms() + rng.randrange(-3_000, 3_000)
        records = tuple(
            (time + rng.randrange(-500, 500), rng.randbytes(rng.choice((0, 10, 100, 900))))
            for _ in range(rng.randrange(1, 5))
        )
        producer = rng.choice((-1, -1, 7, 8))
        last = model.last_of(producer)
        sequence = -1 if producer < 0 else 0 if last is None else last.last_sequence + 1
        view = memoryview(
            build_batch(
                [Record(0, timestamp, None, value) for timestamp, value in records],
                producer_id=producer,
                producer_epoch=-1 if producer < 0 else 0,
                base_sequence=sequence,
            )
        )
        base = model.end
        if gap:
            base += rng.randrange(1, 10)
            stamp(view, 0, base, model.epoch)
            self.log.append_replicated(view, headers(view), after_gap=True)
        else:
            assert self.log.append(view, headers(view), model.epoch, now_ms=0).base_offset == base
        model.batches.append(Batch(base, records, model.epoch, producer, sequence, len(view)))

    async def wait(self) -> None:
        await asyncio.sleep(self.rng.choice((0, 0.001, 0.01, 0.1)))

    async def roll(self) -> None:
        self.log.roll()

    async def checkpoint(self) -> None:
        end = self.model.end
        await self.manager.checkpoint()
        self.model.stable = max(self.model.stable, end)

    async def delete_records(self) -> None:
        await self.log.make_stable()
        if self.log.durable_offset > self.model.start:
            offset = self.rng.randint(self.model.start, self.log.durable_offset - 1)
            self.log.advance_log_start(offset)
            self.model.start = self.model.noted_start = offset

    async def retain(self) -> None:
        """By size, by time, or both, as the manager does it in the background."""
        log, model = self.log, self.model
        log.write_pending()
        usual = log.config
        size = self.rng.choice((-1, 3_000, 8_000))
        age = self.rng.choice((-1, 4_000)) if size >= 0 else 4_000
        log.apply_config(replace(usual, retention_bytes=size, retention_ms=age))
        model.retaining = True
        await asyncio.sleep(_TICKS)
        log.apply_config(usual)
        model.retaining = False
        start = log.log_start_offset
        assert start >= model.start
        gone = [batch for batch in model.batches if model.start < batch.next <= start]
        oldest_allowed = self.runtime.clock.wall_ms() - age
        for batch in gone:
            too_old = age >= 0 and max(timestamp for timestamp, _ in batch.records) < oldest_allowed
            behind = sum(other.size for other in model.batches if other.base > batch.base)
            assert too_old or behind >= size >= 0, "neither too old nor too much"
        model.start = start

    async def truncate(self) -> None:
        model = self.model
        offset = self.rng.randint(max(model.start - 3, 0), model.end + 3)
        if self.rng.random() < 0.7:
            offset = max(offset, model.end - 10)  # as followers do it
        left = [batch.next for batch in model.batches if batch.next <= max(offset, model.start)]
        model.cutting_to = left[-1] if left else model.origin
        if max(offset, model.start) <= model.start or model.cutting_to < model.start:
            model.resetting_to = model.start
        await self.log.truncate_to(offset)
        model.cut(offset)
        model.cutting_to = model.resetting_to = None

    async def reset(self) -> None:
        model = self.model
        offset = model.resetting_to = self.rng.randint(model.start, model.end + 20)
        await self.log.reset_to(offset)
        model.begin_anew(offset)
        model.resetting_to = None

    # -- looking --------------------------------------------------------------------------------------------

    async def read(self) -> None:
        model, log = self.model, self.log
        offset = self.rng.randint(max(model.start - 2, 0), model.end + 2)
        room = self.rng.choice((1, 500, 5_000, 1 << 20))
        if not model.start <= offset <= model.end:
            with pytest.raises(ApiError) as refused:
                await log.read(offset, room, model.end)
            assert refused.value.code is ErrorCode.OFFSET_OUT_OF_RANGE
            return
        until = self.rng.randint(offset, model.end)
        found = await log.read(offset, room, until)
        due = [batch for batch in model.kept if batch.next > offset and batch.base < until]
        seen = [header.base_offset for buffer in found.buffers for _, header in headers(buffer)]
        assert seen == [batch.base for batch in due[: len(seen)]], "whole batches, from the right one on, none left out"
        assert seen or not due, "at least one"
        assert found.size <= room or len(seen) == 1
        assert found.next_offset == (due[len(seen) - 1].next if seen else offset)

    async def look_up(self) -> None:
        model, log = self.model, self.log
        records = model.records()
        timestamp = self.rng.choice(records)[1] + self.rng.randrange(-2, 3) if records else 0
        first = next(((o, t, epoch) for o, t, _, epoch in records if t >= timestamp), None)
        assert await log.offset_for_timestamp(timestamp) == first
        newest = max((t for _, t, _, _ in records), default=None)
        expected = next(((o, t, epoch) for o, t, _, epoch in records if t == newest), None)
        assert await log.max_timestamp_offset() == expected

    async def compare(self) -> None:
        """All of it."""
        model, log = self.model, self.log
        records = model.records()
        found = []
        offset = model.start
        while offset < model.end:
            read = await log.read(offset, 5_000, model.end)
            assert read.next_offset > offset
            found += [one for buffer in read.buffers for pos, _ in headers(buffer) for one in records_of(buffer, pos)]
            offset = read.next_offset
        seen = [(one.offset, one.timestamp, bytes(one.value or b"")) for one in found if one.offset >= model.start]
        assert seen == [(offset, timestamp, value) for offset, timestamp, value, _ in records]
        for offset, _, _, epoch in records:
            assert log.epochs.epoch_of(offset) == epoch
        for producer in (7, 8):
            last = model.last_of(producer)
            if last is not None and last.base >= model.start:
                assert producer in log.producers
                noted = log.producers[producer].batches[-1]
                assert (noted.last_sequence, noted.last_offset) == (last.last_sequence, last.next - 1)


async def live(runtime: Runtime, model: Model, rng: Random, durability: str, ended: End) -> None:
    power_failed = model.boot_id not in ("", runtime.boot_id)
    if power_failed:
        ended = End.POWER_LOST  # also if it was killed since, before it was through with recovery
    manager = LogManager(runtime, "/data", SETTINGS, power_failed=power_failed)
    await manager.start()
    config = TopicConfig.of({"sprawl.durability": durability, "retention.ms": "-1", "file.delete.delay.ms": "100"})
    config = replace(config, internal_segment_bytes=4_000, index_interval_bytes=300, segment_ms=1 << 50)
    log = await manager.open(TOPIC_ID, "orders", 0, config)
    if log.damaged is not None:
        model.mended_at(log)
        await log.truncate_to(log.damaged_from)
    model.found(log, ended)
    model.boot_id = runtime.boot_id
    life = Life(runtime, manager, log, model, rng)
    await life.compare()
    await life.go_on(rng.randrange(10, 150))
    await life.compare()
    await manager.close()


async def lives(world: Simulation, node: SimulatedNode, durability: str) -> None:
    model, rng = Model(), Random(world.seed)
    ended = End.STOPPED
    for _ in range(LIVES):
        life = node.run(live(node.runtime, model, rng, durability, ended))
        ended = rng.choice((End.STOPPED, End.KILLED, End.POWER_LOST))
        if ended is not End.STOPPED:
            await asyncio.wait({life}, timeout=rng.random() * rng.choice((0.1, 1, 5)))
        if not life.done() and ended is not End.STOPPED:
            (node.crash if ended is End.POWER_LOST else node.kill)()
            with pytest.raises(NodeDownError):
                await life
        else:
            await life
            if ended is End.POWER_LOST:
                node.crash()
            else:
                node.kill()
        node.boot()


@pytest.mark.parametrize("durability", ["fsync", "disk", "memory"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_log_is_what_a_list_would_be(seed: int, durability: str) -> None:
    with Simulation(seed) as world:
        world.run(lives(world, world.node("broker"), durability))
