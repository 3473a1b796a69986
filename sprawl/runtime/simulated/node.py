"""A simulated machine and the process that runs on it.

In: coroutines to run there, and what befalls a machine: kill -9, power failure, a pause, a stall, a wrong clock. Out:
their results. The disk, the address and the clock belong to the machine and outlive its processes; the loop, the open
files and the connections belong to the process and die with it, without a line of its cleanup code being run.
"""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sprawl.runtime.simulated.clock import SimulatedClock
from sprawl.runtime.simulated.disk import Disk
from sprawl.runtime.simulated.fabric import Fabric
from sprawl.runtime.simulated.loop import SimulatedLoop
from sprawl.runtime.simulated.runtime import SimulatedRuntime
from sprawl.runtime.simulated.trace import Event

if TYPE_CHECKING:
    from sprawl.runtime.simulated.connections import Endpoint
    from sprawl.runtime.simulated.keyvalue import StoreContents

T = TypeVar("T")

_EPHEMERAL: Final = 32768


class NodeDownError(Exception):
    """The process that was to give a result died first."""


class Process:
    """One run of a node's program, from boot to its end."""

    def __init__(self, node: SimulatedNode, fabric: Fabric, rng: random.Random) -> None:
        self.node = node
        self.clock = node.clock
        self.loop = SimulatedLoop(  # type: ignore[abstract]  # sockets and subprocesses are not for simulated code
            fabric.scheduler, node.index, node.name, node.clock.offset
        )
        self.endpoints: dict[Endpoint, None] = {}
        self.stores: list[StoreContents] = []
        self.locks: list[str] = []
        self.callers: dict[asyncio.Future[Any], None] = {}
        self._fabric = fabric
        self.runtime = SimulatedRuntime(self, fabric, rng)

    @property
    def alive(self) -> bool:
        return self.loop.alive

    def check(self) -> None:
        if not self.loop.alive:
            raise OSError(errno.ESHUTDOWN, f"the process on {self.node.name} is dead")

    def trace(self, event: Event, a: int, b: int) -> None:
        self._fabric.trace(event, self.node.index, a, b)

    def later(self, seconds: float, work: Callable[[], T]) -> asyncio.Future[T]:
        """What a thread would do: `work` is done after a while, even if nobody waits any more, unless it died."""
        future: asyncio.Future[T] = self.loop.create_future()

        def finish(_: None) -> None:
            if not self.loop.alive:
                return
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self._fabric.scheduler.after(seconds, finish)
        return future

    def end(self, *, power_lost: bool) -> None:
        if not self.alive:
            return
        self.loop.die()
        rng = self._fabric.scheduler.rng
        for endpoint in list(self.endpoints):
            endpoint.process_ended(power_lost=power_lost)
        self.endpoints.clear()
        self._fabric.process_ended(self)
        for store in self.stores:
            if store.opened:
                store.process_died(rng)
        for key in self.locks:
            self.node.disk.locks.pop(key, None)
        for future in list(self.callers):
            if not future.done():
                future.set_exception(NodeDownError(f"{self.node.name} died"))
        self.callers.clear()


class SimulatedNode:
    """Booted when made. `runtime` is that of the process that runs now."""

    def __init__(self, name: str, index: int, fabric: Fabric) -> None:
        rng = fabric.scheduler.rng
        self.name = name
        self.index = index
        self.address = f"10.0.{index // 250}.{index % 250 + 1}"
        self.clock = SimulatedClock(fabric.scheduler, 1000.0 + rng.random() * 1e5, rng.randrange(-500, 501))
        self.disk = Disk(rng)
        self.next_port = _EPHEMERAL
        self.up = True
        self.power_failures = 0
        self.ended: list[Process] = []
        self._fabric = fabric
        self.process = self._new_process()

    @property
    def runtime(self) -> SimulatedRuntime:
        return self.process.runtime

    @property
    def loop(self) -> SimulatedLoop:
        return self.process.loop

    def run(self, work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Start `work` on this node, await it on the caller's. Raises `NodeDownError` there if the node dies."""
        self.process.check()
        caller = asyncio.get_running_loop()
        result: asyncio.Future[T] = caller.create_future()
        task = self.process.loop.create_task(work)
        callers = self.process.callers
        callers[result] = None

        def finish(done: asyncio.Task[T]) -> None:
            callers.pop(result, None)
            if result.done():
                return
            if done.cancelled():
                result.cancel()
            elif (error := done.exception()) is not None:
                result.set_exception(error)
            else:
                result.set_result(done.result())

        def give_up(result: asyncio.Future[T]) -> None:
            if result.cancelled() and not task.done():
                task.cancel()

        task.add_done_callback(finish)
        result.add_done_callback(give_up)
        return result

    def kill(self) -> None:
        """kill -9: the process is gone; the kernel closes its sockets and keeps the page cache."""
        self._trace("kill")
        self.process.end(power_lost=False)

    def crash(self) -> None:
        """Power failure: unsynced writes may be lost, peers hear nothing. The machine stays down until `boot`."""
        self._trace("crash")
        self.process.end(power_lost=True)
        if self.up:
            self.up = False
            self.power_failures += 1
            self.disk.lose_power()

    def boot(self) -> SimulatedRuntime:
        """A new process, after `kill` or `crash`. What it runs is up to `run`."""
        assert not self.process.alive, f"{self.name} is running"
        self._trace("boot")
        self.up = True
        self.ended.append(self.process)
        self.process = self._new_process()
        return self.process.runtime

    def pause(self) -> None:
        """SIGSTOP: nothing of it runs; its kernel still takes connections and bytes."""
        self._trace("pause")
        self.process.loop.pause()

    def resume(self) -> None:
        self._trace("resume")
        self.process.loop.resume()

    def stall(self, seconds: float) -> None:
        """The loop does something long before it comes to anything else."""
        self._trace(f"stall {seconds}")
        self.process.loop.charge(seconds)

    def jump_clock(self, milliseconds: int) -> None:
        self._trace(f"clock {milliseconds:+}")
        self.clock.jump(milliseconds)

    def _new_process(self) -> Process:
        seed = self._fabric.scheduler.rng.getrandbits(64)
        return Process(self, self._fabric, random.Random(seed))  # noqa: S311 - it must be repeatable

    def _trace(self, text: str) -> None:
        scheduler = self._fabric.scheduler
        scheduler.trace.text(scheduler.now, Event.FAULT, self.index, text)
