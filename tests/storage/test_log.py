"""One log: append, read, find, trim."""

from __future__ import annotations

import pytest

from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import headers
from tests.storage.conftest import (
    SETTINGS,
    TOPIC_ID,
    Disk,
    Faulty,
    append,
    broken_disk,
    config,
    disk_full,
    offsets,
    written,
)


@pytest.mark.parametrize("durability", ["fsync", "disk", "memory"])
async def test_records_become_durable_and_are_read_back_in_order(disk: Disk, durability: str) -> None:
    async with disk.log(sprawl_durability=durability) as log:
        for _ in range(10):
            append(log, 3)
        assert log.log_end_offset == 30
        await written(log)
        assert log.durable_offset == 30
        assert await offsets(log) == list(range(30))


async def test_nothing_is_durable_before_the_sync_in_fsync_mode(disk: Disk) -> None:
    async with disk.log(sprawl_durability="fsync") as log:
        append(log)
        log.write_pending()
        assert (log.written_offset, log.durable_offset) == (1, 0)
        await written(log)
        assert log.durable_offset == 1


async def test_appends_of_one_turn_are_one_write(disk: Disk) -> None:
    async with disk.log() as log:
        file = Faulty(log)
        for _ in range(5):
            append(log)
        await written(log)
        assert file.writes == [5]


async def test_what_left_memory_is_read_from_disk(disk: Disk) -> None:
    small = SETTINGS.__class__(10_000, 0, 300_000, 86_400_000)
    async with disk.log(small) as log:
        for _ in range(200):
            append(log, 2, size=200)
            await written(log)
        assert await offsets(log) == list(range(400))
        assert await offsets(log, 301) == list(range(301, 400))


async def test_a_batch_larger_than_the_limit_is_returned_only_if_it_is_the_first(disk: Disk) -> None:
    async with disk.log() as log:
        append(log, size=5_000)
        append(log, size=5_000)
        await written(log)
        read = await log.read(0, 100, 2)
        assert (read.next_offset, read.size > 5_000) == (1, True)
        assert (await log.read(0, 100, 2, minimum_one=False)).size == 0


async def test_a_batch_larger_than_the_limit_comes_from_disk_too(disk: Disk) -> None:
    async with disk.log() as log:
        append(log, size=300_000)
        append(log, size=10)
    async with disk.log() as log:
        assert (await log.read(0, 100, 2)).next_offset == 1
        assert (await log.read(0, 100, 2, minimum_one=False)).size == 0
        assert await offsets(log) == [0, 1]


async def test_reads_stop_at_the_bound(disk: Disk) -> None:
    async with disk.log() as log:
        for _ in range(4):
            append(log)
        await written(log)
        assert (await log.read(0, 1 << 20, 2)).next_offset == 2
        assert (await log.read(3, 1 << 20, 3)).size == 0
    async with disk.log() as log:
        assert (await log.read(0, 1 << 20, 2)).next_offset == 2


@pytest.mark.parametrize("offset", [-1, 3, 100])
async def test_an_offset_outside_of_the_log_is_refused(disk: Disk, offset: int) -> None:
    async with disk.log() as log:
        append(log, 2)
        await written(log)
        with pytest.raises(ApiError) as refused:
            await log.read(offset, 100, 2)
        assert refused.value.code is ErrorCode.OFFSET_OUT_OF_RANGE


async def test_segments_roll_by_size_and_all_of_them_are_read(disk: Disk) -> None:
    async with disk.log(segment_bytes="1048576", internal_segment_bytes="10000") as log:
        for _ in range(50):
            append(log, 2, size=400)
            await written(log)
        assert len(log.segments) > 3
        assert await offsets(log) == list(range(100))
    async with disk.log() as log:
        assert await offsets(log) == list(range(100))


async def test_segments_roll_by_the_time_of_records(disk: Disk) -> None:
    async with disk.log(segment_ms="1000") as log:
        append(log, timestamp=10_000)
        append(log, timestamp=10_900)
        append(log, timestamp=11_100)
        await written(log)
        assert [segment.base_offset for segment in log.segments] == [0, 2]


