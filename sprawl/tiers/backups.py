"""The cluster's backup, written on: each node puts the sections that it answers for, when they have changed.

In: what the node knows at the moment. Out: objects. A section is replaced only by a writer of the same cluster whose
epoch is not older, and only as that writer saw it last: one that was replaced, and does not know it yet, cannot put its
own over its successor's. Each round asks first whether the bucket is still this cluster's: after a restore elsewhere it
is not, and then `ForeignBucket` ends the tier's work here. Otherwise what goes wrong is tried again in the next round.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from crc32c import crc32c

from sprawl.objects.contract import ObjectStore
from sprawl.objects.errors import Corrupt, ForeignBucket, NotFound, PreconditionFailed, StoreError
from sprawl.objects.probe import read_marker
from sprawl.partitions.partition import Partition
from sprawl.quorum.image import METADATA_TOPIC, TIER_TOPIC, ConfigKind
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.runtime import Runtime
from sprawl.tiers.backup import (
    BACKUP,
    CLUSTER,
    GROUPS,
    NODE,
    TIER,
    BackedPartition,
    BackedSegment,
    BackedTopic,
    BadBackup,
    ClusterBody,
    Extent,
    FutureBackup,
    GroupsBody,
    NodeBody,
    Section,
    TierBody,
    section_key,
)
from sprawl.tiers.catalogs import Catalogs
from sprawl.tiers.counters import TierCounters
from sprawl.tiers.topic import TierTopic, partition_of

log = logging.getLogger(__name__)

GroupRecords = Callable[[], Iterable[tuple[int, int, list[tuple[bytes, bytes]]]]]
"""Of each partition of `__consumer_offsets` that is led here: its number, the leader epoch, all that it says."""
_KEPT: Final = (ConfigKind.BROKER, ConfigKind.CLIENT_METRICS, ConfigKind.GROUP)
"""Kinds of settings beside topics'."""


@dataclass(frozen=True, slots=True)
class _Put:
    """A section as this node put it last."""

    etag: str
    epoch: int
    crc32c: int
    """Of its body."""


@dataclass(frozen=True, slots=True)
class _Due:
    name: str
    epoch: int
    body: Callable[[], dict[str, Any]]
    """What may be told off the event loop."""


