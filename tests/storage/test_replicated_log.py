"""A follower's log: the leader's batches as they are, with the leader's offsets, epochs and gaps."""

from __future__ import annotations

import random

import pytest

from sprawl.storage.log import Log
from sprawl_protocol.errors import ApiError
from sprawl_protocol.records import Record, build_batch, headers, stamp
from tests.storage.conftest import SETTINGS, Disk, Faulty, append, disk_full, offsets, written


def from_leader(*batches: tuple[int, int, int], size: int = 100, producer: int = -1) -> memoryview:
    """Batches of (base offset, records, leader epoch) as one fetch brings them; timestamps are the offsets."""
    out = bytearray()
    for base, count, epoch in batches:
        records = [Record(0, base + n, b"key", random.Random(base + n).randbytes(size)) for n in range(count)]
        epoch_of_producer, sequence = (0, base) if producer >= 0 else (-1, -1)
        batch = build_batch(records, producer_id=producer, producer_epoch=epoch_of_producer, base_sequence=sequence)
        ((pos, header),) = headers(batch)
        stamp(batch, pos, base, epoch)
        assert header.record_count == count
        out += batch
    return memoryview(out)


def replicate(log: Log, *batches: tuple[int, int, int], after_gap: bool = False, producer: int = -1) -> None:
    data = from_leader(*batches, producer=producer)
    log.append_replicated(data, headers(data), after_gap=after_gap)


async def test_the_leaders_batches_are_kept_byte_by_byte(disk: Disk) -> None:
    data = from_leader((0, 3, 2), (3, 1, 2), (4, 2, 5))
    async with disk.log() as log:
        log.append_replicated(data, headers(data))
        await written(log)
        assert (log.log_end_offset, log.durable_offset) == (6, 6)
        assert log.epochs.entries == ((2, 0), (5, 4))
        assert log.last_epoch == 5
    assert disk.segments[0].read_bytes() == data


@pytest.mark.parametrize("durability", ["fsync", "disk", "memory"])
async def test_they_become_durable_as_others_do(disk: Disk, durability: str) -> None:
    async with disk.log(sprawl_durability=durability) as log:
        file = Faulty(log)
        replicate(log, (0, 2, 0))
        replicate(log, (2, 2, 0))
        assert (log.written_offset, log.durable_offset) == (0, 0)
        assert log.servable_offset == (4 if durability == "memory" else 0)
        await written(log)
        assert log.durable_offset == 4
        assert file.writes == ([] if durability == "memory" else [2])


async def test_a_batch_that_does_not_follow_is_refused_and_changes_nothing(disk: Disk) -> None:
    async with disk.log() as log:
        replicate(log, (0, 5, 0))
        for wrong in ([(4, 2, 0)], [(6, 2, 0)], [(5, 3, 1), (7, 1, 1)], [(5, 3, 1), (5, 3, 1)]):
            with pytest.raises(ValueError, match="is due"):
                replicate(log, *wrong)
        with pytest.raises(ValueError, match="5 is due"):
            replicate(log, (4, 2, 0), after_gap=True)
        assert (log.log_end_offset, log.epochs.entries) == (5, ((0, 0),))
        replicate(log, (5, 1, 1))
        await written(log)
        assert await offsets(log) == list(range(6))


async def test_gaps_of_a_compacted_log_stay(disk: Disk) -> None:
    kept = [0, 1, 10, 11, 40, 41, 42, 90]
    async with disk.log() as log:
        replicate(log, (0, 2, 0), (10, 2, 0), (40, 3, 1))
        replicate(log, (90, 1, 1), after_gap=True)
        await written(log)
        assert await offsets(log) == kept
        for offset in range(91):
            assert await offsets(log, offset) == [each for each in kept if each >= offset], f"from {offset} on"
            ((_, first), *_) = headers((await log.read(offset, 1, 91)).buffers[0])
            assert first.last_offset >= offset, "a batch before the gap is of no use"
    async with disk.log() as log:
        assert log.damaged is None
        assert log.log_end_offset == 91
        for offset in range(91):
            assert await offsets(log, offset) == [each for each in kept if each >= offset], f"from {offset} on"