async def test_records_are_found_by_time(disk: Disk) -> None:
    async with disk.log(index_interval_bytes="0") as log:
        for n in range(20):
            append(log, 3, timestamp=1_000 * n)
        await written(log)
        assert await log.offset_for_timestamp(0) == (0, 0, 0)
        assert await log.offset_for_timestamp(5_001) == (16, 5_001, 0)
        assert await log.offset_for_timestamp(5_500) == (18, 6_000, 0)
        assert await log.offset_for_timestamp(99_999) is None
        assert await log.max_timestamp_offset() == (59, 19_002, 0)
    async with disk.log() as log:
        assert await log.offset_for_timestamp(5_001) == (16, 5_001, 0)


async def test_records_not_yet_written_are_found_by_time(disk: Disk) -> None:
    async with disk.log(sprawl_durability="memory") as log:
        append(log, timestamp=7_000)
        assert await log.offset_for_timestamp(1) == (0, 7_000, 0)


async def test_log_append_time_replaces_the_producers(disk: Disk) -> None:
    async with disk.log(message_timestamp_type="LogAppendTime") as log:
        append(log, 2, timestamp=1)
        await written(log)
        assert await log.max_timestamp_offset() == (0, 5_000, 0)
        (buffer,) = (await log.read(0, 1 << 20, 2)).buffers
        ((_, header),) = headers(buffer)
        assert header.log_append_time


async def test_the_start_moves_and_stays_moved(disk: Disk) -> None:
    async with disk.log() as log:
        for _ in range(5):
            append(log)
        await written(log)
        log.advance_log_start(3)
        with pytest.raises(ApiError):
            await log.read(2, 100, 5)
    async with disk.log() as log:
        assert log.log_start_offset == 3
        assert await offsets(log) == [3, 4]
        assert await log.offset_for_timestamp(0) == (3, 1_000, 0)


async def test_a_full_disk_refuses_takes_back_and_resumes(disk: Disk) -> None:
    async with disk.log() as log:
        append(log, producer_id=9, producer_epoch=0, base_sequence=0)
        await written(log)
        file = Faulty(log)
        file.appending = disk_full
        rejected: list[tuple[int, ErrorCode]] = []
        log.on_rejected = lambda first, reason: rejected.append((first, reason.code))
        append(log, producer_id=9, producer_epoch=0, base_sequence=1)
        log.write_pending()
        assert rejected == [(1, ErrorCode.KAFKA_STORAGE_ERROR)]
        assert (log.log_end_offset, log.durable_offset) == (1, 1)
        assert log.producers[9].batches[-1].base_sequence == 0, "the producer may send that batch again"
        with pytest.raises(ApiError, match="disk is full"):
            append(log)
        assert await offsets(log) == [0], "reads go on"
        file.appending = lambda: None
        log.room_again()
        append(log, producer_id=9, producer_epoch=0, base_sequence=1)
        await written(log)
        assert await offsets(log) == [0, 1]


async def test_what_was_acknowledged_from_memory_waits_for_room(disk: Disk) -> None:
    async with disk.log(sprawl_durability="memory") as log:
        append(log)
        await written(log)
        file = Faulty(log)
        file.appending = disk_full
        log.write_pending()
        assert log.full
        assert (log.log_end_offset, log.durable_offset) == (1, 1)
        file.appending = lambda: None
        log.room_again()
        assert log.written_offset == 1


async def test_a_failed_sync_is_the_end_of_the_log(disk: Disk) -> None:
    async with disk.manager() as manager:
        log = await manager.open(TOPIC_ID, "orders", 0, config(sprawl_durability="fsync"))
        Faulty(log).syncing = broken_disk
        append(log)
        await written(log)
        assert log.failed is not None
        assert log.durable_offset == 0
        assert "orders-0" in await manager.failed
        with pytest.raises(ApiError) as refused:
            append(log)
        assert refused.value.code is ErrorCode.KAFKA_STORAGE_ERROR


async def test_nothing_of_an_older_leader_epoch_is_appended(disk: Disk) -> None:
    async with disk.log() as log:
        append(log, epoch=7)
        with pytest.raises(ApiError, match="takes none of epoch 6") as refused:
            append(log, epoch=6)
        assert refused.value.code is ErrorCode.KAFKA_STORAGE_ERROR
        assert log.log_end_offset == 1
        append(log, epoch=7)
