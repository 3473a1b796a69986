"""A cluster of nodes, each the `sprawl` command as a process of its own, so that any of them can be killed, frozen,
emptied and started again.

In: a directory, and settings for all. Out: addresses for clients, and a handle on each node. Ports are free for TCP and
UDP, and stay the cluster's while a node is down.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from sprawl.testing.ports import ReservedPort
from tools.bench.sprawl_server import SprawlServer

HOST = "127.0.0.1"
START_SECONDS = 90.0
SPRAWL = Path(sys.executable).with_name("sprawl")
#: Small and quick; the rest as it ships.
SETTINGS = {"group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "8"}


class Node(SprawlServer):
    """One node. Its data directory is made by `Cluster`."""

    def __init__(self, directory: Path, number: int, settings: dict[str, str]) -> None:
        self.number = number
        self._kafka, self._http = ReservedPort(HOST), ReservedPort(HOST)
        super().__init__(directory, port=self._kafka.number, settings={"node.id": str(number), **settings})
        self.http_port = self._http.number
        self.seeds = ""

    def command(self) -> list[str]:
        return [*super().command(), "--seeds", self.seeds]

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        super().wait_ready(seconds)

    def format(self, cluster_id: str, secret: Path) -> None:
        sprawl("format", "-d", self.data_directory, "--node-id", self.number, "--cluster-id", cluster_id,
               "--secret-file", secret)  # fmt: skip

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def wipe(self) -> None:
        """The disk is lost, with all that was on it."""
        shutil.rmtree(self.data_directory)

    def said(self) -> str:
        return self.log_path.read_text(errors="replace")

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.thaw()
        super().stop()

    def ended(self) -> int | None:
        """The exit code of a node that was told to stop; None if it does not run or will not end."""
        if self.process is None:
            return None
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            return None
        self.process = None
        return code

    def release(self) -> None:
        self.stop()
        self._kafka.release()
        self._http.release()


class Cluster:
    """A context manager: entering starts all nodes and waits until each is ready, leaving stops them."""

    def __init__(self, directory: Path, settings: dict[str, str] | None = None, *, nodes: int = 3) -> None:
        self.directory = directory
        self._settings = {**SETTINGS, "sprawl.expected.nodes": str(nodes), **(settings or {})}
        self.nodes = [Node(directory / f"node-{each}", each, {}) for each in range(1, nodes + 1)]
        self.cluster_id = ""

    @property
    def bootstrap(self) -> str:
        return ",".join(each.bootstrap for each in self.nodes)

    @property
    def secret(self) -> Path:
        """A copy of the secret that outlives any node's disk."""
        return self.directory / "cluster.secret"

    def node(self, number: int) -> Node:
        return next(each for each in self.nodes if each.number == number)

    def others(self, number: int) -> list[Node]:
        return [each for each in self.nodes if each.number != number]

    def new_node(self, number: int) -> Node:
        """Another node with the cluster's settings, neither formatted nor started; `stop` stops it too."""
        node = Node(self.directory / f"another-{len(self.nodes)}", number, {})
        self._settle(node)
        self.nodes.append(node)
        return node

    def start(self) -> None:
        first = self.nodes[0]
        said = sprawl("format", "-d", first.data_directory, "--node-id", first.number)
        self.cluster_id = re.findall(r"cluster (\S+),", said)[0]
        shutil.copy(first.data_directory / "cluster.secret", self.secret)
        for each in self.nodes:
            self._settle(each)
            if each is not first:
                each.format(self.cluster_id, self.secret)
            each.start(wait=False)
        for each in self.nodes:
            each.wait_ready()

    def stop(self) -> None:
        for each in self.nodes:
            if each.process is not None and each.process.poll() is None:
                each.thaw()
                each.process.terminate()
        endings = {each.number: each.ended() for each in self.nodes}
        for each in self.nodes:
            each.release()
        unclean = {number: code for number, code in endings.items() if code not in (None, 0)}
        assert not unclean, f"nodes that were told to stop ended with {unclean}"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _settle(self, node: Node) -> None:
        node.seeds = ",".join(each.bootstrap for each in self.nodes if each is not node)
        node.settings = {**self._settings, **node.settings}


def sprawl(*arguments: object) -> str:
    """What a command of `sprawl` says. Fails with that if the command does."""
    done = subprocess.run([str(SPRAWL), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
