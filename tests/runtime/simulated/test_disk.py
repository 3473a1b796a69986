"""What a disk may do to a node, and what it may not."""

from __future__ import annotations

import errno
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from sprawl.runtime import Runtime
from sprawl.runtime.simulated import SimulatedNode, Simulation

T = TypeVar("T")
Scenario = Callable[[Runtime], Coroutine[Any, Any, T]]


class Machine:
    """One node, and short words for what happens to it."""

    def __init__(self, seed: int) -> None:
        self.world = Simulation(seed)
        self.node: SimulatedNode = self.world.node("broker")
        self.disk = self.node.disk

    def run(self, scenario: Scenario[T]) -> T:
        return self.world.run(scenario(self.node.runtime), on=self.node)

    def power_failure(self) -> None:
        self.node.crash()
        self.node.boot()

    def kill(self) -> None:
        self.node.kill()
        self.node.boot()


@pytest.fixture
def machines() -> Iterator[Callable[[int], Machine]]:
    made: list[Machine] = []

    def make(seed: int) -> Machine:
        made.append(Machine(seed))
        return made[-1]

    yield make
    for machine in made:
        machine.world.close()


async def write_some(runtime: Runtime) -> None:
    file = runtime.files.open("/log", create=True)
    runtime.files.sync_dir("/")
    file.append([b"s" * 10_000])
    await file.sync()
    file.append([b"u" * 10_000])


def content(machine: Machine, path: str = "/log") -> bytes:
    async def read(runtime: Runtime) -> bytes:
        return runtime.files.read_bytes(path)

    return machine.run(read)


def test_power_failure_keeps_what_was_synced_and_any_part_of_the_rest(machines: Callable[[int], Machine]) -> None:
    lost = kept = cut = torn = 0
    for seed in range(60):
        machine = machines(seed)
        machine.run(write_some)
        machine.power_failure()
        found = content(machine)
        assert found[:10_000] == b"s" * 10_000, f"seed {seed}: synced bytes are gone"
        rest = found[10_000:]
        lost += not rest
        kept += rest == b"u" * 10_000
        cut += 0 < len(rest) < 10_000
        torn += bool(rest.strip(b"u"))
    assert min(lost, kept, cut, torn) > 3, f"every outcome should be met: {(lost, kept, cut, torn)}"


def test_kill_loses_nothing_that_was_written(machines: Callable[[int], Machine]) -> None:
    machine = machines(1)
    machine.run(write_some)
    machine.kill()
    assert content(machine) == b"s" * 10_000 + b"u" * 10_000


def test_file_whose_name_was_never_synced_may_be_gone(machines: Callable[[int], Machine]) -> None:
    async def create(runtime: Runtime) -> None:
        runtime.files.make_dirs("/data/topic")
        file = runtime.files.open("/data/topic/log", create=True)
        file.append([b"x"])
        await file.sync()

    async def exists(runtime: Runtime) -> bool:
        return runtime.files.exists("/data/topic/log")

    async def sync_names(runtime: Runtime) -> None:
        for path in ("/", "/data", "/data/topic"):
            runtime.files.sync_dir(path)

    found = []
    for seed in range(20):
        machine = machines(seed)
        machine.run(create)
        machine.power_failure()
        found.append(machine.run(exists))
    assert set(found) == {True, False}
    for seed in range(10):
        machine = machines(seed)
        machine.run(create)
        machine.run(sync_names)
        machine.power_failure()
        assert machine.run(exists)
        assert content(machine, "/data/topic/log") == b"x"


def test_syncing_the_file_s_directory_is_not_enough_if_its_parent_is_new(machines: Callable[[int], Machine]) -> None:
    async def create(runtime: Runtime) -> None:
        runtime.files.make_dirs("/data")
        runtime.files.open("/data/log", create=True)
        runtime.files.sync_dir("/data")

    async def exists(runtime: Runtime) -> bool:
        return runtime.files.exists("/data/log")

    found = set()
    for seed in range(20):
        machine = machines(seed)
        machine.run(create)
        machine.power_failure()
        found.add(machine.run(exists))
    assert found == {True, False}


