"""One node as one process: signals, readiness, status pages, exit code.

In: settings. Out: an exit code, once the node has stopped: 0 after a clean stop, 1 after a failure. The first SIGTERM
or SIGINT lets the node finish what is under way; the second ends the process at once. A node that a supervisor started
has a lifeline, a file descriptor that is at its end once the supervisor is gone: the node then stops cleanly. Such a
node leaves it to the supervisor when to lose patience: a second signal does nothing.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sprawl.config.broker import BrokerConfig
from sprawl.config.errors import ConfigError
from sprawl.config.listeners import address
from sprawl.config.loading import Loaded
from sprawl.data_directory import admit
from sprawl.observability import logs
from sprawl.observability.service_manager import ServiceManager, watchdog_seconds
from sprawl.observability.status import Verdict, status_pages
from sprawl.runtime import Runtime
from sprawl.runtime.real import RealRuntime
from sprawl.runtime.real import run as run_on_loop
from sprawl.runtime.real.service_manager import notifier
from sprawl.vitals import Vitals, cpu_seconds, seconds_since_start
from sprawl_protocol.errors import ApiError

if TYPE_CHECKING:
    from sprawl.http_side import HttpSide
    from sprawl.node import Node
    from sprawl.observability.http import StatusServer

log = logging.getLogger(__name__)

_STOP_GRACE: Final = 5.0
"""Seconds beyond the drain for closing files and the like."""


_OPEN_FILES: Final = 65_536
"""A node keeps each partition's segment files open: with fewer, thousands of partitions are out of reach."""
_NO_LIMIT: Final = 1024 * 1024
"""How many open files to ask for where the system sets no limit."""


def run(loaded: Loaded, lifeline: int | None = None) -> int:
    """Serve until told to stop. Returns the exit code."""
    config = loaded.config
    if not config.sprawl_host:
        config = config.changed(sprawl_host=os.uname().nodename)
    logs.configure(config.sprawl_log_level)
    if loaded.warning:
        log.warning("%s", loaded.warning)
    if config.sprawl_insecure:
        log.warning("%s", _BANNER)
    _allow_open_files()
    try:
        admit(config)
    except (ConfigError, OSError) as problem:
        log.error("cannot start: %s", problem)
        return 1
    return run_on_loop(_serve(config, RealRuntime(), lifeline))


