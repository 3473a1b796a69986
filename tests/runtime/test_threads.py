from __future__ import annotations

import asyncio

import pytest

from sprawl.runtime import Runtime
from tests.runtime.conftest import Place


def test_work_elsewhere_gives_its_result_or_its_error(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        assert await runtime.in_thread(lambda: 6 * 7) == 42
        with pytest.raises(ZeroDivisionError):
            await runtime.in_thread(lambda: 1 // 0)
        results = await asyncio.gather(*(runtime.in_thread(lambda i=i: i) for i in range(20)))  # type: ignore[misc]
        assert results == list(range(20))

    place.run(scenario)


def test_loop_and_clock_agree(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        assert abs(loop.time() - runtime.clock.monotonic()) < 1
        before = runtime.clock.monotonic(), runtime.clock.wall_ms()
        await asyncio.sleep(0.02)
        assert runtime.clock.monotonic() - before[0] >= 0.015
        assert runtime.clock.wall_ms() - before[1] >= 15
        assert runtime.clock.wall_ms() > 1_700_000_000_000

    place.run(scenario)


def test_tokens_differ(place: Place) -> None:
    async def scenario(runtime: Runtime) -> None:
        assert len(runtime.token_bytes(16)) == 16
        assert runtime.token_bytes(16) != runtime.token_bytes(16)

    place.run(scenario)


def test_structured_concurrency_and_timeouts_work(place: Place) -> None:
    async def scenario(runtime: Runtime) -> list[str]:
        seen: list[str] = []

        async def step(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(step("second", 0.04))
            group.create_task(step("first", 0.01))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(30), 0.01)
        done, left = await asyncio.wait([asyncio.ensure_future(step("third", 0.0))], timeout=1)
        assert (len(done), len(left)) == (1, 0)
        return seen

    assert place.run(scenario) == ["first", "second", "third"]
