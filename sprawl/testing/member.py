"""One node of a cluster under test, over all its lives: each life is a thread with an event loop of its own.

In: settings, and what is to happen to the node: `start`, `stop`, `kill`, `pause`, `resume`, `wipe`. Out: a node that
is reached by TCP only, as if it were a process. All methods may be called from any thread, and return once it is done.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from sprawl.config.broker import BrokerConfig
from sprawl.data_directory import prepare
from sprawl.node import Node
from sprawl.quorum.identifiers import uuid_of
from sprawl.runtime.real import loop_factory
from sprawl.testing.control import Control
from sprawl.testing.errors import NodeFailedError, NotReadyError
from sprawl.testing.faults import Faults
from sprawl.testing.mortal import MortalRuntime

log = logging.getLogger(__name__)
R = TypeVar("R")

_STOP_GRACE: Final = 10.0
"""Seconds beyond the drain before a thread that does not end is given up."""


class ClusterNode:
    """A node of a `Cluster`; `cluster.node(1)` gives it."""

    def __init__(self, config: BrokerConfig, cluster_id: str, secret: bytes, faults: Faults) -> None:
        self.id = config.node_id
        self.host, self.port = config.endpoints[0].host, config.endpoints[0].port
        self._config = config
        self._cluster_id = cluster_id
        self._secret = secret
        self._faults = faults
        self._life: _Life | None = None
        self.directory_id = uuid_of(prepare(config, cluster_id, secret).directory_id)

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def directory(self) -> str:
        """Where its data is; it stays when the node stops."""
        return self._config.data_dir

    @property
    def voters_max(self) -> int:
        return self._config.sprawl_quorum_voters_max

    @property
    def running(self) -> bool:
        """Started and not stopped, killed or failed; also while it is paused."""
        return self._life is not None and not self._life.ended

    @property
    def started(self) -> bool:
        """It was told to start, and not to end: it runs, or has failed."""
        return self._life is not None

    @property
    def serving(self) -> bool:
        """It runs and is not paused."""
        return self.running and self._life is not None and not self._life.paused

    def __repr__(self) -> str:
        return f"<node {self.id} at {self.address}, {'running' if self.running else 'stopped'}>"

    def start(self, timeout: float | None = 30.0) -> None:
        """Returns once the node serves clients. No effect if it runs. `timeout` None: does not wait.

        Raises `NodeFailedError`, `NotReadyError`.
        """
        if not self.running:
            self._let_go()
            self._life = _Life(self._config, self._faults)
        if timeout is not None:
            self.wait_until_started(timeout)

    def wait_until_started(self, timeout: float = 30.0) -> None:
        """Raises `NodeFailedError`, `NotReadyError`."""
        assert self._life is not None, "it was started"
        self._life.wait_until_ready(timeout)

    def stop(self) -> None:
        """As SIGTERM: hands over what it leads, finishes what is under way. No effect if it does not run.

        A node that has failed is let go of without a word; its log said why.
        """
        self.begin_end(kill=False)
        self._let_go()

    def begin_end(self, *, kill: bool) -> None:
        """As `stop` or `kill`, without waiting for the end."""
        if self._life is not None:
            self._life.end(kill=kill)

    def kill(self) -> None:
        """As kill -9: nobody is told, nothing is finished; what was written is still there at the next start."""
        self.begin_end(kill=True)
        self._let_go()

    def restart(self, timeout: float | None = 30.0) -> None:
        self.stop()
        self.start(timeout)

    def pause(self) -> None:
        """As SIGSTOP: its connections stay open and nothing answers, until `resume`."""
        if self._life is not None:
            self._life.pause()

    def resume(self) -> None:
        if self._life is not None:
            self._life.resume()

    def wipe(self) -> None:
        """Lose the disk: kill it if it runs; its next start is with an empty directory."""
        self.kill()
        runtime = MortalRuntime()
        try:
            runtime.files.remove_tree(self.directory)
        finally:
            runtime.release()
        self.directory_id = uuid_of(prepare(self._config, self._cluster_id, self._secret).directory_id)

    def drop_connections(self) -> int:
        """Cut every client's connection, as a restarted load balancer would; how many there were."""
        if not self.running:
            return 0
        assert self._life is not None
        return self._life.call(self._life.drop_connections)

    def ask(self, question: Callable[[Control], Coroutine[Any, Any, R]], timeout: float) -> R:
        """Over a connection to this node. Raises `TimeoutError`, `ClientError`, and what `question` raises."""
        assert self._life is not None, "it runs"
        return self._life.ask(question, self.host, self.port, timeout)

    def _let_go(self) -> None:
        life, self._life = self._life, None
        if life is not None:
            life.join(self._config.sprawl_shutdown_timeout_ms / 1000 + _STOP_GRACE)


