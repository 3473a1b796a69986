"""`sprawl.routing=any`: every node answers for all of them.

Wraps the handlers of this node: a request, or the parts of one, that another node must answer is passed on to it in an
envelope, and the answers are put together. What concerns this node alone goes straight to its handler. A request that
was passed on already is answered here or refused: requests do not wander.

    by partition    Produce, ListOffsets, DeleteRecords, OffsetForLeaderEpoch    to the partitions' leaders
    by group        joining, heartbeats, commits, descriptions                   to the groups' coordinators
    everywhere      ListGroups                                                   to all nodes, answers together

Fetch waits for records and has its own module, `any_node_fetch.py`.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sprawl.handlers.context import Handler, RequestContext
from sprawl.handlers.envelope import opened, sealed
from sprawl.routing.forward import NOBODY, Part, Spread
from sprawl.runtime import Clock
from sprawl.wire.client import ClientError
from sprawl.wire.dispatch import answer_of
from sprawl.wire.peers import PeerLinks
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode, ProtocolError
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    DeletableGroupResult,
    DeleteRecordsPartitionResult,
    DeleteRecordsTopicResult,
    DescribedGroup,
    EnvelopeResponse,
    ListOffsetsPartitionResponse,
    ListOffsetsTopicResponse,
    OffsetCommitRequest,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
    OffsetFetchResponseGroup,
    OffsetForLeaderTopicResult,
    PartitionProduceResponse,
    TopicProduceResponse,
)
from sprawl_protocol.messages import OffsetForLeaderEpochResponseEpochEndOffset as EpochEnd
from sprawl_protocol.records import headers

_PATIENCE: Final = 5.0
"""Seconds for requests that bring no timeout of their own."""
_JOIN_PATIENCE: Final = 1800.0
NO_TOPIC_ID: Final = UUID(int=0)


class Passing:
    """One node's way to pass requests on to the others, and to answer its own share."""

    def __init__(self, node_id: int, links: PeerLinks, clock: Clock) -> None:
        self.node_id = node_id
        self.clock = clock
        self._links = links

    async def ask(self, node: int, handler: Handler, context: RequestContext, request: Request, timeout: float) -> Any:
        """What `node` answers; None where no answer is expected. Raises `ClientError`, `ApiError`."""
        if node == self.node_id:
            return await answer_of(handler(context, request))
        answer = await self._links.request(
            node, sealed(context, request), expect=EnvelopeResponse, timeout=timeout, lane=self._lane(context)
        )
        if answer.response_data is None and not answer.error_code:
            return None
        return opened(request, context.api_version, answer)

    def _lane(self, context: RequestContext) -> str:
        """Of the client's connection alone: its requests stay in their order, and wait for nobody else's."""
        lane = f"client-{context.connection_id}"
        connection = context.connection
        if connection is not None and not connection.passes_on:
            connection.passes_on = True
            context.when_closed(lambda: self._links.drop_lane(lane))
        return lane


# -- by partition -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _ByPartition:
    """How a kind of request names its partitions, and how its answer does."""

    topics: str
    partitions: str
    index: str
    answer_topics: str
    answer_partitions: str
    answer_index: str
    answer_topic: Callable[[Any], Any]
    refusal: Callable[[int, ErrorCode], Any]
    repeatable: Callable[[Any], bool]


def _always(_: Any) -> bool:
    return True


def _idempotent(data: Any) -> bool:
    """Whether every batch says whose it is and where it belongs."""
    try:
        return all(header.producer_id >= 0 for _, header in headers(data.records or b""))
    except ProtocolError:
        return False


_BY_PARTITION: Final[Mapping[ApiKey, _ByPartition]] = {
    ApiKey.PRODUCE: _ByPartition(
        "topic_data",
        "partition_data",
        "index",
        "responses",
        "partition_responses",
        "index",
        lambda topic: TopicProduceResponse(name=topic.name, topic_id=topic.topic_id),
        lambda index, error: PartitionProduceResponse(index=index, error_code=int(error), base_offset=-1),
        _idempotent,
    ),
    ApiKey.LIST_OFFSETS: _ByPartition(
        "topics",
        "partitions",
        "partition_index",
        "topics",
        "partitions",
        "partition_index",
        lambda topic: ListOffsetsTopicResponse(name=topic.name),
        lambda index, error: ListOffsetsPartitionResponse(partition_index=index, error_code=int(error)),
        _always,
    ),
    ApiKey.DELETE_RECORDS: _ByPartition(
        "topics",
        "partitions",
        "partition_index",
        "topics",
        "partitions",
        "partition_index",
        lambda topic: DeleteRecordsTopicResult(name=topic.name),
        lambda index, error: DeleteRecordsPartitionResult(partition_index=index, error_code=int(error)),
        _always,
    ),
    ApiKey.OFFSET_FOR_LEADER_EPOCH: _ByPartition(
        "topics",
        "partitions",
        "partition",
        "topics",
        "partitions",
        "partition",
        lambda topic: OffsetForLeaderTopicResult(topic=topic.topic),
        lambda index, error: EpochEnd(partition=index, error_code=int(error), leader_epoch=-1, end_offset=-1),
        _always,
    ),
}

