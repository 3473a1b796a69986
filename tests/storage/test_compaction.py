"""Compaction: what is left of a log, on the disk, for readers, and after a crash in the midst of it."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from sprawl.storage.cleaner import Cleaner, CleanerSettings, due
from sprawl.storage.log import Log
from sprawl.storage.manager import StorageSettings
from sprawl_protocol.compression import Codec
from sprawl_protocol.records import BatchHeader, Record, build_batch, headers, records_of
from tests.storage.conftest import SETTINGS, Disk, written

QUICK = CleanerSettings(enabled=True, backoff=0.0, memory_bytes=1 << 24, bytes_per_second=1e12)
Pair = tuple[bytes | None, bytes | None]
NO_MEMORY = replace(SETTINGS, memory_bytes=0)


def small(disk: Disk, settings: StorageSettings = SETTINGS, **configs: str) -> AbstractAsyncContextManager[Log]:
    """A compacted log with many segments."""
    asked = {"cleanup_policy": "compact", "internal_segment_bytes": "4000", "min_cleanable_dirty_ratio": "0"}
    return disk.log(settings, **{**asked, **configs})


def put(log: Log, pairs: Sequence[Pair], *, codec: Codec = Codec.NONE, epoch: int = 0, **batch: int) -> None:
    """One batch."""
    records = [Record(0, 1_000 + log.log_end_offset + n, key, value) for n, (key, value) in enumerate(pairs)]
    view = memoryview(build_batch(records, compression=codec, **batch))  # type: ignore[arg-type]
    log.append(view, headers(view), epoch, now_ms=5_000)


async def batches(log: Log, offset: int = 0) -> list[tuple[BatchHeader, list[Record]]]:
    """As a reader gets them."""
    found: list[tuple[BatchHeader, list[Record]]] = []
    while offset < log.log_end_offset:
        read = await log.read(offset, 64 * 1024, log.log_end_offset)
        assert read.next_offset > offset
        found += [(header, list(records_of(b, pos))) for b in read.buffers for pos, header in headers(b)]
        offset = read.next_offset
    return found


async def contents(log: Log) -> dict[int, Pair]:
    found: dict[int, Pair] = {}
    for _, records in await batches(log):
        for one in records:
            key, value = one.key, one.value
            found[one.offset] = None if key is None else bytes(key), None if value is None else bytes(value)
    return found


async def compact(log: Log, settings: CleanerSettings = QUICK) -> bool:
    """Everything but the active segment."""
    await log.make_stable()
    cleaner = Cleaner(settings, log._clock, lambda: [log], lambda _: log.durable_offset)
    work = due(log, log.durable_offset, log._clock.wall_ms())
    return work is not None and await cleaner.clean(work)


def newest(pairs: Sequence[Pair], until: int) -> dict[int, Pair]:
    """What compaction must leave of the offsets below `until`; the rest stays as it is."""
    last = {key: offset for offset, (key, _) in enumerate(pairs[:until])}
    return {n: pair for n, pair in enumerate(pairs) if n >= until or (pair[0] is not None and last[pair[0]] == n)}


async def filled(log: Log, count: int, keys: int, seed: int = 1, **options: Codec) -> list[Pair]:
    rng = random.Random(seed)
    pairs: list[Pair] = []
    while len(pairs) < count:
        batch: list[Pair] = [(b"key%d" % rng.randrange(keys), rng.randbytes(40)) for _ in range(rng.randrange(1, 6))]
        put(log, batch, **options)
        pairs += batch
        log.write_pending()
    await log.make_stable()
    return pairs


@pytest.mark.parametrize("codec", list(Codec))
async def test_of_each_key_the_newest_record_is_left_at_its_offset(disk: Disk, codec: Codec) -> None:
    async with small(disk) as log:
        pairs = await filled(log, 600, 20, codec=codec)
        before = log.size_bytes
        assert await compact(log)
        until = log.segments.active.base_offset
        assert 100 < until < len(pairs)
        assert await contents(log) == newest(pairs, until)
        assert log.size_bytes < before
    async with small(disk, NO_MEMORY) as log:
        assert await contents(log) == newest(pairs, until)
        assert log.log_end_offset == len(pairs)


async def test_offsets_follow_each_other_without_a_gap(disk: Disk) -> None:
    async with small(disk) as log:
        await filled(log, 600, 5)
        assert await compact(log)
        due_next = 0
        for header, _ in await batches(log):
            assert header.base_offset == due_next
            due_next = header.next_offset
        assert due_next == log.log_end_offset
        for offset in range(0, log.log_end_offset, 7):
            first, _ = (await batches(log, offset))[0]
            assert first.base_offset <= offset <= first.last_offset


async def test_what_is_compacted_again_becomes_one_segment(disk: Disk) -> None:
    async with small(disk) as log:
        pairs: list[Pair] = []
        for seed in range(4):
            start = len(pairs)
            pairs += await filled(log, 300, 5, seed)
            assert log.log_end_offset == len(pairs) > start
            assert await compact(log)
        fresh = [each for each in log.segments if each.base_offset >= start]
        assert len(log.segments) - len(fresh) <= 3
        assert await contents(log) == newest(pairs, log.segments.active.base_offset)


async def test_timestamps_and_searches_by_time_stay_right(disk: Disk) -> None:
    async with small(disk, NO_MEMORY) as log:
        pairs = await filled(log, 600, 20)
        assert await compact(log)
        left = newest(pairs, log.segments.active.base_offset)
        for _, records in await batches(log):
            for one in records:
                assert one.timestamp <= 1_000 + one.offset
        times = {one.offset: one.timestamp for _, records in await batches(log) for one in records}
        for offset in list(left)[:: max(len(left) // 20, 1)]:
            found = await log.offset_for_timestamp(times[offset])
            assert found is not None
            assert found[:2] == min((at, time) for at, time in times.items() if time >= times[offset])


async def test_a_tombstone_stays_for_its_time_and_then_goes(disk: Disk) -> None:
    async with small(disk, delete_retention_ms="60000") as log:
        put(log, [(b"gone", b"value"), (b"kept", b"value")])
        put(log, [(b"gone", None)])
        pairs = await filled(log, 300, 3)
        assert await compact(log)
        first = {at: pair for at, pair in (await contents(log)).items() if at < 3}
        assert first == {1: (b"kept", b"value"), 2: (b"gone", None)}
        horizon = next(header for header, records in await batches(log) if [r.offset for r in records] == [2])
        assert horizon.has_delete_horizon and horizon.base_timestamp > log._clock.wall_ms()
        log.config = replace(log.config, delete_retention_ms=0)
        assert [r.timestamp for _, rs in await batches(log) for r in rs if r.offset == 2] == [1_002]
        await filled(log, 300, 3, 2)
        assert await compact(log)
        assert 2 in await contents(log), "the horizon that was noted counts"
    assert pairs


async def test_a_tombstone_past_its_horizon_is_left_out(disk: Disk) -> None:
    async with small(disk, delete_retention_ms="0") as log:
        put(log, [(b"gone", b"value")])
        put(log, [(b"gone", None)])
        await filled(log, 300, 3)
        assert await compact(log)
        assert 1 in await contents(log)
        await asyncio.sleep(0.002)  # the horizon is a time of the real clock, in whole milliseconds
        await filled(log, 300, 3, 2)
        assert await compact(log)
        assert not {0, 1} & set(await contents(log))


async def test_tombstones_of_tiered_logs_stay(disk: Disk) -> None:
    async with small(disk, delete_retention_ms="0", remote_storage_enable="true") as log:
        put(log, [(b"gone", None)])
        for seed in range(3):
            await filled(log, 300, 3, seed)
            assert await compact(log)
        assert (await contents(log))[0] == (b"gone", None)


async def test_records_without_a_key_and_transactions(disk: Disk) -> None:
    async with small(disk) as log:
        put(log, [(None, b"goes"), (b"k", b"shadowed by nothing undecided")])
        put(log, [(b"k", b"in a transaction")], transactional=True, producer_id=7, producer_epoch=0, base_sequence=0)
        await filled(log, 300, 3)
        assert await compact(log)
        found = await contents(log)
        assert 0 not in found
        assert found[1] == (b"k", b"shadowed by nothing undecided")
        assert found[2] == (b"k", b"in a transaction")


async def test_sequence_numbers_outlive_compaction_and_the_index(disk: Disk) -> None:
    async with small(disk) as log:
        for n in range(3):
            put(log, [(b"key0", b"x")], producer_id=9, producer_epoch=2, base_sequence=n)
        await filled(log, 300, 3)
        assert await compact(log)
        assert 2 not in await contents(log)
        known = log.producers[9]
    for index in disk.path.glob("index.rocksdb/*"):
        index.unlink()
    async with small(disk) as log:
        assert log.producers[9].epoch == 2
        assert log.producers[9].batches[-1].last_sequence == known.batches[-1].last_sequence == 2


async def test_leader_epochs_are_told_as_before(disk: Disk) -> None:
    async with small(disk, NO_MEMORY) as log:
        for epoch in range(6):
            for _ in range(15):
                put(log, [(b"same", bytes(40))], epoch=epoch)
            log.write_pending()
        put(log, [(b"same", bytes(3000))] * 2, epoch=6)
        await log.make_stable()
        before = log.epochs.entries
        assert await compact(log)
        assert log.epochs.entries == before
        assert [header.partition_leader_epoch for header, _ in await batches(log)] == sorted(
            header.partition_leader_epoch for header, _ in await batches(log)
        )
    for index in disk.path.glob("index.rocksdb/*"):
        index.unlink()
    async with small(disk) as log:
        assert log.epochs.entries == before


async def test_keys_that_do_not_fit_in_memory_wait_for_the_next_run(disk: Disk) -> None:
    async with small(disk) as log:
        pairs = await filled(log, 900, 200)
        few = replace(QUICK, memory_bytes=60 * 200)
        runs = 0
        while await compact(log, few):
            runs += 1
        assert runs > 3
        assert len(await contents(log)) < len(pairs)
        left = await contents(log)
        for key in {key for key, _ in pairs}:
            last = max(n for n, pair in enumerate(pairs) if pair[0] == key)
            assert left[last] == pairs[last], "the newest of a key is never lost"


async def test_younger_records_than_the_lag_are_left_alone(disk: Disk) -> None:
    async with small(disk, min_compaction_lag_ms="1000000") as log:
        pairs = await filled(log, 300, 3)
        for segment in log.segments:
            segment.max_timestamp = log._clock.wall_ms()
        assert not await compact(log)
        assert len(await contents(log)) == len(pairs)


async def test_little_that_is_new_waits_until_it_is_overdue(disk: Disk) -> None:
    async with small(disk, min_cleanable_dirty_ratio="0.9") as log:
        await filled(log, 300, 200)
        assert await compact(log)
        await filled(log, 120, 200, 2)
        assert not await compact(log)
        log.config = replace(log.config, max_compaction_lag_ms=1)
        assert await compact(log)


async def test_what_is_not_committed_is_not_compacted(disk: Disk) -> None:
    async with small(disk) as log:
        await filled(log, 300, 3)
        committed = log.segments[1].next_offset
        found = due(log, committed, log._clock.wall_ms())
        assert found is not None and found.until == committed


async def test_a_reader_goes_on_while_the_log_is_compacted(disk: Disk) -> None:
    async with small(disk, NO_MEMORY) as log:
        pairs = await filled(log, 900, 20)

        async def read() -> None:
            for _ in range(20):
                seen = await contents(log)
                assert set(newest(pairs, len(pairs))) <= set(seen)

        await asyncio.gather(read(), compact(log))


async def test_damage_in_a_segment_stops_compaction_and_is_told(disk: Disk) -> None:
    async with small(disk) as log:
        await filled(log, 300, 3)
        await written(log)
    disk.flip(disk.segments[1], 200)
    async with small(disk, NO_MEMORY) as log:
        before = log.size_bytes
        assert not await compact(log)
        assert log.damaged is not None and log.damaged_from >= log.segments[1].base_offset
        assert log.segments[1].size + log.segments[0].size <= before


@pytest.mark.parametrize("indexed", [True, False])
async def test_what_a_crash_left_of_a_swap_is_put_right(disk: Disk, indexed: bool) -> None:
    """The new segment is in place, the files of the others are still there; the index has its note, or is lost."""
    async with small(disk) as log:
        pairs = await filled(log, 300, 3)
        assert await compact(log)
        before = {path.name: path.read_bytes() for path in disk.segments}
        pairs += await filled(log, 300, 3, 2)
        assert await compact(log)
        until, left = log.segments.active.base_offset, [path.name for path in disk.segments]
        active = log.segments.active.file.path.rsplit("/", 1)[1]
        for segment in log.segments.all[:-1]:
            facts = log.index.facts(segment.base_offset)
            assert facts is not None
            log.index.forget_places(segment.base_offset)
            log.index.swapping(segment.base_offset, facts)
    if not indexed:
        shutil.rmtree(disk.path / "index.rocksdb")
    again = [name for name in before if name not in left and name != active]
    assert again
    for name in again:
        (disk.path / "orders-0" / name).write_bytes(before[name])
    (disk.path / "orders-0" / f"{again[0]}.cleaned").write_bytes(b"half of it")
    async with small(disk) as log:
        assert log.damaged is None
        assert await contents(log) == newest(pairs, until)
        assert [path.name for path in disk.segments] == left
        assert bool(log.index.swaps()) == indexed
        await log.mend_swaps(100)
        assert not log.index.swaps()
        assert await contents(log) == newest(pairs, until)
    assert not list((disk.path / "orders-0").glob("*.cleaned"))
