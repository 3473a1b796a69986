"""A log cut to what its leader has, or begun anew where the leader's begins."""

from __future__ import annotations

import asyncio

import pytest

from sprawl.runtime.simulated import SimulatedNode, Simulation
from sprawl.storage.log import Log
from sprawl.storage.manager import LogManager
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import Record, build_batch, headers
from tests.storage.conftest import SETTINGS, TOPIC_ID, Disk, Faulty, append, broken_disk, config, offsets, written
from tests.storage.test_replicated_log import replicate

TINY = SETTINGS.__class__(1_000, 0, 300_000, 86_400_000)


async def filled(log: Log, batches: int = 20, **batch: int) -> None:
    """Batches of two records; a new epoch every five."""
    for n in range(batches):
        append(log, 2, epoch=max(n // 5, log.epochs.latest), timestamp=1_000 * n, **batch)
        await written(log)


def ends(log: Log) -> tuple[int, int, int]:
    return log.durable_offset, log.written_offset, log.log_end_offset


@pytest.mark.parametrize("durability", ["fsync", "disk", "memory"])
@pytest.mark.parametrize("segment_bytes", ["100000000", "1000"])
@pytest.mark.parametrize("settings", [SETTINGS, TINY], ids=["in memory", "on disk"])
async def test_what_lies_behind_is_gone(disk: Disk, durability: str, segment_bytes: str, settings: object) -> None:
    configs = {"sprawl_durability": durability, "internal_segment_bytes": segment_bytes, "index_interval_bytes": "0"}
    async with disk.log(settings, **configs) as log:  # type: ignore[arg-type]
        await filled(log)
        await log.make_stable()
        await log.truncate_to(26)
        assert ends(log) == (26, 26, 26)
        assert log.epochs.entries == ((0, 0), (1, 10), (2, 20))
        assert await offsets(log) == list(range(26))
        with pytest.raises(ApiError) as refused:
            await log.read(27, 100, 40)
        assert refused.value.code is ErrorCode.OFFSET_OUT_OF_RANGE
        assert append(log, 2, epoch=9) == 26
        await written(log)
        assert await offsets(log) == list(range(28))
    async with disk.log() as log:
        assert log.damaged is None
        assert log.epochs.entries == ((0, 0), (1, 10), (2, 20), (9, 26))
        assert await offsets(log) == list(range(28))


@pytest.mark.parametrize("offset", range(0, 42, 3))
async def test_the_cut_is_between_batches_and_any_offset_can_be_read_then(disk: Disk, offset: int) -> None:
    async with disk.log(internal_segment_bytes="1000", index_interval_bytes="0") as log:
        await filled(log)
        await log.truncate_to(offset)
        end = min(offset // 2 * 2, 40)
        assert ends(log) == (end, end, end)
        await filled(log, 5)
        for start in range(end + 10):
            assert await offsets(log, start) == list(range(start, end + 10))


async def test_gaps_are_cut_at_the_batch_before(disk: Disk) -> None:
    async with disk.log() as log:
        replicate(log, (0, 5, 0), (10, 5, 1), (30, 5, 2))
        await written(log)
        await log.truncate_to(32)
        assert log.log_end_offset == 15
        await log.truncate_to(7)
        assert (log.log_end_offset, log.epochs.entries) == (5, ((0, 0),))
    async with disk.log() as log:
        assert log.log_end_offset == 5


async def test_a_cut_behind_the_end_takes_only_epochs_that_wrote_nothing(disk: Disk) -> None:
    async with disk.log() as log:
        await filled(log, 5)
        log.epochs.assign(7, 10)
        await log.truncate_to(10)
        assert ends(log) == (10, 10, 10)
        assert log.epochs.entries == ((0, 0),)
        await log.truncate_to(1_000)
        assert ends(log) == (10, 10, 10)


@pytest.mark.parametrize("durability", ["fsync", "disk", "memory"])
@pytest.mark.parametrize("offset", [0, 2, 4, 6, 8])
async def test_what_was_appended_in_this_turn_is_cut_too(disk: Disk, durability: str, offset: int) -> None:
    async with disk.log(sprawl_durability=durability) as log:
        for n in range(2):
            append(log, 2, epoch=n, producer_id=3, producer_epoch=0, base_sequence=2 * n)
        await written(log)
        for n in range(2, 4):
            append(log, 2, epoch=n, producer_id=3, producer_epoch=0, base_sequence=2 * n)
        await log.truncate_to(offset)
        assert log.log_end_offset == offset
        await written(log)
        assert log.durable_offset == offset
        assert log.epochs.entries == tuple((n, 2 * n) for n in range(offset // 2))
        assert len(log.producers[3].batches if offset else ()) == offset // 2
        assert await offsets(log) == list(range(offset))
    async with disk.log() as log:
        assert await offsets(log) == list(range(offset))


async def test_nothing_is_appended_while_the_log_is_cut(disk: Disk) -> None:
    async with disk.log() as log:
        await filled(log)
        cutting = asyncio.create_task(log.truncate_to(10))
        await asyncio.sleep(0)
        with pytest.raises(ApiError, match="being cut"):
            append(log)
        with pytest.raises(ApiError, match="being cut"):
            replicate(log, (40, 1, 9))
        await cutting
        assert append(log) == 10


async def test_two_cuts_at_once_are_one_after_the_other(disk: Disk) -> None:
    async with disk.log() as log:
        await filled(log)
        await asyncio.gather(log.truncate_to(30), log.truncate_to(20), log.truncate_to(36), log.reset_to(70))
        assert (log.log_start_offset, *ends(log)) == (70, 70, 70, 70)


async def test_a_caller_who_goes_away_does_not_stop_it(disk: Disk) -> None:
    async with disk.log() as log:
        await filled(log)
        cutting = asyncio.create_task(log.truncate_to(10))
        await asyncio.sleep(0)
        cutting.cancel()
        await asyncio.wait([cutting])
        await log.truncate_to(1_000)  # waits for the other
        assert log.log_end_offset == 10


@pytest.mark.parametrize("segment_bytes", ["100000000", "1000"])
async def test_times_are_found_in_what_is_left(disk: Disk, segment_bytes: str) -> None:
    async with disk.log(index_interval_bytes="0", internal_segment_bytes=segment_bytes) as log:
        await filled(log)
        await log.truncate_to(20)
        append(log, 2, timestamp=4_500)
        await written(log)
        for again in range(2):
            if again:
                await log.make_stable()
            assert await log.offset_for_timestamp(9_000) == (18, 9_000, 1)
            assert await log.offset_for_timestamp(10_000) is None
            assert await log.max_timestamp_offset() == (19, 9_001, 1)
            assert await log.offset_for_timestamp(4_400) == (10, 5_000, 1)
    async with disk.log() as log:
        assert await log.max_timestamp_offset() == (19, 9_001, 1)
        assert await log.offset_for_timestamp(9_000) == (18, 9_000, 1)
        assert await log.offset_for_timestamp(10_000) is None


@pytest.mark.parametrize("known", ["checkpoint before", "checkpoint behind", "segments", "nothing"])
async def test_producers_are_as_they_were_at_the_cut(disk: Disk, known: str) -> None:
    def send(log: Log, n: int) -> None:
        append(log, 1, producer_id=n % 3, producer_epoch=n // 24, base_sequence=n % 24 // 3)

    segment_bytes = "2000" if known == "segments" else "100000000"
    async with disk.manager() as manager:
        log = await manager.open(TOPIC_ID, "orders", 0, config(internal_segment_bytes=segment_bytes))
        for n in range(60):
            send(log, n)
            await written(log)
            if (known, n) in (("checkpoint before", 20), ("checkpoint behind", 50)):
                await manager.checkpoint()
        expected = {0: (1, [1, 2, 3, 4]), 1: (1, [0, 1, 2, 3]), 2: (1, [0, 1, 2, 3])}
        expected[0] = (1, [0, 1, 2, 3, 4])
        await log.truncate_to(37)
        for life in range(2):
            if life:
                send(log, 37)
                expected[1][1].append(4)
            found = {each: (p.epoch, [b.base_sequence for b in p.batches]) for each, p in log.producers.items()}
            assert found == expected
        view = memoryview(build_batch([Record(0, 1, b"k", b"v")], producer_id=2, producer_epoch=1, base_sequence=4))
        assert log.producers.check(headers(view)[0][1]) is None, "it was cut off: it is no duplicate"
    async with disk.log() as log:
        found = {each: (p.epoch, [b.base_sequence for b in p.batches]) for each, p in log.producers.items()}
        assert found == expected


async def test_a_cut_at_or_before_the_start_leaves_nothing(disk: Disk) -> None:
    for offset in (3, 9):
        async with disk.log() as log:
            await log.reset_to(0)
            await filled(log)
            log.advance_log_start(9)  # within a batch
            await log.truncate_to(offset)
            assert (log.log_start_offset, *ends(log)) == (9, 9, 9, 9)
            assert log.epochs.entries == ()
            assert append(log) == 9
        async with disk.log() as log:
            assert log.log_start_offset == 9
            assert await offsets(log) == [9]


@pytest.mark.parametrize("offset", [0, 13, 40, 1_000_000])
@pytest.mark.parametrize("start", [0, 21])
async def test_a_log_begun_anew_is_empty_there(disk: Disk, offset: int, start: int) -> None:
    async with disk.log(internal_segment_bytes="1000") as log:
        await filled(log, producer_id=3, producer_epoch=0, base_sequence=0)
        log.advance_log_start(start)
        append(log)
        await log.reset_to(offset)
        assert (log.log_start_offset, *ends(log)) == (offset, offset, offset, offset)
        assert (log.epochs.entries, len(log.producers), log.size_bytes) == ((), 0, 0)
        assert await log.max_timestamp_offset() is None
        replicate(log, (offset, 3, 4))
        await written(log)
        assert await offsets(log) == [offset, offset + 1, offset + 2]
        assert [path.name for path in disk.segments] == [f"{offset:020d}.log"]
    async with disk.log() as log:
        assert (log.log_start_offset, log.epochs.entries) == (offset, ((4, offset),))
        assert await offsets(log) == [offset, offset + 1, offset + 2]


@pytest.mark.parametrize("segment", [0, 1])
@pytest.mark.parametrize("lower", [0, 3])
async def test_a_damaged_log_is_sound_without_the_damaged_part(disk: Disk, segment: int, lower: int) -> None:
    async with disk.log(internal_segment_bytes="5000") as log:
        for _ in range(12):
            append(log, size=1_000)
            await written(log)
        after = disk.crashed()
    after.flip(after.segments[segment], 2_500)
    async with after.log() as log:
        assert log.damaged is not None
        assert log.damaged_from == log.log_end_offset == 4 * segment + 2
        await log.truncate_to(100)
        await log.truncate_to(log.damaged_from + 1)
        assert log.damaged is not None, "the damage is still there"
        end = max(log.damaged_from - lower, 0)
        await log.truncate_to(end)
        assert log.damaged is None, "it went with the rest"
        assert (log.damaged_from, log.log_end_offset) == (-1, end)
        assert append(log) == end
        await written(log)
        assert await offsets(log) == list(range(end + 1))
        again = after.crashed()
    async with again.log() as log:
        assert log.damaged is None
        assert await offsets(log) == list(range(end + 1))


async def test_damage_that_a_reader_finds_is_repaired_with_little_loss(disk: Disk) -> None:
    async with disk.log(index_interval_bytes="0") as log:
        for _ in range(10):
            append(log, size=1_000)
            await written(log)
    disk.flip(disk.segments[0], 5_500)
    async with disk.log() as log:
        with pytest.raises(ApiError, match="damaged"):
            await offsets(log)
        assert log.damaged_from == 5
        await log.truncate_to(5)
        assert log.damaged is None
        replicate(log, (5, 2, 1))
        await written(log)
        assert await offsets(log) == list(range(7))


async def test_damage_found_by_the_cut_itself_stops_it(disk: Disk) -> None:
    async with disk.log(index_interval_bytes="0") as log:
        for _ in range(10):
            append(log, size=1_000)
            await written(log)
        disk.flip(disk.segments[0], 5_500)
        with pytest.raises(ApiError, match="damaged"):
            await log.truncate_to(8)
        assert (log.damaged_from, log.log_end_offset) == (5, 10)
        await log.truncate_to(log.damaged_from)
        assert (log.damaged, log.log_end_offset) == (None, 5)


async def test_missing_segments_are_repaired(disk: Disk) -> None:
    async with disk.log(internal_segment_bytes="5000") as log:
        for _ in range(20):
            append(log, size=1_000)
            await written(log)
    disk.segments[1].unlink()
    async with disk.log() as log:
        assert (log.damaged is not None, log.damaged_from) == (True, 4)
        await log.truncate_to(4)
        assert log.damaged is None
        assert append(log) == 4
    assert len(disk.segments) == 1
    async with disk.log() as log:
        assert log.damaged is None
        assert await offsets(log) == list(range(5))


async def test_a_log_that_cannot_be_cut_is_as_before(disk: Disk) -> None:
    async with disk.manager() as manager:
        log = await manager.open(TOPIC_ID, "orders", 0, config())
        await filled(log)
        assert manager._store is not None
        manager._store.broken = "the disk is full"
        with pytest.raises(OSError, match="index"):
            await log.truncate_to(10)
        assert (log.failed, *ends(log)) == (None, 40, 40, 40)
        assert await offsets(log) == list(range(40))
        assert append(log) == 40


async def test_a_failing_disk_is_the_end_of_the_log(disk: Disk) -> None:
    async with disk.manager() as manager:
        log = await manager.open(TOPIC_ID, "orders", 0, config())
        await filled(log)
        await log.make_stable()
        Faulty(log).syncing = broken_disk
        with pytest.raises(ApiError, match="cannot be cut"):
            await log.truncate_to(10)
        assert log.failed is not None
        with pytest.raises(ApiError):
            append(log)


async def test_where_a_reader_stopped_is_forgotten(disk: Disk) -> None:
    async with disk.log(TINY) as log:
        for _ in range(20):
            append(log, size=1_000)
            await written(log)
        assert (await log.read(2, 3_500, 20)).next_offset == 5
        await log.truncate_to(3)
        for _ in range(10):
            append(log, size=700)
            await written(log)
        assert (await log.read(5, 1, 13)).next_offset == 6


@pytest.mark.parametrize("seed", range(5))
def test_readers_of_the_disk_meet_a_cut_without_harm(seed: int) -> None:
    async def work(node: SimulatedNode) -> None:
        manager = LogManager(node.runtime, "/data", TINY)
        await manager.start()
        log = await manager.open(TOPIC_ID, "orders", 0, config(internal_segment_bytes="20000"))
        for _ in range(200):
            append(log, size=500)
            await written(log)
        node.disk.cold_reads = 1.0
        reads = [asyncio.create_task(log.read(offset, 2_000, 200)) for offset in range(0, 200, 5)]
        finds = [asyncio.create_task(log.offset_for_timestamp(1_000)) for _ in range(5)]
        await asyncio.sleep(0)
        await log.truncate_to(100)
        for _ in range(100):
            append(log, size=600, epoch=1)
        for offset, read in zip(range(0, 200, 5), await asyncio.gather(*reads, return_exceptions=True), strict=True):
            if isinstance(read, ApiError):
                assert read.code is ErrorCode.OFFSET_OUT_OF_RANGE
                assert offset > 100
            else:
                assert not isinstance(read, BaseException)
                assert headers(read.buffers[0])[0][1].base_offset == offset
        assert await asyncio.gather(*finds) == [(0, 1_000, 0)] * 5
        assert log.damaged is None
        assert await offsets(log) == list(range(200))

    with Simulation(seed) as world:
        node = world.node("broker")
        world.run(work(node), on=node)