def test_rename_and_removal_need_the_directory_synced(machines: Callable[[int], Machine]) -> None:
    async def prepare(runtime: Runtime) -> None:
        runtime.files.make_dirs("/topic-0")
        for name in ("/topic-0/log", "/old"):
            runtime.files.open(name, create=True).close()
        runtime.files.sync_dir("/")
        runtime.files.sync_dir("/topic-0")
        runtime.files.rename("/topic-0", "/topic-0-delete")
        runtime.files.remove("/old")

    async def names(runtime: Runtime) -> tuple[str, ...]:
        return tuple(runtime.files.list("/"))

    found = set()
    for seed in range(30):
        machine = machines(seed)
        machine.run(prepare)
        machine.power_failure()
        found.add(machine.run(names))
    assert found == {("old", "topic-0"), ("old", "topic-0-delete"), ("topic-0-delete",)}


def test_atomic_write_is_old_or_new_and_durable(machines: Callable[[int], Machine]) -> None:
    async def write(runtime: Runtime) -> None:
        runtime.files.write_atomic("/checkpoint", b"old")
        runtime.files.write_atomic("/checkpoint", b"new")

    for seed in range(20):
        machine = machines(seed)
        machine.run(write)
        machine.power_failure()
        assert content(machine, "/checkpoint") == b"new"


def test_truncation_may_be_undone_by_power_failure_unless_synced(machines: Callable[[int], Machine]) -> None:
    async def cut(runtime: Runtime) -> None:
        file = runtime.files.open("/log", create=True)
        runtime.files.sync_dir("/")
        file.append([b"0123456789"])
        await file.sync()
        file.truncate(5)

    async def cut_and_sync(runtime: Runtime) -> None:
        await cut(runtime)
        file = runtime.files.open("/log")
        file.append([b"abc"])
        await file.sync()

    found = set()
    for seed in range(20):
        machine = machines(seed)
        machine.run(cut)
        machine.power_failure()
        found.add(content(machine))
    assert found == {b"01234", b"0123456789"}
    for seed in range(20):
        machine = machines(seed)
        machine.run(cut_and_sync)
        machine.power_failure()
        assert content(machine) == b"01234abc"


def test_failed_sync_is_not_healed_by_a_later_one(machines: Callable[[int], Machine]) -> None:
    """The kernel reports an error once and then calls the pages clean; only a crash shows what is on the disk."""

    async def write(runtime: Runtime) -> None:
        file = runtime.files.open("/log", create=True)
        runtime.files.sync_dir("/")
        file.append([b"good"])
        await file.sync()
        machine.disk.failing_syncs = 1
        file.append([b"doomed"])
        with pytest.raises(OSError) as error:
            await file.sync()
        assert error.value.errno == errno.EIO
        file.append([b"later"])
        await file.sync()
        assert runtime.files.read_bytes("/log") == b"gooddoomedlater"

    machine = machines(3)
    machine.run(write)
    machine.power_failure()
    found = content(machine)
    assert found[:4] == b"good"
    assert found[4:10] != b"doomed"
    assert found[10:] == b"later"


def test_full_disk_refuses_all_of_an_append_and_takes_it_when_there_is_room(machines: Callable[[int], Machine]) -> None:
    async def fill(runtime: Runtime) -> None:
        file = runtime.files.open("/log", create=True)
        file.append([b"x" * 900])
        with pytest.raises(OSError) as error:
            file.append([b"y" * 60, b"z" * 60])
        assert error.value.errno == errno.ENOSPC
        assert file.size == 900
        assert runtime.files.free_bytes("/") == 100
        other = runtime.files.open("/other", create=True)
        other.append([b"a" * 100])
        with pytest.raises(OSError, match="No space left"):
            runtime.files.write_atomic("/small", b"!")
        runtime.files.remove("/other")
        file.append([b"y" * 60])
        file.truncate(0)
        assert runtime.files.free_bytes("/") == 1000

    machine = machines(1)
    machine.disk.capacity = 1000
    machine.run(fill)


def test_failing_reads_and_appends_are_reported_and_change_nothing(machines: Callable[[int], Machine]) -> None:
    async def scenario(runtime: Runtime) -> None:
        file = runtime.files.open("/log", create=True)
        machine.disk.failing_appends = 1
        with pytest.raises(OSError, match="Input/output"):
            file.append([b"no"])
        file.append([b"yes"])
        machine.disk.failing_reads = 1
        with pytest.raises(OSError, match="Input/output"):
            await file.read(0, 10)
        assert await file.read(0, 10) == b"yes"

    machine = machines(1)
    machine.run(scenario)


