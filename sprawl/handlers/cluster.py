"""The cluster itself: DescribeCluster (60), DescribeQuorum (55), DescribeLogDirs (35).

Answered from the image, the quorum's own knowledge of its voters, and the logs on this node's disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from sprawl.handlers.context import Handler, RequestContext
from sprawl.handlers.metadata import controller_for_clients
from sprawl.quorum.description import ReplicaState
from sprawl.quorum.image import METADATA_TOPIC, MetadataImage
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.quorum.voters import LISTENER
from sprawl.routing.endpoints import Address, Endpoints
from sprawl.runtime import FileSystem
from sprawl.security.access import CLUSTER, NO_OPERATIONS_ASKED, Authorizer, Operation, authorized_operations
from sprawl.storage.log import Log
from sprawl.storage.manager import LogManager
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
    DescribeLogDirsPartition,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    DescribeLogDirsTopic,
    DescribeQuorumRequest,
    DescribeQuorumResponse,
    DescribeQuorumResponsePartitionData,
    DescribeQuorumResponseReplicaState,
    DescribeQuorumResponseTopicData,
    Listener,
    Node,
)

_BROKERS: Final = 1
_CONTROLLERS: Final = 2
_LOG_DIRS_ERROR_SINCE: Final = 3
_QUORUM_NODES_SINCE: Final = 2


class ClusterHandlers:
    def __init__(
        self,
        quorum: MetadataQuorum,
        logs: LogManager,
        files: FileSystem,
        endpoints: Endpoints,
        authorizer: Authorizer,
    ) -> None:
        self._quorum = quorum
        self._logs = logs
        self._files = files
        self._endpoints = endpoints
        self._authorizer = authorizer

    def routes(self) -> dict[ApiKey, Handler]:
        return {
            ApiKey.DESCRIBE_CLUSTER: self.describe_cluster,
            ApiKey.DESCRIBE_QUORUM: self.describe_quorum,
            ApiKey.DESCRIBE_LOG_DIRS: self.describe_log_dirs,
        }

    # DescribeCluster

    def describe_cluster(self, context: RequestContext, request: DescribeClusterRequest) -> DescribeClusterResponse:
        if request.endpoint_type == _CONTROLLERS:
            return DescribeClusterResponse(
                error_code=ErrorCode.MISMATCHED_ENDPOINT_TYPE,
                error_message="This is an endpoint of brokers; controllers have none of their own here.",
            )
        if request.endpoint_type != _BROKERS:
            return DescribeClusterResponse(
                error_code=ErrorCode.UNSUPPORTED_ENDPOINT_TYPE,
                error_message=f"There is no endpoint type {request.endpoint_type}; ask for 1 (brokers).",
            )
        image = self._quorum.image
        response = DescribeClusterResponse(cluster_id=image.cluster_id)
        reachable: dict[int, Address] = {}
        for broker in image.brokers.values():
            at = self._endpoints.of(broker, context)
            if at is None or (broker.fenced and not request.include_fenced_brokers):
                continue
            if not broker.fenced:
                reachable[broker.id] = at
            response.brokers.append(
                DescribeClusterBroker(
                    broker_id=broker.id, host=at.host, port=at.port, rack=broker.rack, is_fenced=broker.fenced
                )
            )
        response.controller_id = controller_for_clients(self._quorum, reachable)
        response.cluster_authorized_operations = NO_OPERATIONS_ASKED
        if request.include_cluster_authorized_operations:
            may_ask = self._authorizer.authorize(context.principal, Operation.DESCRIBE, CLUSTER)
            response.cluster_authorized_operations = (
                authorized_operations(self._authorizer, context.principal, CLUSTER) if may_ask else 0
            )
        return response

    # DescribeQuorum

    def describe_quorum(self, context: RequestContext, request: DescribeQuorumRequest) -> DescribeQuorumResponse:
        if not self._authorizer.authorize(context.principal, Operation.DESCRIBE, CLUSTER):
            return DescribeQuorumResponse(
                error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED,
                error_message=f"{context.principal} may not DESCRIBE the cluster.",
            )
        response = DescribeQuorumResponse(error_message=None)
        for asked in request.topics:
            answer = DescribeQuorumResponseTopicData(topic_name=asked.topic_name)
            response.topics.append(answer)
            answer.partitions = [
                self._quorum_partition(context, asked.topic_name, each.partition_index) for each in asked.partitions
            ]
        if context.api_version >= _QUORUM_NODES_SINCE:
            response.nodes = self._quorum_nodes(self._quorum.image)
        return response

    def _quorum_partition(self, context: RequestContext, topic: str, index: int) -> DescribeQuorumResponsePartitionData:
        if (topic, index) != (METADATA_TOPIC, 0):
            return DescribeQuorumResponsePartitionData(
                partition_index=index,
                error_code=ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                error_message=f"Only {METADATA_TOPIC}-0 is kept by a quorum.",
            )
        known = self._quorum.describe()
        has_directories = context.api_version >= _QUORUM_NODES_SINCE

        def states(replicas: Iterable[ReplicaState]) -> list[DescribeQuorumResponseReplicaState]:
            answers = [
                DescribeQuorumResponseReplicaState(
                    replica_id=each.node_id,
                    log_end_offset=each.log_end_offset,
                    last_fetch_timestamp=each.last_fetch_ms,
                    last_caught_up_timestamp=each.last_caught_up_ms,
                )
                for each in replicas
            ]
            if has_directories:
                for answer, each in zip(answers, replicas, strict=True):
                    answer.replica_directory_id = each.directory_id
            return answers

        return DescribeQuorumResponsePartitionData(
            partition_index=index,
            error_message=None,
            leader_id=known.leader_id,
            leader_epoch=known.epoch,
            high_watermark=known.high_watermark,
            current_voters=states(known.voters),
            observers=states(known.observers),
        )

    def _quorum_nodes(self, image: MetadataImage) -> list[Node]:
        """Where each of them is found: as it registered; a voter that is no broker, as the voters' record says."""
        known = self._quorum.describe()
        nodes: list[Node] = []
        for each in (*known.voters, *known.observers):
            broker, address = image.brokers.get(each.node_id), self._quorum.voters.address_of(each.node_id)
            if broker is not None:
                listeners = [
                    Listener(name=one.name, host=one.host, port=one.port) for one in broker.listeners if one.port
                ]
            elif address is not None:
                listeners = [Listener(name=LISTENER, host=address.host, port=address.port)]
            else:
                continue
            nodes.append(Node(node_id=each.node_id, listeners=listeners))
        return nodes

    # DescribeLogDirs

    def describe_log_dirs(self, context: RequestContext, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse:
        if not self._authorizer.authorize(context.principal, Operation.DESCRIBE, CLUSTER):
            return DescribeLogDirsResponse(error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
        logs = [each for each in self._logs.logs if each.topic != METADATA_TOPIC]
        result = DescribeLogDirsResult(log_dir=self._logs.directory)
        if self._logs.failed.done():
            result.error_code = ErrorCode.KAFKA_STORAGE_ERROR
            return DescribeLogDirsResponse(results=[result])
        wanted: Callable[[Log], bool] = _everything
        if request.topics is not None:
            asked = {(each.topic, index) for each in request.topics for index in each.partitions}
            wanted = lambda log: (log.topic, log.partition) in asked  # noqa: E731
        by_topic: dict[str, DescribeLogDirsTopic] = {}
        for each in sorted(filter(wanted, logs), key=lambda log: (log.topic, log.partition)):
            answer = by_topic.setdefault(each.topic, DescribeLogDirsTopic(name=each.topic))
            answer.partitions.append(
                DescribeLogDirsPartition(partition_index=each.partition, partition_size=each.size_bytes)
            )
        result.topics = list(by_topic.values())
        # What the directory can hold in all: the file system tells only what is free of it.
        result.usable_bytes = self._files.free_bytes(self._logs.directory)
        result.total_bytes = result.usable_bytes + sum(each.size_bytes for each in self._logs.logs)
        return DescribeLogDirsResponse(results=[result])


def _everything(log: Log) -> bool:
    return True