LeaderOf = Callable[[str, UUID, int], int]
"""Of a topic by name or id, and a partition: the node that leads it, or NOBODY; this node's number for what does not
exist, since its handler says that best."""


class PartitionSpread:
    def __init__(self, key: ApiKey, handler: Handler, leader_of: LeaderOf, passing: Passing) -> None:
        self._shape = _BY_PARTITION[key]
        self._handler = handler
        self._leader_of = leader_of
        self._passing = passing

    def handle(self, context: RequestContext, request: Any) -> Any:
        if context.passed_on or self._all_here(request):
            return self._handler(context, request)
        return self._spread(context, request)

    def _items(self, request: Any) -> Iterable[tuple[Any, Any]]:
        shape = self._shape
        return ((topic, data) for topic in getattr(request, shape.topics) for data in getattr(topic, shape.partitions))

    def _node_of(self, item: tuple[Any, Any]) -> int:
        topic, data = item
        name = str(getattr(topic, "name", "") or getattr(topic, "topic", ""))
        return self._leader_of(name, getattr(topic, "topic_id", NO_TOPIC_ID), getattr(data, self._shape.index))

    def _all_here(self, request: Any) -> bool:
        return all(self._node_of(item) == self._passing.node_id for item in self._items(request))

    async def _spread(self, context: RequestContext, request: Any) -> Response | None:
        shape = self._shape
        timeout = max(getattr(request, "timeout_ms", 0) / 1000, 0.1) if hasattr(request, "timeout_ms") else _PATIENCE
        parts = [Part(item, shape.repeatable(item[1])) for item in self._items(request)]
        spread: Spread[tuple[Any, Any], Any] = Spread(
            node_of=self._node_of,
            send=lambda node, items: self._send(node, context, request, items, timeout),
            error_of=lambda answer: int(answer.error_code),
            refusal=lambda item, error: shape.refusal(getattr(item[1], shape.index), error),
            clock=self._passing.clock,
        )
        answers = await spread.ask(parts, timeout)
        if getattr(request, "acks", 1) == 0:
            return None
        response: Any = type(request).RESPONSE()
        made: dict[int, Any] = {}
        for part, answer in zip(parts, answers, strict=True):
            topic = part.what[0]
            if id(topic) not in made:
                made[id(topic)] = shape.answer_topic(topic)
                getattr(response, shape.answer_topics).append(made[id(topic)])
            getattr(made[id(topic)], shape.answer_partitions).append(answer)
        assert isinstance(response, Response)
        return response

    async def _send(
        self, node: int, context: RequestContext, request: Any, items: Sequence[tuple[Any, Any]], timeout: float
    ) -> Sequence[Any]:
        shape = self._shape
        share = copy.copy(request)
        topics: dict[int, Any] = {}
        for topic, data in items:
            if id(topic) not in topics:
                topics[id(topic)] = copy.copy(topic)
                setattr(topics[id(topic)], shape.partitions, [])
            getattr(topics[id(topic)], shape.partitions).append(data)
        setattr(share, shape.topics, list(topics.values()))
        answer = await self._passing.ask(node, self._handler, context, share, timeout + _PATIENCE)
        if answer is None:
            return [shape.refusal(getattr(data, shape.index), ErrorCode.NONE) for _, data in items]
        found = [
            each for topic in getattr(answer, shape.answer_topics) for each in getattr(topic, shape.answer_partitions)
        ]
        if len(found) != len(items):
            raise ApiError(ErrorCode.UNKNOWN_SERVER_ERROR, f"{len(items)} partitions asked, {len(found)} answered")
        return found


# -- by group ---------------------------------------------------------------------------------------------------------

CoordinatorOf = Callable[[str], int]
"""The node that coordinates a group; NOBODY while that is not known."""


def for_group(handler: Handler, coordinator_of: CoordinatorOf, passing: Passing, *, may_wait: bool = False) -> Handler:
    """For requests about one group."""
    timeout = _JOIN_PATIENCE if may_wait else _PATIENCE

    async def passed_on(node: int, context: RequestContext, request: Any) -> Any:
        try:
            return await passing.ask(node, handler, context, request, timeout)
        except ClientError as problem:
            raise ApiError(ErrorCode.COORDINATOR_NOT_AVAILABLE, f"The coordinator is away: {problem}") from problem

    def handle(context: RequestContext, request: Any) -> Any:
        node = coordinator_of(request.group_id)
        if context.passed_on or node in (passing.node_id, NOBODY):
            return handler(context, request)
        return _refused_as_answer(request, passed_on(node, context, request))

    return handle


