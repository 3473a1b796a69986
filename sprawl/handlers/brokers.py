"""What brokers say to the controller (KIP-631, KIP-497, KIP-858).

BrokerRegistration, BrokerHeartbeat, AlterPartition, AssignReplicasToDirs.
"""

from __future__ import annotations

from sprawl.handlers.context import Handler, RequestContext
from sprawl.quorum.brokers import BrokerRegistration
from sprawl.quorum.controller import Controller, Heartbeat
from sprawl.quorum.image import ListenerImage
from sprawl.quorum.isr_changes import ANY_EPOCH, IsrWish
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError
from sprawl_protocol.messages import (
    AlterPartitionRequest,
    AlterPartitionRequestPartitionData,
    AlterPartitionResponse,
    AlterPartitionResponsePartitionData,
    AlterPartitionResponseTopicData,
    AssignReplicasToDirsRequest,
    AssignReplicasToDirsResponse,
    BrokerHeartbeatRequest,
    BrokerHeartbeatResponse,
    BrokerRegistrationRequest,
    BrokerRegistrationResponse,
)
from sprawl_protocol.messages import AssignReplicasToDirsResponsePartitionData as ResponsePartition
from sprawl_protocol.messages import AssignReplicasToDirsResponseTopicData as ResponseTopic
from sprawl_protocol.messages import DirectoryData as ResponseDirectory

_MEMBER_EPOCHS_SINCE = 3


class BrokerHandlers:
    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def routes(self) -> dict[ApiKey, Handler]:
        return {
            ApiKey.BROKER_REGISTRATION: self.register,
            ApiKey.BROKER_HEARTBEAT: self.heartbeat,
            ApiKey.ALTER_PARTITION: self.alter_partition,
            ApiKey.ASSIGN_REPLICAS_TO_DIRS: self.assign_directories,
        }

    async def register(self, context: RequestContext, request: BrokerRegistrationRequest) -> BrokerRegistrationResponse:
        epoch = await self._controller.register_broker(
            BrokerRegistration(
                id=request.broker_id,
                cluster_id=request.cluster_id,
                incarnation=request.incarnation_id,
                listeners=tuple(
                    ListenerImage(each.name, each.host, each.port, each.security_protocol) for each in request.listeners
                ),
                directories=tuple(request.log_dirs),
                rack=request.rack,
                features={
                    each.name: (each.min_supported_version, each.max_supported_version) for each in request.features
                },
            )
        )
        return BrokerRegistrationResponse(broker_epoch=epoch)

    async def heartbeat(self, context: RequestContext, request: BrokerHeartbeatRequest) -> BrokerHeartbeatResponse:
        outcome = await self._controller.heartbeat(
            Heartbeat(
                request.broker_id,
                request.broker_epoch,
                request.current_metadata_offset,
                wants_to_be_fenced=request.want_fence,
                wants_to_leave=request.want_shut_down,
            )
        )
        return BrokerHeartbeatResponse(
            is_caught_up=outcome.caught_up, is_fenced=outcome.fenced, should_shut_down=outcome.may_leave
        )

    async def alter_partition(self, context: RequestContext, request: AlterPartitionRequest) -> AlterPartitionResponse:
        asked = [(topic, each) for topic in request.topics for each in topic.partitions]
        wishes = [
            IsrWish(
                topic.topic_id,
                each.partition_index,
                each.leader_epoch,
                each.partition_epoch,
                _members(context.api_version, each),
            )
            for topic, each in asked
        ]
        outcomes = await self._controller.alter_partitions(request.broker_id, request.broker_epoch, wishes)
        answers: dict[int, AlterPartitionResponseTopicData] = {}
        response = AlterPartitionResponse()
        for (topic, each), outcome in zip(asked, outcomes, strict=True):
            answer = answers.get(id(topic))
            if answer is None:
                answer = answers[id(topic)] = AlterPartitionResponseTopicData(topic_id=topic.topic_id)
                response.topics.append(answer)
            data = AlterPartitionResponsePartitionData(partition_index=each.partition_index)
            answer.partitions.append(data)
            if isinstance(outcome, ApiError):
                data.error_code = int(outcome.code)
                continue
            data.leader_id = outcome.leader
            data.leader_epoch = outcome.leader_epoch
            data.isr = list(outcome.isr)
            data.leader_recovery_state = int(outcome.recovering)
            data.partition_epoch = outcome.partition_epoch
        return response

    async def assign_directories(
        self, context: RequestContext, request: AssignReplicasToDirsRequest
    ) -> AssignReplicasToDirsResponse:
        wishes = [
            (directory.id, topic.topic_id, each.partition_index)
            for directory in request.directories
            for topic in directory.topics
            for each in topic.partitions
        ]
        outcomes = iter(await self._controller.assign_directories(request.broker_id, request.broker_epoch, wishes))
        return AssignReplicasToDirsResponse(
            directories=[
                ResponseDirectory(
                    id=directory.id,
                    topics=[
                        ResponseTopic(
                            topic_id=topic.topic_id,
                            partitions=[_assigned(each.partition_index, next(outcomes)) for each in topic.partitions],
                        )
                        for topic in directory.topics
                    ],
                )
                for directory in request.directories
            ]
        )


def _assigned(index: int, outcome: ApiError | None) -> ResponsePartition:
    return ResponsePartition(partition_index=index, error_code=0 if outcome is None else int(outcome.code))


def _members(version: int, asked: AlterPartitionRequestPartitionData) -> tuple[tuple[int, int], ...]:
    if version < _MEMBER_EPOCHS_SINCE:
        return tuple((each, ANY_EPOCH) for each in asked.new_isr)
    return tuple((each.broker_id, each.broker_epoch) for each in asked.new_isr_with_epochs)
