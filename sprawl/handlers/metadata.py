"""What topics there are and who leads them: Metadata (3), DescribeTopicPartitions (75).

Answered from the image alone, with the addresses of the listener that the client came in through. Metadata may make
topics that a client asks for (off by default); then it answers with them once they can be used.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sprawl.config.broker import BrokerConfig
from sprawl.handlers.context import Handler, RequestContext
from sprawl.handlers.topics import Settled
from sprawl.quorum.image import INTERNAL_TOPICS, METADATA_TOPIC, MetadataImage, PartitionImage, TopicImage
from sprawl.quorum.names import is_topic_name
from sprawl.quorum.topic_changes import NewTopic
from sprawl.routing.endpoints import Address, Endpoints, Routes
from sprawl.security.access import (
    CLUSTER,
    NO_OPERATIONS_ASKED,
    Authorizer,
    Operation,
    authorized_operations,
    topic,
)
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    Cursor,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)
from sprawl_protocol.primitives import NO_ID

_LISTENER_ERRORS_SINCE: Final = 6
_OPERATIONS_SINCE: Final = 8
_CLUSTER_OPERATIONS: Final = range(8, 11)
_REQUESTS_BY_ID_SINCE: Final = 12
_AUTO_CREATION_SECONDS: Final = 10.0
_NO_LEADER: Final = -1
_NOT_FOR_CLIENTS: Final = INTERNAL_TOPICS | {METADATA_TOPIC}
"""Topics that their owners make, with settings of their own, and no client's question does."""


class MakesTopics(Protocol):
    async def create_topics(self, wishes: Sequence[NewTopic]) -> list[TopicImage | ApiError]:
        """In the order of `wishes`."""
        ...


class KnowsTheController(Protocol):
    """The metadata quorum, as this node sees it."""

    @property
    def image(self) -> MetadataImage: ...
    @property
    def node_id(self) -> int: ...
    @property
    def leader_id(self) -> int: ...


