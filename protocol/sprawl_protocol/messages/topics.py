"""Making, removing and moving topics and partitions."""

from __future__ import annotations

from uuid import UUID

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request, Response, Struct, array, boolean, field, int8, int16, int32, string, uuid
from sprawl_protocol.primitives import NO_ID


class CreatableTopicConfigs(Struct):
    name: str = field(string, "5+", default="")
    value: str | None = field(string, "5+", default="", nullable="5+")
    read_only: bool = field(boolean, "5+", default=False)
    config_source: int = field(int8, "5+", default=-1, ignorable=True)
    is_sensitive: bool = field(boolean, "5+", default=False)


class CreatableTopicResult(Struct):
    name: str = field(string, default="")
    topic_id: UUID = field(uuid, "7+", default=NO_ID, ignorable=True)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, "1+", default="", nullable="0+", ignorable=True)
    topic_config_error_code: int = field(int16, "5+", default=0, tag=0, tagged="5+", ignorable=True)
    num_partitions: int = field(int32, "5+", default=-1, ignorable=True)
    replication_factor: int = field(int16, "5+", default=-1, ignorable=True)
    configs: list[CreatableTopicConfigs] | None = field(
        array(CreatableTopicConfigs), "5+", default_factory=list, nullable="5+", ignorable=True
    )


class CreateTopicsResponse(Response, api_key=ApiKey.CREATE_TOPICS, versions="2-7", flexible="5+"):
    throttle_time_ms: int = field(int32, "2+", default=0, ignorable=True)
    topics: list[CreatableTopicResult] = field(array(CreatableTopicResult), default_factory=list)


class CreatableReplicaAssignment(Struct):
    partition_index: int = field(int32, default=0)
    broker_ids: list[int] = field(array(int32), default_factory=list)


class CreatableTopicConfig(Struct):
    name: str = field(string, default="")
    value: str | None = field(string, default="", nullable="0+")


class CreatableTopic(Struct):
    name: str = field(string, default="")
    num_partitions: int = field(int32, default=0)
    replication_factor: int = field(int16, default=0)
    assignments: list[CreatableReplicaAssignment] = field(array(CreatableReplicaAssignment), default_factory=list)
    configs: list[CreatableTopicConfig] = field(array(CreatableTopicConfig), default_factory=list)


class CreateTopicsRequest(
    Request, api_key=ApiKey.CREATE_TOPICS, versions="2-7", flexible="5+", response=CreateTopicsResponse
):
    topics: list[CreatableTopic] = field(array(CreatableTopic), default_factory=list)
    timeout_ms: int = field(int32, default=60000)
    validate_only: bool = field(boolean, "1+", default=False)


class DeletableTopicResult(Struct):
    name: str | None = field(string, default="", nullable="6+")
    topic_id: UUID = field(uuid, "6+", default=NO_ID, ignorable=True)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, "5+", default=None, nullable="5+", ignorable=True)


class DeleteTopicsResponse(Response, api_key=ApiKey.DELETE_TOPICS, versions="1-6", flexible="4+"):
    throttle_time_ms: int = field(int32, "1+", default=0, ignorable=True)
    responses: list[DeletableTopicResult] = field(array(DeletableTopicResult), default_factory=list)


class DeleteTopicState(Struct):
    name: str | None = field(string, "6+", default=None, nullable="6+")
    topic_id: UUID = field(uuid, "6+", default=NO_ID)


class DeleteTopicsRequest(
    Request, api_key=ApiKey.DELETE_TOPICS, versions="1-6", flexible="4+", response=DeleteTopicsResponse
):
    topics: list[DeleteTopicState] = field(array(DeleteTopicState), "6+", default_factory=list)
    topic_names: list[str] = field(array(string), "0-5", default_factory=list, ignorable=True)
    timeout_ms: int = field(int32, default=0)


class CreatePartitionsTopicResult(Struct):
    name: str = field(string, default="")
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")


class CreatePartitionsResponse(Response, api_key=ApiKey.CREATE_PARTITIONS, versions="0-3", flexible="2+"):
    throttle_time_ms: int = field(int32, default=0)
    results: list[CreatePartitionsTopicResult] = field(array(CreatePartitionsTopicResult), default_factory=list)


class CreatePartitionsAssignment(Struct):
    broker_ids: list[int] = field(array(int32), default_factory=list)


class CreatePartitionsTopic(Struct):
    name: str = field(string, default="")
    count: int = field(int32, default=0)
    assignments: list[CreatePartitionsAssignment] | None = field(
        array(CreatePartitionsAssignment), default_factory=list, nullable="0+"
    )


