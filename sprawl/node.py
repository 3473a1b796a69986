"""A node: the only place that builds and wires the parts. Nothing is decided here.

`start()` brings a data directory to life, joins the cluster and opens the listeners; `stop()` finishes what is under
way and closes everything cleanly; `failed()` returns when the node can no longer be trusted and must stop: a failed
fsync, a metadata log that cannot be written or read.

The order of a start: the directory and who this node is; the doors, through which only other nodes are heard so far;
the cluster, founded or found; the metadata; the registration, which ends this node's former life in the cluster; its
partitions, as the cluster sees them after that; then it may lead, and clients are served.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from sprawl.assembly import formation_routes, membership_of, routes_of
from sprawl.config.broker import BrokerConfig
from sprawl.config.errors import ConfigError
from sprawl.config.identity import LOCK_FILE, STATE_FILE, Identity, establish, new_secret, secret_in
from sprawl.doors import Doors
from sprawl.handlers.api_versions import ApiVersionsHandlers
from sprawl.handlers.context import Handler
from sprawl.handlers.peers import PeerHandlers
from sprawl.load import Counts
from sprawl.membership import Membership
from sprawl.objects.opening import open_store
from sprawl.observability.metrics import Registry
from sprawl.parts import Parts, build
from sprawl.quorum.addresses import AddressBook, peer_address
from sprawl.quorum.brokers import BrokerRegistration
from sprawl.quorum.formation import Formation
from sprawl.quorum.identifiers import new_uuid, uuid_of
from sprawl.quorum.image import METADATA_TOPIC, METADATA_TOPIC_ID, MetadataImage
from sprawl.quorum.lifecycle import BrokerLifecycle
from sprawl.quorum.metadata_log import MetadataLog, metadata_topic_config
from sprawl.quorum.quorum import MetadataQuorum, Surroundings
from sprawl.quorum.snapshotting import SnapshotPolicy
from sprawl.quorum.voters import Address
from sprawl.runtime import Runtime, SmallState
from sprawl.security.access import Principal
from sprawl.security.peers import PeerIdentity
from sprawl.storage.manager import LogManager, StorageSettings
from sprawl.tiering import OpenStore
from sprawl.wire.dispatch import Dispatcher, Interceptor, RequestContext, answer_of
from sprawl.wire.peers import PeerLinks
from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request, Response

log = logging.getLogger(__name__)

_BOOT_ID = "boot_id"
_PEERS = "peers"
_WILDCARDS = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - recognised, not bound to
_DRAIN_SHARE = 0.8
"""Of the time a stop may take: for handing over and for clients' requests; the rest is for closing files."""


