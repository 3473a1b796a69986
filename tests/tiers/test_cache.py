"""The cache of chunks: within its budget, and never an obstacle."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sprawl.runtime.real import RealRuntime
from sprawl.tiers.cache import ChunkCache


def chunk(n: int, size: int = 1000) -> bytes:
    return bytes([n]) * size


async def cache(path: Path, budget: int = 5_000, in_memory: int = 2_000) -> ChunkCache:
    made = ChunkCache(RealRuntime(), str(path), budget, in_memory)
    await made.start()
    return made


async def test_what_was_put_is_found_in_memory_or_on_the_disk(tmp_path: Path) -> None:
    held = await cache(tmp_path / "cache")
    for n in range(5):
        await held.put(("id", n), chunk(n))
    assert held.get_now(("id", 4)) == chunk(4)
    assert held.get_now(("id", 0)) is None
    for n in range(5):
        assert await held.get(("id", n)) == chunk(n)
    assert await held.get(("other", 0)) is None


async def test_the_least_recently_read_go_first_and_the_budget_holds(tmp_path: Path) -> None:
    held = await cache(tmp_path / "cache", in_memory=0)
    for n in range(5):
        await held.put(("id", n), chunk(n))
    await held.get(("id", 0))
    for n in range(5, 9):
        await held.put(("id", n), chunk(n))
    assert await held.get(("id", 0)) == chunk(0)
    assert [n for n in range(1, 9) if await held.get(("id", n)) is not None] == [5, 6, 7, 8]
    assert held.disk_bytes == 5_000
    assert sum(each.stat().st_size for each in (tmp_path / "cache").iterdir()) == 5_000
    await held.put(("id", 99), chunk(9, 6_000))
    assert held.disk_bytes <= 5_000


async def test_a_restart_begins_with_nothing(tmp_path: Path) -> None:
    held = await cache(tmp_path / "cache")
    await held.put(("id", 1), chunk(1))
    again = await cache(tmp_path / "cache")
    assert await again.get(("id", 1)) is None
    assert not list((tmp_path / "cache").iterdir())


async def test_files_that_are_lost_or_dropped_are_not_there(tmp_path: Path) -> None:
    held = await cache(tmp_path / "cache", in_memory=0)
    await held.put(("id", 1), chunk(1))
    await held.put(("id", 2), chunk(2))
    (tmp_path / "cache" / "id.1").unlink()
    await held.drop(("id", 2))
    assert await held.get(("id", 1)) is None
    assert await held.get(("id", 2)) is None
    assert held.disk_bytes == 0


async def test_a_disk_that_takes_nothing_costs_only_the_cache(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    held = await cache(tmp_path / "cache")
    (tmp_path / "cache").rmdir()
    await held.put(("id", 1), chunk(1))
    assert held.get_now(("id", 1)) == chunk(1)
    assert held.disk_bytes == 0
    assert "not cached" in caplog.text


async def test_many_at_once_keep_the_budget(tmp_path: Path) -> None:
    held = await cache(tmp_path / "cache", in_memory=0)
    await asyncio.gather(*(held.put(("id", n), chunk(n)) for n in range(20)))
    assert held.disk_bytes == 5_000
    for n in range(20):
        found = await held.get(("id", n))
        assert found in (None, chunk(n))
