"""Closed segments are gone over: damage that nobody has read is found."""

from __future__ import annotations

from sprawl.storage.log import Log
from sprawl.storage.scrubber import Scrubber, ScrubSettings
from tests.storage.conftest import Disk, append


def scrubber(disk: Disk, log: Log) -> Scrubber:
    return Scrubber(ScrubSettings(1000, 1e12), disk.runtime.clock, lambda: [log])


async def filled(log: Log) -> None:
    for _ in range(60):
        append(log, 2)
        log.write_pending()
    await log.make_stable()
    assert len(log.segments) > 3


async def test_damage_that_nobody_has_read_is_found_and_told(disk: Disk) -> None:
    async with disk.log(internal_segment_bytes="3000") as log:
        await filled(log)
    disk.flip(disk.segments[1], 100)
    async with disk.log(internal_segment_bytes="3000") as log:
        told: list[bool] = []
        log.on_damaged = lambda: told.append(True)
        assert log.damaged is None
        await scrubber(disk, log).scrub(log)
        assert log.damaged is not None and told
        assert log.segments[1].base_offset <= log.damaged_from < log.segments[2].base_offset
        assert log.index.scrubbed_ms() == 0


async def test_a_sound_log_is_not_gone_over_again_after_a_restart(disk: Disk) -> None:
    async with disk.log(internal_segment_bytes="3000") as log:
        await filled(log)
        before = disk.runtime.clock.wall_ms()
        await scrubber(disk, log).scrub(log)
        assert log.damaged is None
        assert log.index.scrubbed_ms() >= before
    async with disk.log(internal_segment_bytes="3000") as log:
        assert log.index.scrubbed_ms() >= before
