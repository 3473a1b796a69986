"""Several nodes on one machine, each a process, and the parent that starts, watches and stops them.

In: settings of one node, and how many there shall be. Out: an exit code: 0 if every node ended cleanly, 1 if not. The
parent prepares the directories, then only waits: it passes on what the nodes write, each line with the node's number,
says how a node ended, and starts it again if it was told to. A node that ends with code 0 was told to stop by somebody,
and stays stopped.

Each node has the read end of a pipe from the parent as its standard input: its settings come through it, and its end
means that the parent is gone, so that no node outlives the parent for long, even if that was killed. Nodes are in
process groups of their own: Ctrl-C reaches the parent alone, which stops them in order.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final

from sprawl.config.broker import BrokerConfig
from sprawl.config.errors import ConfigError
from sprawl.config.loading import Loaded
from sprawl.config.members import directory_of, handover, members_of
from sprawl.observability import logs

log = logging.getLogger(__name__)

NODE: Final = (sys.executable, "-P", "-m", "sprawl.child")
"""The command that runs a node; its number and directory follow, for people who look at the process list."""
_STOP_GRACE: Final = 15.0
"""Seconds beyond the drain before a node that was told to stop is killed."""
_LONGEST_LINE: Final = 65_536
_LOUD: Final = {"unlimited": True}
"""For log records that the rate limit must not hold back: how a node ended is always of interest."""


def run(loaded: Loaded, nodes: int, *, restart: bool = False) -> int:
    """Run so many nodes until told to stop. Returns the exit code. Raises `ConfigError` for settings that cannot be."""
    config = loaded.config
    members = members_of(config, nodes, os.uname().nodename)
    logs.configure(config.sprawl_log_level)
    if loaded.warning:
        log.warning("%s", loaded.warning)
    if not _prepared(config, members):
        return 1
    return asyncio.run(Supervisor(members, restart=restart).run())


class Backoff:
    """How long to wait before a node is started again: longer each time, unless it had run for a while."""

    def __init__(self, *, first: float = 1.0, longest: float = 60.0, healthy: float = 60.0) -> None:
        self._first = first
        self._longest = longest
        self._healthy = healthy
        self._next = first

    def after(self, lived: float) -> float:
        """Seconds to wait after a node has ended that had lived so many."""
        if lived >= self._healthy:
            self._next = self._first
        delay = self._next
        self._next = min(self._next * 2, self._longest)
        return delay


class Supervisor:
    """`command` runs a node; tests give another. `write` takes what nodes say."""

    def __init__(
        self,
        members: Sequence[BrokerConfig],
        *,
        restart: bool,
        command: Sequence[str] = NODE,
        backoff: Callable[[], Backoff] = Backoff,
        grace: float = _STOP_GRACE,
        write: Callable[[bytes], None] | None = None,
    ) -> None:
        self._members = members
        self._restart = restart
        self._command = command
        self._backoff = backoff
        self._grace = grace
        self._write = write or _to_stderr
        self._stop = asyncio.Event()
        self._at_once = asyncio.Event()

    async def run(self) -> int:
        """Until told to stop by SIGTERM or SIGINT, or until no node is left. The second signal kills the nodes."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told, number)
        log.info("starting %s", ", ".join(f"{_name(one)} on {','.join(one.listeners)}" for one in self._members))
        clean = await asyncio.gather(*(self._keep(one) for one in self._members))
        if not self._stop.is_set():
            log.error("no node is left")
        else:
            log.info("stopped" if all(clean) else "stopped, not every node cleanly")
        return 0 if all(clean) else 1

    def _told(self, number: signal.Signals) -> None:
        if self._stop.is_set():
            log.warning("%s again: the nodes are killed; their next start recovers the logs", number.name)
            self._at_once.set()
        else:
            log.info("%s: stopping the nodes", number.name)
            self._stop.set()

    async def _keep(self, member: BrokerConfig) -> bool:
        """Run a node for as long as it is wanted; whether it ended cleanly, the last time."""
        name, backoff, loop = _name(member), self._backoff(), asyncio.get_running_loop()
        while True:
            began = loop.time()
            code = await self._once(member)
            if self._stop.is_set():
                # A signal that comes before a node listens for it ends it at once; it has touched nothing by then.
                return code in (0, -signal.SIGTERM)
            lived = loop.time() - began
            if code == 0:
                log.warning("%s was told to stop by somebody, and has stopped after %.1f s", name, lived, extra=_LOUD)
                return True
            if not self._restart:
                log.error("%s %s after %.1f s; it is not started again", name, _ending(code), lived, extra=_LOUD)
                return False
            delay = backoff.after(lived)
            log.error("%s %s after %.1f s; starting it again in %g s", name, _ending(code), lived, delay, extra=_LOUD)
            if await _within(delay, self._stop.wait()):
                return False

    async def _once(self, member: BrokerConfig) -> int:
        """Start a node and wait for its end; its exit code, or the negative number of the signal that ended it."""
        name = _name(member)
        try:
            node = await asyncio.create_subprocess_exec(
                *self._command, name, member.data_dir, stdin=PIPE, stdout=PIPE, stderr=STDOUT, process_group=0
            )
        except OSError as problem:
            log.error("%s cannot be started: %s", name, problem, extra=_LOUD)
            return 1
        assert node.stdin is not None and node.stdout is not None, "both are pipes"
        log.debug("%s is process %d", name, node.pid)
        relaying = asyncio.create_task(self._relay(node.stdout, f"{name} | ".encode()))
        try:
            node.stdin.write(handover(member))
            await self._until_ended(node, member)
            return await node.wait()
        finally:
            node.stdin.close()
            if not await _within(1.0, asyncio.shield(relaying)):
                relaying.cancel()  # somebody else holds the pipe open

    async def _until_ended(self, node: Process, member: BrokerConfig) -> None:
        """Returns when the process has ended, by itself or because the parent was told to stop."""
        ended = asyncio.create_task(node.wait())
        try:
            await _first_of(ended, self._stop.wait())
            if ended.done():
                return
            _send(node, signal.SIGTERM)
            patience = member.sprawl_shutdown_timeout_ms / 1000 + self._grace
            if not await _within(patience, _first_of(ended, self._at_once.wait())):
                log.error("%s did not stop within %g s; it is killed", _name(member), patience, extra=_LOUD)
            if not ended.done():
                _send(node, signal.SIGKILL)
            await ended
        finally:
            ended.cancel()

    async def _relay(self, source: asyncio.StreamReader, prefix: bytes) -> None:
        """What a node writes, line by line. Lines without end are cut."""
        rest = b""
        while piece := await source.read(_LONGEST_LINE):
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) >= _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            if lines:
                self._write(b"".join(prefix + line + b"\n" for line in lines))
        if rest:
            self._write(prefix + rest + b"\n")


