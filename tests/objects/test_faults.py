"""The object store on bad days: whatever a backend does, callers see the contract, or an error that says what is wrong.

A whole contract is run over faulty backends, by seeds; then each fault alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from crc32c import crc32c

from sprawl.objects.contract import Backend
from sprawl.objects.directory import Directory
from sprawl.objects.errors import Corrupt, NotFound, PreconditionFailed, StoreUnavailable
from sprawl.objects.store import Policy, Store
from sprawl.runtime import Runtime
from sprawl.runtime.simulated import NodeDownError, Simulation
from tests.objects.contract import PART, SCENARIOS, Scenario, keys, pattern, pieces
from tools.simulate.objects import Bucket, Faults, Faulty, InMemory

POLICY = Policy(part_bytes=PART, deadline=300.0, damaged_tries=20)


def run(seed: int, scenario: Callable[[Runtime], Coroutine[Any, Any, None]]) -> str:
    """Gives what marks the course of events."""
    with Simulation(seed) as world:
        node = world.node("broker")
        node.runtime.files.make_dirs("/data")
        world.run(scenario(node.runtime), on=node)
        return world.trace.digest()


def in_memory(runtime: Runtime) -> Backend:
    return InMemory(Bucket(), runtime)


def directory(runtime: Runtime) -> Backend:
    return Directory("/data/bucket", runtime)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_memory_keeps_the_contract(scenario: Scenario) -> None:
    run(1, lambda runtime: _judge(scenario, Store(in_memory(runtime), runtime, POLICY)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("backend", [in_memory, directory])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_contract_holds_on_a_bad_day(scenario: Scenario, backend: Callable[[Runtime], Backend], seed: int) -> None:
    faults = Faults(
        unavailable=0.15, lost_answers=0.15, truncated=0.15, slow=0.1, slow_seconds=8.0,
        calm=frozenset({"begin_upload"}),
    )  # fmt: skip

    async def judged(runtime: Runtime) -> None:
        await scenario(Store(Faulty(backend(runtime), faults, runtime), runtime, POLICY))

    run(seed, judged)


async def _judge(scenario: Scenario, store: Store) -> None:
    await scenario(store)


def test_the_same_seed_is_the_same_day() -> None:
    def day(seed: int) -> tuple[str, dict[str, int]]:
        faults = Faults(unavailable=0.3, lost_answers=0.2, slow=0.2)

        async def work(runtime: Runtime) -> None:
            store = Store(Faulty(in_memory(runtime), faults, runtime), runtime, POLICY)
            for i in range(20):
                await store.put(f"k{i}", b"x", if_absent=True)

        return run(seed, work), faults.happened

    assert day(7) == day(7)
    assert day(7) != day(8)


def test_a_put_whose_answer_was_lost_is_not_reported_as_beaten() -> None:
    async def scenario(runtime: Runtime) -> None:
        faults = Faults(lost_answers=1.0, calm=frozenset({"head"}))
        bucket = Bucket()
        store = Store(Faulty(InMemory(bucket, runtime), faults, runtime), runtime, Policy(deadline=60.0))
        info = await store.put("once", b"mine", if_absent=True)
        assert bucket.objects["once"][1] == info
        assert faults.happened["lost_answers"] >= 1

    run(3, scenario)


def test_a_put_whose_answer_was_lost_is_beaten_if_another_was_first() -> None:
    async def scenario(runtime: Runtime) -> None:
        faults = Faults(down=True)
        bucket = Bucket()
        store = Store(Faulty(InMemory(bucket, runtime), faults, runtime), runtime, POLICY)
        mine = asyncio.create_task(store.put("once", b"mine", if_absent=True))
        await asyncio.sleep(POLICY.attempt / 2)  # the first try is under way, and will never be answered
        faults.down = False
        await store.put("once", b"theirs", if_absent=True)
        with pytest.raises(PreconditionFailed):
            await mine
        assert store.retries == 1
        assert bucket.objects["once"][0] == b"theirs"

    run(3, scenario)


def test_a_store_that_is_away_is_named_at_the_deadline() -> None:
    async def scenario(runtime: Runtime) -> None:
        faults = Faults(down=True)
        store = Store(Faulty(in_memory(runtime), faults, runtime), runtime, Policy(deadline=60.0, attempt=20.0))
        began = runtime.clock.monotonic()
        with pytest.raises(StoreUnavailable, match="putting k in memory://bucket failed") as caught:
            await store.put("k", b"x")
        assert caught.value.outcome_unknown
        assert 55 < runtime.clock.monotonic() - began <= 60.5
        faults.down = False
        await store.put("k", b"x")

    run(1, scenario)


def test_a_503_at_every_try_is_known_to_have_done_nothing() -> None:
    async def scenario(runtime: Runtime) -> None:
        store = Store(Faulty(in_memory(runtime), Faults(unavailable=1.0), runtime), runtime, Policy(deadline=5.0))
        with pytest.raises(StoreUnavailable) as caught:
            await store.delete("k")
        assert not caught.value.outcome_unknown
        assert store.retries > 3

    run(1, scenario)


def test_requests_wait_their_turn_and_still_end_at_the_deadline() -> None:
    async def scenario(runtime: Runtime) -> None:
        policy = Policy(deadline=30.0, attempt=20.0, requests_at_once=2)
        store = Store(Faulty(in_memory(runtime), Faults(down=True), runtime), runtime, policy)
        began = runtime.clock.monotonic()
        outcomes = await asyncio.gather(*(store.head(f"k{i}") for i in range(20)), return_exceptions=True)
        assert all(isinstance(one, StoreUnavailable) for one in outcomes)
        assert runtime.clock.monotonic() - began < 31

    run(1, scenario)


def test_bytes_damaged_where_they_lie_are_never_given() -> None:
    async def scenario(runtime: Runtime) -> None:
        bucket = Bucket()
        store = Store(InMemory(bucket, runtime), runtime)
        await store.put("damaged", pattern(1000))
        bucket.flip("damaged", 500)
        with pytest.raises(Corrupt, match="damaged in memory://bucket are not those that were put"):
            await store.get("damaged")

    run(1, scenario)


def test_bits_flipped_on_the_way_are_asked_for_again() -> None:
    """A range has no checksum of its own in S3: its reader knows one, or checks what is in it."""

    async def scenario(runtime: Runtime) -> None:
        faults = Faults(flipped=0.5)
        store = Store(Faulty(in_memory(runtime), faults, runtime), runtime, POLICY)
        data = pattern(1000)
        await store.put("k", data)
        for at in range(0, 900, 50):
            assert await store.get("k") == data
            assert await store.get("k", at, 100, crc32c=crc32c(data[at : at + 100])) == data[at : at + 100]
        assert faults.happened["flipped"] > 10

    run(1, scenario)


@pytest.mark.parametrize("damage", ["cut", "flipped", "trailer", "empty", "longer"])
def test_a_damaged_file_of_a_directory_is_never_given(damage: str) -> None:
    async def scenario(runtime: Runtime) -> None:
        store = Store(directory(runtime), runtime)
        await store.put("damaged", pattern(1000))
        raw = bytearray(runtime.files.read_bytes("/data/bucket/damaged"))
        if damage == "flipped":
            raw[500] ^= 4
        elif damage == "trailer":
            raw[-10] ^= 4
        changed = {"cut": raw[:-1], "empty": b"", "longer": raw + b"\0"}.get(damage, raw)
        runtime.files.write_atomic("/data/bucket/damaged", bytes(changed))
        with pytest.raises(Corrupt, match="damaged"):
            await store.get("damaged")

    run(1, scenario)


def test_an_upload_survives_and_holds_few_parts_in_memory() -> None:
    async def scenario(runtime: Runtime) -> None:
        faults = Faults(unavailable=0.3, lost_answers=0.1)
        bucket = Bucket()
        policy = Policy(part_bytes=1000, parts_in_memory=3, deadline=600.0)
        store = Store(Faulty(InMemory(bucket, runtime), faults, runtime), runtime, policy)
        await asyncio.gather(*(store.put_stream(f"large-{i}", pieces(pattern(20_500, i), 333)) for i in range(5)))
        for i in range(5):
            assert bucket.objects[f"large-{i}"][0] == pattern(20_500, i)

    run(5, scenario)


def test_an_upload_that_cannot_be_finished_says_so_and_the_next_ones_go_on() -> None:
    async def scenario(runtime: Runtime) -> None:
        faults = Faults()
        bucket = Bucket()
        policy = Policy(part_bytes=1000, parts_in_memory=2, deadline=10.0, attempt=3.0)
        store = Store(Faulty(InMemory(bucket, runtime), faults, runtime), runtime, policy)
        for _ in range(4):
            faults.unavailable, faults.calm = 1.0, frozenset({"begin_upload", "abort_upload"})
            with pytest.raises(StoreUnavailable, match="putting part"):
                await store.put_stream("large", pieces(pattern(5000), 333))
            assert not bucket.uploads
        faults.heal()
        await store.put_stream("large", pieces(pattern(5000), 333))
        assert bucket.objects["large"][0] == pattern(5000)

    run(5, scenario)


def test_sources_that_break_take_no_memory_from_the_next_upload() -> None:
    async def scenario(runtime: Runtime) -> None:
        store = Store(in_memory(runtime), runtime, Policy(part_bytes=1000, parts_in_memory=2))

        async def breaking(after: int) -> AsyncIterator[bytes]:
            for _ in range(after):
                yield pattern(500)
            raise RuntimeError("the disk below is gone")

        for after in (0, 1, 2, 3, 4, 5, 6):
            with pytest.raises(RuntimeError):
                await store.put_stream("large", breaking(after))
        async with asyncio.timeout(60):
            await store.put_stream("large", pieces(pattern(5000), 333))
        assert list(await store.uploads()) == []

    run(5, scenario)


def test_a_lost_delete_leaves_what_it_should_have_deleted() -> None:
    async def scenario(runtime: Runtime) -> None:
        faults = Faults(lost_deletes=1.0)
        store = Store(Faulty(in_memory(runtime), faults, runtime), runtime)
        await store.put("a", b"x")
        await store.put("b", b"x")
        await store.delete("a")
        await store.delete_many(["a", "b"])
        assert await keys(store) == ["a", "b"]
        faults.heal()
        await store.delete_many(["a", "b"])
        assert await keys(store) == []

    run(1, scenario)


def test_a_stale_list_shows_what_was_and_catches_up() -> None:
    async def scenario(runtime: Runtime) -> None:
        faults = Faults()
        store = Store(Faulty(in_memory(runtime), faults, runtime), runtime)
        await store.put("old", b"x")
        faults.stale_lists = 1.0
        await store.put("new", b"x")
        await store.delete("old")
        assert await keys(store) == ["old"]
        with pytest.raises(NotFound):
            await store.head("old")
        await asyncio.sleep(faults.stale_seconds)
        assert await keys(store) == ["new"]

    run(1, scenario)


def test_a_late_put_happens_after_the_asker_has_gone() -> None:
    async def scenario(runtime: Runtime) -> None:
        bucket = Bucket()
        faults = Faults(late=1.0)
        policy = Policy(deadline=0.5, attempt=0.2)
        store = Store(Faulty(InMemory(bucket, runtime), faults, runtime), runtime, policy)
        with pytest.raises(StoreUnavailable) as caught:
            await store.put("late", b"x", if_absent=True)
        assert caught.value.outcome_unknown
        await asyncio.sleep(2 * faults.slow_seconds)
        assert bucket.names() == ["late"]
        assert bucket.puts == 1

    run(2, scenario)


@pytest.mark.parametrize("failing", range(1, 9))
def test_what_a_failed_sync_may_have_lost_is_never_taken_for_kept(
    failing: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sync after the other fails, then the power; what was acknowledged is there."""
    small, large = pattern(500), pattern(5000)
    with Simulation(failing) as world:
        node = world.node("broker")
        node.runtime.files.make_dirs("/data")
        node.runtime.files.sync_dir("/")
        acknowledged: dict[str, bytes] = {}
        left = 0
        fine = node.disk.sync_error

        def sync_error(path: str) -> OSError | None:
            nonlocal left
            left -= 1
            return OSError(errno.EIO, "sync failed", path) if left == 0 else fine(path)

        monkeypatch.setattr(node.disk, "sync_error", sync_error)

        async def write(runtime: Runtime) -> None:
            nonlocal left
            store = Store(Directory("/data/bucket", runtime), runtime, Policy(part_bytes=1000))
            await store.put("first", small)
            acknowledged["first"] = small
            for key, data, make in (
                ("small", small, lambda: store.put("small", small, if_absent=True)),
                ("large", large, lambda: store.put_stream("large", pieces(large, 333), if_absent=True)),
            ):
                left = failing
                with contextlib.suppress(StoreUnavailable):
                    await make()
                    acknowledged[key] = data
                left = 0

        async def read(runtime: Runtime) -> None:
            store = Store(Directory("/data/bucket", runtime), runtime)
            for key, data in acknowledged.items():
                assert await store.get(key) == data

        world.run(write(node.runtime), on=node)
        assert "small" in acknowledged
        node.crash()
        node.boot()
        world.run(read(node.runtime), on=node)