class CreatePartitionsRequest(
    Request, api_key=ApiKey.CREATE_PARTITIONS, versions="0-3", flexible="2+", response=CreatePartitionsResponse
):
    topics: list[CreatePartitionsTopic] = field(array(CreatePartitionsTopic), default_factory=list)
    timeout_ms: int = field(int32, default=0)
    validate_only: bool = field(boolean, default=False)


class ElectLeadersResponsePartitionResult(Struct):
    partition_id: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")


class ReplicaElectionResult(Struct):
    topic: str = field(string, default="")
    partition_result: list[ElectLeadersResponsePartitionResult] = field(
        array(ElectLeadersResponsePartitionResult), default_factory=list
    )


class ElectLeadersResponse(Response, api_key=ApiKey.ELECT_LEADERS, versions="0-2", flexible="2+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, "1+", default=0)
    replica_election_results: list[ReplicaElectionResult] = field(array(ReplicaElectionResult), default_factory=list)


class ElectLeadersRequestTopicPartitions(Struct):
    topic: str = field(string, default="")
    partitions: list[int] = field(array(int32), default_factory=list)


class ElectLeadersRequest(
    Request, api_key=ApiKey.ELECT_LEADERS, versions="0-2", flexible="2+", response=ElectLeadersResponse
):
    election_type: int = field(int8, "1+", default=0)
    topic_partitions: list[ElectLeadersRequestTopicPartitions] | None = field(
        array(ElectLeadersRequestTopicPartitions), default_factory=list, nullable="0+"
    )
    timeout_ms: int = field(int32, default=60000)


class ReassignablePartitionResponse(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")


class ReassignableTopicResponse(Struct):
    name: str = field(string, default="")
    partitions: list[ReassignablePartitionResponse] = field(array(ReassignablePartitionResponse), default_factory=list)


class AlterPartitionReassignmentsResponse(
    Response, api_key=ApiKey.ALTER_PARTITION_REASSIGNMENTS, versions="0-1", flexible="0+"
):
    throttle_time_ms: int = field(int32, default=0)
    allow_replication_factor_change: bool = field(boolean, "1+", default=True, ignorable=True)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")
    responses: list[ReassignableTopicResponse] = field(array(ReassignableTopicResponse), default_factory=list)


class ReassignablePartition(Struct):
    partition_index: int = field(int32, default=0)
    replicas: list[int] | None = field(array(int32), default=None, nullable="0+")


class ReassignableTopic(Struct):
    name: str = field(string, default="")
    partitions: list[ReassignablePartition] = field(array(ReassignablePartition), default_factory=list)


class AlterPartitionReassignmentsRequest(
    Request,
    api_key=ApiKey.ALTER_PARTITION_REASSIGNMENTS,
    versions="0-1",
    flexible="0+",
    response=AlterPartitionReassignmentsResponse,
):
    timeout_ms: int = field(int32, default=60000)
    allow_replication_factor_change: bool = field(boolean, "1+", default=True)
    topics: list[ReassignableTopic] = field(array(ReassignableTopic), default_factory=list)


class OngoingPartitionReassignment(Struct):
    partition_index: int = field(int32, default=0)
    replicas: list[int] = field(array(int32), default_factory=list)
    adding_replicas: list[int] = field(array(int32), default_factory=list)
    removing_replicas: list[int] = field(array(int32), default_factory=list)


class OngoingTopicReassignment(Struct):
    name: str = field(string, default="")
    partitions: list[OngoingPartitionReassignment] = field(array(OngoingPartitionReassignment), default_factory=list)


class ListPartitionReassignmentsResponse(
    Response, api_key=ApiKey.LIST_PARTITION_REASSIGNMENTS, versions="0", flexible="0+"
):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")
    topics: list[OngoingTopicReassignment] = field(array(OngoingTopicReassignment), default_factory=list)


class ListPartitionReassignmentsTopics(Struct):
    name: str = field(string, default="")
    partition_indexes: list[int] = field(array(int32), default_factory=list)


class ListPartitionReassignmentsRequest(
    Request,
    api_key=ApiKey.LIST_PARTITION_REASSIGNMENTS,
    versions="0",
    flexible="0+",
    response=ListPartitionReassignmentsResponse,
):
    timeout_ms: int = field(int32, default=60000)
    topics: list[ListPartitionReassignmentsTopics] | None = field(
        array(ListPartitionReassignmentsTopics), default=None, nullable="0+"
    )
