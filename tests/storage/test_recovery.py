"""What a restart makes of what it finds."""

from __future__ import annotations

import shutil
from uuid import UUID

import pytest

from sprawl.storage.manager import LogManager
from sprawl_protocol.errors import ApiError
from tests.storage.conftest import SETTINGS, TOPIC_ID, Disk, append, config, eventually, offsets, written


async def test_a_clean_restart_keeps_everything(disk: Disk) -> None:
    async with disk.log() as log:
        for n in range(10):
            append(log, 2, epoch=n // 5, producer_id=3, producer_epoch=0, base_sequence=2 * n)
    async with disk.log() as log:
        assert await offsets(log) == list(range(20))
        assert log.epochs.entries == ((0, 0), (1, 10))
        assert log.producers[3].batches[-1].base_sequence == 18


async def test_a_killed_process_loses_nothing_that_was_written(disk: Disk) -> None:
    async with disk.log() as log:
        for n in range(100):
            append(log, 2, size=300, producer_id=3, producer_epoch=0, base_sequence=2 * n)
            await written(log)
        after = disk.crashed()
    async with after.log() as log:
        assert await offsets(log) == list(range(200))
        assert log.producers[3].batches[-1].base_sequence == 198
        assert log.damaged is None


@pytest.mark.parametrize("junk", [b"\0" * 50, bytes(range(256))])
async def test_a_torn_tail_is_cut(disk: Disk, junk: bytes) -> None:
    async with disk.log() as log:
        for _ in range(5):
            append(log)
        await written(log)
        after = disk.crashed()
    with after.segments[-1].open("ab") as file:
        file.write(junk)
    async with after.log() as log:
        assert await offsets(log) == list(range(5))
        assert log.damaged is None
        assert append(log) == 5


async def test_what_is_no_batch_is_cut_at_the_end_where_nobody_knows_whether_power_failed(disk: Disk) -> None:
    async with disk.log() as log:
        for _ in range(5):
            append(log)
        await written(log)
        after = disk.crashed()
    sound = after.segments[-1].read_bytes()
    for junk, cut in ((b"\xff" * 200, True), (sound[: len(sound) // 5], False)):
        after.segments[-1].write_bytes(sound + junk)
        manager = LogManager(after.runtime, str(after.path), SETTINGS, power_failed=None)
        await manager.start()
        log = await manager.open(TOPIC_ID, "orders", 0, config())
        assert log.log_end_offset == 5
        assert (log.damaged is None) == cut
        await manager.close()


async def test_half_a_batch_at_the_end_is_cut(disk: Disk) -> None:
    async with disk.log() as log:
        for _ in range(5):
            append(log)
        await written(log)
        after = disk.crashed()
    last = after.segments[-1]
    last.write_bytes(last.read_bytes()[:-30])
    async with after.log() as log:
        assert await offsets(log) == list(range(4))
        assert append(log) == 4


async def test_damage_before_other_batches_is_marked_and_nothing_is_cut(disk: Disk) -> None:
    async with disk.log() as log:
        for _ in range(10):
            append(log, size=1_000)
        await written(log)
        after = disk.crashed()
    size = after.segments[-1].stat().st_size
    after.flip(after.segments[-1], size // 2)
    async with after.log() as log:
        assert log.damaged is not None
        assert await offsets(log) == list(range(log.log_end_offset))
        assert 0 < log.log_end_offset < 10
        with pytest.raises(ApiError, match="damaged"):
            await log.read(log.log_end_offset, 100, 10)
        with pytest.raises(ApiError, match="damaged"):
            append(log)
    assert after.segments[-1].stat().st_size == size


@pytest.mark.parametrize("delta", [1, 2, 5, 1 << 40, -1, -3])
@pytest.mark.parametrize("number", [3, 9])
async def test_a_wrong_base_offset_is_found_though_no_checksum_covers_it(disk: Disk, number: int, delta: int) -> None:
    async with disk.log() as log:
        for _ in range(10):
            append(log, 2)
        await written(log)
        log.roll()
        append(log, 2)
        await written(log)
        after = disk.crashed()
    segment = after.segments[0]
    data = bytearray(segment.read_bytes())
    size = len(data) // 10
    data[number * size : number * size + 8] = (number * 2 + delta).to_bytes(8, "big", signed=True)
    segment.write_bytes(data)
    async with after.log() as log:
        assert log.damaged is not None
        assert log.log_end_offset == number * 2, "nothing from the wrong batch on is believed"
        assert await offsets(log) == list(range(number * 2))


async def test_a_reader_is_not_shown_offsets_of_elsewhere(disk: Disk) -> None:
    async with disk.log() as log:
        for _ in range(10):
            append(log)
    data = bytearray(disk.segments[0].read_bytes())
    data[0] ^= 8
    disk.segments[0].write_bytes(data)
    async with disk.log() as log:
        with pytest.raises(ApiError, match="damaged"):
            await offsets(log)
        assert log.damaged is not None


async def test_damage_after_a_clean_stop_is_found_by_the_reader(disk: Disk) -> None:
    async with disk.log() as log:
        for _ in range(10):
            append(log, size=1_000)
    disk.flip(disk.segments[-1], 5_500)
    async with disk.log() as log:
        with pytest.raises(ApiError, match="damaged"):
            await offsets(log)
        assert log.damaged is not None
        with pytest.raises(ApiError, match="damaged"):
            append(log)


async def test_the_end_cut_off_after_a_clean_stop_is_no_torn_tail(disk: Disk) -> None:
    async with disk.log() as log:
        for _ in range(10):
            append(log, size=1_000)
    last = disk.segments[-1]
    last.write_bytes(last.read_bytes()[:3_500])
    async with disk.log() as log:
        assert log.damaged is not None, "what was stable is gone: nobody may write over its offsets"
        assert await offsets(log) == [0, 1, 2]


async def test_a_missing_segment_is_damage(disk: Disk) -> None:
    async with disk.log(internal_segment_bytes="5000") as log:
        for _ in range(20):
            append(log, size=1_000)
            await written(log)
    disk.segments[1].unlink()
    async with disk.log() as log:
        assert log.damaged is not None
        assert await offsets(log) == list(range(log.log_end_offset))


@pytest.mark.parametrize("how", ["deleted", "damaged", "stale"])
async def test_the_index_is_derived_anew(disk: Disk, how: str) -> None:
    index = disk.path / "index.rocksdb"
    async with disk.log(internal_segment_bytes="20000") as log:
        for n in range(30):
            append(log, size=1_000, timestamp=1_000 * n, producer_id=3, producer_epoch=0, base_sequence=n)
            await written(log)
    if how == "stale":
        shutil.copytree(index, disk.path.with_name("old-index"))
        async with disk.log(internal_segment_bytes="20000") as log:
            for n in range(30, 60):
                append(log, size=1_000, timestamp=1_000 * n, producer_id=3, producer_epoch=0, base_sequence=n)
                await written(log)
    shutil.rmtree(index)
    if how == "stale":
        shutil.copytree(disk.path.with_name("old-index"), index)
    if how == "damaged":
        index.mkdir()
        (index / "CURRENT").write_text("no such manifest")
    count = 60 if how == "stale" else 30
    async with disk.log() as log:
        assert log.damaged is None
        assert await offsets(log) == list(range(count))
        assert log.producers[3].batches[-1].base_sequence == count - 1
        assert await log.offset_for_timestamp(17_000) == (17, 17_000, 0)


async def test_a_recreated_topic_does_not_see_its_predecessors_records(disk: Disk) -> None:
    async with disk.log() as log:
        append(log)
    async with disk.manager() as manager:
        log = await manager.open(UUID(int=43), "orders", 0, config())
        assert (log.log_start_offset, log.log_end_offset) == (0, 0)
    assert [path.name for path in disk.path.glob("orders-0.*-stray")], "the old records are set aside, not deleted"


async def test_a_deleted_log_leaves_no_trace_after_the_delay(disk: Disk) -> None:
    async with disk.manager() as manager:
        log = await manager.open(TOPIC_ID, "orders", 0, config(file_delete_delay_ms="10"))
        append(log)
        await written(log)
        await manager.delete(log)
        assert not (disk.path / "orders-0").exists()
        await eventually(lambda: not list(disk.path.glob("orders-0*")))
        again = await manager.open(TOPIC_ID, "orders", 0, config())
        assert again.log_end_offset == 0


async def test_retention_deletes_whole_segments_only(disk: Disk) -> None:
    quick = SETTINGS.__class__(1 << 20, 0, 1, 86_400_000)
    async with disk.manager(quick) as manager:
        log = await manager.open(
            TOPIC_ID, "orders", 0, config(internal_segment_bytes="5000", retention_bytes="12000", retention_ms="-1")
        )
        for _ in range(30):
            append(log, size=1_000)
            await written(log)
        await eventually(lambda: log.log_start_offset > 0)
        assert log.log_start_offset == log.segments[0].base_offset
        assert 12_000 <= log.size_bytes <= 18_000
        assert await offsets(log) == list(range(log.log_start_offset, 30))


@pytest.mark.parametrize("which", [0, 2, 4], ids=["first", "amidst", "last"])
@pytest.mark.parametrize(("at", "bit"), [(7, 1), (7, 2), (7, 8), (15, 1), (15, 32), (11, 1), (11, 64), (40, 1)])
async def test_a_bit_that_turned_over_while_the_node_was_down_is_damage_and_nothing_is_cut(
    disk: Disk, which: int, at: int, bit: int
) -> None:
    """Also where the checksum does not reach: in the base offset, the length, the leader epoch."""
    async with disk.log() as log:
        for _ in range(5):
            append(log, epoch=4)
        await written(log)
        after = disk.crashed()
    (path,) = after.segments
    data = bytearray(path.read_bytes())
    data[which * (len(data) // 5) + at] ^= bit
    path.write_bytes(data)
    async with after.log() as log:
        if (which, at, bit) in {(4, 15, 1), (4, 15, 32)}:
            # Of a newer epoch, so says the last one: whoever leads now knows better, see tests/partitions.
            assert log.epochs.latest == 4 ^ bit
            return
        assert log.damaged is not None
        assert log.log_end_offset <= which
        assert path.stat().st_size == len(data)
