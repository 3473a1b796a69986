"""Life and death of simulated processes, and the loop they run on."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator

import pytest

from sprawl.runtime import Runtime
from sprawl.runtime.simulated import DeadlockError, NodeDownError, Simulation, TimeLimitError, UncaughtError


@pytest.fixture
def world() -> Iterator[Simulation]:
    with Simulation(seed=5) as made:
        yield made


async def forever() -> None:
    await asyncio.Event().wait()


def test_crashed_process_runs_no_line_of_cleanup(world: Simulation) -> None:
    node = world.node("a")
    cleaned: list[str] = []

    async def work(runtime: Runtime) -> None:
        file = runtime.files.open("/log", create=True)
        try:
            await forever()
        finally:
            cleaned.append("finally")
            file.append([b"from the grave"])

    async def scenario() -> None:
        running = node.run(work(node.runtime))
        await asyncio.sleep(1)
        node.kill()
        with pytest.raises(NodeDownError):
            await running
        node.boot()
        gc.collect()
        await asyncio.sleep(1)

    world.run(scenario())
    assert cleaned == []
    world.close()
    assert "/log" in [f"/{name}" for name in node.disk.names.entries("/")]
    assert bytes(node.disk.names.get("/log").data) == b""


def test_handles_of_a_dead_process_are_dead(world: Simulation) -> None:
    node = world.node("a")

    async def scenario() -> None:
        runtime = node.runtime
        file = runtime.files.open("/log", create=True)
        store = runtime.open_kv("/kv")
        node.kill()
        node.boot()
        for use in (lambda: file.append([b"x"]), lambda: store.get(b"x"), lambda: runtime.files.list("/")):
            with pytest.raises(OSError, match="dead"):
                use()
        with pytest.raises(OSError, match="dead"):
            await runtime.network.datagram("", 1)

    world.run(scenario())


def test_thread_s_work_is_done_even_if_nobody_waits_but_not_by_the_dead(world: Simulation) -> None:
    done: list[str] = []

    async def scenario() -> None:
        for name, kill in (("cancelled", False), ("killed", True)):
            node = world.node(name)
            node.run(node.runtime.in_thread(lambda name=name: done.append(name))).cancel()  # type: ignore[misc]
            waiting = node.run(node.runtime.in_thread(lambda name=name: done.append(name)))  # type: ignore[misc]
            await asyncio.sleep(0)
            if kill:
                node.kill()
            await asyncio.wait([waiting])

    world.run(scenario())
    assert set(done) <= {"cancelled"}


def test_paused_node_runs_nothing_and_then_everything(world: Simulation) -> None:
    node = world.node("a")
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(world.now)
            await asyncio.sleep(0.1)

    async def scenario() -> None:
        node.run(tick())
        await asyncio.sleep(1)
        node.pause()
        paused_at = len(ticks)
        await asyncio.sleep(5)
        assert len(ticks) == paused_at
        node.resume()
        await asyncio.sleep(0.01)
        assert len(ticks) == paused_at + 1

    world.run(scenario())


def test_stalled_loop_comes_late(world: Simulation) -> None:
    node = world.node("a")

    async def lateness(runtime: Runtime) -> float:
        due = runtime.clock.monotonic() + 0.1
        await asyncio.sleep(0.1)
        return runtime.clock.monotonic() - due

    async def scenario() -> None:
        assert await node.run(lateness(node.runtime)) < 0.001
        waiting = node.run(lateness(node.runtime))
        await asyncio.sleep(0.05)
        node.stall(3.0)
        assert 2.9 < await waiting < 3.0

    world.run(scenario())


def test_clocks_differ_and_jump_but_monotonic_time_does_not(world: Simulation) -> None:
    nodes = [world.node(f"n{i}") for i in range(5)]
    assert len({node.runtime.clock.wall_ms() for node in nodes}) == 5
    assert len({node.runtime.clock.monotonic() for node in nodes}) == 5
    wall, monotonic = nodes[0].runtime.clock.wall_ms(), nodes[0].runtime.clock.monotonic()
    nodes[0].jump_clock(-60_000)
    assert nodes[0].runtime.clock.wall_ms() == wall - 60_000
    assert nodes[0].runtime.clock.monotonic() == monotonic


def test_node_that_never_sleeps_does_not_stop_the_world(world: Simulation) -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    async def scenario() -> None:
        world.node("busy").run(spin())
        await asyncio.sleep(0.1)

    world.run(scenario())
    assert world.now < 0.2


def test_callbacks_of_one_node_run_in_the_order_they_were_asked_for(world: Simulation) -> None:
    async def scenario() -> list[int]:
        seen: list[int] = []
        loop = asyncio.get_running_loop()
        for i in range(100):
            loop.call_soon(seen.append, i)
        await asyncio.sleep(0.01)
        return seen

    assert world.run(scenario()) == list(range(100))


def test_nodes_are_interleaved_by_seed() -> None:
    def order(seed: int) -> str:
        seen: list[str] = []

        async def note(name: str) -> None:
            seen.append(name)

        async def scenario(world: Simulation) -> None:
            await asyncio.gather(*(world.node(name).run(note(name)) for name in "abcdef"))

        with Simulation(seed) as world:
            world.run(scenario(world))
        return "".join(seen)

    assert len({order(seed) for seed in range(10)}) > 5


def test_waiting_for_nothing_is_found_out(world: Simulation) -> None:
    with pytest.raises(DeadlockError) as error:
        world.run(forever())
    assert "seed 5" in "".join(error.value.__notes__)
    assert "forever" in "".join(error.value.__notes__)


def test_run_has_an_end(world: Simulation) -> None:
    async def tick() -> None:
        while True:
            await asyncio.sleep(1)

    with pytest.raises(TimeLimitError):
        world.run(tick(), limit=100.0)
    assert world.now <= 100


def test_errors_that_no_code_caught_fail_the_run(world: Simulation) -> None:
    async def fail() -> None:
        raise ValueError("nobody looks at me")

    async def scenario() -> None:
        asyncio.get_running_loop().create_task(fail())
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    with pytest.raises(UncaughtError, match="nobody looks at me"):
        world.run(scenario())


def test_result_of_another_node_is_awaited_and_cancelled(world: Simulation) -> None:
    node = world.node("a")
    cancelled: list[str] = []

    async def fail() -> None:
        raise KeyError("there")

    async def wait() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            cancelled.append("there")
            raise

    async def scenario() -> None:
        with pytest.raises(KeyError, match="there"):
            await node.run(fail())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await node.run(wait())
        await asyncio.sleep(0.1)

    world.run(scenario())
    assert cancelled == ["there"]


def test_generators_left_in_the_middle_are_finished(world: Simulation) -> None:
    finished: list[str] = []

    async def scenario() -> None:
        async def numbers() -> AsyncIterator[int]:
            try:
                yield 1
                yield 2
            finally:
                await asyncio.sleep(0.1)
                finished.append("yes")

        async for _ in numbers():
            break
        await asyncio.sleep(1)

    world.run(scenario())
    assert finished == ["yes"]


def test_seeded_chance_differs_between_nodes_and_boots(world: Simulation) -> None:
    a, b = world.node("a"), world.node("b")
    first = a.runtime.token_bytes(8)
    a.kill()
    assert len({first, b.runtime.token_bytes(8), a.boot().token_bytes(8)}) == 3