class Node:
    def __init__(self, config: BrokerConfig, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime
        self.metrics = Registry(max_series=config.sprawl_metrics_series_max)
        self.ready = False
        self._is_new = False
        """This is its first start: there is no metadata yet."""
        self._routes: dict[ApiKey, Handler] = {}
        """What this node answers; grows while it starts."""
        self._dispatcher = Dispatcher(self._routes, closed=True)
        self._doors = Doors(config, runtime, self._dispatcher)
        self._undo = AsyncExitStack()
        """What `stop` undoes, last things first."""
        self.counts: Callable[[], Counts] = Counts
        """What this process has cost so far, as far as anybody knows."""
        self.when_built: Callable[[Parts, dict[ApiKey, Handler], Doors], None] = lambda *_: None
        """Told of the parts and the handlers before clients are served."""
        self.membership: Membership | None = None
        self.open_store: OpenStore = open_store
        """How the cloud tier's object store is opened."""
        self._failure: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def addresses(self) -> list[tuple[str, str, int]]:
        """Name, host and port of each listener."""
        return self._doors.addresses

    def intercept(self, interceptor: Interceptor) -> None:
        """Let `interceptor` stand before every request that comes in by TCP: for fault injection."""
        self._dispatcher.intercept(interceptor)

    async def start(self) -> None:
        """Returns once clients are served. Raises `ApiError`, `ConfigError`, `OSError`; `stop` cleans up after it.

        What a running node can't go on from, one that starts can't either: it would wait for ever.
        """
        starting = asyncio.create_task(self._start(), name="start")
        try:
            either: set[asyncio.Future[Any]] = {starting, self._failure}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not starting.done():
                raise OSError(self._failure.result())
            starting.result()
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)

    async def _start(self) -> None:
        config, runtime = self._config, self._runtime
        identity, state = self._open_directory()
        me = PeerIdentity(identity.node_id, identity.directory_id, identity.cluster_id)
        secret = self._secret()
        early = ApiVersionsHandlers(self._routes.keys, lambda: MetadataImage(identity.cluster_id), identity.node_id)
        peers = PeerHandlers(me, secret, runtime)
        self._routes.update({**peers.routes(), **early.routes()})
        self._undo.push_async_callback(self._doors.close)
        await self._doors.open()
        seeds = [Address(seed.host, seed.port) for seed in config.seeds]
        addresses = AddressBook(identity.node_id, [seed for seed in seeds if seed != self._doors.address])
        links = PeerLinks(runtime, me, secret, addresses.pair)
        self._undo.push_async_callback(links.close)

        logs = LogManager(
            runtime, config.data_dir, _storage_settings(config), power_failed=_power_failed(state, runtime)
        )
        await logs.start()
        self._undo.push_async_callback(logs.close)
        self._watch(_completed(logs.failed))

        quorum = await self._start_quorum(identity, me, state, logs, links, addresses)
        parts = self._parts(identity, logs, quorum, links)
        self._routes.update(routes_of(parts, config, runtime, self._routes.keys))
        self.when_built(parts, self._routes, self._doors)
        lifecycle = self._lifecycle(identity, parts)
        parts.broker_epoch = lambda: lifecycle.epoch
        parts.surely_active = lambda: lifecycle.surely_active
        await quorum.caught_up()
        await lifecycle.register()

        if parts.tiering is not None:
            self._undo.push_async_callback(parts.tiering.stop)
            await parts.tiering.start(self.open_store)
        quorum.subscribe(parts.partitions.image_changed)
        await parts.partitions.start(quorum.image)
        state[_BOOT_ID] = runtime.boot_id  # only now: a recovery that is interrupted must be done again the same way
        self._undo.push_async_callback(self._drained)
        self._undo.push_async_callback(parts.partitions.stop)
        self._watch(parts.partitions.failed())
        quorum.subscribe(parts.groups.image_changed)
        parts.groups.start()
        self._undo.push_async_callback(parts.groups.stop)
        self._undo.push_async_callback(self._drain, logs)

        self._run(lifecycle.run(), "heartbeats")
        self._run(parts.isr_keeper.run(), "in-sync sets")
        self._run(parts.repair.run(), "repair")
        self._run(parts.cleaner.run(), "compaction")
        self._run(parts.scrubber.run(), "scrubber")
        self._run(parts.events.run(), "events")
        self._run(parts.caretaker.run(), "caretaker")
        self._run(parts.controller.run(), "controller")
        if parts.tiering is not None:
            self._run(parts.tiering.run(), "cloud tier")
        bind = config.endpoints[0].host, self._doors.port
        membership = self.membership = membership_of(
            parts, config, runtime, secret, bind, self._doors.pair, self.counts
        )
        self._undo.push_async_callback(membership.stop)
        peers.push_pull = membership.push_pull
        self._run(membership.run(), "membership")
        await lifecycle.until_active()
        await parts.partitions.settled(quorum.image.offset)
        self._undo.push_async_callback(self._leave, lifecycle, membership)
        self._dispatcher.open()
        if self._is_new:
            expected = config.sprawl_expected_nodes
            await quorum.until(lambda image: sum(each.active for each in image.brokers.values()) >= expected)
        self.ready = True

    async def stop(self) -> None:
        """Finish what is under way, then close everything so that the next start has nothing to recover.

        Leaders are handed over first. Producers are answered once their records are safe; then groups and partitions
        are given up, which answers those who wait for members or for records; then connections close, and after them
        what stands below.
        """
        self.ready = False
        await self._undo.aclose()

    async def _leave(self, lifecycle: BrokerLifecycle, membership: Membership) -> None:
        patience = self._config.sprawl_shutdown_timeout_ms / 1000 * _DRAIN_SHARE / 2
        handing_over = [lifecycle.leave(patience)] if self._config.controlled_shutdown_enable else []
        await asyncio.gather(*handing_over, membership.stop())

    async def _drain(self, logs: LogManager) -> None:
        self._doors.drain()
        await logs.checkpoint()

    async def _drained(self) -> None:
        await self._doors.drained(self._config.sprawl_shutdown_timeout_ms / 1000 * _DRAIN_SHARE / 2)

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

    def _secret(self) -> bytes:
        """A node that is to found a cluster makes the cluster's secret. Raises `ConfigError`, `OSError`."""
        files, path = self._runtime.files, self._config.secret_file
        if not files.exists(path) and not self._config.seeds:
            files.write_atomic(path, new_secret(self._runtime))
        return secret_in(files.read_bytes(path), path)

    async def _start_quorum(
        self,
        identity: Identity,
        me: PeerIdentity,
        state: SmallState,
        logs: LogManager,
        links: PeerLinks,
        addresses: AddressBook,
    ) -> MetadataQuorum:
        config, runtime = self._config, self._runtime
        replica = await logs.open(METADATA_TOPIC_ID, METADATA_TOPIC, 0, metadata_topic_config(config))
        metadata_log = MetadataLog(replica, replica.directory, runtime, identity.cluster_id)
        joining = False
        self._is_new = metadata_log.end_offset == 0
        if addresses.seeds and metadata_log.end_offset == 0:
            formation = Formation(me, addresses.seeds, links)
            self._routes.update(formation_routes(formation))
            joining = not await formation.founds()
        quorum = MetadataQuorum(
            identity,
            metadata_log,
            state,
            runtime.clock,
            SnapshotPolicy(
                max_bytes=config.metadata_log_max_record_bytes_between_snapshots,
                max_age_ms=config.metadata_log_max_snapshot_interval_ms,
            ),
            Surroundings(links, addresses, lambda: self._doors.address, runtime.rng, joining),
        )
        self._know_addresses(addresses, quorum, state)
        await quorum.start()
        self._undo.push_async_callback(quorum.stop)
        self._watch(quorum.failed())
        return quorum

    def _know_addresses(self, addresses: AddressBook, quorum: MetadataQuorum, state: SmallState) -> None:
        """From the image, from the voters' record, and from what was known before this start."""
        addresses.ask_also(lambda node_id: _address_in(quorum.image, node_id))
        addresses.ask_also(lambda node_id: quorum.voters.address_of(node_id))
        for node_id, (host, port) in state.get(_PEERS, {}).items():
            addresses.learn(int(node_id), Address(host, port))

        def remember(before: MetadataImage, after: MetadataImage) -> None:
            if before.brokers is not after.brokers:
                addresses_now = {each.id: peer_address(each) for each in after.brokers.values()}
                known = {str(id_): [at.host, at.port] for id_, at in addresses_now.items() if at is not None}
                if known != state.get(_PEERS):
                    state[_PEERS] = known

        quorum.subscribe(remember)

    def _parts(self, identity: Identity, logs: LogManager, quorum: MetadataQuorum, links: PeerLinks) -> Parts:
        return build(identity, self._config, self._runtime, logs, quorum, links, self._serve_here(identity))

    def _serve_here(self, identity: Identity) -> Any:
        """Requests of this node to itself, answered by its own handlers."""
        me = PeerIdentity(identity.node_id, identity.directory_id, identity.cluster_id)
        principal = Principal("Node", str(identity.node_id))

        async def serve(message: Request) -> Response:
            context = RequestContext(type(message).MAX_VERSION, "sprawl", "", principal, self._doors.name, 0, peer=me)
            answer = await answer_of(self._routes[type(message).API_KEY](context, message))
            assert answer is not None, "requests between nodes have answers"
            return answer

        return serve

    def _lifecycle(self, identity: Identity, parts: Parts) -> BrokerLifecycle:
        config = self._config
        registration = BrokerRegistration(
            identity.node_id,
            identity.cluster_id,
            new_uuid(self._runtime),
            self._doors.images(),
            (uuid_of(identity.directory_id),),
            config.broker_rack,
        )
        return BrokerLifecycle(
            registration,
            parts.link,
            parts.quorum,
            self._runtime.clock,
            heartbeat_interval=config.broker_heartbeat_interval_ms / 1000,
            session_timeout=config.broker_session_timeout_ms / 1000,
        )

    # -- tasks ----------------------------------------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """For as long as the node lives; what it cannot go on from, the node cannot either."""

        async def run() -> str:
            try:
                await work
            except Exception as problem:  # noqa: BLE001 - whatever it is, this node can't go on without
                return f"{name} broke: {problem!r}"
            return f"{name} ended"

        self._watch(run())

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


def _address_in(image: MetadataImage, node_id: int) -> Address | None:
    broker = image.brokers.get(node_id)
    return None if broker is None else peer_address(broker)


def _power_failed(state: SmallState, runtime: Runtime) -> bool | None:
    """Whether the machine was down since all logs were last recovered, as far as is known: before they first were,
    it may have been. None where the system does not say."""
    return state.get(_BOOT_ID) != runtime.boot_id if runtime.boot_id else None


def _storage_settings(config: BrokerConfig) -> StorageSettings:
    return StorageSettings(
        memory_bytes=config.sprawl_memory_bytes,
        disk_reserve_bytes=config.sprawl_disk_reserve_bytes,
        retention_check_ms=config.log_retention_check_interval_ms,
        producer_expiration_ms=config.producer_id_expiration_ms,
        tier_idle_ms=config.sprawl_tier_idle_ms,
    )
