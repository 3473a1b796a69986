"""The groups of a node follow the metadata image: what it leads, and which topics are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast
from uuid import UUID

from sprawl.groups.exchange import GroupLimits
from sprawl.groups.leading import Committer
from sprawl.groups.log import TOPIC
from sprawl.groups.offsets import CommittedOffset, TopicPartition
from sprawl.groups.service import GroupService
from sprawl.groups.settings import GroupSettings
from sprawl.quorum.image import MetadataImage, PartitionImage, TopicImage
from sprawl.runtime import Runtime
from sprawl_protocol.errors import ApiError, ErrorCode
from tests.groups.fakes import FakeLog, FakeRuntime, on_virtual_time, settle

ME, OTHER = 1, 2
T0 = TopicPartition("t", 0)


def topic(name: str, number: int, leaders: list[int], epoch: int = 7) -> TopicImage:
    partitions = tuple(PartitionImage(index, leader, epoch, 0, (ME,), (ME,)) for index, leader in enumerate(leaders))
    return TopicImage(name, UUID(int=number), partitions, internal=name == TOPIC)


class FakeImage:
    """As much of a metadata image as the service looks at."""

    def __init__(self, offset: int, *topics: TopicImage) -> None:
        self.offset = offset
        self.topics = {each.name: each for each in topics}
        self.topics_by_id = {each.id: each for each in topics}
        self.brokers = {ME: object()}


class Serving:
    def __init__(self, image: FakeImage) -> None:
        self.image = image
        self.log = FakeLog()
        self.created: list[tuple[str, int, int]] = []
        self.refusal: ApiError | None = None
        self.service = GroupService(
            cast(Runtime, FakeRuntime()),
            GroupSettings(limits=GroupLimits(initial_rebalance_delay_ms=0), partitions=3),
            ME,
            self.log,
            lambda: cast(MetadataImage, self.image),
            self._settled,
            self._create,
        )

    async def _settled(self, offset: int) -> None:
        await asyncio.sleep(0)

    async def _create(self, name: str, partitions: int, replicas: int, config: Mapping[str, str]) -> None:
        self.created.append((name, partitions, replicas))
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        assert config["retention.ms"] == "-1", "groups must not be deleted by age"
        self.change(topic(name, 100, [ME] * partitions))

    def change(self, *topics: TopicImage) -> None:
        former, self.image = self.image, FakeImage(self.image.offset + 1, *topics)
        self.service.image_changed(cast(MetadataImage, former), cast(MetadataImage, self.image))

    async def __aenter__(self) -> Serving:
        self.service.start()
        await settle()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.service.stop()

    async def commit(self, group_id: str, topic_id: int = 1) -> ErrorCode:
        offsets = {T0: CommittedOffset(42, -1, "", 0, topic_id=UUID(int=topic_id))}
        try:
            await self.service.coordinator.commit(group_id, Committer(), offsets, ErrorCode.ILLEGAL_GENERATION)
        except ApiError as refusal:
            return refusal.code
        return ErrorCode.NONE


@on_virtual_time
async def test_it_leads_what_the_image_gives_it() -> None:
    groups = topic(TOPIC, 100, [ME, OTHER])
    async with Serving(FakeImage(1, groups)) as it:
        # "b" hashes to partition 0 of 2, "a" to partition 1.
        assert (await it.commit("b"), await it.commit("a")) == (ErrorCode.NONE, ErrorCode.NOT_COORDINATOR)
        it.log.epoch = 8
        it.change(topic(TOPIC, 100, [OTHER, ME], epoch=8))
        await settle()
        assert (await it.commit("b"), await it.commit("a")) == (ErrorCode.NOT_COORDINATOR, ErrorCode.NONE)


@on_virtual_time
async def test_the_topic_is_made_once_however_many_ask() -> None:
    async with Serving(FakeImage(1)) as it:
        assert it.service.coordinator.partition_of("g") is None
        assert await it.commit("g") is ErrorCode.NOT_COORDINATOR
        await asyncio.gather(*(it.service.ensure_topic() for _ in range(5)))
        assert it.created == [(TOPIC, 3, 1)]
        await settle()
        assert await it.commit("g") is ErrorCode.NONE


@on_virtual_time
async def test_a_topic_that_cannot_be_made_means_no_coordinator_now() -> None:
    async with Serving(FakeImage(1)) as it:
        it.refusal = ApiError(ErrorCode.POLICY_VIOLATION, "no")
        try:
            await it.service.ensure_topic()
        except ApiError as refusal:
            assert refusal.code is ErrorCode.COORDINATOR_NOT_AVAILABLE
        else:
            raise AssertionError("it must be refused")


@on_virtual_time
async def test_the_offsets_of_deleted_topics_are_forgotten() -> None:
    groups, read = topic(TOPIC, 100, [ME]), topic("t", 1, [ME])
    async with Serving(FakeImage(1, groups, read)) as it:
        assert await it.commit("g") is ErrorCode.NONE
        it.change(groups, topic("t", 2, [ME]))  # deleted and made anew in one go
        await settle()
        offsets = await it.service.coordinator.offsets("g", stable=True)
        assert offsets.get("t", 0) is None
        assert await it.commit("g", topic_id=2) is ErrorCode.NONE


@on_virtual_time
async def test_when_the_topic_is_deleted_nobody_is_coordinated() -> None:
    async with Serving(FakeImage(1, topic(TOPIC, 100, [ME]))) as it:
        assert await it.commit("g") is ErrorCode.NONE
        it.change()
        await settle()
        assert await it.commit("g") is ErrorCode.NOT_COORDINATOR


@on_virtual_time
async def test_a_topic_made_anew_knows_no_groups() -> None:
    async with Serving(FakeImage(1, topic(TOPIC, 100, [ME]))) as it:
        assert await it.commit("g") is ErrorCode.NONE
        it.log.partitions.clear()
        it.change(topic(TOPIC, 101, [ME]))
        await settle()
        assert it.service.coordinator.list_groups() == ([], ErrorCode.NONE)