def _allow_open_files() -> None:
    """As many as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _NO_LIMIT if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError) as problem:
            log.warning("the limit of open files stays at %d: %s", soft, problem)
    if wanted < _OPEN_FILES:
        log.warning(
            "this process may have %d files open, and each partition takes some; raise the limit (ulimit -Hn, "
            "LimitNOFILE) to %d or more for thousands of partitions",
            soft,
            _OPEN_FILES,
        )


_BANNER: Final = (
    "INSECURE: this node may be reached from other machines, without encryption and without authentication. "
    "Whoever reaches it can read, write and delete everything."
)


async def _serve(config: BrokerConfig, runtime: Runtime, lifeline: int | None) -> int:
    from sprawl.node import Node

    began = runtime.clock.monotonic()
    stop = _on_signals(supervised=lifeline is not None)
    if lifeline is not None:
        _watch(lifeline, stop)
    node = Node(config, runtime)
    running = _Running(node)
    vitals = Vitals(node.metrics)
    node.counts = vitals.counts
    side = _http_side(node, config, runtime, vitals)
    manager = _service_manager(running, supervised=lifeline is not None)
    pages: StatusServer | None = None
    try:
        pages = await _serve_pages(config, runtime, running, side)
        vitals.start()
        if not await _first_of(node.start(), stop):
            log.info("told to stop while starting")
            return await _stopped(node, config)
        running.started = True
        side.start()
        _calm_the_collector()
        seconds = seconds_since_start() or runtime.clock.monotonic() - began
        log.info("ready in %.2f s: %s", seconds, _where(node))
        manager.ready(_where(node))
        if await _first_of(node.failed(), stop):
            log.error("the node has failed; stopping")
            running.failed = True
            await _stopped(node, config)
            return 1
        log.info("stopping: no new requests; those under way are finished")
        running.stopping = True
        manager.stopping()
        return await _stopped(node, config)
    except (ApiError, ConfigError, OSError) as problem:
        log.error("cannot start: %s", problem)
        await _stopped(node, config)
        return 1
    except Exception:
        log.exception("the node broke; this is a bug")
        running.failed = True
        await _stopped(node, config)
        return 1
    finally:
        vitals.stop()
        await side.stop()
        manager.close()
        if pages is not None:
            await pages.stop()


def _calm_the_collector() -> None:
    """What is there once a node serves stays: modules, classes, metadata. It need not be walked again and again.

    Requests leave no cycles behind, so that collections find next to nothing; at Python's own thresholds they took a
    tenth of the time of a one-record produce request.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def _first_of(work: Coroutine[object, object, object], stop: asyncio.Event) -> bool:
    """True if `work` ended first (its exception is raised), False if the stop did; then `work` is cancelled."""
    doing = asyncio.create_task(work)
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((doing, waiting), return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
            return True
        return False
    finally:
        for task in (doing, waiting):
            task.cancel()
        await asyncio.gather(doing, waiting, return_exceptions=True)


async def _stopped(node: Node, config: BrokerConfig) -> int:
    """Stop the node; the exit code of that."""
    try:
        async with asyncio.timeout(config.sprawl_shutdown_timeout_ms / 1000 + _STOP_GRACE):
            await node.stop()
    except TimeoutError:
        log.error("the node did not stop in time; the next start recovers its logs")
        return 1
    log.info("stopped")
    return 0


def _on_signals(*, supervised: bool) -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; the second ends the process, unless a supervisor decides about that.

    A service manager may signal supervisor and nodes alike, and the supervisor then signals the nodes too.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def told(number: signal.Signals) -> None:
        if stop.is_set():
            if supervised:
                return
            log.warning("%s again: ending at once; the next start recovers the logs", number.name)
            os._exit(1)
        log.info("%s", number.name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told, number)
    return stop


def _watch(lifeline: int, stop: asyncio.Event) -> None:
    """Set `stop` once the other end of `lifeline` is gone, however that came about."""
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if os.read(lifeline, 4096):
            return
        loop.remove_reader(lifeline)
        if not stop.is_set():
            log.warning("the supervisor is gone; stopping")
            stop.set()

    loop.add_reader(lifeline, readable)


@dataclass(slots=True)
class _Running:
    """What the status pages tell."""

    node: Node
    started: bool = False
    stopping: bool = False
    failed: bool = False

    def live(self) -> Verdict:
        return Verdict(not self.failed, "the node has failed")

    def up(self) -> Verdict:
        return Verdict(self.started, "starting")

    def ready(self) -> Verdict:
        if self.failed or self.stopping or not self.started:
            return Verdict(False, "failed" if self.failed else "stopping" if self.stopping else "starting")
        return Verdict(self.node.ready, "not ready")


def _service_manager(running: _Running, *, supervised: bool) -> ServiceManager:
    """Of a supervised node the supervisor is told, not the service manager."""
    send = None if supervised else notifier(os.environ)
    return ServiceManager(send, watchdog_seconds(os.environ, os.getpid()), lambda: running.live().ok)


def _http_side(node: Node, config: BrokerConfig, runtime: Runtime, vitals: Vitals) -> HttpSide:
    from sprawl.http_side import HttpSide

    return HttpSide(node, config, runtime, cpu_seconds, vitals.lag_of_late, os.environ)


async def _serve_pages(
    config: BrokerConfig, runtime: Runtime, running: _Running, side: HttpSide
) -> StatusServer | None:
    """Answers from before the node has recovered until after it has stopped. Raises `OSError`."""
    if config.http is None:
        return None
    from sprawl.observability.http import StatusServer

    pages = status_pages(live=running.live, started=running.up, ready=running.ready, registry=running.node.metrics)
    server = StatusServer(runtime.network, pages, side.service)
    port = await server.start(config.http.host, config.http.port)
    log.info("status and metrics on http://%s", address(config.http.host, port))
    return server


def _where(node: Node) -> str:
    return ", ".join(f"{name}://{address(host, port)}" for name, host, port in node.addresses)
