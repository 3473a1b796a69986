"""Reading a log's files: places remembered, places looked up, times, and segments that go meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sprawl.runtime import Buffer, File
from sprawl.storage.log import Log
from sprawl.storage.reading import CutError, LogFiles
from sprawl_protocol.records import Record, build_batch, headers, stamp
from tests.storage.conftest import Disk, append, written

SMALL: dict[str, Any] = {"internal_segment_bytes": "2000", "index_interval_bytes": "500"}


async def filled(log: Log, batches: int = 40) -> LogFiles:
    """Batches of two records, a second apart; the files as a reader without memory of them."""
    for n in range(batches):
        append(log, 2, timestamp=1_000 * n)
        await written(log)
    return LogFiles(log.segments, log.index, log.epochs)


class Counted:
    """Stands in front of the index and counts what is looked up there."""

    def __init__(self, files: LogFiles) -> None:
        self._index = files._index
        self.lookups = 0
        files._index = self  # type: ignore[assignment]

    def place_of(self, segment: int, offset: int) -> tuple[int, int]:
        self.lookups += 1
        return self._index.place_of(segment, offset)


class Slow:
    """Stands in front of a file whose reads take until `answer` is set."""

    def __init__(self, file: File) -> None:
        self._file = file
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def read(self, offset: int, size: int) -> Buffer:
        self.asked.set()
        await self.answer.wait()
        return await self._file.read(offset, size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.mark.parametrize("interval", ["0", "500", "1000000"])
async def test_every_offset_is_found_however_sparse_the_index(disk: Disk, interval: str) -> None:
    async with disk.log(internal_segment_bytes="2000", index_interval_bytes=interval) as log:
        files = await filled(log)
        for offset in range(80):
            read = files.read_now(offset, 1, 80, True)
            assert read is None or read.next_offset == offset // 2 * 2 + 2
            assert (await files.read(offset, 1, 80, True)).next_offset == offset // 2 * 2 + 2


async def test_a_reader_that_goes_on_looks_nothing_up(disk: Disk) -> None:
    async with disk.log(index_interval_bytes="500") as log:
        files = await filled(log)
        counted = Counted(files)
        offset = 0
        while offset < 80:
            offset = (await files.read(offset, 500, 80, True)).next_offset
        assert counted.lookups == 1
        files.cut()
        await files.read(40, 500, 80, True)
        assert counted.lookups == 2


async def test_only_so_many_places_are_remembered(disk: Disk) -> None:
    async with disk.log() as log:
        files = await filled(log, 100)
        for offset in range(0, 200, 2):
            await files.read(offset, 1, 200, True)
        assert len(files._places) == 64


async def test_a_read_ends_with_its_segment_and_the_next_goes_on_behind(disk: Disk) -> None:
    async with disk.log(**SMALL) as log:
        files = await filled(log)
        second = log.segments[1].base_offset
        read = await files.read(0, 1 << 20, 80, True)
        assert read.next_offset == second
        assert (await files.read(second, 1 << 20, 80, True)).next_offset == log.segments[2].base_offset


async def test_a_read_while_segments_go_is_begun_anew(disk: Disk) -> None:
    async with disk.log(**SMALL) as log:
        files = await filled(log)
        slow = Slow(log.segments[0].file)
        log.segments[0].file = slow  # type: ignore[assignment]
        reading = asyncio.create_task(files.read(0, 1_000, 80, True))
        await slow.asked.wait()
        files.cut()
        slow.answer.set()
        with pytest.raises(CutError):
            await reading
        assert (await files.read(0, 1_000, 80, True)).next_offset > 0


@pytest.mark.parametrize("interval", ["0", "500", "1000000"])
async def test_every_time_is_found_however_sparse_the_index(disk: Disk, interval: str) -> None:
    async with disk.log(internal_segment_bytes="2000", index_interval_bytes=interval) as log:
        files = await filled(log)
        for n in range(40):
            exact = await files.first_at_or_after(1_000 * n, 0)
            assert exact is not None
            assert (exact.offset, exact.timestamp) == (2 * n, 1_000 * n)
            second = await files.first_at_or_after(1_000 * n + 1, 0)
            assert second is not None
            assert second.offset == 2 * n + 1
        assert await files.first_at_or_after(39_002, 0) is None


async def test_times_out_of_order_give_the_first_record_that_is_late_enough(disk: Disk) -> None:
    async with disk.log(**SMALL, segment_ms=str(1 << 40)) as log:
        for time in (5_000, 1_000, 9_000, 2_000, 9_000, 3_000) * 5:
            append(log, timestamp=time)
            await written(log)
        files = LogFiles(log.segments, log.index, log.epochs)
        for time, offset in ((0, 0), (5_000, 0), (5_001, 2), (9_000, 2)):
            found = await files.first_at_or_after(time, 0)
            assert found is not None
            assert found.offset == offset
        behind = await files.first_at_or_after(5_001, 3)
        assert behind is not None
        assert behind.offset == 4, "not before the start"
        newest = await files.newest(0)
        assert newest is not None
        assert (newest.offset, newest.timestamp) == (2, 9_000), "of equals the first"


async def test_an_empty_log_has_no_newest_record(disk: Disk) -> None:
    async with disk.log() as log:
        files = LogFiles(log.segments, log.index, log.epochs)
        assert await files.newest(0) is None
        assert await files.first_at_or_after(0, 0) is None
        assert (await files.read(0, 1_000, 10, True)).size == 0


async def test_in_a_gap_before_records_that_are_only_in_memory_these_come(disk: Disk) -> None:
    async with disk.log(sprawl_durability="memory") as log:
        append(log)
        await log.make_stable()
        log._tail.clear()
        view = memoryview(build_batch([Record(0, 1_000, b"key", b"value")]))
        stamp(view, 0, 5, 0)
        log.append_replicated(view, headers(view), after_gap=True)
        read = await log.read(3, 1_000, 6)
        assert read.next_offset == 6
