"""The cluster under test: its nodes, its network, who is down on purpose, and who ended without being asked."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tools.chaos.network import Network
from tools.chaos.nodes import Node, NodeError
from tools.chaos.timeline import Timeline

_START_SECONDS: Final = 60.0
#: Small enough for many segments within minutes; the rest as it ships, but for what a short run needs.
SETTINGS: Final = {
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": "3",
    "min.insync.replicas": "2",
    "group.initial.rebalance.delay.ms": "500",
    "sprawl.scrub.interval.ms": "10000",
    "sprawl.scrub.bytes.per.second": "50000000",
}


class Cluster:
    def __init__(
        self,
        directory: Path,
        nodes: int,
        network: Network,
        timeline: Timeline,
        *,
        disk_mb: int,
        settings: dict[str, str],
    ) -> None:
        self.directory = directory
        self.network = network
        self.cluster_id = ""
        self.died: list[str] = []
        """Nodes that ended without being asked to."""
        self._timeline = timeline
        self._down: set[int] = set()
        self._lock = threading.RLock()
        numbers = range(1, nodes + 1)
        self.nodes = [Node(directory / f"node-{each}", each, network, disk_mb=disk_mb) for each in numbers]
        for node in self.nodes:
            seeds = ",".join(each.bootstrap for each in self.nodes if each is not node)
            expected = {"sprawl.seeds": seeds, "sprawl.expected.nodes": str(nodes)}
            node.configure({**SETTINGS, **expected, **settings})

    @property
    def bootstrap(self) -> str:
        return ",".join(node.bootstrap for node in self.nodes)

    @property
    def secret(self) -> Path:
        """A copy of the secret that outlives any node's disk."""
        return self.directory / "cluster.secret"

    def node(self, number: int) -> Node:
        return self.nodes[number - 1]

    def start(self) -> None:
        first, *others = self.nodes
        self.cluster_id = first.format()
        shutil.copy(first.data / "cluster.secret", self.secret)
        for node in others:
            node.format(self.cluster_id, self.secret)
        for node in self.nodes:
            node.start()
        end = time.monotonic() + _START_SECONDS
        for node in self.nodes:
            while not node.ready():
                if not node.running or time.monotonic() > end:
                    raise NodeError(f"node {node.number} did not become ready; its log is {node.log_path}")
                time.sleep(0.1)

    @contextmanager
    def down(self, node: Node) -> Iterator[None]:
        """While somebody ends and starts this node on purpose."""
        with self._lock:
            self._down.add(node.number)
        try:
            yield
        finally:
            with self._lock:
                self._down.discard(node.number)

    def look(self) -> None:
        """Notes nodes that ended by themselves, and starts them again as a service manager would."""
        with self._lock:
            for node in self.nodes:
                code = None if node.number in self._down else node.ended_by_itself()
                if code is not None:
                    self.died.append(f"node {node.number} ended by itself with {code}; its log is {node.log_path}")
                    self._timeline.note("ended by itself", node=node.number, exit=code)
                    node.start()

    def stop(self) -> list[str]:
        """Ends all nodes cleanly; what was wrong with that."""
        wrong = []
        for node in self.nodes:
            with self.down(node):
                try:
                    node.stop()
                except NodeError as error:
                    wrong.append(str(error))
        return wrong

    def kill(self) -> None:
        for node in self.nodes:
            with self.down(node):
                node.kill()

    def keep_disks(self) -> None:
        """Copies what the nodes have on disks that will be gone to beside their logs."""
        for node in self.nodes:
            if node.data.exists():
                shutil.copytree(node.data, node.directory / "data", dirs_exist_ok=True, ignore_dangling_symlinks=True)
