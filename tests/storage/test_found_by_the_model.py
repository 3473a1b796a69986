"""What the comparison with a model (`test_log_model.py`) found that the log once did wrong."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest

from sprawl.runtime.simulated import NodeDownError, SimulatedNode, Simulation
from sprawl.storage.log import Log
from sprawl.storage.manager import LogManager
from sprawl_protocol.errors import ApiError
from tests.storage.conftest import (
    SETTINGS,
    TOPIC_ID,
    Disk,
    Faulty,
    append,
    broken_disk,
    config,
    disk_full,
    eventually,
    offsets,
    written,
)

QUICK = SETTINGS.__class__(1 << 20, 0, 1, 86_400_000)


async def test_the_newest_record_is_found_although_a_newer_one_was_deleted(disk: Disk) -> None:
    async with disk.log() as log:
        append(log, timestamp=9_000)
        append(log, timestamp=1_000)
        await written(log)
        log.advance_log_start(1)
        assert await log.max_timestamp_offset() == (1, 1_000, 0)


async def test_retention_spares_young_records_that_are_only_in_memory(disk: Disk) -> None:
    async with disk.manager(QUICK) as manager:
        young = manager._runtime.clock.wall_ms()
        log = await manager.open(TOPIC_ID, "orders", 0, config(sprawl_durability="memory", retention_ms="3600000"))
        append(log, timestamp=young - 2 * 3_600_000)
        log.write_pending()
        append(log, timestamp=young)
        await eventually(lambda: log.written_offset == 2)
        assert await offsets(log) == [0, 1], "a segment with a young record stays whole"


async def test_deleting_records_that_are_only_in_memory_does_not_damage_the_log(disk: Disk) -> None:
    async with disk.log(sprawl_durability="memory") as log:
        append(log, 5)
        await written(log)
        log.advance_log_start(3)
        after = disk.crashed()
    async with after.log() as log:
        assert log.damaged is None
        assert log.log_start_offset == log.log_end_offset >= 3


async def opened(node: SimulatedNode, boots: list[str], durability: str) -> Log:
    runtime = node.runtime
    manager = LogManager(runtime, "/data", SETTINGS, power_failed=bool(boots) and boots[-1] != runtime.boot_id)
    await manager.start()
    log = await manager.open(UUID(int=42), "orders", 0, config(sprawl_durability=durability))
    boots.append(runtime.boot_id)
    return log


def test_what_was_cut_before_a_kill_does_not_come_back_after_a_power_failure() -> None:
    async def story(node: SimulatedNode) -> None:
        boots: list[str] = []

        async def cut() -> None:
            log = await opened(node, boots, "fsync")
            append(log)
            append(log)
            await log.make_stable()
            Faulty(log).syncing = node.kill
            await log.truncate_to(1)

        async def end() -> int:
            return (await opened(node, boots, "fsync")).log_end_offset

        with pytest.raises(NodeDownError):
            await node.run(cut())
        node.boot()
        assert await node.run(end()) == 1
        node.crash()
        node.boot()
        assert await node.run(end()) == 1, "it was cut, and is back"

    for seed in range(10):
        with Simulation(seed) as world:
            world.run(story(world.node("broker")))


def test_deleting_records_before_they_are_synced_does_not_damage_the_log() -> None:
    async def story(node: SimulatedNode) -> None:
        boots: list[str] = []

        async def delete() -> None:
            log = await opened(node, boots, "disk")
            append(log, 5)
            await written(log)
            log.advance_log_start(3)
            node.crash()

        async def look() -> str | None:
            return (await opened(node, boots, "disk")).damaged

        with pytest.raises(NodeDownError):
            await node.run(delete())
        node.boot()
        assert await node.run(look()) is None

    for seed in range(10):
        with Simulation(seed) as world:
            world.run(story(world.node("broker")))


@pytest.mark.parametrize("why", [disk_full, broken_disk])
async def test_what_could_not_be_written_is_not_called_stable(disk: Disk, why: Callable[[], None]) -> None:
    """A voter of the metadata quorum that believed it told the leader that it had what it had not."""
    async with disk.log() as log:
        Faulty(log).appending = why
        append(log)
        with pytest.raises(ApiError, match=r"full|cannot write"):
            await log.make_stable()
        assert log.durable_offset == 0


def test_what_a_failed_sync_left_out_is_written_again_also_soon_after_a_power_failure() -> None:
    """The node died once more before all its logs were recovered: for all it knows, power failed only now."""

    async def story(node: SimulatedNode) -> None:
        before: list[str] = []

        async def begin() -> None:
            await (await opened(node, before, "fsync")).make_stable()
            node.crash()

        async def fail() -> None:
            log = await opened(node, list(before), "fsync")
            node.disk.failing_syncs = 1
            append(log)
            with pytest.raises(ApiError):
                await log.make_stable()
            node.kill()

        async def found(boots: list[str]) -> int:
            return (await opened(node, boots, "fsync")).log_end_offset

        for life in (begin, fail):
            with pytest.raises(NodeDownError):
                await node.run(life())
            node.boot()
        assert await node.run(found(list(before))) == 1
        node.crash()
        node.boot()
        assert await node.run(found(list(before))) == 1, "it was found, and called stable"

    for seed in range(10):
        with Simulation(seed) as world:
            world.run(story(world.node("broker")))


def test_a_segment_whose_name_did_not_reach_the_disk_is_not_written_to_in_vain() -> None:
    async def story(node: SimulatedNode) -> None:
        boots: list[str] = []

        async def fail() -> None:
            log = await opened(node, boots, "fsync")
            append(log)
            await log.make_stable()
            node.disk.failing_syncs = 1
            with pytest.raises(ApiError, match="no new segment"):
                log.roll()
            node.kill()

        async def go_on() -> None:
            log = await opened(node, boots, "fsync")
            append(log)
            await log.make_stable()
            node.crash()

        async def end() -> int:
            return (await opened(node, boots, "fsync")).log_end_offset

        for life in (fail, go_on):
            with pytest.raises(NodeDownError):
                await node.run(life())
            node.boot()
        assert await node.run(end()) == 2

    for seed in range(10):
        with Simulation(seed) as world:
            world.run(story(world.node("broker")))