def _prepared(config: BrokerConfig, members: Sequence[BrokerConfig]) -> bool:
    """Prepare the directories, in a process of its own: what that takes need not stay in memory for ever."""
    preparing = os.fork()
    if preparing:
        return os.waitstatus_to_exitcode(os.waitpid(preparing, 0)[1]) == 0
    done = False
    try:
        done = _prepare(config, members)
    except BaseException:  # it must not go on as if it were the parent
        log.exception("the directories could not be prepared; this is a bug")
    finally:
        os._exit(0 if done else 1)


def _prepare(config: BrokerConfig, members: Sequence[BrokerConfig]) -> bool:
    from sprawl.data_directory import prepare_all

    try:
        first, *_ = prepare_all(config, members)
    except (ConfigError, OSError) as problem:
        log.error("cannot start: %s", problem)
        return False
    log.info("cluster %s: %d nodes below %s", first.cluster_id, len(members), config.data_dir)
    another = directory_of(config.data_dir, members[-1].id + 1)
    if os.path.exists(another):  # noqa: PTH110 - importing pathlib takes its time
        log.warning("%s is there, and its node is not among those that are started", another)
    return True


async def _first_of(one: asyncio.Task[Any], other: Coroutine[Any, Any, Any]) -> None:
    """Returns when either has ended; the second is cancelled then."""
    waiting = asyncio.create_task(other)
    try:
        await asyncio.wait((one, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


async def _within(seconds: float, work: Coroutine[Any, Any, Any] | asyncio.Future[Any]) -> bool:
    """Whether `work` ended in time."""
    try:
        async with asyncio.timeout(seconds):
            await work
    except TimeoutError:
        return False
    return True


def _send(node: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        node.send_signal(number)


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _name(member: BrokerConfig) -> str:
    return f"node-{member.id}"


def _to_stderr(text: bytes) -> None:
    with suppress(OSError):  # nobody reads any more; that must not end the nodes
        sys.stderr.buffer.write(text)
        sys.stderr.buffer.flush()
