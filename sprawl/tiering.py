"""The cloud tier of a node, put together. Nothing is decided here.

In: settings, and the parts of the node that the tier stands on. Out: what partitions have in the tier (`cold`), how
much of a log the disk may let go of, and the work that goes on while the node lives (`run`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final
from uuid import UUID

from sprawl.config.broker import BrokerConfig
from sprawl.config.errors import ConfigError
from sprawl.config.identity import Identity
from sprawl.objects.contract import ObjectStore
from sprawl.objects.directory import Directory
from sprawl.objects.errors import ForeignBucket, StoreError
from sprawl.objects.opening import open_store
from sprawl.objects.probe import probe
from sprawl.objects.store import Store
from sprawl.objects.urls import BadUrl
from sprawl.partitions.cold import ColdRecords
from sprawl.partitions.partition import Partition
from sprawl.quorum.any_controller import AnyController
from sprawl.quorum.controller_link import ServeHere
from sprawl.quorum.following import Peers
from sprawl.quorum.image import ConfigKind
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.runtime import Runtime
from sprawl.storage.log import Log
from sprawl.tiers.backups import Backups, GroupRecords
from sprawl.tiers.cache import ChunkCache
from sprawl.tiers.catalogs import Catalogs
from sprawl.tiers.collector import Collector
from sprawl.tiers.counters import TierCounters
from sprawl.tiers.fetching import Fetching
from sprawl.tiers.lineage import divergence
from sprawl.tiers.placement import Placement
from sprawl.tiers.placing import Placing
from sprawl.tiers.reading import Patience, Readers, TieredRecords
from sprawl.tiers.steward import Surroundings
from sprawl.tiers.stewards import Stewards
from sprawl.tiers.topic import TierTopic
from sprawl.tiers.uploads import Uploads

log = logging.getLogger(__name__)

OpenStore = Callable[[str, Runtime], Awaitable[ObjectStore]]
_PROBE_PAUSE: Final = 15.0
_PLACED_SHARE: Final = 0.5
"""Of the cache: for segments that are read often. The rest is for what was read last."""


class Tiering:
    def __init__(
        self,
        config: BrokerConfig,
        identity: Identity,
        runtime: Runtime,
        quorum: MetadataQuorum,
        anywhere: AnyController,
        peers: Peers,
        serve_here: ServeHere,
        partitions: Callable[[], Iterable[Partition]],
    ) -> None:
        self._config = config
        self._identity = identity
        self._runtime = runtime
        self._quorum = quorum
        self._partitions = partitions
        self.counters = TierCounters()
        self.catalogs = Catalogs()
        self._topic = TierTopic(quorum, anywhere, peers, serve_here, runtime.clock, self.catalogs)
        self._readers = Readers()
        self._patience = Patience(
            config.remote_fetch_max_wait_ms / 1000, config.remote_list_offsets_request_timeout_ms / 1000
        )
        self._store: ObjectStore | None = None
        self._cache: ChunkCache | None = None
        self._fetching: Fetching | None = None
        self._placing: Placing | None = None
        self.group_records: GroupRecords = lambda: ()
        """What the groups led here have committed, for the backup."""
        self.usable = False
        """Whether the store was asked, and can be worked with."""

    async def start(self, opened: OpenStore = open_store) -> None:
        """Before partitions open. Asks nothing of the store yet. Raises `ConfigError`, `OSError`."""
        config, runtime = self._config, self._runtime
        url = config.sprawl_tier_url
        if not url and config.seeds:
            raise ConfigError("sprawl.tier.url", "", "name a place that all nodes of the cluster share.")
        try:
            self._store = await opened(url, runtime) if url else self._own_directory()
        except (BadUrl, StoreError) as problem:
            raise ConfigError("sprawl.tier.url", url, str(problem)) from problem
        self._cache = ChunkCache(runtime, f"{config.data_dir}/tier-cache", config.sprawl_tier_cache_bytes)
        await self._cache.start()
        self._fetching = Fetching(self._store, self._cache, runtime, self.counters)
        placement = Placement(int(config.sprawl_tier_cache_bytes * _PLACED_SHARE))
        self._placing = Placing(placement, self._fetching, self._cache, runtime.clock.monotonic, self.counters)
        self._quorum.subscribe(lambda before, after: self._topic.image_changed())

    def cold(self, topic_id: UUID, partition: int) -> ColdRecords:
        assert self._fetching is not None, "started"
        return TieredRecords((topic_id, partition), self.catalogs, self._fetching, self._readers, self._patience)

    @property
    def backup_age(self) -> float:
        """Seconds since this node's part of the backup was last up to date; -1: never."""
        last = self.counters.last_backup
        return last if last < 0 else self._runtime.clock.monotonic() - last

    @property
    def cached_bytes(self) -> int:
        return 0 if self._cache is None else self._cache.disk_bytes

    def tiered_until(self, log: Log) -> int:
        """As far as it is the same there as here."""
        catalog = self.catalogs[(log.topic_id, log.partition)]
        end = catalog.end_offset
        if end < 0:
            return end
        split = divergence(catalog.epochs(), end, log.epochs.entries, log.local_start_offset, log.log_end_offset)
        return end if split is None else split

    async def run(self) -> None:
        """Ends with the node."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._topic.run())
            while True:
                await self._probed()
                await self._work()

    async def _work(self) -> None:
        """Returns if the bucket has become another cluster's."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._stewards().run())
                tasks.create_task(self._collector().run())
                tasks.create_task(self._backups().run())
                if self._placing is not None:
                    tasks.create_task(self._placing.run())
        except* ForeignBucket as lost:
            self.usable = False
            log.error("nothing is uploaded or deleted any more: %s", lost.exceptions[0])

    async def stop(self) -> None:
        if self._fetching is not None:
            await self._fetching.stop()
        if self._store is not None:
            await self._store.close()

    def _own_directory(self) -> ObjectStore:
        return Store(Directory(f"{self._config.data_dir}/tier", self._runtime), self._runtime)

    async def _probed(self) -> None:
        """Returns once the store can be worked with. Until then nothing is uploaded, and nothing leaves the disk."""
        assert self._store is not None, "started"
        while True:
            trial = self._runtime.token_bytes(8).hex()
            now_ms = self._runtime.clock.wall_ms()
            try:
                await probe(self._store, self._identity.cluster_id, now_ms=now_ms, trial=trial)
                self.usable = True
                return
            except StoreError as problem:
                log.error("the cloud tier cannot be used: %s", problem)
                await asyncio.sleep(_PROBE_PAUSE * (0.5 + self._runtime.rng.random()))

    def _stewards(self) -> Stewards:
        assert self._store is not None, "started"
        config, identity = self._config, self._identity
        uploads = Uploads(
            identity.cluster_id,
            identity.node_id,
            self._store,
            self._topic,
            self._runtime,
            self._described,
            self.counters,
        )
        around = Surroundings(
            self._store,
            self._topic,
            self.catalogs,
            uploads,
            self._runtime,
            self.counters,
            asyncio.Semaphore(config.sprawl_tier_uploads_max),
            config.sprawl_tier_delete_grace_ms,
            config.log_retention_check_interval_ms / 1000,
            config.sprawl_tier_upload_timeout_ms / 1000,
        )
        return Stewards(self._partitions, around, config.remote_log_manager_task_interval_ms / 1000)

    def _collector(self) -> Collector:
        assert self._store is not None, "started"
        return Collector(
            self._identity.node_id,
            self._store,
            self._topic,
            self.catalogs,
            lambda: self._quorum.image,
            self._runtime,
            self.counters,
            grace_ms=self._config.sprawl_tier_orphan_grace_ms,
            delete_grace_ms=self._config.sprawl_tier_delete_grace_ms,
        )

    def _backups(self) -> Backups:
        assert self._store is not None, "started"
        return Backups(
            self._identity.cluster_id,
            self._identity.node_id,
            self._store,
            self._topic,
            self.catalogs,
            self._quorum,
            self._partitions,
            self.group_records,
            self._runtime,
            self.counters,
            self._config.sprawl_tier_backup_interval_ms / 1000,
        )

    def _described(self, topic_id: UUID) -> tuple[int, Mapping[str, str]]:
        image = self._quorum.image
        topic = image.topics_by_id.get(topic_id)
        return (0, {}) if topic is None else (len(topic.partitions), image.config(ConfigKind.TOPIC, topic.name))