class _Life:
    """From a start to the end."""

    def __init__(self, config: BrokerConfig, faults: Faults) -> None:
        self._config = config
        self._faults = faults
        self._ready = threading.Event()
        """Ready, or failed before that."""
        self._problem: BaseException | None = None
        self._go_on: threading.Event | None = None
        self._runtime = MortalRuntime()
        self._loop = loop_factory()()
        self._ending = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=f"sprawl-node-{config.node_id}", daemon=True)
        self._thread.start()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive() or self._problem is not None

    @property
    def paused(self) -> bool:
        return self._go_on is not None

    def wait_until_ready(self, timeout: float) -> None:
        node = f"node {self._config.node_id}"
        if not self._ready.wait(timeout):
            raise NotReadyError(f"{node} is not ready after {timeout:g} s")
        if self._problem is not None:
            raise NodeFailedError(f"{node}: {self._problem}") from self._problem

    def end(self, *, kill: bool) -> None:
        if kill:
            self._runtime.life.over = True  # also of a node that is paused
        self.resume()
        try:
            self._loop.call_soon_threadsafe(self._die if kill else self._ending.set)
        except RuntimeError:
            return  # it has ended by itself

    def pause(self) -> None:
        if self._go_on is None:
            stopped, self._go_on = threading.Event(), threading.Event()
            go_on = self._go_on

            def stop() -> None:
                stopped.set()
                go_on.wait()

            self._loop.call_soon_threadsafe(stop)
            if not stopped.wait(_STOP_GRACE):
                self._go_on = None
                raise NotReadyError(f"node {self._config.node_id} could not be paused within {_STOP_GRACE:g} s")

    def resume(self) -> None:
        go_on, self._go_on = self._go_on, None
        if go_on is not None:
            go_on.set()

    def drop_connections(self) -> int:
        clients = self._runtime.reachable.clients()
        for connection in clients:
            connection.abort()
        return len(clients)

    def call(self, work: Callable[[], R]) -> R:
        async def called() -> R:
            return work()

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result()

    def ask(self, question: Callable[[Control], Coroutine[Any, Any, R]], host: str, port: int, timeout: float) -> R:
        async def asked() -> R:
            async with Control(self._runtime, host, port) as control:
                return await question(control)

        future = asyncio.run_coroutine_threadsafe(asked(), self._loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise

    def join(self, timeout: float) -> None:
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise NotReadyError(f"node {self._config.node_id} did not end within {timeout:g} s")

    # -- on the node's thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                self._loop.set_exception_handler(self._unless_killed)
                runner.run(self._live())
        except BaseException as problem:  # noqa: BLE001 - whoever waits for the node is told
            if not self._runtime.life.over:
                self._problem = problem
                log.error("node %d: %r", self._config.node_id, problem)
        finally:
            self._runtime.release()
            self._ready.set()

    async def _live(self) -> None:
        node = Node(self._config, self._runtime)
        node.intercept(self._faults.standing_before(self._config.node_id))
        told = asyncio.create_task(self._ending.wait())
        try:
            if await _first_of(asyncio.create_task(node.start()), told):
                self._ready.set()
                if await _first_of(asyncio.create_task(node.failed()), told):
                    raise NodeFailedError("the node has failed; its log says why")
        finally:
            told.cancel()
            if not self._runtime.life.over:
                await node.stop()

    def _die(self) -> None:
        for task in asyncio.all_tasks(self._loop):  # before they see their connections lost, and say so
            task.cancel()
        self._runtime.die()

    def _unless_killed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not self._runtime.life.over:
            loop.default_exception_handler(context)


async def _first_of(work: asyncio.Task[None], told: asyncio.Task[Any]) -> bool:
    """Whether `work` ended before the node was told to end; if not it is cancelled. What it raises is raised."""
    await asyncio.wait((work, told), return_when=asyncio.FIRST_COMPLETED)
    if work.done() and not told.done():
        work.result()
        return True
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    return False
