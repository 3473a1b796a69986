"""Making and removing topics: CreateTopics (19), DeleteTopics (20), CreatePartitions (37).

Each item of a request is judged by itself and answered by itself. What was made is waited for until it can be used
on this node, so that a client which asks next finds it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from uuid import UUID

from sprawl.config.topics import TopicConfig
from sprawl.handlers.context import Handler, RequestContext
from sprawl.quorum.config_descriptions import describe_topic_config
from sprawl.quorum.controller import Controller
from sprawl.quorum.image import MetadataImage, TopicImage
from sprawl.quorum.settings import Settings
from sprawl.quorum.topic_changes import NewPartitions, NewTopic
from sprawl.security.access import CLUSTER, Authorizer, Operation, topic
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    CreatableTopic,
    CreatableTopicConfigs,
    CreatableTopicResult,
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    CreatePartitionsTopicResult,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeletableTopicResult,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
)
from sprawl_protocol.primitives import NO_ID

_DELETION_DISABLED_SINCE: Final = 3
_IDS_SINCE: Final = 6
_CONFIGS_SINCE: Final = 5

Settled = Callable[[int], Awaitable[None]]
"""Returns when the changes up to a metadata offset have taken effect on this node."""


class TopicHandlers:
    def __init__(
        self,
        controller: Controller,
        image: Callable[[], MetadataImage],
        settings: Settings,
        authorizer: Authorizer,
        settled: Settled,
    ) -> None:
        self._controller = controller
        self._image = image
        self._settings = settings
        self._authorizer = authorizer
        self._settled = settled

    def routes(self) -> dict[ApiKey, Handler]:
        return {
            ApiKey.CREATE_TOPICS: self.create_topics,
            ApiKey.DELETE_TOPICS: self.delete_topics,
            ApiKey.CREATE_PARTITIONS: self.create_partitions,
        }

    # CreateTopics

    async def create_topics(self, context: RequestContext, request: CreateTopicsRequest) -> CreateTopicsResponse:
        answers: dict[str, CreatableTopicResult] = {}
        wanted: list[CreatableTopic] = []
        may_create_any = self._authorizer.authorize(context.principal, Operation.CREATE, CLUSTER)
        asked = Counter(each.name for each in request.topics)
        for each in request.topics:
            if asked[each.name] > 1:
                answers[each.name] = _not_created(each.name, ErrorCode.INVALID_REQUEST, "Duplicate topic name.")
            elif not (may_create_any or self._may(context, Operation.CREATE, each.name)):
                answers[each.name] = _not_created(
                    each.name, ErrorCode.TOPIC_AUTHORIZATION_FAILED, f"{context.principal} may not CREATE this topic."
                )
            else:
                answers[each.name] = CreatableTopicResult(name=each.name)
                wanted.append(each)
        results = await self._controller.create_topics(
            [_new_topic(each) for each in wanted], validate_only=request.validate_only
        )
        for each, result in zip(wanted, results, strict=True):
            if isinstance(result, ApiError):
                answers[each.name] = _not_created(each.name, result.code, result.message)
            else:
                answers[each.name] = self._created(context, each, result, validate_only=request.validate_only)
        if not request.validate_only:
            await self._settle(request.timeout_ms)
        return CreateTopicsResponse(topics=list(answers.values()))

    def _created(
        self, context: RequestContext, asked: CreatableTopic, made: TopicImage, *, validate_only: bool
    ) -> CreatableTopicResult:
        answer = CreatableTopicResult(name=made.name, topic_id=NO_ID if validate_only else made.id, error_message=None)
        if context.api_version < _CONFIGS_SINCE:
            return answer
        if not self._may(context, Operation.DESCRIBE_CONFIGS, made.name):
            answer.topic_config_error_code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
            answer.configs = None
            return answer
        image = self._image()
        own = {each.name: each.value for each in asked.configs if each.value is not None}
        config = TopicConfig.of(own, self._settings.broker(image))
        answer.num_partitions = len(made.partitions)
        answer.replication_factor = len(made.partitions[0].replicas)
        answer.configs = [
            CreatableTopicConfigs(
                name=entry.name,
                value=entry.value,
                read_only=entry.read_only,
                config_source=entry.source,
                is_sensitive=entry.sensitive,
            )
            for entry in describe_topic_config(self._settings, image, config, own)
        ]
        return answer

    # DeleteTopics

    async def delete_topics(self, context: RequestContext, request: DeleteTopicsRequest) -> DeleteTopicsResponse:
        asked = (
            [(each.name, each.topic_id) for each in request.topics]
            if context.api_version >= _IDS_SINCE
            else [(name, NO_ID) for name in request.topic_names]
        )
        if not self._settings.static.delete_topic_enable:
            code = (
                ErrorCode.TOPIC_DELETION_DISABLED
                if context.api_version >= _DELETION_DISABLED_SINCE
                else ErrorCode.INVALID_REQUEST
            )
            refusal = ApiError(code, "Topic deletion is disabled (delete.topic.enable=false).")
            return DeleteTopicsResponse(responses=[_not_deleted(name, id_, refusal) for name, id_ in asked])
        answers, doomed = self._find_doomed(context, asked)
        results = await self._controller.delete_topics(list(doomed))
        for (topic_id, name), result in zip(doomed.items(), results, strict=True):
            answer = DeletableTopicResult(name=name, topic_id=topic_id)
            if isinstance(result, ApiError):
                answer = _not_deleted(name, topic_id, result)
            answers.append(answer)
        await self._settle(request.timeout_ms)
        return DeleteTopicsResponse(responses=answers)

    def _find_doomed(
        self, context: RequestContext, asked: Sequence[tuple[str | None, UUID]]
    ) -> tuple[list[DeletableTopicResult], dict[UUID, str]]:
        """The refusals, and what may be deleted. Who may not know of a topic does not learn here that it exists."""
        image = self._image()
        times = Counter(asked)
        refusals: list[DeletableTopicResult] = []
        doomed: dict[UUID, str] = {}
        for name, topic_id in times:
            try:
                if times[name, topic_id] > 1:
                    raise ApiError(ErrorCode.INVALID_REQUEST, "Duplicate topic name or id.")
                found = _asked_for(image, name, topic_id)
                self._check_may_delete(context, name, found)
                assert found is not None, "_check_may_delete raised"
                if found.id in doomed:
                    del doomed[found.id]
                    raise ApiError(ErrorCode.INVALID_REQUEST, "The topic was named by its id too.")
            except ApiError as refusal:
                refusals.append(_not_deleted(name, topic_id, refusal))
            else:
                doomed[found.id] = found.name
        return refusals, doomed

    def _check_may_delete(self, context: RequestContext, name: str | None, found: TopicImage | None) -> None:
        known_as = found.name if found is not None else name
        assert known_as is not None, "_asked_for found it by id, or it has a name"
        if not self._may(context, Operation.DESCRIBE, known_as) or (
            found is not None and not self._may(context, Operation.DELETE, known_as)
        ):
            raise ApiError(ErrorCode.TOPIC_AUTHORIZATION_FAILED, f"{context.principal} may not DELETE this topic.")
        if found is None:
            raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"There is no topic '{name}'.")

    # CreatePartitions

    async def create_partitions(
        self, context: RequestContext, request: CreatePartitionsRequest
    ) -> CreatePartitionsResponse:
        answers: dict[str, CreatePartitionsTopicResult] = {}
        wanted: list[CreatePartitionsTopic] = []
        asked = Counter(each.name for each in request.topics)
        for each in request.topics:
            answers[each.name] = answer = CreatePartitionsTopicResult(name=each.name)
            if asked[each.name] > 1:
                answer.error_code, answer.error_message = ErrorCode.INVALID_REQUEST, "Duplicate topic name."
            elif not self._may(context, Operation.ALTER, each.name):
                answer.error_code = ErrorCode.TOPIC_AUTHORIZATION_FAILED
                answer.error_message = f"{context.principal} may not ALTER this topic."
            else:
                wanted.append(each)
        results = await self._controller.create_partitions(
            [
                NewPartitions(
                    each.name,
                    each.count,
                    None if each.assignments is None else [tuple(one.broker_ids) for one in each.assignments],
                )
                for each in wanted
            ],
            validate_only=request.validate_only,
        )
        for each, result in zip(wanted, results, strict=True):
            if isinstance(result, ApiError):
                answers[each.name].error_code = result.code
                answers[each.name].error_message = result.message
        if not request.validate_only:
            await self._settle(request.timeout_ms)
        return CreatePartitionsResponse(results=list(answers.values()))

    def _may(self, context: RequestContext, operation: Operation, name: str) -> bool:
        return self._authorizer.authorize(context.principal, operation, topic(name))

    async def _settle(self, timeout_ms: int) -> None:
        """It is decided already: whoever would not wait for this node to follow gets the answer all the same."""
        try:
            async with asyncio.timeout(max(timeout_ms, 0) / 1000):
                await self._settled(self._image().offset)
        except TimeoutError:
            return


def _new_topic(asked: CreatableTopic) -> NewTopic:
    return NewTopic(
        asked.name,
        asked.num_partitions,
        asked.replication_factor,
        [(each.partition_index, tuple(each.broker_ids)) for each in asked.assignments],
        {each.name: each.value for each in asked.configs},
    )


def _asked_for(image: MetadataImage, name: str | None, topic_id: UUID) -> TopicImage | None:
    """None if no topic has this name. Raises `ApiError`."""
    if name is None and topic_id == NO_ID:
        raise ApiError(ErrorCode.INVALID_REQUEST, "Neither topic name nor id were specified.")
    if name is not None and topic_id != NO_ID:
        raise ApiError(ErrorCode.INVALID_REQUEST, "Both topic name and id were specified; give one.")
    if name is not None:
        return image.topics.get(name)
    found = image.topics_by_id.get(topic_id)
    if found is None:
        raise ApiError(ErrorCode.UNKNOWN_TOPIC_ID, f"There is no topic with the id {topic_id}.")
    return found


def _not_created(name: str, code: ErrorCode, message: str) -> CreatableTopicResult:
    return CreatableTopicResult(name=name, error_code=code, error_message=message)


def _not_deleted(name: str | None, topic_id: UUID, refusal: ApiError) -> DeletableTopicResult:
    return DeletableTopicResult(name=name, topic_id=topic_id, error_code=refusal.code, error_message=refusal.message)