async def _refused_as_answer(request: Any, work: Awaitable[Any]) -> Any:
    """An `ApiError` as the answer that every group request has a field for."""
    try:
        return await work
    except ApiError as refusal:
        starting = refusal.code == ErrorCode.BROKER_NOT_AVAILABLE  # which clients would not try again
        return _refusal_of(request, ErrorCode.COORDINATOR_NOT_AVAILABLE if starting else refusal.code)


def _refusal_of(request: Any, error: ErrorCode) -> Response:
    response: Any = type(request).RESPONSE()
    if hasattr(response, "error_code"):
        response.error_code = int(error)
    if isinstance(request, OffsetCommitRequest):
        response.topics = [
            OffsetCommitResponseTopic(
                name=topic.name,
                topic_id=topic.topic_id,
                partitions=[
                    OffsetCommitResponsePartition(partition_index=each.partition_index, error_code=int(error))
                    for each in topic.partitions
                ],
            )
            for topic in request.topics
        ]
    assert isinstance(response, Response)
    return response


@dataclass(frozen=True, slots=True)
class _ByGroup:
    groups: str
    group_id: Callable[[Any], str]
    answers: str
    refusal: Callable[[str, ErrorCode], Any]


def _named(group: Any) -> str:
    return str(group.group_id)


_BY_GROUP: Final[Mapping[ApiKey, _ByGroup]] = {
    ApiKey.DESCRIBE_GROUPS: _ByGroup(
        "groups",
        str,
        "groups",
        lambda group_id, error: DescribedGroup(group_id=group_id, error_code=int(error)),
    ),
    ApiKey.DELETE_GROUPS: _ByGroup(
        "groups_names",
        str,
        "results",
        lambda group_id, error: DeletableGroupResult(group_id=group_id, error_code=int(error)),
    ),
    ApiKey.OFFSET_FETCH: _ByGroup(
        "groups",
        _named,
        "groups",
        lambda group_id, error: OffsetFetchResponseGroup(group_id=group_id, error_code=int(error)),
    ),
}


def for_groups(key: ApiKey, handler: Handler, coordinator_of: CoordinatorOf, passing: Passing) -> Handler:
    """For requests about several groups, each of which may have another coordinator."""
    shape = _BY_GROUP[key]

    async def spread(context: RequestContext, request: Any) -> Any:
        async def send(node: int, groups: Sequence[Any]) -> Sequence[Any]:
            share = copy.copy(request)
            setattr(share, shape.groups, list(groups))
            answer = await passing.ask(node, handler, context, share, _PATIENCE)
            return list(getattr(answer, shape.answers))

        asked: Spread[Any, Any] = Spread(
            node_of=lambda group: coordinator_of(shape.group_id(group)),
            send=send,
            error_of=lambda answer: int(answer.error_code),
            refusal=lambda group, error: shape.refusal(shape.group_id(group), _of_coordinator(error)),
            clock=passing.clock,
        )
        parts = [Part(group, repeatable=True) for group in getattr(request, shape.groups)]
        response: Any = type(request).RESPONSE()
        setattr(response, shape.answers, await asked.ask(parts, _PATIENCE))
        return response

    single = for_group(handler, coordinator_of, passing)

    def handle(context: RequestContext, request: Any) -> Any:
        if context.passed_on:
            return handler(context, request)
        groups = getattr(request, shape.groups)
        if not groups and key is ApiKey.OFFSET_FETCH and request.group_id:
            return single(context, request)
        if all(coordinator_of(shape.group_id(group)) in (passing.node_id, NOBODY) for group in groups):
            return handler(context, request)
        return spread(context, request)

    return handle


def _of_coordinator(error: ErrorCode) -> ErrorCode:
    return ErrorCode.COORDINATOR_NOT_AVAILABLE if error is ErrorCode.LEADER_NOT_AVAILABLE else error


def everywhere(handler: Handler, nodes: Callable[[], Iterable[int]], passing: Passing, answers: str) -> Handler:
    """For requests that every node answers for itself: one answer of all."""

    async def gather(context: RequestContext, request: Any) -> Any:
        outcomes = await asyncio.gather(
            *(passing.ask(node, handler, context, request, _PATIENCE) for node in nodes()), return_exceptions=True
        )
        found: list[Any] = []
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                if not isinstance(outcome, ClientError | ApiError):
                    raise outcome
                response: Any = type(request).RESPONSE()
                response.error_code = int(ErrorCode.COORDINATOR_NOT_AVAILABLE)
                return response
            if outcome.error_code:
                return outcome
            found += getattr(outcome, answers)
        response = type(request).RESPONSE()
        setattr(response, answers, found)
        return response

    def handle(context: RequestContext, request: Any) -> Any:
        return handler(context, request) if context.passed_on else gather(context, request)

    return handle
