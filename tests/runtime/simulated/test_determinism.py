"""The promise everything else rests on: one seed, one course of events."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from sprawl.runtime import Runtime
from sprawl.runtime.simulated import NodeDownError, SimulatedNode, Simulation
from tests.runtime.protocols import Collector, Echo

ROOT = Path(__file__).parents[3]
PORT = 9092


async def broker(runtime: Runtime) -> None:
    """Serves, writes, syncs, gossips: a bit of everything, with tasks that asyncio keeps in sets."""
    runtime.files.make_dirs("/data")
    log = runtime.files.open("/data/log", create=True)
    index = runtime.open_kv("/data/index")
    gossip = await runtime.network.datagram("", PORT)
    await runtime.network.listen(Echo, "", PORT)
    names = {f"name-{runtime.rng.randrange(1000)}" for _ in range(5)}

    async def write() -> None:
        while True:
            log.append([runtime.token_bytes(runtime.rng.randrange(1, 2000))])
            index.write([(b"%d" % log.size, b"")])
            await log.sync()
            await asyncio.sleep(runtime.rng.random() / 50)

    async def tell(peer: str) -> None:
        while True:
            await gossip.send(b"here", peer, PORT)
            await asyncio.sleep(0.02)

    async def hear() -> None:
        while True:
            await gossip.receive()

    async def give_up() -> None:
        await asyncio.sleep(0.3)
        raise ValueError(len(names))

    while True:
        try:
            async with asyncio.TaskGroup() as group:
                for work in (write(), write(), hear(), tell("a"), tell("b"), tell("c"), give_up()):
                    group.create_task(work)
        except* ValueError:
            await runtime.in_thread(lambda: None)


async def scenario(world: Simulation) -> int:
    nodes = [world.node(name) for name in "abc"]
    world.links.default.udp_loss = 0.1

    def start(node: SimulatedNode) -> None:
        node.run(broker(node.runtime)).add_done_callback(lambda done: done.exception())

    def restart() -> None:
        nodes[0].boot()
        start(nodes[0])

    for node in nodes:
        start(node)
    await asyncio.sleep(0.05)
    world.at(world.now + 0.4, nodes[0].crash)
    world.at(world.now + 0.6, restart)
    world.at(world.now + 0.7, lambda: world.links.split(["b"], ["c", "driver"]))
    world.at(world.now + 1.2, world.links.heal)
    echoed = 0
    for turn in range(60):
        try:
            async with asyncio.timeout(0.5):
                transport, client = await world.driver.runtime.network.connect(Collector, "abc"[turn % 3], PORT)
                transport.write(b"x" * 3000)
                echoed += len(await client.until(3000))
                transport.close()
        except (OSError, NodeDownError):
            await asyncio.sleep(0.01)
    return echoed


def course(seed: int) -> list[str]:
    with Simulation(seed, record=True) as world:
        world.note(f"echoed {world.run(scenario(world))}")
        assert world.trace.lines is not None
        return [*world.trace.lines, world.trace.digest()]


def first_difference(one: list[str], other: list[str]) -> str:
    for index, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return f"event {index}:\n  {left}\n  {right}"
    return f"{len(one)} events against {len(other)}"


def test_same_seed_gives_the_same_trace() -> None:
    one, other = course(7), course(7)
    assert len(one) > 1000
    assert one == other, first_difference(one, other)


def test_different_seed_gives_a_different_trace() -> None:
    assert len({course(seed)[-1] for seed in range(4)}) == 4


def test_another_process_with_other_hashes_gives_the_same_trace() -> None:
    """Strings hash differently in every process, unless told otherwise; addresses and garbage differ too."""
    code = (
        "import sys; ballast = [object() for _ in range(int(sys.argv[1]))];"
        "from tests.runtime.simulated.test_determinism import course; print(course(7)[-1])"
    )
    digests = {course(7)[-1]}
    for seed in ("1", "77777"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT}:{ROOT / 'protocol'}"}
        ran = subprocess.run(
            [sys.executable, "-c", code, seed], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        digests.add(ran.stdout.strip())
    assert len(digests) == 1
