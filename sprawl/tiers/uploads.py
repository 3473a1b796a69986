"""One closed part of a log is brought to the object store, and published.

In: the part, and the leader epoch in which it is copied. Out: two objects, and the records that say so: copy started,
then the batches, then the manifest, then copy finished. Whatever goes wrong in between leaves a segment that was
started and never finished, which the partition's leader, this one or the next, deletes after a grace time. Each batch
is checked as it passes: damage is not archived. Bytes are read and looked at off the event loop, a chunk at a time.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from uuid import UUID

from crc32c import crc32c

from sprawl.objects.contract import ObjectStore
from sprawl.partitions.partition import Partition
from sprawl.runtime import Buffer, Runtime
from sprawl.storage.closed import ClosedPart
from sprawl.tiers.counters import TierCounters
from sprawl.tiers.manifest import CHUNK_BYTES, BadSegment, Manifest, ManifestBuilder, Origin
from sprawl.tiers.records import RecordKind, TierRecord
from sprawl.tiers.segments import LOG, MANIFEST, TierSegment, object_name
from sprawl.tiers.topic import TierTopic

log = logging.getLogger(__name__)


class Uploads:
    def __init__(
        self,
        cluster_id: str,
        node_id: int,
        store: ObjectStore,
        topic: TierTopic,
        runtime: Runtime,
        described: Callable[[UUID], tuple[int, Mapping[str, str]]],
        counters: TierCounters,
        chunk_bytes: int = CHUNK_BYTES,
    ) -> None:
        """`described`: how many partitions a topic has, and its settings."""
        self._cluster_id = cluster_id
        self._node_id = node_id
        self._store = store
        self._topic = topic
        self._runtime = runtime
        self._described = described
        self._counters = counters
        self._chunk_bytes = chunk_bytes

    def new_id(self) -> str:
        return self._runtime.token_bytes(16).hex()

    def record(
        self,
        partition: Partition,
        leader_epoch: int,
        kind: RecordKind,
        segment: TierSegment | None = None,
        *,
        segment_id: str = "",
        offset: int = -1,
    ) -> TierRecord:
        return TierRecord(
            kind,
            partition.topic_id,
            partition.index,
            leader_epoch,
            self._node_id,
            self._runtime.clock.wall_ms(),
            self.new_id(),
            segment,
            segment_id,
            offset,
        )

    async def copy(self, partition: Partition, part: ClosedPart, leader_epoch: int, segment_id: str) -> bool:
        """False if another leads by now. Raises `StoreError`, `ApiError`, `ClientError`, `TimeoutError`, `OSError`,
        `ValueError`, `BadSegment`: it may be tried again, under another id.
        """
        segment = TierSegment(
            segment_id, part.base_offset, part.end_offset, part.size, part.segment.max_timestamp, part.epochs
        )
        started = self.record(partition, leader_epoch, RecordKind.COPY_STARTED, segment)
        if await self._void(started):
            return False
        name = object_name(partition.topic_id, partition.index, segment)
        manifest = await self._put(partition, part, leader_epoch, segment, name)
        finished = replace(manifest.segment, manifest_crc32c=await self._put_manifest(name, manifest))
        if partition.leader_epoch != leader_epoch or not partition.leading:
            return False
        if await self._void(self.record(partition, leader_epoch, RecordKind.COPY_FINISHED, finished)):
            await self._store.delete_many([name + MANIFEST, name + LOG])
            return False
        self._counters.copied_segments += 1
        self._counters.copied_bytes += finished.size
        log.info("%s: offsets %d to %d are in the tier", partition, finished.base_offset, finished.end_offset)
        return True

    async def _void(self, record: TierRecord) -> bool:
        refusal = await self._topic.write(record)
        if refusal is not None:
            self._counters.copies_refused += 1
            log.info("%s-%d: %s is void: %s", record.topic_id, record.partition, record.kind.value, refusal)
        return refusal is not None

    async def _put(
        self, partition: Partition, part: ClosedPart, leader_epoch: int, segment: TierSegment, name: str
    ) -> Manifest:
        builder = ManifestBuilder(part.base_offset, part.end_offset, self._chunk_bytes)
        info = await self._store.put_stream(name + LOG, self._pieces(part, builder), if_absent=True)
        partitions, configs = self._described(partition.topic_id)
        origin = Origin(
            self._cluster_id,
            partition.topic,
            partition.topic_id,
            partition.index,
            partitions,
            configs,
            leader_epoch,
            self._node_id,
            self._runtime.clock.wall_ms(),
        )
        manifest = builder.finish(origin, segment, part.producers)
        if info.size != manifest.segment.size or info.crc32c not in (None, manifest.crc32c):
            raise BadSegment(f"{name + LOG} is not what was sent: {info.size} bytes of {manifest.segment.size}")
        return manifest

    async def _put_manifest(self, name: str, manifest: Manifest) -> int:
        packed = await self._runtime.in_thread(manifest.pack)
        await self._store.put(name + MANIFEST, packed, if_absent=True)
        return crc32c(packed)

    async def _pieces(self, part: ClosedPart, builder: ManifestBuilder) -> AsyncIterator[Buffer]:
        at = 0
        while at < part.size:
            piece = await part.read(at, self._chunk_bytes)
            if len(piece) != min(self._chunk_bytes, part.size - at):
                raise BadSegment(f"{part.segment.file.path} ends at byte {part.position + at + len(piece)}")
            await self._runtime.in_thread(lambda piece=piece: builder.feed(piece))  # type: ignore[misc]
            yield piece
            at += len(piece)
