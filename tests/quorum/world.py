"""The metadata of one node on a simulated machine, as `node.py` would put it together."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sprawl.config.broker import BrokerConfig
from sprawl.config.identity import establish
from sprawl.quorum.brokers import BrokerRegistration
from sprawl.quorum.controller import Controller, Heartbeat
from sprawl.quorum.identifiers import new_uuid, uuid_of
from sprawl.quorum.image import METADATA_TOPIC, METADATA_TOPIC_ID, ListenerImage
from sprawl.quorum.metadata_log import MetadataLog, metadata_topic_config
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.quorum.settings import Settings
from sprawl.quorum.snapshotting import SnapshotPolicy
from sprawl.quorum.topic_changes import NewTopic
from sprawl.runtime import Runtime, SmallState
from sprawl.storage.log import Log
from sprawl.storage.manager import LogManager, StorageSettings
from sprawl_protocol.errors import ApiError

DIRECTORY = "/data"
METADATA_DIRECTORY = f"{DIRECTORY}/{METADATA_TOPIC}-0"
_BOOT_ID = "boot id"
NEVER = SnapshotPolicy(max_bytes=1 << 40, max_age_ms=0, bytes_at_stop=1 << 40)


@dataclass(slots=True)
class Member:
    manager: LogManager
    log: Log
    state: SmallState
    quorum: MetadataQuorum
    controller: Controller
    settings: Settings

    async def stop(self) -> None:
        await self.quorum.stop()
        await self.manager.close()
        self.state.close()

    async def create(self, *names: str) -> list[UUID]:
        """Topics of one partition; fails if one of them does."""
        made = await self.controller.create_topics([NewTopic(name, partitions=1) for name in names])
        for each in made:
            if isinstance(each, ApiError):
                raise each
        return [each.id for each in made if not isinstance(each, ApiError)]


async def start(
    runtime: Runtime,
    policy: SnapshotPolicy = NEVER,
    given: dict[str, str] | None = None,
    *,
    register: bool = True,
) -> Member:
    """Raises what a start raises; then everything is closed again."""
    config = BrokerConfig.of(given or {})
    runtime.files.make_dirs(DIRECTORY)
    runtime.files.sync_dir("/")
    state = runtime.open_state(f"{DIRECTORY}/node.sqlite")
    identity = establish(state, runtime)
    power_failed = _BOOT_ID in state and state[_BOOT_ID] != runtime.boot_id
    state[_BOOT_ID] = runtime.boot_id
    settings = StorageSettings(1 << 20, 0, 300_000, 86_400_000)
    manager = LogManager(runtime, DIRECTORY, settings, power_failed=power_failed)
    await manager.start()
    log = await manager.open(METADATA_TOPIC_ID, METADATA_TOPIC, 0, metadata_topic_config(config))
    metadata_log = MetadataLog(log, METADATA_DIRECTORY, runtime, identity.cluster_id)
    quorum = MetadataQuorum(identity, metadata_log, state, runtime.clock, policy)
    known = Settings(config, identity.node_id)
    member = Member(manager, log, state, quorum, Controller(quorum, known, runtime), known)
    try:
        await quorum.start()
        if register:
            registration = BrokerRegistration(
                id=identity.node_id,
                cluster_id=identity.cluster_id,
                incarnation=new_uuid(runtime),
                listeners=(ListenerImage("PLAINTEXT", "127.0.0.1", 9092, 0),),
                directories=(uuid_of(identity.directory_id),),
            )
            epoch = await member.controller.register_broker(registration)
            await member.controller.heartbeat(Heartbeat(identity.node_id, epoch, quorum.image.offset))
    except BaseException:
        await member.stop()
        raise
    return member
