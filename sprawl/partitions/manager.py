"""Keeps the partitions that this node holds in step with the metadata image.

In: each new image. Out: opened, re-epoched, reconfigured and deleted partitions, found by name or by topic id.
Opening a log may have to recover it, so changes are worked off one by one by a task of its own, in image order;
`settled(offset)` tells when an image's changes have taken effect here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from uuid import UUID

from sprawl.config.topics import TopicConfig
from sprawl.partitions.cold import ColdRecords
from sprawl.partitions.fetchers import ReplicaFetchers
from sprawl.partitions.partition import Partition
from sprawl.quorum.image import MetadataImage, PartitionImage, TopicImage
from sprawl.runtime import Clock
from sprawl.storage.log import Log
from sprawl.storage.manager import LogManager
from sprawl_protocol.errors import ApiError, ErrorCode

log_ = logging.getLogger(__name__)


_RETRY_SECONDS = 5.0


class PartitionManager:
    def __init__(
        self,
        node_id: int,
        logs: LogManager,
        clock: Clock,
        config_of: Callable[[MetadataImage, str], TopicConfig],
        kept: frozenset[str],
        fetchers: ReplicaFetchers | None = None,
        isr_due: Callable[[Partition], None] | None = None,
        damaged: Callable[[], None] | None = None,
        cold: Callable[[UUID, int], ColdRecords] | None = None,
    ) -> None:
        """`kept`: topics that are not in the image and still have their place on this disk: the metadata log.
        `fetchers` follow what others lead; `isr_due` is told of followers that may have caught up, `damaged`
        that a replica here is damaged or does not open, or that its standing changed. `cold` has what the cloud tier
        has of a partition."""
        self._node_id = node_id
        self._logs = logs
        self._clock = clock
        self._config_of = config_of
        self._kept = kept
        self._fetchers = fetchers
        self._isr_due = isr_due
        self._damaged = damaged
        self._cold = cold
        self._by_name: dict[tuple[str, int], Partition] = {}
        self._by_id: dict[tuple[UUID, int], Partition] = {}
        self._unopenable: dict[tuple[UUID, int], str] = {}
        self._applied: MetadataImage | None = None
        self._wanted: MetadataImage | None = None
        self._changed = asyncio.Event()
        self._settled = asyncio.Condition()
        self._worker: asyncio.Task[None] | None = None

    # -- finding --------------------------------------------------------------------------------------------

    def find(self, topic: str, index: int) -> Partition | None:
        return self._by_name.get((topic, index))

    def find_by_id(self, topic_id: UUID, index: int) -> Partition | None:
        return self._by_id.get((topic_id, index))

    def why_not_here(self, topic_id: UUID, index: int) -> str | None:
        """Why a partition that the image gives to this node could not be opened; None if it was."""
        return self._unopenable.get((topic_id, index))

    def counted_on_in_vain(self) -> list[tuple[UUID, int]]:
        """Replicas that do not open here, that other nodes have too, and that the controller still counts on."""
        image = self._wanted
        found = []
        for topic_id, index in self._unopenable:
            partition = image.partition(topic_id, index) if image is not None else None
            if partition is None or partition.replicas == (self._node_id,) or self._node_id in partition.lost:
                continue
            found.append((topic_id, index))
        return found

    def __iter__(self) -> Iterator[Partition]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def high_watermark_of(self, log: Log) -> int:
        """Of the partition whose log this is; 0 if no partition stands on it (yet)."""
        partition = self._by_id.get((log.topic_id, log.partition))
        return partition.high_watermark if partition is not None and partition.log is log else 0

    # -- following the image --------------------------------------------------------------------------------

    async def start(self, image: MetadataImage) -> None:
        """Open everything the image gives to this node; returns when that is done. Raises `OSError`, `ApiError`."""
        worker = self._worker = asyncio.create_task(self._work(), name="partition manager")
        self.image_changed(None, image)
        settled = asyncio.create_task(self.settled(image.offset))
        try:
            await asyncio.wait({worker, settled}, return_when=asyncio.FIRST_COMPLETED)
            if worker.done():
                worker.result()
        finally:
            settled.cancel()

    async def failed(self) -> str:
        """Returns, with the reason, when it can't keep step any more: the disk failed, say."""
        assert self._worker is not None, "start() comes first"
        await asyncio.wait({self._worker})
        reason = "stopped" if self._worker.cancelled() else repr(self._worker.exception())
        return f"the partitions of this node are not kept in step with the metadata: {reason}"

    def image_changed(self, old: MetadataImage | None, new: MetadataImage) -> None:
        self._wanted = new
        self._changed.set()

    async def settled(self, offset: int) -> None:
        """Wait until the changes of the image at metadata offset `offset` have taken effect on this node."""
        async with self._settled:
            await self._settled.wait_for(lambda: self._applied is not None and self._applied.offset >= offset)

    async def stop(self) -> None:
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        reason = ApiError(ErrorCode.NOT_LEADER_OR_FOLLOWER, "this node is shutting down")
        for partition in self:
            partition.close(reason)
        self._by_id.clear()
        self._by_name.clear()
        if self._fetchers is not None:
            await self._fetchers.stop()

    async def _work(self) -> None:
        while True:
            await self._change_or_retry()
            image = self._wanted
            assert image is not None
            await self._apply(image)
            async with self._settled:
                self._applied = image
                self._settled.notify_all()

    async def _change_or_retry(self) -> None:
        """Until there is a new image; or, while some log did not open (a full disk, say), until it is time to retry."""
        try:
            async with asyncio.timeout(_RETRY_SECONDS if self._unopenable else None):
                await self._changed.wait()
        except TimeoutError:
            log_.debug("trying again to open %d logs", len(self._unopenable))
        self._changed.clear()

    async def _apply(self, image: MetadataImage) -> None:
        before = self._applied
        if before is None:
            self._set_stray_logs_aside(image)
        else:
            for topic in [t for t in before.topics.values() if t.id not in image.topics_by_id]:
                await self._remove_topic(topic)
        same = before is not None and image.topics is before.topics and image.configs is before.configs
        if same and not self._unopenable:
            return
        for topic in image.topics.values():
            former = before.topics_by_id.get(topic.id) if before is not None else None
            for partition in topic.partitions:
                again = (topic.id, partition.index) in self._unopenable
                if former is topic and not again:
                    continue
                if self._node_id in partition.replicas:
                    await self._ensure(image, topic, partition)
                else:
                    await self._remove(topic, partition.index, _gone_elsewhere(topic, partition.index))
            if before is None or image.config_of_topic_changed(before, topic.name):
                self._reconfigure(image, topic)

    async def _ensure(self, image: MetadataImage, topic: TopicImage, wanted: PartitionImage) -> None:
        key = (topic.id, wanted.index)
        partition = self._by_id.get(key)
        if partition is not None:
            await self._take_role(partition, wanted)
            return
        try:
            opened = await self._logs.open(topic.id, topic.name, wanted.index, self._config_of(image, topic.name))
        except (ApiError, OSError) as error:
            first_time = key not in self._unopenable
            self._unopenable[key] = str(error)
            if self._damaged is not None:
                self._damaged()
            log_.log(
                logging.ERROR if first_time else logging.DEBUG,
                "%s-%d cannot be served: its log does not open: %s",
                topic.name,
                wanted.index,
                error,
            )
            return
        self._unopenable.pop(key, None)
        partition = Partition(
            topic.name,
            topic.id,
            wanted.index,
            opened,
            node_id=self._node_id,
            now_ms=self._clock.wall_ms,
            now=self._clock.monotonic,
        )
        partition.on_isr_due = self._isr_due
        if self._cold is not None:
            partition.cold = self._cold(topic.id, wanted.index)
        opened.on_damaged = self._damaged
        self._by_id[key] = partition
        self._by_name[(topic.name, wanted.index)] = partition
        await self._take_role(partition, wanted)

    async def _take_role(self, partition: Partition, wanted: PartitionImage) -> None:
        async with partition.mending:
            if wanted.leader == self._node_id:
                partition.lead(wanted)
            else:
                partition.follow(wanted)
        if self._fetchers is not None:
            self._fetchers.update(partition)
        if self._damaged is not None and partition.log.damaged is not None:
            self._damaged()

    async def _remove_topic(self, topic: TopicImage) -> None:
        gone = ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"topic {topic.name} has been deleted")
        for index in range(len(topic.partitions)):
            await self._remove(topic, index, gone)

    async def _remove(self, topic: TopicImage, index: int, why: ApiError) -> None:
        partition = self._by_id.pop((topic.id, index), None)
        self._unopenable.pop((topic.id, index), None)
        if partition is None:
            return
        if self._by_name.get((topic.name, index)) is partition:
            del self._by_name[(topic.name, index)]
        if self._fetchers is not None:
            self._fetchers.remove(partition)
        partition.close(why)
        async with partition.mending:
            await self._logs.delete(partition.log)

    def _set_stray_logs_aside(self, image: MetadataImage) -> None:
        """Logs of topics that were deleted, or of replicas that were moved elsewhere, while this node was down."""
        for directory in self._logs.on_disk():
            known = image.topics_by_id.get(directory.topic_id)
            mine = directory.topic in self._kept or (
                known is not None
                and directory.partition < len(known.partitions)
                and self._node_id in known.partitions[directory.partition].replicas
            )
            if not mine:
                self._logs.set_aside(directory)

    def _reconfigure(self, image: MetadataImage, topic: TopicImage) -> None:
        config = self._config_of(image, topic.name)
        for index in range(len(topic.partitions)):
            partition = self._by_id.get((topic.id, index))
            if partition is not None and partition.log.config != config:
                partition.log.apply_config(config)


def _gone_elsewhere(topic: TopicImage, index: int) -> ApiError:
    return ApiError(ErrorCode.NOT_LEADER_OR_FOLLOWER, f"{topic.name}-{index} is kept on other nodes now")
