"""OffsetCommit, OffsetFetch, OffsetDelete in every version, over real bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import pytest

from sprawl.handlers.offsets import OffsetHandlers, ask_again
from sprawl.quorum.image import MetadataImage
from sprawl.runtime import Clock
from sprawl.security.access import Operation
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetDeleteRequest,
    OffsetDeleteRequestPartition,
    OffsetDeleteRequestTopic,
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopic,
    OffsetFetchRequestTopics,
)
from tests.groups.fakes import GROUP, Coordinating, FakeLog, on_virtual_time
from tests.handlers.wired import Denying, FakeImage, FakeTopic, ask, versions_of

T, U, STRANGE = UUID(int=11), UUID(int=12), UUID(int=99)
IMAGE = FakeImage(FakeTopic("t", T, (0, 1, 2)), FakeTopic("u", U, (0,)))
NAMES = {T: "t", U: "u", STRANGE: "strange"}


def handlers_of(
    it: Coordinating, denying: Denying | None = None, image: FakeImage = IMAGE, *, certain: bool = True
) -> OffsetHandlers:
    images = cast(Callable[[], MetadataImage], lambda: image)
    return OffsetHandlers(it.coordinator, images, denying or Denying(), cast(Clock, it.runtime.clock), lambda: certain)


def commit_request(
    version: int, topic: UUID = T, partition: int = 0, offset: int = 42, metadata: str | None = "note", **fields: Any
) -> OffsetCommitRequest:
    by_id = version >= 10
    return OffsetCommitRequest(
        group_id=fields.pop("group_id", GROUP),
        topics=[
            OffsetCommitRequestTopic(
                name="" if by_id else NAMES[topic],
                topic_id=topic if by_id else UUID(int=0),
                partitions=[
                    OffsetCommitRequestPartition(
                        partition_index=partition,
                        committed_offset=offset,
                        committed_leader_epoch=3 if version >= 6 else -1,
                        committed_metadata=metadata,
                    )
                ],
            )
        ],
        **fields,
    )


async def commit(handlers: OffsetHandlers, version: int, *args: Any, **fields: Any) -> int:
    answer = await ask(handlers.offset_commit, commit_request(version, *args, **fields), version)
    ((partition,),) = [topic.partitions for topic in answer.topics]
    return int(partition.error_code)


async def fetch(
    handlers: OffsetHandlers, version: int, topic: UUID | None = T, partition: int = 0, **fields: Any
) -> tuple[int, dict[str, list[tuple[int, int, int]]]]:
    """The error of the whole, and per topic (named by name): partition, offset, error."""
    request = OffsetFetchRequest(**fields)
    if version < 8:
        request.group_id = GROUP
        request.topics = None
        if topic is not None:
            request.topics = [OffsetFetchRequestTopic(name=NAMES[topic], partition_indexes=[partition])]
        answer = await ask(handlers.offset_fetch, request, version)
        topics = answer.topics
    else:
        asked = OffsetFetchRequestGroup(group_id=GROUP)
        asked.topics = None
        if topic is not None:
            name, topic_id = (NAMES[topic], UUID(int=0)) if version < 10 else ("", topic)
            asked.topics = [OffsetFetchRequestTopics(name=name, topic_id=topic_id, partition_indexes=[partition])]
        request.groups = [asked]
        (answer,) = (await ask(handlers.offset_fetch, request, version)).groups
        topics = answer.topics
    return answer.error_code, {
        topic.name if version < 10 else NAMES[topic.topic_id]: [
            (each.partition_index, each.committed_offset, each.error_code) for each in topic.partitions
        ]
        for topic in topics
    }


@pytest.mark.parametrize("version", versions_of(OffsetCommitRequest))
@on_virtual_time
async def test_offsets_are_committed_in_every_version(version: int) -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it)
        assert await commit(handlers, version) == ErrorCode.NONE
        assert await fetch(handlers, 9) == (ErrorCode.NONE, {"t": [(0, 42, ErrorCode.NONE)]})
        offsets = await it.coordinator.offsets(GROUP, stable=False)
        found = offsets.get("t", 0)
        assert found is not None
        assert (found.metadata, found.leader_epoch, found.topic_id) == ("note", 3 if version >= 6 else -1, T)


@pytest.mark.parametrize("version", versions_of(OffsetFetchRequest))
@on_virtual_time
async def test_offsets_are_fetched_in_every_version(version: int) -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it)
        await commit(handlers, 9)
        assert await fetch(handlers, version) == (ErrorCode.NONE, {"t": [(0, 42, ErrorCode.NONE)]})
        assert await fetch(handlers, version, partition=2) == (ErrorCode.NONE, {"t": [(2, -1, ErrorCode.NONE)]})
        if version >= 2:
            assert await fetch(handlers, version, topic=None) == (ErrorCode.NONE, {"t": [(0, 42, ErrorCode.NONE)]})
        if version >= 7:
            stable = await fetch(handlers, version, require_stable=True)
            assert stable == (ErrorCode.NONE, {"t": [(0, 42, ErrorCode.NONE)]})


@on_virtual_time
async def test_a_coordinator_that_may_have_a_successor_commits_and_shows_nothing() -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it, certain=False)
        assert await commit(handlers, 9) == ErrorCode.NONE
        assert await fetch(handlers, 9) == (ErrorCode.COORDINATOR_NOT_AVAILABLE, {})


@pytest.mark.parametrize("version", [2, 7, 8, 9])
@on_virtual_time
async def test_clients_are_told_to_ask_again_while_it_is_not_certain_who_coordinates(version: int) -> None:
    async with Coordinating() as it:
        for certain in (False, True):
            told = handlers_of(it, certain=certain)
            told.offset_fetch = ask_again(told.offset_fetch)  # type: ignore[method-assign, assignment]
            assert await fetch(told, version) == (ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, {})
            it.registry.resign(0)


@pytest.mark.parametrize("version", versions_of(OffsetFetchRequest))
@on_virtual_time
async def test_a_group_without_offsets_has_none(version: int) -> None:
    async with Coordinating() as it:
        assert await fetch(handlers_of(it), version) == (ErrorCode.NONE, {"t": [(0, -1, ErrorCode.NONE)]})


@pytest.mark.parametrize("version", versions_of(OffsetFetchRequest))
@on_virtual_time
async def test_a_coordinator_elsewhere_is_told_where_the_version_can(version: int) -> None:
    async with Coordinating() as it:
        it.registry.resign(0)
        answer = await fetch(handlers_of(it), version)
        if version >= 2:
            assert answer == (ErrorCode.NOT_COORDINATOR, {})
        else:
            assert answer[1] == {"t": [(0, -1, ErrorCode.NOT_COORDINATOR)]}


@on_virtual_time
async def test_several_groups_at_once() -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it, Denying({(Operation.DESCRIBE, "secret")}))
        await commit(handlers, 9)
        groups = [OffsetFetchRequestGroup(group_id=each) for each in (GROUP, "other", "secret")]
        for group in groups:
            group.topics = None
        answer = await ask(handlers.offset_fetch, OffsetFetchRequest(groups=groups), 9)
        assert [(each.group_id, each.error_code, len(each.topics)) for each in answer.groups] == [
            (GROUP, ErrorCode.NONE, 1),
            ("other", ErrorCode.NONE, 0),
            ("secret", ErrorCode.GROUP_AUTHORIZATION_FAILED, 0),
        ]


@on_virtual_time
async def test_what_does_not_exist_is_named_so() -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it)
        assert await commit(handlers, 9, STRANGE) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert await commit(handlers, 10, STRANGE) == ErrorCode.UNKNOWN_TOPIC_ID
        for version in (9, 10):
            assert await commit(handlers, version, T, 3) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
            assert await commit(handlers, version, T, -1) == ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        assert await fetch(handlers, 10, STRANGE) == (
            ErrorCode.NONE,
            {"strange": [(0, -1, ErrorCode.UNKNOWN_TOPIC_ID)]},
        )
        assert await fetch(handlers, 9, STRANGE) == (ErrorCode.NONE, {"strange": [(0, -1, ErrorCode.NONE)]})
        assert it.coordinator.list_groups()[0] == [], "nothing was committed, so there is no group"


@on_virtual_time
async def test_a_topic_made_anew_begins_without_offsets() -> None:
    async with Coordinating() as it:
        await commit(handlers_of(it), 9)
        anew = handlers_of(it, image=FakeImage(FakeTopic("t", U, (0, 1, 2))))
        assert await fetch(anew, 9) == (ErrorCode.NONE, {"t": [(0, -1, ErrorCode.NONE)]})
        assert await fetch(anew, 9, topic=None) == (ErrorCode.NONE, {})


@on_virtual_time
async def test_long_notes_are_refused_and_the_rest_is_committed() -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it)
        request = commit_request(9, metadata="x" * 4097)
        request.topics[0].partitions.append(OffsetCommitRequestPartition(partition_index=1, committed_offset=5))
        answer = await ask(handlers.offset_commit, request, 9)
        assert [each.error_code for each in answer.topics[0].partitions] == [
            ErrorCode.OFFSET_METADATA_TOO_LARGE,
            ErrorCode.NONE,
        ]
        assert await it.committed(partition=1) == 5
        assert await commit(handlers, 9, metadata="x" * 4096) == ErrorCode.NONE
        assert await commit(handlers, 9, metadata=None) == ErrorCode.NONE


@pytest.mark.parametrize("version", versions_of(OffsetCommitRequest))
@on_virtual_time
async def test_members_commit_by_their_generation(version: int) -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it)
        joined = await it.stable()
        whose = {"member_id": joined.member_id, "generation_id_or_member_epoch": joined.generation}
        assert await commit(handlers, version, **whose) == ErrorCode.NONE
        assert await commit(handlers, version) == ErrorCode.UNKNOWN_MEMBER_ID
        whose["generation_id_or_member_epoch"] = 9
        assert await commit(handlers, version, **whose) == ErrorCode.ILLEGAL_GENERATION
        missing = ErrorCode.GROUP_ID_NOT_FOUND if version >= 9 else ErrorCode.ILLEGAL_GENERATION
        assert await commit(handlers, version, group_id="nowhere", **whose) == missing


@on_virtual_time
async def test_a_retention_chosen_by_the_client_is_kept_over_a_restart() -> None:
    log = FakeLog()
    async with Coordinating(log) as it:
        assert await commit(handlers_of(it), 4, retention_time_ms=60_000) == ErrorCode.NONE
    async with Coordinating(log) as it:
        found = (await it.coordinator.offsets(GROUP, stable=False)).get("t", 0)
        assert found is not None and found.expires_ms == found.committed_ms + 60_000


@on_virtual_time
async def test_offsets_are_deleted() -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it)
        await commit(handlers, 9)
        request = OffsetDeleteRequest(
            group_id=GROUP,
            topics=[
                OffsetDeleteRequestTopic(
                    name="t", partitions=[OffsetDeleteRequestPartition(partition_index=each) for each in (0, 1, 7)]
                ),
                OffsetDeleteRequestTopic(name="strange", partitions=[OffsetDeleteRequestPartition(partition_index=0)]),
            ],
        )
        answer = await ask(handlers.offset_delete, request, 0)
        assert answer.error_code == ErrorCode.NONE
        assert [[each.error_code for each in topic.partitions] for topic in answer.topics] == [
            [ErrorCode.NONE, ErrorCode.NONE, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
            [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
        ]
        assert await it.committed() is None
        request.group_id = "nowhere"
        assert (await ask(handlers.offset_delete, request, 0)).error_code == ErrorCode.GROUP_ID_NOT_FOUND


@on_virtual_time
async def test_access_to_groups_and_topics() -> None:
    async with Coordinating() as it:
        await commit(handlers_of(it), 9)
        no_group = handlers_of(
            it, Denying({(each, GROUP) for each in (Operation.READ, Operation.DESCRIBE, Operation.DELETE)})
        )
        assert await commit(no_group, 9) == ErrorCode.GROUP_AUTHORIZATION_FAILED
        assert await fetch(no_group, 9) == (ErrorCode.GROUP_AUTHORIZATION_FAILED, {})
        assert (await fetch(no_group, 1))[1] == {"t": [(0, -1, ErrorCode.GROUP_AUTHORIZATION_FAILED)]}
        deleted = await ask(no_group.offset_delete, OffsetDeleteRequest(group_id=GROUP), 0)
        assert deleted.error_code == ErrorCode.GROUP_AUTHORIZATION_FAILED
        no_topic = handlers_of(it, Denying({(Operation.READ, "t"), (Operation.DESCRIBE, "t")}))
        for version in (9, 10):
            assert await commit(no_topic, version) == ErrorCode.TOPIC_AUTHORIZATION_FAILED
            asked = await fetch(no_topic, version)
            assert asked == (ErrorCode.NONE, {"t": [(0, -1, ErrorCode.TOPIC_AUTHORIZATION_FAILED)]})
            assert await fetch(no_topic, version, topic=None) == (ErrorCode.NONE, {})