def test_slow_disk_takes_its_time(machines: Callable[[int], Machine]) -> None:
    async def scenario(runtime: Runtime) -> float:
        file = runtime.files.open("/log", create=True)
        before = runtime.clock.monotonic()
        file.append([b"x"])
        await file.sync()
        return runtime.clock.monotonic() - before

    machine = machines(1)
    fast = machine.run(scenario)
    machine.disk.slowness = 1000
    assert machine.run(scenario) > 50 * fast


def test_flipped_bits_and_wiped_disks(machines: Callable[[int], Machine]) -> None:
    machine = machines(1)
    machine.run(write_some)
    machine.disk.corrupt("/log", 5, 0x10)
    assert content(machine)[:7] == b"sssss" + bytes([ord("s") ^ 0x10]) + b"s"
    machine.node.kill()
    machine.disk.wipe()
    machine.node.boot()

    async def names(runtime: Runtime) -> list[str]:
        return runtime.files.list("/")

    assert machine.run(names) == []


def test_store_loses_what_was_not_flushed_from_the_end(machines: Callable[[int], Machine]) -> None:
    async def write(runtime: Runtime) -> None:
        runtime.files.make_dirs("/data")
        runtime.files.sync_dir("/")
        store = runtime.open_kv("/data/index")
        runtime.files.sync_dir("/data")
        store.write([(b"0", b"flushed"), (b"x", b"flushed")])
        store.flush()
        for i in range(1, 10):
            store.write([(b"%d" % i, b"a"), (b"%d'" % i, b"b"), (b"x", None)])

    async def read(runtime: Runtime) -> list[bytes]:
        store = runtime.open_kv("/data/index")
        keys = [key for key, _ in store.scan(b"", b"\xff")]
        store.close()
        return keys

    counts = set()
    for seed in range(30):
        machine = machines(seed)
        machine.run(write)
        (machine.power_failure if seed % 2 else machine.kill)()
        keys = machine.run(read)
        batches = (len(keys) - 1) // 2
        there = sorted([b"0"] + [name for i in range(1, batches + 1) for name in (b"%d" % i, b"%d'" % i)])
        assert keys == (there if batches else [b"0", b"x"]), f"seed {seed}: not a prefix of the batches"
        counts.add(batches)
    assert len(counts) > 4


def test_state_is_durable_when_set_and_damage_is_found(machines: Callable[[int], Machine]) -> None:
    async def write(runtime: Runtime) -> None:
        runtime.files.sync_dir("/")
        runtime.open_state("/state.db")["clean"] = False
        runtime.open_kv("/kv")

    async def read(runtime: Runtime) -> object:
        return dict(runtime.open_state("/state.db"))

    async def open_both(runtime: Runtime) -> None:
        with pytest.raises(OSError, match="state file"):
            runtime.open_state("/state.db")
        with pytest.raises(OSError, match="key-value store"):
            runtime.open_kv("/kv")

    machine = machines(4)
    machine.run(write)
    machine.power_failure()
    assert machine.run(read) == {"clean": False}
    machine.disk.corrupt("/state.db", 0)
    machine.disk.corrupt("/kv", 0)
    machine.run(open_both)


def test_lock_dies_with_its_process(machines: Callable[[int], Machine]) -> None:
    async def lock(runtime: Runtime) -> None:
        runtime.files.lock("/.lock")

    machine = machines(1)
    machine.run(lock)
    with pytest.raises(BlockingIOError):
        machine.run(lock)
    machine.kill()
    machine.run(lock)


def test_what_a_failed_sync_left_out_is_durable_once_it_is_rewritten_and_synced(
    machines: Callable[[int], Machine],
) -> None:
    async def write(runtime: Runtime) -> None:
        file = runtime.files.open("/log", create=True)
        runtime.files.sync_dir("/")
        file.append([b"good"])
        await file.sync()
        machine.disk.failing_syncs = 1
        file.append([b"doomed"])
        with pytest.raises(OSError):
            await file.sync()
        await file.rewrite(2)
        await file.sync()

    machine = machines(3)
    machine.run(write)
    machine.power_failure()
    assert content(machine) == b"gooddoomed"
