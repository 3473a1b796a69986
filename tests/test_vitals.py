"""What the process itself costs."""

from __future__ import annotations

import asyncio

import pytest

from sprawl import __version__, vitals
from sprawl.observability.metrics import Registry
from sprawl.vitals import Vitals, seconds_since_start


def values(registry: Registry) -> dict[str, float]:
    lines = [line.rsplit(" ", 1) for line in registry.render().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


async def test_cpu_memory_and_files_are_told() -> None:
    registry = Registry()
    Vitals(registry)
    found = values(registry)
    assert found["process_cpu_seconds_total"] > 0
    assert found["process_resident_memory_bytes"] > 1_000_000
    assert found["process_open_fds"] >= 3
    assert found[f'sprawl_build_info{{version="{__version__}"}}'] == 1


async def test_a_loop_that_is_held_up_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "LAG_SECONDS", 0.01)
    registry = Registry()
    watching = Vitals(registry)
    watching.start()
    try:
        async with asyncio.timeout(5):
            while not values(registry)["sprawl_loop_lag_seconds_count"]:
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    finally:
        watching.stop()
    assert values(registry)["sprawl_loop_lag_seconds_sum"] >= 0


def test_the_age_of_the_process_counts_its_imports() -> None:
    age = seconds_since_start()
    assert age is not None
    assert 0 < age < 3600


async def test_what_gossip_tells_is_counted_where_the_system_tells_it() -> None:
    counts = Vitals(Registry()).counts()
    assert counts.cpu_seconds is not None
    assert counts.cpu_seconds > 0
    assert counts.net_in is None or counts.net_in >= 0
    assert counts.disk_written is None or counts.disk_written >= 0
    assert counts.loop_lag is None, "nobody has measured it yet"


async def test_what_the_system_does_not_tell_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise FileNotFoundError(name)

    monkeypatch.setattr(vitals, "_proc", nothing)
    counts = Vitals(Registry()).counts()
    assert counts.net_in is counts.net_out is counts.disk_written is None


async def test_the_worst_lag_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitals, "LAG_SECONDS", 0.001)
    watching = Vitals(Registry())
    watching.start()
    try:
        async with asyncio.timeout(5):
            while (lag := watching.counts().loop_lag) is None:
                await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    finally:
        watching.stop()
    assert lag >= 0
    assert watching.counts().loop_lag is None
