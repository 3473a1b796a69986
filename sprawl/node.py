"""A node: the only place that builds and wires the parts. Nothing is decided here.

`start()` brings a data directory to life and opens the listeners; `stop()` finishes what is under way and closes
everything cleanly; `failed()` returns when the node can no longer be trusted and must stop: a failed fsync, a metadata
log that cannot be written.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from sprawl.config.broker import BrokerConfig
from sprawl.config.errors import ConfigError
from sprawl.config.identity import LOCK_FILE, STATE_FILE, Identity, establish
from sprawl.config.listeners import PROTOCOLS
from sprawl.groups.log import TOPIC as OFFSETS_TOPIC
from sprawl.groups.service import GroupService
from sprawl.groups.settings import GroupSettings
from sprawl.handlers.api_versions import ApiVersionsHandlers
from sprawl.handlers.cluster import ClusterHandlers
from sprawl.handlers.configs import ConfigHandlers
from sprawl.handlers.context import Handler, HandlerFamily
from sprawl.handlers.coordinators import Coordinators
from sprawl.handlers.fetch import FetchHandlers
from sprawl.handlers.group_admin import GroupAdminHandlers
from sprawl.handlers.groups import GroupHandlers
from sprawl.handlers.log_offsets import LogOffsetHandlers
from sprawl.handlers.metadata import MetadataHandlers
from sprawl.handlers.offsets import OffsetHandlers
from sprawl.handlers.produce import ProduceHandlers
from sprawl.handlers.producers import ProducerHandlers
from sprawl.handlers.topics import TopicHandlers
from sprawl.observability.metrics import Registry
from sprawl.partitions.fetch_sessions import FetchSessions
from sprawl.partitions.manager import PartitionManager
from sprawl.quorum.brokers import BrokerRegistration
from sprawl.quorum.controller import Controller
from sprawl.quorum.identifiers import new_uuid, uuid_of
from sprawl.quorum.image import METADATA_TOPIC, METADATA_TOPIC_ID, ListenerImage, MetadataImage
from sprawl.quorum.metadata_log import MetadataLog, metadata_topic_config
from sprawl.quorum.quorum import MetadataQuorum, SnapshotPolicy
from sprawl.quorum.settings import Settings
from sprawl.quorum.topic_changes import NewTopic
from sprawl.routing.endpoints import Endpoints
from sprawl.routing.keyed_log import KeyedLog
from sprawl.routing.router import Router
from sprawl.runtime import Runtime, SmallState
from sprawl.security.access import AllowAll
from sprawl.storage.manager import LogManager, StorageSettings
from sprawl.transactions.producer_ids import ProducerIds
from sprawl.wire.dispatch import Dispatcher
from sprawl.wire.limits import ConnectionLimits, RequestMemory
from sprawl.wire.listener import KafkaListener
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError

log = logging.getLogger(__name__)

_BOOT_ID = "boot_id"
_SESSION_EVICTION_SECONDS = 120.0
_DRAIN_SHARE = 0.8
"""Of the time a stop may take: for clients' requests; the rest is for closing files."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the handlers call, once it is built."""

    identity: Identity
    logs: LogManager
    quorum: MetadataQuorum
    image: Callable[[], MetadataImage]
    settings: Settings
    controller: Controller
    partitions: PartitionManager
    router: Router
    groups: GroupService


