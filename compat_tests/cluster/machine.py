"""`sprawl start --nodes N`, as a user types it: one parent, N nodes on ports in a row, each a child process.

In: a directory, and further arguments. Out: addresses for clients, and which process is which node.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from compat_tests.cluster.nodes import HOST, SETTINGS, SPRAWL, START_SECONDS
from compat_tests.waiting import until

_STOP_SECONDS = 60.0


class Machine:
    """A context manager: entering starts the nodes and waits until all are ready, leaving stops them."""

    def __init__(self, directory: Path, *arguments: str, nodes: int = 3) -> None:
        self.count = nodes
        self._held = ExitStack()
        self.port, self.http = _ports(self._held, nodes), _ports(self._held, nodes)
        self._log = directory / "parent.out"
        self._command = [str(SPRAWL), "start", "--nodes", str(nodes), "--data-dir", str(directory / "data")]
        self._command += ["--listeners", f"PLAINTEXT://{HOST}:{self.port}", "--http", f"{HOST}:{self.http}"]
        for name, value in SETTINGS.items():
            self._command += ["--set", f"{name}={value}"]
        self._command += arguments

    @property
    def bootstrap(self) -> str:
        return ",".join(f"{HOST}:{self.port + each}" for each in range(self.count))

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def pid_of(self, number: int) -> int | None:
        """The process of a node; None if there is none."""
        for each in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, ValueError, IndexError):
                words = (each / "cmdline").read_bytes().split(b"\0")
                parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self._parent.pid and b"node-%d" % number in words:
                    return int(each.name)
        return None

    def kill(self, number: int) -> None:
        pid = self.pid_of(number)
        assert pid is not None, f"node {number} does not run"
        os.kill(pid, signal.SIGKILL)

    def has_said(self, pattern: str, seconds: float = 60) -> None:
        until(f"{pattern!r} from the parent", lambda: re.search(pattern, self.said()), seconds)

    def stop(self) -> int:
        """Ctrl-C. The parent's exit code."""
        self._parent.send_signal(signal.SIGINT)
        return self._parent.wait(_STOP_SECONDS)

    def __enter__(self) -> Self:
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._parent = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        try:
            until("all nodes to be ready", lambda: self.said().count("ready in") >= self.count, START_SECONDS)
        except BaseException as problem:
            problem.add_note(self.said())
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._parent.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self._parent.kill()  # its nodes notice, and end
                self._parent.wait()
        self._held.close()


def _ports(held: ExitStack, count: int) -> int:
    """The first of so many in a row that are free for TCP and UDP; they are kept as `ReservedPort` keeps its one."""
    for _ in range(100):
        with ExitStack() as trying:
            first = trying.enter_context(closing(socket.socket()))
            first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            first.bind((HOST, 0))
            number: int = first.getsockname()[1]
            try:
                for port in range(number, number + count):
                    if port != number:
                        one = trying.enter_context(closing(socket.socket()))
                        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        one.bind((HOST, port))
                    with closing(socket.socket(type=socket.SOCK_DGRAM)) as gossip:
                        gossip.bind((HOST, port))
            except (OSError, OverflowError):
                continue
            held.push(trying.pop_all())
            return number
    raise OSError(f"no {count} ports in a row are free")