@pytest.mark.parametrize("crashed", [False, True])
async def test_segments_have_no_gaps_between_them_though_batches_have(disk: Disk, crashed: bool) -> None:
    async with disk.log(internal_segment_bytes="1000") as log:
        for base in range(0, 400, 10):
            replicate(log, (base, 2, 0), after_gap=True)
            await written(log)
        assert len(log.segments) > 5
        assert [s.base_offset for s in log.segments][1:] == [s.next_offset for s in log.segments][:-1]
        replicate(log, (392, 8, 0))
        await written(log)
        after = disk.crashed()
    async with (after if crashed else disk).log() as log:
        assert log.damaged is None
        assert await offsets(log) == [each for each in range(400) if each % 10 < 2 or each > 391]


async def test_a_gap_before_the_last_batch_is_not_believed_after_a_crash(disk: Disk) -> None:
    """Its base offset may have turned over; the leader has the batch."""
    async with disk.log() as log:
        replicate(log, (0, 5, 0))
        replicate(log, (9, 1, 0), after_gap=True)
        await written(log)
        after = disk.crashed()
    async with after.log() as log:
        assert log.damaged is not None
        assert "offsets 9 to 9 where 5 was due" in log.damaged
        assert log.damaged_from == log.log_end_offset == 5
        await log.truncate_to(5)
        replicate(log, (9, 1, 0), after_gap=True)
        assert log.damaged is None


async def test_producers_are_known_where_the_leader_took_them(disk: Disk) -> None:
    async with disk.log() as log:
        replicate(log, (0, 2, 0), (2, 2, 0), producer=7)
        assert [batch.base_offset for batch in log.producers[7].batches] == [0, 2]
        ((_, again),) = headers(from_leader((2, 2, 0), producer=7))
        duplicate = log.producers.check(again)
        assert duplicate is not None
        assert duplicate.base_offset == 2


async def test_a_sequence_that_the_leader_took_is_not_doubted(disk: Disk) -> None:
    """A leader whose producer state had expired takes any sequence; its followers still have the state."""
    async with disk.log() as log:
        replicate(log, (0, 2, 0), producer=7)
        replicate(log, (2, 1, 0))
        replicate(log, (3, 1, 0), producer=7)
        assert log.producers[7].batches[-1].base_sequence == 3


async def test_what_finds_no_room_is_taken_back(disk: Disk) -> None:
    async with disk.log() as log:
        replicate(log, (0, 2, 0), producer=7)
        await written(log)
        Faulty(log).appending = disk_full
        replicate(log, (2, 2, 4), producer=7)
        log.write_pending()
        assert (log.log_end_offset, log.epochs.entries) == (2, ((0, 0),))
        assert len(log.producers[7].batches) == 1
        with pytest.raises(ApiError, match="full"):
            replicate(log, (2, 2, 4))


async def test_a_leader_goes_on_where_it_followed(disk: Disk) -> None:
    async with disk.log() as log:
        replicate(log, (0, 2, 0), (2, 2, 1))
        assert append(log, 2, epoch=2) == 4
        await written(log)
        assert await offsets(log) == list(range(6))
        assert log.epochs.entries == ((0, 0), (1, 2), (2, 4))


async def test_small_memory_changes_nothing(disk: Disk) -> None:
    small = SETTINGS.__class__(2_000, 0, 300_000, 86_400_000)
    async with disk.log(small, internal_segment_bytes="3000", index_interval_bytes="0") as log:
        for base in range(0, 600, 6):
            replicate(log, (base, 3, 0), after_gap=True)
            await written(log)
        kept = [each for each in range(597) if each % 6 < 3]
        for offset in range(0, 597, 7):
            assert await offsets(log, offset) == [each for each in kept if each >= offset]


async def test_a_leader_that_gave_way_before_it_wrote_follows_one_of_an_older_epoch(disk: Disk) -> None:
    async with disk.log() as log:
        replicate(log, (0, 5, 2))
        log.epochs.assign(3, 5)
        replicate(log, (5, 1, 2), (6, 1, 4))
        await written(log)
        assert log.epochs.entries == ((2, 0), (4, 6))
        log._tail.clear()
        assert await offsets(log) == list(range(7))
        with pytest.raises(ValueError, match="a batch of leader epoch 3 cannot follow one of 4"):
            replicate(log, (7, 1, 3))