class Node:
    def __init__(self, config: BrokerConfig, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime
        self.metrics = Registry()
        self.ready = False
        self._listeners: list[KafkaListener] = []
        self._undo = AsyncExitStack()
        """What `stop` undoes, last things first."""
        self._failure: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def addresses(self) -> list[tuple[str, str, int]]:
        """Name, host and port of each listener."""
        return [(listener.name, listener.host, listener.port) for listener in self._listeners]

    async def start(self) -> None:
        """Returns once clients are served. Raises `ApiError`, `ConfigError`, `OSError`; `stop` cleans up after it."""
        config, runtime = self._config, self._runtime
        identity, state = self._open_directory()
        logs = LogManager(
            runtime, config.data_dir, _storage_settings(config), power_failed=_power_failed(state, runtime)
        )
        await logs.start()
        self._undo.push_async_callback(logs.close)
        self._watch(_completed(logs.failed))

        quorum = await self._start_quorum(identity, state, logs)
        parts = self._parts(identity, logs, quorum)
        await self._open_listeners(self._routes(parts))
        await self._join(identity, parts.controller)

        self._undo.push_async_callback(self._drained)
        quorum.subscribe(parts.partitions.image_changed)
        await parts.partitions.start(quorum.image)
        state[_BOOT_ID] = runtime.boot_id  # only now: a recovery that is interrupted must be done again the same way
        self._undo.push_async_callback(parts.partitions.stop)
        quorum.subscribe(parts.groups.image_changed)
        parts.groups.start()
        self._undo.push_async_callback(parts.groups.stop)
        self._undo.push_async_callback(self._drain, logs)
        for listener in self._listeners:
            listener.serve()
        self.ready = True

    async def stop(self) -> None:
        """Finish what is under way, then close everything so that the next start has nothing to recover.

        Producers are answered once their records are safe; then groups and partitions are given up, which answers
        those who wait for members or for records; then connections close, and after them what stands below.
        """
        self.ready = False
        await self._undo.aclose()

    async def _drain(self, logs: LogManager) -> None:
        for listener in self._listeners:
            listener.drain()
        await logs.checkpoint()

    async def _drained(self) -> None:
        patience = self._config.sprawl_shutdown_timeout_ms / 1000 * _DRAIN_SHARE
        await asyncio.gather(*(listener.drained(patience) for listener in self._listeners))

    async def failed(self) -> None:
        """Returns when this node must not go on."""
        log.critical("%s", await asyncio.shield(self._failure))

    # -- the parts, in the order they are needed ------------------------------------------------------------

    def _open_directory(self) -> tuple[Identity, SmallState]:
        files, directory = self._runtime.files, self._config.data_dir
        files.make_dirs(directory)
        try:
            self._undo.callback(files.lock(f"{directory}/{LOCK_FILE}"))
        except BlockingIOError:
            raise ConfigError("log.dirs", directory, "another running node is using this directory.") from None
        state = self._runtime.open_state(f"{directory}/{STATE_FILE}")
        self._undo.callback(state.close)
        node_id = self._config.id if self._config.id_given else None
        return establish(state, self._runtime, node_id=node_id), state

    async def _start_quorum(self, identity: Identity, state: SmallState, logs: LogManager) -> MetadataQuorum:
        config = self._config
        replica = await logs.open(METADATA_TOPIC_ID, METADATA_TOPIC, 0, metadata_topic_config(config))
        metadata_log = MetadataLog(replica, replica.directory, self._runtime, identity.cluster_id)
        policy = SnapshotPolicy(
            max_bytes=config.metadata_log_max_record_bytes_between_snapshots,
            max_age_ms=config.metadata_log_max_snapshot_interval_ms,
        )
        quorum = MetadataQuorum(identity, metadata_log, state, self._runtime.clock, policy)
        await quorum.start()
        self._undo.push_async_callback(quorum.stop)
        self._watch(quorum.failed())
        return quorum

    def _parts(self, identity: Identity, logs: LogManager, quorum: MetadataQuorum) -> _Parts:
        runtime, node_id = self._runtime, identity.node_id

        def image() -> MetadataImage:
            return quorum.image

        settings = Settings(self._config, node_id)
        controller = Controller(quorum, settings, runtime)
        partitions = PartitionManager(node_id, logs, runtime.clock, settings.topic, kept=frozenset({METADATA_TOPIC}))
        logs.high_watermark_of = partitions.high_watermark_of
        router = Router(node_id, partitions, image)
        groups = GroupService(
            runtime,
            GroupSettings.of(self._config),
            node_id,
            KeyedLog(OFFSETS_TOPIC, router, runtime.clock),
            image,
            partitions.settled,
            _topic_maker(controller),
        )
        return _Parts(identity, logs, quorum, image, settings, controller, partitions, router, groups)

    def _routes(self, parts: _Parts) -> dict[ApiKey, Handler]:
        config, runtime = self._config, self._runtime
        clock, image, controller = runtime.clock, parts.image, parts.controller
        access = AllowAll()
        endpoints = Endpoints(image)
        settled = parts.partitions.settled
        sessions = FetchSessions(
            config.max_incremental_fetch_session_cache_slots, _SESSION_EVICTION_SECONDS, runtime.rng
        )
        routes: dict[ApiKey, Handler] = {}
        families: list[HandlerFamily] = [
            ApiVersionsHandlers(routes.keys, image, parts.identity.node_id),
            MetadataHandlers(controller, image, config, endpoints, access, settled),
            ClusterHandlers(parts.quorum, parts.logs, runtime.files, endpoints, access),
            TopicHandlers(controller, image, parts.settings, access, settled),
            ConfigHandlers(controller, image, parts.settings, access),
            ProduceHandlers(parts.router, access, clock.wall_ms),
            FetchHandlers(parts.router, sessions, access, clock, config.fetch_max_bytes),
            LogOffsetHandlers(parts.router, access),
            ProducerHandlers(ProducerIds(controller.allocate_producer_ids), access),
            GroupHandlers(parts.groups.coordinator, Coordinators(parts.groups, image, endpoints), access),
            OffsetHandlers(parts.groups.coordinator, image, access, clock),
            GroupAdminHandlers(parts.groups.coordinator, access),
        ]
        for family in families:
            routes.update(family.routes())
        return routes

    async def _open_listeners(self, routes: dict[ApiKey, Handler]) -> None:
        dispatcher = Dispatcher(routes)
        config = self._config
        limits = _connection_limits(config)
        memory = RequestMemory(config.request_memory_bytes)
        ids = itertools.count(1)
        for endpoint in config.endpoints:
            listener = KafkaListener(
                endpoint.name,
                endpoint.host,
                endpoint.port,
                network=self._runtime.network,
                clock=self._runtime.clock,
                dispatcher=dispatcher,
                limits=limits,
                memory=memory,
                ids=ids,
            )
            await listener.open()
            self._undo.push_async_callback(listener.stop)
            self._listeners.append(listener)

    async def _join(self, identity: Identity, controller: Controller) -> None:
        """Register with the cluster, under the addresses clients are to use, and take part."""
        listeners = tuple(
            ListenerImage(
                endpoint.name,
                endpoint.advertised_host,
                endpoint.advertised_port or listener.port,
                PROTOCOLS.index(endpoint.protocol),
            )
            for endpoint, listener in zip(self._config.endpoints, self._listeners, strict=True)
        )
        epoch = await controller.register_broker(
            BrokerRegistration(
                identity.node_id,
                identity.cluster_id,
                new_uuid(self._runtime),
                listeners,
                (uuid_of(identity.directory_id),),
                self._config.broker_rack,
            )
        )
        await controller.unfence_broker(identity.node_id, epoch)

    def _watch(self, failure: Awaitable[str]) -> None:
        async def watch() -> None:
            reason = await failure
            if not self._failure.done():
                self._failure.set_result(reason)

        task = asyncio.create_task(watch(), name="watch for failure")

        async def stop_watching() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self._undo.push_async_callback(stop_watching)


async def _completed(future: asyncio.Future[str]) -> str:
    return await asyncio.shield(future)


def _topic_maker(controller: Controller) -> Callable[[str, int, int, Mapping[str, str]], Awaitable[None]]:
    async def make(name: str, partitions: int, replication_factor: int, configs: Mapping[str, str]) -> None:
        (outcome,) = await controller.create_topics([NewTopic(name, partitions, replication_factor, configs=configs)])
        if isinstance(outcome, ApiError):
            raise outcome

    return make


def _power_failed(state: SmallState, runtime: Runtime) -> bool:
    """Whether the machine was down since all logs were last recovered. Where the system does not say: no."""
    before = state.get(_BOOT_ID)
    return bool(before and runtime.boot_id) and before != runtime.boot_id


def _storage_settings(config: BrokerConfig) -> StorageSettings:
    return StorageSettings(
        memory_bytes=config.sprawl_memory_bytes,
        disk_reserve_bytes=config.sprawl_disk_reserve_bytes,
        retention_check_ms=config.log_retention_check_interval_ms,
        producer_expiration_ms=config.producer_id_expiration_ms,
    )


def _connection_limits(config: BrokerConfig) -> ConnectionLimits:
    return ConnectionLimits(
        max_frame=config.socket_request_max_bytes,
        max_pipelined=config.queued_max_requests,
        max_idle=config.connections_max_idle_ms / 1000 if config.connections_max_idle_ms >= 0 else math.inf,
        max_frame_time=config.sprawl_request_read_timeout_ms / 1000,
        max_connections=config.max_connections,
        max_connections_per_host=config.max_connections_per_ip,
        backlog=config.socket_listen_backlog_size,
    )
