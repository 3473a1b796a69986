"""The cluster's backup, written on: each node puts the sections that it answers for, when they have changed.

In: what the node knows at the moment. Out: objects. A section is replaced only by a writer of the same cluster whose
epoch is not older, and only as that writer saw it last: one that was replaced, and does not know it yet, cannot put its
own over its successor's. Each round asks first whether the bucket is still this cluster's: after a restore elsewhere it
is not, and then `ForeignBucket` ends the tier's work here. Otherwise what goes wrong is tried again in the next round.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from crc32c import crc32c

from sprawl.objects.contract import ObjectStore
from sprawl.objects.errors import Corrupt, ForeignBucket, NotFound, PreconditionFailed, StoreError
from sprawl.objects.probe import read_marker
from sprawl.partitions.partition import Partition
from sprawl.quorum.image import METADATA_TOPIC, TIER_TOPIC, ConfigKind, MetadataImage
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
from sprawl.tiers.catalogs import Catalogs, Key
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
    made_of: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class _Due:
    name: str
    epoch: int
    told: Callable[[], dict[str, Any]]
    """Its body; done off the event loop."""
    made_of: tuple[object, ...] = ()
    """If all of these are the ones they were, so is the body. Empty: that is known only once it is there."""

    def is_as(self, put: _Put) -> bool:
        before = put.made_of
        same = len(before) == len(self.made_of) > 0 and all(map(_same, before, self.made_of))
        return same and put.epoch == self.epoch


def _same(one: object, other: object) -> bool:
    return one == other if isinstance(one, int) else one is other


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
        self._changes: Counter[Key] = Counter()
        catalogs.when_changed(self._note_change)

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
            for due in self._due():  # made one by one: no node stands still while all is gathered
                await self._write(due)
            self._counters.last_backup = self._runtime.clock.monotonic()
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

    def _note_change(self, key: Key) -> None:
        self._changes[key] += 1

    def _due(self) -> Iterator[_Due]:
        image = self._quorum.image
        if self._quorum.leading:
            made_of = (image.topics, image.configs, image.next_producer_id)
            yield _Due(CLUSTER, self._quorum.epoch, lambda: self._cluster(image).told(), made_of)
        yield from self._tier()
        me = image.brokers.get(self._node_id)
        if me is not None and me.active:
            yield _Due(f"{NODE}{self._node_id}", me.epoch, self._node().told)
        for index, epoch, records in self._groups():
            yield _Due(f"{GROUPS}{index}", epoch, GroupsBody(tuple(records)).told)

    def _cluster(self, image: MetadataImage) -> ClusterBody:
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

    def _tier(self) -> Iterator[_Due]:
        """Of partitions whose records have been read to their end since this node leads them."""
        topic = self._quorum.image.topics.get(TIER_TOPIC)
        if topic is None:
            return
        led = {each.index: each.leader_epoch for each in topic.partitions if each.leader == self._node_id}
        now = self._runtime.clock.monotonic()
        self._led_since = {each: self._led_since.get(each, now) for each in led.items()}
        keys: dict[int, list[Key]] = {index: [] for index in led}
        for key in self._catalogs.keys():  # noqa: SIM118 - not a mapping
            index = partition_of(topic, *key)
            if index in keys:
                keys[index].append(key)
        for index, epoch in led.items():
            if self._topic.read_since(index, self._led_since[(index, epoch)]):
                due = _Due(
                    f"{TIER}{index}", epoch, dict, (len(keys[index]), sum(self._changes[key] for key in keys[index]))
                )
                last = self._put.get(due.name)
                if last is None or not due.is_as(last):
                    yield replace(due, told=TierBody(tuple(map(self._backed, sorted(keys[index])))).told)

    def _backed(self, key: Key) -> BackedPartition:
        catalog = self._catalogs[key]
        segments = tuple(BackedSegment(each.segment, each.end_offset) for each in catalog.chain)
        return BackedPartition(key, catalog.leader_epoch, segments)

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
        key, last = section_key(self._cluster_id, due.name), self._put.get(due.name)
        if last is not None and due.is_as(last):
            return
        now_ms = self._runtime.clock.wall_ms()
        packed = await self._runtime.in_thread(
            lambda: Section(due.name, self._cluster_id, due.epoch, now_ms, due.told()).pack()
        )
        body = crc32c(packed[packed.index(b"\n") :])
        if last is not None and (last.epoch, last.crc32c) == (due.epoch, body):
            self._put[due.name] = replace(last, made_of=due.made_of)
            return
        try:
            etag = await self._etag_of(key, due.epoch) if last is None or last.epoch != due.epoch else last.etag
            info = await self._store.put(key, packed, if_absent=etag is None, if_match=etag)
        except PreconditionFailed:
            self._put.pop(due.name, None)  # somebody else put it: the next round looks who
            log.info("%s in %s was written by another meanwhile", key, self._store.url)
            return
        self._put[due.name] = _Put(info.etag, due.epoch, body, due.made_of)
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
