"""The groups of a node, put together and kept in step with the metadata image.

In: each new image; the wish that `__consumer_offsets` exist. Out: partitions led and resigned in the registry, the
offsets of deleted topics forgotten. The coordinator inside is what handlers call. Owns the registry's tasks and one
of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Final
from uuid import UUID

from sprawl.groups.coordinator import GroupCoordinator
from sprawl.groups.log import TOPIC, GroupLog
from sprawl.groups.registry import GroupRegistry, report_failure
from sprawl.groups.settings import GroupSettings
from sprawl.quorum.image import MetadataImage
from sprawl.runtime import Runtime
from sprawl_protocol.errors import ApiError, ErrorCode

log: Final = logging.getLogger(__name__)

CreateTopic = Callable[[str, int, int, Mapping[str, str]], Awaitable[None]]
"""Name, partitions, replication factor, settings. Raises `ApiError`."""

Settled = Callable[[int], Awaitable[None]]
"""Waits until this node's partitions are as the image at that offset wants them."""


class GroupService:
    def __init__(
        self,
        runtime: Runtime,
        settings: GroupSettings,
        node_id: int,
        group_log: GroupLog,
        image: Callable[[], MetadataImage],
        settled: Settled,
        create_topic: CreateTopic,
    ) -> None:
        self._settings = settings
        self._node_id = node_id
        self._image = image
        self._settled = settled
        self._create_topic = create_topic
        self._registry = GroupRegistry(runtime, settings, group_log)
        self.coordinator: Final = GroupCoordinator(self._registry, settings, self.partition_count)
        self._topic_id: UUID | None = None
        self._deleted: dict[str, UUID] = {}
        self._changed = asyncio.Event()
        self._creating = asyncio.Lock()
        self._worker: asyncio.Task[None] | None = None

    def start(self) -> None:
        """To be called when the partitions of the present image are open."""
        self._registry.start()
        self._follow(self._image())
        self._worker = asyncio.create_task(self._work(), name="groups: following the metadata")
        self._worker.add_done_callback(report_failure)

    async def stop(self) -> None:
        """Whoever waits is told to find another coordinator."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait({self._worker})
        await self._registry.stop()

    def image_changed(self, old: MetadataImage | None, new: MetadataImage) -> None:
        if old is not None and old.topics_by_id is not new.topics_by_id:
            gone = (topic for topic_id, topic in old.topics_by_id.items() if topic_id not in new.topics_by_id)
            self._deleted.update({topic.name: topic.id for topic in gone})
        self._changed.set()

    def partition_count(self) -> int | None:
        """None while `__consumer_offsets` does not exist."""
        topic = self._image().topics.get(TOPIC)
        return None if topic is None else len(topic.partitions)

    def records(self) -> Iterator[tuple[int, int, list[tuple[bytes, bytes]]]]:
        """Of each partition of `__consumer_offsets` led here: its number, the leader epoch, all that it says."""
        for led in self._registry.all_led():
            if led.is_loaded:
                found = (record for chunk in led.shard.snapshot() for record in chunk)
                yield led.partition, led.epoch, [(key, value) for key, value in found if value is not None]

    async def ensure_topic(self) -> None:
        """Make `__consumer_offsets` if it does not exist. Raises `ApiError` COORDINATOR_NOT_AVAILABLE."""
        async with self._creating:
            if self.partition_count() is None:
                replicas = max(min(self._settings.replication_factor, len(self._image().brokers)), 1)
                try:
                    await self._create_topic(TOPIC, self._settings.partitions, replicas, self._settings.topic_config)
                except ApiError as refusal:
                    if refusal.code is not ErrorCode.TOPIC_ALREADY_EXISTS:
                        raise ApiError(
                            ErrorCode.COORDINATOR_NOT_AVAILABLE, f"{TOPIC} cannot be made: {refusal.message}"
                        ) from refusal
        image = self._image()
        await self._settled(image.offset)
        self._follow(image)

    async def _work(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            image = self._image()
            await self._settled(image.offset)
            self._follow(image)
            deleted, self._deleted = self._deleted, {}
            await self.coordinator.forget_topics(deleted)

    def _follow(self, image: MetadataImage) -> None:
        topic = image.topics.get(TOPIC)
        mine: dict[int, int] = {}
        if topic is None or topic.id != self._topic_id:
            self._registry.follow({})  # made anew: what was read of its predecessor is of no use
            self._topic_id = None if topic is None else topic.id
        if topic is not None:
            mine = {each.index: each.leader_epoch for each in topic.partitions if each.leader == self._node_id}
        self._registry.follow(mine)