class MetadataHandlers:
    def __init__(
        self,
        controller: MakesTopics,
        quorum: KnowsTheController,
        broker: BrokerConfig,
        endpoints: Endpoints,
        authorizer: Authorizer,
        settled: Settled,
    ) -> None:
        self._controller = controller
        self._quorum = quorum
        self._broker = broker
        self._endpoints = endpoints
        self._authorizer = authorizer
        self._settled = settled

    def routes(self) -> dict[ApiKey, Handler]:
        return {
            ApiKey.METADATA: self.metadata,
            ApiKey.DESCRIBE_TOPIC_PARTITIONS: self.describe_topic_partitions,
        }

    # Metadata

    async def metadata(self, context: RequestContext, request: MetadataRequest) -> MetadataResponse:
        asked = request.topics
        refused: Mapping[str, ErrorCode] = {}
        if asked:
            refused = await self._make_missing(context, request, asked)
        view = self._view(context)
        image = view.image
        if asked is None or (not asked and context.api_version == 0):
            topics = [
                _found(view, each)
                for each in image.topics.values()
                if self._may(context, Operation.DESCRIBE, each.name)
            ]
        else:
            topics = [self._one(context, view, each, refused) for each in _unique(asked)]
        if request.include_topic_authorized_operations and context.api_version >= _OPERATIONS_SINCE:
            for each in topics:
                if each.name is not None and each.error_code == ErrorCode.NONE:
                    each.topic_authorized_operations = authorized_operations(
                        self._authorizer, context.principal, topic(each.name)
                    )
        return MetadataResponse(
            brokers=[
                MetadataResponseBroker(node_id=id_, host=at.host, port=at.port, rack=view.routes.rack_of(id_, image))
                for id_, at in view.routes.shown.items()
            ],
            cluster_id=image.cluster_id,
            controller_id=controller_for_clients(self._quorum, view.routes.shown),
            topics=topics,
            cluster_authorized_operations=self._cluster_operations(context, request),
        )

    def _view(self, context: RequestContext) -> _View:
        image = self._quorum.image
        return _View(image, self._endpoints.routes(context), context.api_version)

    def _one(
        self, context: RequestContext, view: _View, asked: MetadataRequestTopic, refused: Mapping[str, ErrorCode]
    ) -> MetadataResponseTopic:
        """One topic that was asked for, or what is wrong with asking."""
        if asked.topic_id != NO_ID:
            if view.version < _REQUESTS_BY_ID_SINCE:
                return _no_topic(ErrorCode.INVALID_REQUEST, asked)
            found = view.image.topics_by_id.get(asked.topic_id)
            if found is None:
                return MetadataResponseTopic(error_code=ErrorCode.UNKNOWN_TOPIC_ID, name=None, topic_id=asked.topic_id)
            if not self._may(context, Operation.DESCRIBE, found.name):
                return MetadataResponseTopic(
                    error_code=ErrorCode.TOPIC_AUTHORIZATION_FAILED, name=None, topic_id=asked.topic_id
                )
            return _found(view, found)
        if asked.name is None:
            return _no_topic(ErrorCode.INVALID_REQUEST, asked)
        if not self._may(context, Operation.DESCRIBE, asked.name):
            return _no_topic(ErrorCode.TOPIC_AUTHORIZATION_FAILED, asked)
        found = view.image.topics.get(asked.name)
        if found is not None:
            return _found(view, found)
        return _no_topic(refused.get(asked.name) or _missing(asked.name), asked)

    def _cluster_operations(self, context: RequestContext, request: MetadataRequest) -> int:
        if not request.include_cluster_authorized_operations or context.api_version not in _CLUSTER_OPERATIONS:
            return NO_OPERATIONS_ASKED
        if not self._authorizer.authorize(context.principal, Operation.DESCRIBE, CLUSTER):
            return 0
        return authorized_operations(self._authorizer, context.principal, CLUSTER)

    async def _make_missing(
        self, context: RequestContext, request: MetadataRequest, asked: Sequence[MetadataRequestTopic]
    ) -> dict[str, ErrorCode]:
        """Make the topics that do not exist, if that is wanted. Returns those that can't or mustn't be, and why."""
        if not (request.allow_auto_topic_creation and self._broker.auto_create_topics_enable):
            return {}
        refused: dict[str, ErrorCode] = {}
        missing: list[str] = []
        present = self._quorum.image.topics
        may_create_any = self._authorizer.authorize(context.principal, Operation.CREATE, CLUSTER)
        for name in dict.fromkeys(each.name for each in asked if each.name is not None and each.topic_id == NO_ID):
            if name in present or not is_topic_name(name) or not self._may(context, Operation.DESCRIBE, name):
                continue
            if name in _NOT_FOR_CLIENTS:
                continue
            if may_create_any or self._may(context, Operation.CREATE, name):
                missing.append(name)
            else:
                refused[name] = ErrorCode.TOPIC_AUTHORIZATION_FAILED
        if missing:
            results = await self._controller.create_topics([NewTopic(name) for name in missing])
            for name, result in zip(missing, results, strict=True):
                if isinstance(result, ApiError) and result.code is not ErrorCode.TOPIC_ALREADY_EXISTS:
                    refused[name] = result.code
            await self._settle()
        return refused

    async def _settle(self) -> None:
        """They exist already: a node that is slow to open them answers all the same, and the client asks again."""
        try:
            async with asyncio.timeout(_AUTO_CREATION_SECONDS):
                await self._settled(self._quorum.image.offset)
        except TimeoutError:
            return

    def _may(self, context: RequestContext, operation: Operation, name: str) -> bool:
        return self._authorizer.authorize(context.principal, operation, topic(name))

    # DescribeTopicPartitions

    def describe_topic_partitions(
        self, context: RequestContext, request: DescribeTopicPartitionsRequest
    ) -> DescribeTopicPartitionsResponse:
        """Topics in the order of their names, from the cursor on, as many partitions as the limits allow (KIP-966)."""
        view = self._view(context)
        image, cursor = view.image, request.cursor
        wanted = sorted({each.name for each in request.topics} or image.topics)
        start = 0
        if cursor is not None:
            if cursor.partition_index < 0:
                raise ApiError(
                    ErrorCode.INVALID_REQUEST, f"The cursor's partition is {cursor.partition_index}, below 0."
                )
            wanted = wanted[bisect_left(wanted, cursor.topic_name) :]
            if request.topics and wanted[:1] != [cursor.topic_name]:
                raise ApiError(
                    ErrorCode.INVALID_REQUEST, f"The cursor's topic '{cursor.topic_name}' is not among those asked for."
                )
            start = cursor.partition_index if wanted[:1] == [cursor.topic_name] else 0
        left = max(min(request.response_partition_limit, self._broker.max_request_partition_size_limit), 1)
        response = DescribeTopicPartitionsResponse()
        for name in wanted:
            if not self._may(context, Operation.DESCRIBE, name):
                if request.topics:
                    response.topics.append(_undescribed(ErrorCode.TOPIC_AUTHORIZATION_FAILED, name))
                continue
            if left == 0:
                response.next_cursor = Cursor(topic_name=name, partition_index=0)
                break
            found = image.topics.get(name)
            if found is None:
                response.topics.append(_undescribed(_missing(name), name))
                continue
            shown = found.partitions[start : start + left]
            response.topics.append(self._described(context, view, found, shown))
            end, start = start + len(shown), 0
            left -= len(shown)
            if end < len(found.partitions):
                response.next_cursor = Cursor(topic_name=name, partition_index=end)
                break
        return response

    def _described(
        self, context: RequestContext, view: _View, found: TopicImage, partitions: Sequence[PartitionImage]
    ) -> DescribeTopicPartitionsResponseTopic:
        return DescribeTopicPartitionsResponseTopic(
            name=found.name,
            topic_id=found.id,
            is_internal=found.internal,
            partitions=[
                DescribeTopicPartitionsResponsePartition(
                    partition_index=each.index,
                    leader_id=each.leader if each.leader in view.reachable else _NO_LEADER,
                    leader_epoch=each.leader_epoch,
                    replica_nodes=list(each.replicas),
                    isr_nodes=list(each.isr),
                    eligible_leader_replicas=list(each.eligible_leader_replicas),
                    last_known_elr=list(each.last_known_elr),
                    offline_replicas=view.offline(each),
                )
                for each in partitions
            ],
            topic_authorized_operations=authorized_operations(self._authorizer, context.principal, topic(found.name)),
        )