@pytest.mark.parametrize("seed", range(20))
def test_a_power_failure_leaves_each_object_whole_or_absent(seed: int) -> None:
    data = pattern(50_000)
    with Simulation(seed) as world:
        node = world.node("broker")
        node.runtime.files.make_dirs("/data")
        node.runtime.files.sync_dir("/")
        acknowledged: list[str] = []

        async def write(runtime: Runtime) -> None:
            store = Store(Directory("/data/bucket", runtime), runtime)
            for i in range(1000):
                await store.put(f"d{i % 3}/k{i}", data, if_absent=True)
                acknowledged.append(f"d{i % 3}/k{i}")

        async def read(runtime: Runtime) -> None:
            store = Store(Directory("/data/bucket", runtime), runtime)
            there = await keys(store)
            assert set(acknowledged) <= set(there)
            for key in there:
                assert await store.get(key) == data
            for upload in await store.uploads():
                await store.abort_upload(upload)
            assert list(await store.uploads()) == []

        async def cut_off() -> None:
            writing = node.run(write(node.runtime))
            await asyncio.sleep(0.5)
            node.crash()
            with pytest.raises(NodeDownError):
                await writing

        world.run(cut_off())
        node.boot()
        assert acknowledged
        world.run(read(node.runtime), on=node)