class Backups:
    def __init__(
        self,
        cluster_id: str,
        node_id: int,
        store: ObjectStore,
        topic: TierTopic,
        catalogs: Catalogs,
        quorum: MetadataQuorum,
        partitions: Callable[[], Iterable[Partition]],
        groups: GroupRecords,
        runtime: Runtime,
        counters: TierCounters,
        interval: float,
    ) -> None:
        """`interval`: seconds between two rounds."""
        self._cluster_id = cluster_id
        self._node_id = node_id
        self._store = store
        self._topic = topic
        self._catalogs = catalogs
        self._quorum = quorum
        self._partitions = partitions
        self._groups = groups
        self._runtime = runtime
        self._counters = counters
        self._interval = interval
        self._put: dict[str, _Put] = {}
        self._led_since: dict[tuple[int, int], float] = {}
        """Partitions of the tier's topic with their leader epochs: since when this node leads them."""

    async def run(self) -> None:
        """Ends with the node. Raises `ForeignBucket`."""
        while True:
            await asyncio.sleep(self._interval * (0.5 + self._runtime.rng.random() / 2))
            await self.round()

    async def round(self) -> None:
        """Raises `ForeignBucket`."""
        try:
            await self._still_ours()
            await self._look_what_is_there()
            for due in self._due():
                await self._write(due)
        except ForeignBucket:
            raise
        except (StoreError, BadBackup) as problem:
            self._counters.backup_errors += 1
            log.warning("the cluster's backup in the bucket is not up to date: %s", problem)

    async def _still_ours(self) -> None:
        marker = await read_marker(self._store)
        if marker is not None and marker.cluster_id != self._cluster_id:
            raise ForeignBucket(
                f"{self._store.url} belongs to the cluster {marker.cluster_id} now, this node is of {self._cluster_id}",
                "It was restored from there: stop this cluster",
            )

    async def _look_what_is_there(self) -> None:
        """What somebody removed is to be put anew."""
        there: set[str] = set()
        after: str | None = None
        while self._put:
            page = await self._store.list(f"{BACKUP}{self._cluster_id}/", after=after)
            there |= {each.key for each in page.objects}
            if page.after is None:
                break
            after = page.after
        for name in [name for name in self._put if section_key(self._cluster_id, name) not in there]:
            del self._put[name]

    # -- what there is to write -----------------------------------------------------------------------------

    def _due(self) -> list[_Due]:
        found: list[_Due] = []
        if self._quorum.leading:
            found.append(_Due(CLUSTER, self._quorum.epoch, self._cluster().told))
        found += self._tier()
        image = self._quorum.image
        me = image.brokers.get(self._node_id)
        if me is not None and me.active:
            found.append(_Due(f"{NODE}{self._node_id}", me.epoch, self._node().told))
        for index, epoch, records in self._groups():
            found.append(_Due(f"{GROUPS}{index}", epoch, GroupsBody(tuple(records)).told))
        return found

    def _cluster(self) -> ClusterBody:
        image = self._quorum.image
        topics = tuple(
            BackedTopic(
                each.name,
                each.id,
                tuple(partition.leader_epoch for partition in each.partitions),
                max(len(partition.replicas) for partition in each.partitions),
                image.config(ConfigKind.TOPIC, each.name),
            )
            for each in image.topics.values()
        )
        configs = {int(kind): {name: image.config(kind, name) for name in image.configured(kind)} for kind in _KEPT}
        return ClusterBody(topics, {kind: of for kind, of in configs.items() if of}, image.next_producer_id)

    def _tier(self) -> list[_Due]:
        """Of partitions whose records have been read to their end since this node leads them."""
        topic = self._quorum.image.topics.get(TIER_TOPIC)
        led = [] if topic is None else [each for each in topic.partitions if each.leader == self._node_id]
        now = self._runtime.clock.monotonic()
        self._led_since = {
            key: self._led_since.get(key, now) for key in ((each.index, each.leader_epoch) for each in led)
        }
        found: list[_Due] = []
        by_index: dict[int, list[BackedPartition]] = {each.index: [] for each in led}
        if topic is not None:
            for key in self._catalogs.keys():  # noqa: SIM118 - not a mapping
                index = partition_of(topic, *key)
                if index in by_index:
                    catalog = self._catalogs[key]
                    segments = tuple(BackedSegment(each.segment, each.end_offset) for each in catalog.chain)
                    by_index[index].append(BackedPartition(key, catalog.leader_epoch, segments))
        for each in led:
            if self._topic.read_since(each.index, self._led_since[(each.index, each.leader_epoch)]):
                body = TierBody(tuple(sorted(by_index[each.index], key=lambda one: one.key)))
                found.append(_Due(f"{TIER}{each.index}", each.leader_epoch, body.told))
        return found

    def _node(self) -> NodeBody:
        return NodeBody(
            tuple(
                Extent((each.topic_id, each.index), each.leader_epoch, each.log.log_start_offset, each.high_watermark)
                for each in self._partitions()
                if each.established and each.topic != METADATA_TOPIC
            )
        )

    # -- writing ----------------------------------------------------------------------------------------------

    async def _write(self, due: _Due) -> None:
        """Raises `StoreError`, `BadBackup`."""
        section = await self._runtime.in_thread(
            lambda: Section(due.name, self._cluster_id, due.epoch, self._runtime.clock.wall_ms(), due.body())
        )
        packed = await self._runtime.in_thread(section.pack)
        body = crc32c(packed[packed.index(b"\n") :])
        key, last = section_key(self._cluster_id, due.name), self._put.get(due.name)
        if last is not None and (last.epoch, last.crc32c) == (due.epoch, body):
            return
        try:
            etag = await self._etag_of(key, due.epoch) if last is None or last.epoch != due.epoch else last.etag
            info = await self._store.put(key, packed, if_absent=etag is None, if_match=etag)
        except PreconditionFailed:
            self._put.pop(due.name, None)  # somebody else put it: the next round looks who
            log.info("%s in %s was written by another meanwhile", key, self._store.url)
            return
        self._put[due.name] = _Put(info.etag, due.epoch, body)
        self._counters.backups += 1

    async def _etag_of(self, key: str, epoch: int) -> str | None:
        """Of what is there and may be replaced; None: nothing is there. Raises `PreconditionFailed`, `StoreError`."""
        try:
            info = await self._store.head(key)
            found = Section.parse(await self._store.get(key, etag=info.etag), key)
        except NotFound:
            return None
        except FutureBackup:
            raise
        except (BadBackup, Corrupt) as problem:
            log.error("%s is written anew: %s", key, problem)
            return info.etag
        if found.epoch > epoch:
            raise PreconditionFailed(f"{key} was written in epoch {found.epoch}, this node is in {epoch}")
        return info.etag
