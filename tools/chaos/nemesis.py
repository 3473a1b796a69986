"""Does harm: two lanes, one for nodes and their disks, one for the network, each a fault at a time.

What damages a node for good (a wiped disk, a flipped bit) waits until nothing else is wrong, all replicas are in sync,
and no other node has a flipped bit that was not mended yet, because what is lost then must still be somewhere. `rest`
ends all harm and returns once it is undone.
"""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tools.chaos.cluster import Cluster
from tools.chaos.faults import DAMAGING, OF_NETWORK, OF_PROCESS, Fault, Kind, draw
from tools.chaos.links import Weather, between, bridge, towards
from tools.chaos.network import OUTSIDE
from tools.chaos.nodes import ADMIN, Node, NodeError
from tools.chaos.replicas import Flip
from tools.chaos.timeline import Timeline

_WHOLE_SECONDS: Final = 60.0
"""How long damage waits for all to be well."""
_LANES: Final = {"process": OF_PROCESS, "network": OF_NETWORK}


@dataclass
class Lane:
    name: str
    faults: Iterator[Fault]
    now: str = ""
    """The fault that is on."""


class Nemesis:
    def __init__(
        self,
        cluster: Cluster,
        timeline: Timeline,
        *,
        seed: int,
        kinds: Sequence[Kind],
        pause: float,
        whole: Callable[[], bool],
        topic: str,
        problem: Callable[[str], None],
    ) -> None:
        """`whole`: whether all replicas are in sync. `problem` is told what a node must not do."""
        self.fired: Counter[Kind] = Counter()
        self.skipped: Counter[Kind] = Counter()
        self.flips: list[Flip] = []
        self._cluster = cluster
        self._timeline = timeline
        self._whole = whole
        self._topic = topic
        self._problem = problem
        self._resting = threading.Event()
        self._network = threading.Lock()
        """Held while the network is harmed; and by damage, so that it is not."""
        self._threads: list[threading.Thread] = []
        numbers = [node.number for node in cluster.nodes]
        self.lanes = []
        for name, of_lane in _LANES.items():
            chosen = [kind for kind in kinds if kind in of_lane]
            if chosen:
                rng = random.Random(f"{name} {seed}")
                self.lanes.append(Lane(name, draw(rng, numbers, chosen, pause=pause)))

    def act(self) -> None:
        """Begins to do harm."""
        self._resting.clear()
        self._threads = [threading.Thread(target=self._walk, args=(lane,), name=lane.name) for lane in self.lanes]
        for thread in self._threads:
            thread.start()

    def rest(self) -> None:
        self._resting.set()
        for thread in self._threads:
            thread.join()

    def _walk(self, lane: Lane) -> None:
        for fault in lane.faults:
            if self._resting.wait(fault.pause):
                return
            lane.now = f"{fault.kind.value} node {fault.node}"
            try:
                if fault.kind in OF_NETWORK:
                    with self._network:
                        self._break_network(fault)
                elif fault.kind in DAMAGING:
                    self._damage(fault)
                else:
                    self._harm(fault)
            except (NodeError, OSError, subprocess.SubprocessError) as error:
                self._timeline.note("problem", node=fault.node, fault=fault.kind.value, error=str(error))
                self._problem(f"{fault.kind.value}: {error}")
            finally:
                lane.now = ""

    # -- the network ------------------------------------------------------------------------------------------

    def _break_network(self, fault: Fault) -> None:
        numbers = [node.number for node in self._cluster.nodes]
        others = [each for each in numbers if each != fault.node]
        weather = Weather(blocked=True)
        match fault.kind:
            case Kind.ISOLATE:
                links = between([fault.node], [*others, OUTSIDE])
            case Kind.SPLIT:
                links = between([fault.node], others)
            case Kind.DEAF:
                links = towards(others, [fault.node])
            case Kind.MUTE:
                links = towards([fault.node], others)
            case Kind.BRIDGE:
                links = bridge(numbers, fault.node)
            case Kind.SLOW:
                links = between([fault.node], [*others, OUTSIDE])
                delay = 0.01 + 0.3 * fault.chance**2
                weather = Weather(delay=delay, jitter=delay / 5)
            case _:
                links = between([fault.node], [*others, OUTSIDE])
                weather = Weather(loss=0.02 + 0.25 * fault.chance**2)
        self._begin(fault, **_spoken(weather))
        self._cluster.network.set(links, weather)
        try:
            self._resting.wait(fault.seconds)
        finally:
            self._cluster.network.clear()
            self._end(fault)

    # -- processes and disks ----------------------------------------------------------------------------------

    def _harm(self, fault: Fault) -> None:
        node = self._cluster.node(fault.node)
        self._begin(fault)
        match fault.kind:
            case Kind.KILL:
                with self._cluster.down(node):
                    node.kill()
                    self._resting.wait(fault.seconds)
                    node.start()
            case Kind.RESTART:
                with self._cluster.down(node):
                    began = time.monotonic()
                    try:
                        node.stop()
                    finally:
                        self._timeline.note("stopped", node=node.number, seconds=round(time.monotonic() - began, 2))
                        self._resting.wait(fault.seconds)
                        node.start()
            case Kind.PAUSE:
                node.freeze()
                try:
                    self._resting.wait(fault.seconds)
                finally:
                    node.thaw()
            case Kind.FULL:
                self._timeline.note("filled", node=node.number, bytes=node.fill())
                try:
                    self._resting.wait(fault.seconds)
                finally:
                    node.make_room()
            case _:
                self._drain(node, fault)
        self._end(fault)

    def _drain(self, node: Node, fault: Fault) -> None:
        self._broker("drain", node.number, "--no-wait")
        try:
            self._resting.wait(fault.seconds / 2)
            if fault.chance < 0.3:
                with self._cluster.down(node):
                    self._timeline.note("killed while it drains", node=node.number)
                    node.kill()
                    node.start()
            self._resting.wait(fault.seconds / 2)
        finally:
            for _ in range(30):
                if self._broker("resume", node.number):
                    break
                time.sleep(1.0)
            else:
                self._problem(f"drain: node {node.number} could not be resumed within 30 tries")

    def _broker(self, act: str, number: int, *options: str) -> bool:
        command = [str(ADMIN), "broker", act, str(number), *options, "-b", self._cluster.bootstrap]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        except subprocess.TimeoutExpired:
            self._timeline.note(f"{act} was not answered", node=number)
            return False
        said = " ".join((done.stdout + done.stderr).split())[-160:]
        self._timeline.note(f"{act} told", node=number, exit=done.returncode, said=said)
        return done.returncode == 0

    def _damage(self, fault: Fault) -> None:
        node = self._cluster.node(fault.node)
        with self._network:
            if not self._wait_whole(node):
                self.skipped[fault.kind] += 1
                self._timeline.note("skipped", node=fault.node, fault=fault.kind.value, why="not all in sync")
                return
            self._begin(fault)
            with self._cluster.down(node):
                node.kill()
                if fault.kind is Kind.WIPE:
                    node.wipe()
                    self._resting.wait(fault.seconds)
                    node.format(self._cluster.cluster_id, self._cluster.secret)
                else:
                    self._flip(node, fault)
                    self._resting.wait(fault.seconds)
                node.start()
            self._end(fault)

    def _flip(self, node: Node, fault: Fault) -> None:
        flip = node.flip(random.Random(fault.chance), self._topic)
        if flip is None:
            self._timeline.note("nothing to flip", node=node.number)
            return
        self.flips.append(flip)
        where = flip.segment.relative_to(node.data)
        self._timeline.note("flipped", node=node.number, segment=where, at=flip.at, bit=flip.bit)

    def _wait_whole(self, struck: Node) -> bool:
        """Whether the cluster can bear that what `struck` has is lost."""
        end = time.monotonic() + _WHOLE_SECONDS
        while time.monotonic() < end and not self._resting.is_set():
            latent = any(flip.there for flip in self.flips if not flip.segment.is_relative_to(struck.data))
            if not latent and self._whole():
                return True
            self._resting.wait(1.0)
        return False

    def _begin(self, fault: Fault, **details: object) -> None:
        self.fired[fault.kind] += 1
        self._timeline.note(f"fault {fault.kind.value}", node=fault.node, seconds=round(fault.seconds, 1), **details)

    def _end(self, fault: Fault) -> None:
        self._timeline.note(f"healed {fault.kind.value}", node=fault.node)


def _spoken(weather: Weather) -> dict[str, object]:
    if weather.blocked:
        return {}
    return {name: round(value, 3) for name, value in (("delay", weather.delay), ("loss", weather.loss)) if value}