@dataclass(frozen=True, slots=True)
class _View:
    """What one answer is made from: an image, and the brokers that this client can reach."""

    image: MetadataImage
    routes: Routes
    version: int

    @property
    def reachable(self) -> Mapping[int, Address]:
        return self.routes.reachable

    def offline(self, partition: PartitionImage) -> list[int]:
        return [each for each in partition.replicas if each not in self.reachable]


def _found(view: _View, found: TopicImage) -> MetadataResponseTopic:
    return MetadataResponseTopic(
        name=found.name,
        topic_id=found.id,
        is_internal=found.internal,
        partitions=[_partition(view, each) for each in found.partitions],
    )


def _partition(view: _View, partition: PartitionImage) -> MetadataResponsePartition:
    error = ErrorCode.NONE
    leader = view.routes.shown_as(partition.leader)
    if leader is None:
        leads = view.image.brokers.get(partition.leader)
        error = ErrorCode.LEADER_NOT_AVAILABLE
        if leads is not None and not leads.fenced and view.version >= _LISTENER_ERRORS_SINCE:
            error = ErrorCode.LISTENER_NOT_FOUND
        leader = _NO_LEADER
    replicas, isr, offline = list(partition.replicas), list(partition.isr), view.offline(partition)
    if view.version == 0 and offline:
        # Version 0 has no list of offline replicas: they are left out, and said to be missing.
        replicas = [each for each in replicas if each not in offline]
        isr = [each for each in isr if each not in offline]
        error = error or ErrorCode.REPLICA_NOT_AVAILABLE
    return MetadataResponsePartition(
        error_code=error,
        partition_index=partition.index,
        leader_id=leader,
        leader_epoch=partition.leader_epoch,
        replica_nodes=replicas,
        isr_nodes=isr,
        offline_replicas=offline,
    )


def controller_for_clients(quorum: KnowsTheController, reachable: Mapping[int, Address]) -> int:
    """The quorum's leader. Where nobody leads it, or clients cannot reach who does, this node: any broker takes what is
    meant for the controller, and says what is wrong."""
    for each in (quorum.leader_id, quorum.node_id):
        if each in reachable:
            return each
    return min(reachable, default=-1)


def _unique(asked: Sequence[MetadataRequestTopic]) -> list[MetadataRequestTopic]:
    return list({(each.name, each.topic_id): each for each in asked}.values())


def _missing(name: str) -> ErrorCode:
    return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION if is_topic_name(name) else ErrorCode.INVALID_TOPIC_EXCEPTION


def _no_topic(code: ErrorCode, asked: MetadataRequestTopic) -> MetadataResponseTopic:
    return MetadataResponseTopic(error_code=code, name=asked.name or "", topic_id=asked.topic_id)


def _undescribed(code: ErrorCode, name: str) -> DescribeTopicPartitionsResponseTopic:
    return DescribeTopicPartitionsResponseTopic(error_code=code, name=name)
