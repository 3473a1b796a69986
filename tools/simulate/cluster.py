"""A cluster of simulated nodes: prepared, booted, restarted. The nodes run the same code as real ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from sprawl.config.broker import BrokerConfig
from sprawl.config.identity import SECRET_FILE, STATE_FILE, Identity, establish, new_secret
from sprawl.node import Node
from sprawl.parts import Parts
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.runtime.simulated import NodeDownError, SimulatedNode, SimulatedRuntime, Simulation
from sprawl.storage.manager import LogManager
from sprawl.wire.client import ClientError, KafkaClient
from sprawl.wire.peers import PeerLinks
from sprawl_protocol.errors import ApiError

log = logging.getLogger(__name__)

PORT = 9092
DIRECTORY = "/data"
CLUSTER_ID = "c2ltdWxhdGVkLWNsdXN0ZQ"


def rack_of(number: int) -> str:
    """Nodes and clients are in three racks, by turns."""
    return f"rack-{number % 3}"


class OpenNode(Node):
    """A node whose insides can be looked at."""

    parts: Parts | None = None

    @property
    def failure(self) -> str:
        return self._failure.result() if self._failure.done() else ""

    def _parts(self, identity: Identity, logs: LogManager, quorum: MetadataQuorum, links: PeerLinks) -> Parts:
        self.parts = super()._parts(identity, logs, quorum, links)
        return self.parts


class Member:
    """One node, over all its lives."""

    def __init__(self, world: Simulation, node_id: int, config: Mapping[str, str]) -> None:
        self.node_id = node_id
        self.name = f"n{node_id}"
        self.machine: SimulatedNode = world.node(self.name)
        self.config = dict(config)
        self.life: asyncio.Future[None] | None = None
        self.node: OpenNode | None = None
        """Of its present life, or of the last."""
        self.held = False
        """Not to be started by others for now: its disk is being changed."""
        self.lives = 0
        self.endings: list[str] = []
        """How its lives ended by themselves: a node that stops on its own says why."""

    @property
    def up(self) -> bool:
        return self.life is not None and not self.life.done() and self.machine.process.alive

    def start(self) -> None:
        if not self.machine.process.alive:
            self.machine.boot()
        self.node = None  # what is left of its last life cannot be asked any more
        self.life = self.machine.run(self._live(self.machine.runtime))

    def restart(self) -> None:
        """As whoever watches over it does, also when it has stopped by itself."""
        if self.machine.process.alive:
            self.kill()
        self.machine.resume()
        self.start()

    def kill(self) -> None:
        """Its process is gone; the machine goes on."""
        self._end(power=False)

    def crash(self) -> None:
        """Its machine loses power."""
        self._end(power=True)

    def _end(self, *, power: bool) -> None:
        life, self.life = self.life, None
        (self.machine.crash if power else self.machine.kill)()
        if life is not None:
            life.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def _live(self, runtime: SimulatedRuntime) -> None:
        node = self.node = OpenNode(BrokerConfig.of(self.config), runtime)
        self.lives += 1
        try:
            await node.start()
            await node.failed()
            self.endings.append(node.failure)
        except (ApiError, OSError) as problem:
            self.endings.append(str(problem))
        try:
            await node.stop()
        except OSError as problem:
            self.endings.append(str(problem))


class SimulatedCluster:
    def __init__(
        self, world: Simulation, nodes: int, settings: Mapping[str, str] | None = None, *, racks: bool = False
    ) -> None:
        self.world = world
        self._racks = racks
        self._secret = new_secret(world.driver.runtime)
        self._settings = settings or {}
        self.members: dict[int, Member] = {}
        for node_id in range(1, nodes + 1):
            self.add(node_id, nodes, self._settings)

    def add(self, node_id: int, nodes: int, settings: Mapping[str, str]) -> Member:
        others = [f"n{each}:{PORT}" for each in range(1, nodes + 1) if each != node_id]
        config = {
            "node.id": str(node_id),
            "listeners": f"PLAINTEXT://n{node_id}:{PORT}",
            "log.dirs": DIRECTORY,
            **({"broker.rack": rack_of(node_id)} if self._racks else {}),
            "sprawl.insecure": "true",
            "sprawl.seeds": ",".join(others),
            "offsets.topic.num.partitions": "3",
            **settings,
        }
        member = self.members[node_id] = Member(self.world, node_id, config)
        self.prepare(member)
        return member

    def join(self) -> Member:
        """One more node, prepared, which knows where all others are."""
        return self.add(max(self.members) + 1, max(self.members), self._settings)

    def prepare(self, member: Member) -> None:
        """As `sprawl format` does; on an empty disk it makes a new directory."""
        runtime = member.machine.runtime
        runtime.files.make_dirs(DIRECTORY)
        runtime.files.sync_dir("/")
        state = runtime.open_state(f"{DIRECTORY}/{STATE_FILE}")
        establish(state, runtime, node_id=member.node_id, cluster_id=CLUSTER_ID)
        state.close()
        runtime.files.write_atomic(f"{DIRECTORY}/{SECRET_FILE}", self._secret)

    def start(self) -> None:
        for member in self.members.values():
            member.start()

    def stop(self) -> None:
        for member in self.members.values():
            if member.machine.process.alive:
                member.kill()

    @property
    def up(self) -> list[Member]:
        return [member for member in self.members.values() if member.up]


async def connected(runtime: SimulatedRuntime, names: list[str]) -> KafkaClient:
    """To any of the nodes that answers."""
    while True:
        for name in names:
            client = KafkaClient(runtime, timeout=5.0)
            try:
                return await client.connect(name, PORT)
            except (ClientError, OSError, NodeDownError):
                await asyncio.sleep(0.05)
