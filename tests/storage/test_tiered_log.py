"""A log whose older part has left the disk for the cloud tier: where it begins, here and there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sprawl.storage.epochs import LeaderEpochs
from sprawl.storage.log import Log
from sprawl.storage.producers import ProducerStates
from sprawl_protocol.errors import ApiError, ErrorCode
from tests.storage.conftest import SETTINGS, TOPIC_ID, Disk, append, config, offsets, written


async def fill(log: Log, count: int = 10) -> None:
    """A segment for every two batches, an epoch for every four."""
    for n in range(count):
        append(log, epoch=n // 4)
        log.write_pending()
        if n % 2:
            log.roll()
    await written(log)


async def test_segments_that_leave_for_the_tier_do_not_move_the_logs_start(disk: Disk) -> None:
    async with disk.log() as log:
        await fill(log)
        log.drop_segments(2, tiered=True)
        assert (log.log_start_offset, log.local_start_offset) == (0, 4)
        assert log.epochs.entries == ((0, 0), (1, 4), (2, 8))
        with pytest.raises(ApiError) as moved:
            log.read_now(3, 1000, 10)
        assert moved.value.code is ErrorCode.OFFSET_MOVED_TO_TIERED_STORAGE
        assert await offsets(log, 4) == [4, 5, 6, 7, 8, 9]


async def test_a_restart_remembers_what_is_in_the_tier(disk: Disk) -> None:
    async with disk.log() as log:
        await fill(log)
        log.drop_segments(2, tiered=True)
    async with disk.log() as log:
        assert (log.log_start_offset, log.local_start_offset) == (0, 4)
        assert log.epochs.entries == ((0, 0), (1, 4), (2, 8))
        log.advance_log_start(3)
    async with disk.log() as log:
        assert (log.log_start_offset, log.local_start_offset) == (3, 4)
        log.drop_segments(1)
        assert (log.log_start_offset, log.local_start_offset) == (6, 6)
    async with disk.log() as log:
        assert (log.log_start_offset, log.local_start_offset) == (6, 6), "what was in the tier does not come back"


async def test_records_deleted_before_they_were_dropped_stay_deleted(disk: Disk) -> None:
    async with disk.log() as log:
        await fill(log)
        log.drop_segments(1)
        log.drop_segments(1, tiered=True)
        assert (log.log_start_offset, log.local_start_offset) == (2, 4)
    async with disk.log() as log:
        assert (log.log_start_offset, log.local_start_offset) == (2, 4)


async def test_a_replica_can_begin_where_the_tier_ends(disk: Disk) -> None:
    producers = ProducerStates()
    async with disk.log() as log:
        await fill(log, 3)
        append(log, epoch=1, producer_id=7, producer_epoch=0, base_sequence=0)
        await written(log)
        producers.restore(log.producers)
        await log.begin_behind_tier(500, 20, [(1, 20), (4, 300), (9, 500)], producers)
        assert (log.log_start_offset, log.local_start_offset, log.log_end_offset) == (20, 500, 500)
        assert log.last_epoch == 4
        assert 7 in log.producers
    async with disk.log() as log:
        assert (log.log_start_offset, log.local_start_offset, log.log_end_offset) == (20, 500, 500)
        assert log.epochs.entries == ((1, 20), (4, 300))
        assert 7 in log.producers
        append(log, epoch=9)
        await written(log)
        assert await offsets(log, 500) == [500]


async def test_a_cut_below_what_is_here_leaves_the_part_in_the_tier(disk: Disk) -> None:
    async with disk.log() as log:
        await fill(log)
        log.drop_segments(2, tiered=True)
        await log.truncate_to(3)
        assert (log.log_start_offset, log.local_start_offset, log.log_end_offset) == (0, 3, 3)
    async with disk.log() as log:
        assert (log.log_start_offset, log.local_start_offset, log.log_end_offset) == (0, 3, 3)
        await log.reset_to(70)
    async with disk.log() as log:
        assert (log.log_start_offset, log.local_start_offset, log.log_end_offset) == (70, 70, 70)


async def test_local_retention_drops_only_what_is_in_the_tier(disk: Disk) -> None:
    async with disk.manager(SETTINGS) as manager:
        configs = {"local_retention_bytes": "0", "retention_bytes": "0", "retention_ms": "0"}
        log = await manager.open(TOPIC_ID, "orders", 0, replace(config(**configs), remote_storage_enable=True))
        await fill(log)
        manager._retain(log, 1 << 50)
        assert log.local_start_offset == 0, "nothing is in the tier yet"
        manager.tiered_until = lambda log: 5
        manager._retain(log, 1 << 50)
        assert (log.log_start_offset, log.local_start_offset) == (0, 4)
        log.advance_log_start(7)
        manager._retain(log, 1 << 50)
        assert (log.log_start_offset, log.local_start_offset, log.segments[0].base_offset) == (7, 7, 6)


async def test_what_nobody_reads_leaves_the_disk_before_local_retention_but_not_before_it_is_in_the_tier(
    disk: Disk,
) -> None:
    async with disk.manager(replace(SETTINGS, tier_idle_ms=1000)) as manager:
        log = await manager.open(TOPIC_ID, "orders", 0, replace(config(), remote_storage_enable=True))
        await fill(log)
        manager.high_watermark_of = lambda log: log.log_end_offset
        for now_ms in (0, 1000):
            manager._retain(log, now_ms)
            assert log.local_start_offset == 0, "nothing is in the tier yet"
        manager.tiered_until = lambda log: 7
        log._tail.clear()
        assert (await log.read(2, 10, 10)).size
        manager._retain(log, 1500)
        assert (log.log_start_offset, log.local_start_offset) == (0, 2), "what was read stays"
        manager._retain(log, 2500)
        assert (log.log_start_offset, log.local_start_offset) == (0, 6), "all that is whole in the tier goes"


def test_epochs_from_elsewhere_go_before_those_that_are_here() -> None:
    epochs = LeaderEpochs([(5, 100), (6, 120)])
    epochs.precede([(1, 0), (5, 60), (6, 120), (8, 300)])
    assert epochs.entries == ((1, 0), (5, 60), (6, 120))
    epochs.precede([(1, 0), (5, 60)])
    assert epochs.entries == ((1, 0), (5, 60), (6, 120))
    empty = LeaderEpochs()
    empty.precede([(1, 0), (2, 10)])
    assert empty.entries == ((1, 0), (2, 10))
