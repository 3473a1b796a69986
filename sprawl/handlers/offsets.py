"""How far groups have read: OffsetCommit (8), OffsetFetch (9), OffsetDelete (47).

Topics are known by name up to version 9 and by id from version 10 on. Answers keep the order of the request.

Offsets are shown only while this node surely coordinates the group: one that was cut off, or slept, does not know what
was committed at its successor meanwhile. (A commit needs no such care: it is written to the log's in-sync replicas.)
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, cast
from uuid import UUID

from sprawl.groups.coordinator import GroupCoordinator
from sprawl.groups.leading import Committer
from sprawl.groups.offsets import UNKNOWN_TOPIC_ID, CommittedOffset, GroupOffsets, TopicPartition
from sprawl.handlers.context import Handler, RequestContext
from sprawl.quorum.image import MetadataImage, TopicImage
from sprawl.runtime import Clock
from sprawl.security.access import Authorizer, Operation, group, topic
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
    OffsetDeleteRequest,
    OffsetDeleteResponse,
    OffsetDeleteResponsePartition,
    OffsetDeleteResponseTopic,
    OffsetFetchRequest,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
)

_IDS_SINCE: Final = 10
_GROUP_NOT_FOUND_SINCE: Final = 9
_GROUPS_SINCE: Final = 8
_TOP_LEVEL_ERROR_SINCE: Final = 2
_NO_OFFSET: Final = -1


_MOVING: Final = frozenset({ErrorCode.COORDINATOR_NOT_AVAILABLE, ErrorCode.NOT_COORDINATOR})


def ask_again(handler: Handler) -> Handler:
    """OffsetFetch, whose clients are told COORDINATOR_LOAD_IN_PROGRESS while it is not certain who coordinates.

    librdkafka (seen with 2.16) asks again after that error only: told that a group's coordinator is another, or away,
    it drops the request, waits for its answer for ever, and takes part in no rebalance any more.
    """

    async def told(context: RequestContext, request: OffsetFetchRequest) -> OffsetFetchResponse:
        answer = handler(context, request)
        response = cast(OffsetFetchResponse, await answer if inspect.isawaitable(answer) else answer)
        if not context.passed_on:
            response.error_code = _or_ask_again(response.error_code)
            for each in response.groups:
                each.error_code = _or_ask_again(each.error_code)
        return response

    return told


def _or_ask_again(error: int) -> int:
    return int(ErrorCode.COORDINATOR_LOAD_IN_PROGRESS) if error in _MOVING else error


@dataclass(slots=True)
class _Commit:
    """One partition of an OffsetCommit on its way from request to answer."""

    answer: OffsetCommitResponsePartition
    at: TopicPartition
    committed: CommittedOffset


class OffsetHandlers:
    def __init__(
        self,
        coordinator: GroupCoordinator,
        image: Callable[[], MetadataImage],
        authorizer: Authorizer,
        clock: Clock,
        certain: Callable[[], bool] = lambda: True,
    ) -> None:
        """`certain`: whether nobody else can coordinate by now what this node does."""
        self._coordinator = coordinator
        self._image = image
        self._authorizer = authorizer
        self._clock = clock
        self._certain = certain

    def routes(self) -> dict[ApiKey, Handler]:
        return {
            ApiKey.OFFSET_COMMIT: self.offset_commit,
            ApiKey.OFFSET_FETCH: self.offset_fetch,
            ApiKey.OFFSET_DELETE: self.offset_delete,
        }

    # OffsetCommit

    async def offset_commit(self, context: RequestContext, request: OffsetCommitRequest) -> OffsetCommitResponse:
        response = OffsetCommitResponse()
        allowed = self._authorizer.authorize(context.principal, Operation.READ, group(request.group_id))
        commits: list[_Commit] = []
        for asked in request.topics:
            answers = OffsetCommitResponseTopic(name=asked.name, topic_id=asked.topic_id)
            response.topics.append(answers)
            error, found = self._topic(context, Operation.READ, asked.name, asked.topic_id)
            for wanted in asked.partitions:
                answer = OffsetCommitResponsePartition(partition_index=wanted.partition_index)
                answers.partitions.append(answer)
                if not allowed:
                    answer.error_code = int(ErrorCode.GROUP_AUTHORIZATION_FAILED)
                elif found is None:
                    answer.error_code = int(error)
                elif not 0 <= wanted.partition_index < len(found.partitions):
                    answer.error_code = int(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
                else:
                    commits.append(self._commit_of(request, found, wanted, answer))
        if commits:
            await self._commit(context, request, commits)
        return response

    def _commit_of(
        self,
        request: OffsetCommitRequest,
        found: TopicImage,
        wanted: OffsetCommitRequestPartition,
        answer: OffsetCommitResponsePartition,
    ) -> _Commit:
        now_ms = self._clock.wall_ms()
        committed = CommittedOffset(
            offset=wanted.committed_offset,
            leader_epoch=wanted.committed_leader_epoch,
            metadata=wanted.committed_metadata or "",
            committed_ms=now_ms,
            expires_ms=now_ms + request.retention_time_ms if request.retention_time_ms >= 0 else None,
            topic_id=found.id,
        )
        return _Commit(answer, TopicPartition(found.name, wanted.partition_index), committed)

    async def _commit(self, context: RequestContext, request: OffsetCommitRequest, commits: list[_Commit]) -> None:
        fitting: list[_Commit] = []
        for commit in commits:
            try:
                self._coordinator.check_metadata(commit.committed.metadata)
                fitting.append(commit)
            except ApiError as refusal:
                commit.answer.error_code = int(refusal.code)
        committer = Committer(request.member_id, request.group_instance_id, request.generation_id_or_member_epoch)
        missing = (
            ErrorCode.GROUP_ID_NOT_FOUND
            if context.api_version >= _GROUP_NOT_FOUND_SINCE
            else ErrorCode.ILLEGAL_GENERATION
        )
        try:
            offsets = {commit.at: commit.committed for commit in fitting}
            await self._coordinator.commit(request.group_id, committer, offsets, missing)
        except ApiError as refusal:
            for commit in fitting:
                commit.answer.error_code = int(refusal.code)

    # OffsetFetch

    async def offset_fetch(self, context: RequestContext, request: OffsetFetchRequest) -> OffsetFetchResponse:
        stable = request.require_stable
        if context.api_version >= _GROUPS_SINCE:
            groups = [self._fetch_group(context, each.group_id, each.topics, stable) for each in request.groups]
            return OffsetFetchResponse(groups=list(await asyncio.gather(*groups)))
        asked: list[OffsetFetchRequestTopics] | None = None
        if request.topics is not None:
            asked = [
                OffsetFetchRequestTopics(name=it.name, partition_indexes=it.partition_indexes) for it in request.topics
            ]
        fetched = await self._fetch_group(context, request.group_id, asked, stable)
        if fetched.error_code and context.api_version < _TOP_LEVEL_ERROR_SINCE:
            refused = ErrorCode(fetched.error_code)
            fetched.topics = [_refused(each, each.partition_indexes, refused) for each in asked or ()]
        return OffsetFetchResponse(
            error_code=fetched.error_code,
            topics=[
                OffsetFetchResponseTopic(name=each.name, partitions=[_old(one) for one in each.partitions])
                for each in fetched.topics
            ],
        )

    async def _fetch_group(
        self, context: RequestContext, group_id: str, asked: list[OffsetFetchRequestTopics] | None, stable: bool
    ) -> OffsetFetchResponseGroup:
        """All topics that the group has offsets of, if `asked` is None."""
        answer = OffsetFetchResponseGroup(group_id=group_id)
        if not self._authorizer.authorize(context.principal, Operation.DESCRIBE, group(group_id)):
            answer.error_code = int(ErrorCode.GROUP_AUTHORIZATION_FAILED)
            return answer
        try:
            offsets = await self._coordinator.offsets(group_id, stable=stable)
            if not self._certain():
                raise ApiError(ErrorCode.COORDINATOR_NOT_AVAILABLE, "this node has lost touch with the controller")
        except ApiError as refusal:
            answer.error_code = int(refusal.code)
            return answer
        if asked is None:
            answer.topics = list(self._all_topics(context, offsets))
        else:
            answer.topics = [self._fetch_topic(context, each, offsets) for each in asked]
        return answer

    def _fetch_topic(
        self, context: RequestContext, asked: OffsetFetchRequestTopics, offsets: GroupOffsets
    ) -> OffsetFetchResponseTopics:
        error, found = self._topic(context, Operation.DESCRIBE, asked.name, asked.topic_id)
        by_id = context.api_version >= _IDS_SINCE
        if error is ErrorCode.TOPIC_AUTHORIZATION_FAILED or (found is None and by_id):
            return _refused(asked, asked.partition_indexes, error)
        # By name, a topic that does not exist has no offsets, and that is no error: as in Kafka.
        name = asked.name if found is None else found.name
        topic_id = UNKNOWN_TOPIC_ID if found is None else found.id
        return _fetched(name, asked.topic_id if by_id else topic_id, asked.partition_indexes, offsets, topic_id)

    def _all_topics(self, context: RequestContext, offsets: GroupOffsets) -> Iterable[OffsetFetchResponseTopics]:
        for name in offsets.topics():
            error, found = self._topic(context, Operation.DESCRIBE, name, UNKNOWN_TOPIC_ID)
            if error is ErrorCode.TOPIC_AUTHORIZATION_FAILED:
                continue
            if found is None and context.api_version >= _IDS_SINCE:
                continue  # it has no id to be named by
            topic_id = UNKNOWN_TOPIC_ID if found is None else found.id
            live = [each for each in offsets.partitions(name) if offsets.get(name, each, topic_id) is not None]
            if live:
                yield _fetched(name, topic_id, live, offsets, topic_id)

    # OffsetDelete

    async def offset_delete(self, context: RequestContext, request: OffsetDeleteRequest) -> OffsetDeleteResponse:
        if not self._authorizer.authorize(context.principal, Operation.DELETE, group(request.group_id)):
            return OffsetDeleteResponse(error_code=int(ErrorCode.GROUP_AUTHORIZATION_FAILED))
        response = OffsetDeleteResponse()
        wanted: dict[TopicPartition, OffsetDeleteResponsePartition] = {}
        for asked in request.topics:
            answers = OffsetDeleteResponseTopic(name=asked.name)
            response.topics.append(answers)
            error, found = self._topic(context, Operation.READ, asked.name, UNKNOWN_TOPIC_ID)
            for each in asked.partitions:
                answer = OffsetDeleteResponsePartition(partition_index=each.partition_index)
                answers.partitions.append(answer)
                if found is None:
                    answer.error_code = int(error)
                elif not 0 <= each.partition_index < len(found.partitions):
                    answer.error_code = int(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
                else:
                    wanted[TopicPartition(asked.name, each.partition_index)] = answer
        try:
            results = await self._coordinator.delete_offsets(request.group_id, wanted)
        except ApiError as refusal:
            return OffsetDeleteResponse(error_code=int(refusal.code))
        for at, result in results.items():
            wanted[at].error_code = int(result)
        return response

    def _topic(
        self, context: RequestContext, operation: Operation, name: str, topic_id: UUID
    ) -> tuple[ErrorCode, TopicImage | None]:
        """The topic as it exists, or why it cannot be used."""
        image = self._image()
        by_id = context.api_version >= _IDS_SINCE and not name
        found = image.topics_by_id.get(topic_id) if by_id else image.topics.get(name)
        if by_id and found is None:
            return ErrorCode.UNKNOWN_TOPIC_ID, None
        if not self._authorizer.authorize(context.principal, operation, topic(name if found is None else found.name)):
            return ErrorCode.TOPIC_AUTHORIZATION_FAILED, None
        return ErrorCode.NONE if found is not None else ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, found


def _fetched(
    name: str, answered_id: UUID, partitions: Iterable[int], offsets: GroupOffsets, topic_id: UUID
) -> OffsetFetchResponseTopics:
    answer = OffsetFetchResponseTopics(name=name, topic_id=answered_id)
    for index in partitions:
        committed = offsets.get(name, index, topic_id)
        if committed is None:
            answer.partitions.append(_no_offset(index, ErrorCode.NONE))
        else:
            answer.partitions.append(
                OffsetFetchResponsePartitions(
                    partition_index=index,
                    committed_offset=committed.offset,
                    committed_leader_epoch=committed.leader_epoch,
                    metadata=committed.metadata,
                )
            )
    return answer


def _refused(asked: OffsetFetchRequestTopics, partitions: Iterable[int], error: ErrorCode) -> OffsetFetchResponseTopics:
    return OffsetFetchResponseTopics(
        name=asked.name, topic_id=asked.topic_id, partitions=[_no_offset(index, error) for index in partitions]
    )


def _no_offset(index: int, error: ErrorCode) -> OffsetFetchResponsePartitions:
    return OffsetFetchResponsePartitions(
        partition_index=index,
        committed_offset=_NO_OFFSET,
        committed_leader_epoch=-1,
        metadata="",
        error_code=int(error),
    )


def _old(partition: OffsetFetchResponsePartitions) -> OffsetFetchResponsePartition:
    """The shape of versions up to 7, which know one group only."""
    return OffsetFetchResponsePartition(
        partition_index=partition.partition_index,
        committed_offset=partition.committed_offset,
        committed_leader_epoch=partition.committed_leader_epoch,
        metadata=partition.metadata,
        error_code=partition.error_code,
    )
