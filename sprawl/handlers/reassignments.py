"""Where partitions live and who leads them, as an operator wants it: AlterPartitionReassignments (45),
ListPartitionReassignments (46), ElectLeaders (43).

Answered by the active controller, partition by partition. A move that was accepted has begun; what is still under way
is in the list.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Final

from sprawl.handlers.context import Handler, RequestContext
from sprawl.quorum.controller import Controller
from sprawl.quorum.elections import Election, ElectionType, elections
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.reassignments import Reassignment, under_way
from sprawl.security.access import CLUSTER, Authorizer, Operation
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    ElectLeadersRequest,
    ElectLeadersResponse,
    ElectLeadersResponsePartitionResult,
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
    OngoingPartitionReassignment,
    OngoingTopicReassignment,
    ReassignablePartitionResponse,
    ReassignableTopicResponse,
    ReplicaElectionResult,
)

_WHOLE_ERROR_SINCE: Final = 1
"""ElectLeaders has a field for what holds for all of it."""


class ReassignmentHandlers:
    def __init__(self, controller: Controller, image: Callable[[], MetadataImage], authorizer: Authorizer) -> None:
        self._controller = controller
        self._image = image
        self._authorizer = authorizer

    def routes(self) -> dict[ApiKey, Handler]:
        return {
            ApiKey.ALTER_PARTITION_REASSIGNMENTS: self.alter,
            ApiKey.LIST_PARTITION_REASSIGNMENTS: self.list,
            ApiKey.ELECT_LEADERS: self.elect,
        }

    async def alter(
        self, context: RequestContext, request: AlterPartitionReassignmentsRequest
    ) -> AlterPartitionReassignmentsResponse:
        may_change = request.allow_replication_factor_change
        response = AlterPartitionReassignmentsResponse(error_message=None, allow_replication_factor_change=may_change)
        if not self._authorizer.authorize(context.principal, Operation.ALTER, CLUSTER):
            response.error_code = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
            response.error_message = f"{context.principal} may not ALTER the cluster."
            return response
        outcomes = iter(
            await self._controller.reassign(
                [
                    Reassignment(topic.name, each.partition_index, each.replicas, may_change)
                    for topic in request.topics
                    for each in topic.partitions
                ]
            )
        )
        for topic in request.topics:
            answer = ReassignableTopicResponse(name=topic.name)
            response.responses.append(answer)
            for each in topic.partitions:
                code, message = _said(next(outcomes))
                answer.partitions.append(
                    ReassignablePartitionResponse(
                        partition_index=each.partition_index, error_code=code, error_message=message
                    )
                )
        return response

    def list(
        self, context: RequestContext, request: ListPartitionReassignmentsRequest
    ) -> ListPartitionReassignmentsResponse:
        response = ListPartitionReassignmentsResponse(error_message=None)
        if not self._authorizer.authorize(context.principal, Operation.DESCRIBE, CLUSTER):
            response.error_code = ErrorCode.CLUSTER_AUTHORIZATION_FAILED
            response.error_message = f"{context.principal} may not DESCRIBE the cluster."
            return response
        asked = None
        if request.topics is not None:
            asked = {(topic.name, index) for topic in request.topics for index in topic.partition_indexes}
        for name, moving in groupby(under_way(self._image()), key=lambda found: found[0].name):
            partitions = [
                OngoingPartitionReassignment(
                    partition_index=each.index,
                    replicas=[*each.replicas],
                    adding_replicas=[*each.adding_replicas],
                    removing_replicas=[*each.removing_replicas],
                )
                for _, each in moving
                if asked is None or (name, each.index) in asked
            ]
            if partitions:
                response.topics.append(OngoingTopicReassignment(name=name, partitions=partitions))
        return response

    async def elect(self, context: RequestContext, request: ElectLeadersRequest) -> ElectLeadersResponse:
        if not self._authorizer.authorize(context.principal, Operation.ALTER, CLUSTER):
            return self._all_refused(context, request, ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
        try:
            kind = ElectionType(request.election_type)
        except ValueError:
            return self._all_refused(context, request, ErrorCode.INVALID_REQUEST)
        if request.topic_partitions is None:
            wishes = elections(self._image(), kind)
        else:
            wishes = [
                Election(topic.topic, index, kind) for topic in request.topic_partitions for index in topic.partitions
            ]
        results: dict[str, ReplicaElectionResult] = {}
        for wish, outcome in zip(wishes, await self._controller.elect_leaders(wishes), strict=True):
            code, message = _said(outcome)
            if request.topic_partitions is None and code == ErrorCode.ELECTION_NOT_NEEDED:
                continue
            result = results.setdefault(wish.topic, ReplicaElectionResult(topic=wish.topic))
            result.partition_result.append(
                ElectLeadersResponsePartitionResult(partition_id=wish.partition, error_code=code, error_message=message)
            )
        return ElectLeadersResponse(replica_election_results=list(results.values()))

    def _all_refused(
        self, context: RequestContext, request: ElectLeadersRequest, code: ErrorCode
    ) -> ElectLeadersResponse:
        if context.api_version >= _WHOLE_ERROR_SINCE:
            return ElectLeadersResponse(error_code=code)
        return ElectLeadersResponse(
            replica_election_results=[
                ReplicaElectionResult(
                    topic=topic.topic,
                    partition_result=[
                        ElectLeadersResponsePartitionResult(partition_id=index, error_code=code, error_message=None)
                        for index in topic.partitions
                    ],
                )
                for topic in request.topic_partitions or ()
            ]
        )


def _said(outcome: ApiError | None) -> tuple[int, str | None]:
    return (int(ErrorCode.NONE), None) if outcome is None else (int(outcome.code), outcome.message)
