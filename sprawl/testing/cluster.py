"""A cluster inside the test's own process: real nodes on loopback ports, each with a thread and a directory of its own.

In: how many nodes, and settings. Out: `bootstrap_servers` for any Kafka client, and what shall happen to the cluster.
At the end of its block nothing is left of it: no thread, no port, no file.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, TypeVar
from uuid import UUID

from sprawl.config.identity import new_id, new_secret
from sprawl.quorum.voter_care import wanted_size
from sprawl.runtime.real import RealRuntime
from sprawl.testing.control import ClusterView, Control, PartitionView
from sprawl.testing.errors import ClusterError, NotReadyError, RefusedError
from sprawl.testing.faults import Faults
from sprawl.testing.member import ClusterNode
from sprawl.testing.ports import ReservedPort
from sprawl.testing.settings import HOST, given, members
from sprawl.wire.client import ClientError

R = TypeVar("R")

_ASK_TIMEOUT: Final = 15.0
_LOOK_SECONDS: Final = 0.01
_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a directory of its own is made in it
_ENOUGH_MEMORY: Final = 512 * 1024 * 1024


class Cluster:
    """`with Cluster(3) as cluster:`; `async with` as well. Without a block: `start` and `stop`.

    `settings` are a broker's, by Kafka's names; keywords are the same with underscores for dots
    (`num_partitions=4`). `in_memory`: acknowledged at once, with the files in memory where the system offers that.
    `directory`: where the nodes' data is to be, and to stay.
    """

    def __init__(
        self,
        nodes: int = 1,
        settings: Mapping[str, object] | None = None,
        *,
        in_memory: bool = False,
        directory: str | Path | None = None,
        timeout: float = 30.0,
        **keywords: object,
    ) -> None:
        if nodes < 1:
            raise ValueError(f"{nodes} nodes: at least one")
        self.faults = Faults()
        """What shall go wrong."""
        self._size = nodes
        self._asked = given(settings, keywords)
        if in_memory:
            self._asked.setdefault("sprawl.durability", "memory")
        self._in_memory = in_memory
        self._keep = None if directory is None else Path(directory)
        self._directory: Path | None = None
        self._timeout = timeout
        self._ports: list[ReservedPort] = []
        self._nodes: dict[int, ClusterNode] = {}
        self.id = ""
        """The cluster's id, once it was started."""

    # -- from start to stop -------------------------------------------------------------------------------------------

    def start(self) -> Cluster:
        """Returns once every node serves clients and knows all others. Raises `ClusterError`, `ConfigError`."""
        if self._nodes:
            raise ClusterError("the cluster was started already")
        try:
            self._prepare()
            for node in self._nodes.values():
                node.start(timeout=None)
            self.wait_until_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop all nodes and remove their data. No effect if it was done."""
        nodes, self._nodes = list(self._nodes.values()), {}
        try:
            for node in nodes:
                node.begin_end(kill=self._keep is None)  # to finish well what is removed then would take a while
            for node in nodes:
                node.stop()
        finally:
            ports, self._ports = self._ports, []
            for port in ports:
                port.release()
            directory, self._directory = self._directory, None
            if directory is not None and self._keep is None:
                shutil.rmtree(directory, ignore_errors=True)

    def __enter__(self) -> Cluster:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def __aenter__(self) -> Cluster:
        return await asyncio.to_thread(self.start)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)

    def _prepare(self) -> None:
        runtime = RealRuntime()
        self.id, secret = new_id(runtime), new_secret(runtime)
        runtime.close()
        if self._keep is None:
            self._directory = Path(tempfile.mkdtemp(prefix="sprawl-", dir=_memory() if self._in_memory else None))
        else:
            self._directory = self._keep
        self._ports = [ReservedPort(HOST) for _ in range(self._size)]
        for config in members(self._asked, str(self._directory), [port.number for port in self._ports]):
            self._nodes[config.node_id] = ClusterNode(config, self.id, secret, self.faults)

    # -- what there is ------------------------------------------------------------------------------------------------

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` of every node, with commas, whether it runs or not."""
        return ",".join(node.address for node in self._nodes.values())

    @property
    def nodes(self) -> list[ClusterNode]:
        return list(self._nodes.values())

    def node(self, number: int) -> ClusterNode:
        """Nodes are numbered from 1."""
        try:
            return self._nodes[number]
        except KeyError:
            raise ValueError(f"there is no node {number}; there are {', '.join(map(str, self._nodes))}") from None

    def wait_until_ready(self, timeout: float | None = None) -> None:
        """Returns once every running node serves clients, sees exactly the running ones, and all their replicas are in
        sync. A paused node counts as lost. Raises `NotReadyError`, `NodeFailedError`."""
        deadline = time.monotonic() + (self._timeout if timeout is None else timeout)
        running = [node for node in self.nodes if node.serving]
        for node in self.nodes:
            if node.started:
                node.wait_until_started(max(0.0, deadline - time.monotonic()))
        expected = frozenset(node.id for node in running)
        for node in running:
            self._wait_for(lambda view: _well(view, expected), f"node {node.id} sees all", deadline, node)
        if running:
            self._wait_for_voters({node.id: node.directory_id for node in running}, running[0].voters_max, deadline)

    def heal(self) -> None:
        """No more faults, and every node runs again. Raises `NotReadyError`, `NodeFailedError`."""
        self.faults.clear()
        disturbed = False
        for node in self.nodes:
            if not node.serving:
                disturbed = True
                node.resume()
                node.start(timeout=None)
        if disturbed:
            self.wait_until_ready()

    # -- topics and partitions ----------------------------------------------------------------------------------------

    def create_topic(
        self,
        name: str,
        partitions: int = -1,
        replication_factor: int = -1,
        config: Mapping[str, object] | None = None,
    ) -> None:
        """Returns once every running node knows it and each partition has a leader. -1: the default.

        Raises `RefusedError`, `NotReadyError`.
        """
        settings = given(config, {})
        self._ask(lambda control: control.create_topic(name, partitions, replication_factor, settings))
        deadline = time.monotonic() + self._timeout
        for node in self.nodes:
            if node.serving:
                self._wait_for(lambda view: _led(view, name), f"node {node.id} knows topic {name}", deadline, node)

    def delete_topic(self, name: str) -> None:
        """Raises `RefusedError`."""
        self._ask(lambda control: control.delete_topic(name))

    def topics(self) -> list[str]:
        """The names of all topics but internal ones."""
        return sorted(name for name in self._ask(Control.view).topics if not name.startswith("__"))

    def leader(self, topic: str, partition: int = 0) -> ClusterNode | None:
        """The node that leads a partition; None while none does."""
        return self._nodes.get(self.partition(topic, partition).leader)

    def partition(self, topic: str, partition: int = 0) -> PartitionView:
        """Leader, replicas, and those in sync, as one of the running nodes sees them."""
        return _partition(self._ask(Control.view), topic, partition)

    def move_leader(self, topic: str, partition: int = 0, to: int | None = None) -> ClusterNode:
        """Have another node lead a partition, and return it: node `to`, or the next replica that is in sync.

        A node without a replica gets one in place of the present leader's. Raises `RefusedError`, `NotReadyError`.
        """
        before = self.partition(topic, partition)
        target = _next_leader(before) if to is None else self.node(to).id
        others = [each for each in before.replicas if each != target]
        if target not in before.replicas:
            others = [each for each in others if each != before.leader]
        wanted = [target, *others]
        self._ask(lambda control: control.reassign(topic, partition, wanted))
        deadline = time.monotonic() + self._timeout

        def moved(view: ClusterView) -> bool:
            seen = _partition(view, topic, partition)
            return seen.replicas == tuple(wanted) and target in seen.in_sync

        what = f"partition {partition} of {topic} is led by node {target}"
        self._wait_for(moved, what, deadline)
        self._ask(lambda control: control.elect_first_replica(topic, partition))
        self._wait_for(lambda view: _partition(view, topic, partition).leader == target, what, deadline)
        return self._nodes[target]

    def drop_connections(self) -> int:
        """Cut every client's connection to every node; how many there were."""
        return sum(node.drop_connections() for node in self.nodes)

    # -- asking -------------------------------------------------------------------------------------------------------

    def _ask(self, question: Callable[[Control], Coroutine[Any, Any, R]], node: ClusterNode | None = None) -> R:
        """Ask a node, or any that runs. Raises `RefusedError`, `NotReadyError`."""
        asked = [node] if node is not None else [each for each in self.nodes if each.serving]
        if not asked:
            raise NotReadyError("no node is running")
        problem: Exception | None = None
        for one in asked:
            try:
                return one.ask(question, _ASK_TIMEOUT)
            except (ClientError, TimeoutError) as trouble:
                problem = trouble
        raise NotReadyError(f"no answer: {problem}") from problem

    def _wait_for_voters(self, running: Mapping[int, UUID], limit: int, deadline: float) -> None:
        """Until as many nodes vote on the metadata as shall: before that the loss of one may be the loss of all."""
        while True:
            try:
                voters = self._ask(Control.voters)
                problem = f"voters are {sorted(voters)}"
                if len(voters) >= wanted_size(len(running), limit) and all(
                    running.get(node, directory) == directory for node, directory in voters.items()
                ):
                    return
            except (NotReadyError, RefusedError) as trouble:
                problem = str(trouble)
            if time.monotonic() > deadline:
                raise NotReadyError(f"waited in vain for the metadata's voters; at last: {problem}")
            time.sleep(_LOOK_SECONDS)

    def _wait_for(
        self, seen: Callable[[ClusterView], bool], what: str, deadline: float, node: ClusterNode | None = None
    ) -> None:
        while True:
            try:
                view = self._ask(Control.view, node)
                if seen(view):
                    return
                problem = str(view)
            except NotReadyError as trouble:
                problem = str(trouble)
            if time.monotonic() > deadline:
                raise NotReadyError(f"waited in vain until {what}; at last: {problem}")
            time.sleep(_LOOK_SECONDS)


def _memory() -> Path | None:
    if _IN_MEMORY.is_dir() and shutil.disk_usage(_IN_MEMORY).free >= _ENOUGH_MEMORY:
        return _IN_MEMORY
    return None


def _well(view: ClusterView, expected: frozenset[int]) -> bool:
    return view.brokers == expected and all(
        partition.leader in expected and expected.issuperset(partition.in_sync)
        and set(partition.in_sync) == expected.intersection(partition.replicas)
        for partitions in view.topics.values()
        for partition in partitions.values()
    )  # fmt: skip


def _led(view: ClusterView, topic: str) -> bool:
    partitions = view.topics.get(topic)
    return bool(partitions) and all(each.leader >= 0 for each in (partitions or {}).values())


def _partition(view: ClusterView, topic: str, partition: int) -> PartitionView:
    try:
        return view.topics[topic][partition]
    except KeyError:
        raise ValueError(f"there is no partition {partition} of a topic {topic!r}") from None


def _next_leader(partition: PartitionView) -> int:
    others = [each for each in partition.in_sync if each != partition.leader]
    if not others:
        raise ValueError("no other replica is in sync; name a node to move to")
    return others[0]
