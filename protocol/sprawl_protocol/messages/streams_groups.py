"""Streams groups (KIP-1071)."""

from __future__ import annotations

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import (
    Request,
    Response,
    Struct,
    array,
    boolean,
    field,
    int8,
    int16,
    int32,
    int64,
    string,
    struct,
    uint16,
)


class Status(Struct):
    status_code: int = field(int8, default=0)
    status_detail: str = field(string, default="")


class TaskIds(Struct):
    subtopology_id: str = field(string, default="")
    partitions: list[int] = field(array(int32), default_factory=list)


class Endpoint(Struct):
    host: str = field(string, default="")
    port: int = field(uint16, default=0)


class TopicPartition(Struct):
    topic: str = field(string, default="")
    partitions: list[int] = field(array(int32), default_factory=list)


class EndpointToPartitions(Struct):
    user_endpoint: Endpoint = field(struct(Endpoint), default_factory=Endpoint)
    active_partitions: list[TopicPartition] = field(array(TopicPartition), default_factory=list)
    standby_partitions: list[TopicPartition] = field(array(TopicPartition), default_factory=list)


class StreamsGroupHeartbeatResponse(Response, api_key=ApiKey.STREAMS_GROUP_HEARTBEAT, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    member_id: str = field(string, default="")
    member_epoch: int = field(int32, default=0)
    heartbeat_interval_ms: int = field(int32, default=0)
    acceptable_recovery_lag_legacy: int = field(int32, "0", default=0)
    task_offset_interval_ms: int = field(int32, default=0)
    acceptable_recovery_lag: int = field(int64, "1+", default=-1, ignorable=True)
    status: list[Status] | None = field(array(Status), default_factory=list, nullable="0+")
    active_tasks: list[TaskIds] | None = field(array(TaskIds), default=None, nullable="0+")
    standby_tasks: list[TaskIds] | None = field(array(TaskIds), default=None, nullable="0+")
    warmup_tasks: list[TaskIds] | None = field(array(TaskIds), default=None, nullable="0+")
    topology_description_required: bool = field(boolean, "1+", default=False)
    endpoint_information_epoch: int = field(int32, default=0)
    partitions_by_user_endpoint: list[EndpointToPartitions] | None = field(
        array(EndpointToPartitions), default=None, nullable="0+"
    )


class KeyValue(Struct):
    key: str = field(string, default="")
    value: str = field(string, default="")


class TopicInfo(Struct):
    name: str = field(string, default="")
    partitions: int = field(int32, default=0)
    replication_factor: int = field(int16, default=0)
    topic_configs: list[KeyValue] = field(array(KeyValue), default_factory=list)


class CopartitionGroup(Struct):
    source_topics: list[int] = field(array(int16), default_factory=list)
    source_topic_regex: list[int] = field(array(int16), default_factory=list)
    repartition_source_topics: list[int] = field(array(int16), default_factory=list)


class Subtopology(Struct):
    subtopology_id: str = field(string, default="")
    source_topics: list[str] = field(array(string), default_factory=list)
    source_topic_regex: list[str] = field(array(string), default_factory=list)
    state_changelog_topics: list[TopicInfo] = field(array(TopicInfo), default_factory=list)
    repartition_sink_topics: list[str] = field(array(string), default_factory=list)
    repartition_source_topics: list[TopicInfo] = field(array(TopicInfo), default_factory=list)
    copartition_groups: list[CopartitionGroup] = field(array(CopartitionGroup), default_factory=list)


class Topology(Struct):
    epoch: int = field(int32, default=0)
    subtopologies: list[Subtopology] = field(array(Subtopology), default_factory=list)


class StreamsGroupHeartbeatRequestTaskIds(Struct):
    subtopology_id: str = field(string, default="")
    partitions: list[int] = field(array(int32), default_factory=list)


class StreamsGroupHeartbeatRequestEndpoint(Struct):
    host: str = field(string, default="")
    port: int = field(uint16, default=0)


class TaskOffset(Struct):
    subtopology_id: str = field(string, default="")
    partition: int = field(int32, default=0)
    offset: int = field(int64, default=0)


class StreamsGroupHeartbeatRequest(
    Request,
    api_key=ApiKey.STREAMS_GROUP_HEARTBEAT,
    versions="0-1",
    flexible="0+",
    response=StreamsGroupHeartbeatResponse,
):
    group_id: str = field(string, default="")
    member_id: str = field(string, default="")
    member_epoch: int = field(int32, default=0)
    endpoint_information_epoch: int = field(int32, default=0)
    instance_id: str | None = field(string, default=None, nullable="0+")
    rack_id: str | None = field(string, default=None, nullable="0+")
    rebalance_timeout_ms: int = field(int32, default=-1)
    topology: Topology | None = field(struct(Topology), default=None, nullable="0+")
    active_tasks: list[StreamsGroupHeartbeatRequestTaskIds] | None = field(
        array(StreamsGroupHeartbeatRequestTaskIds), default=None, nullable="0+"
    )
    standby_tasks: list[StreamsGroupHeartbeatRequestTaskIds] | None = field(
        array(StreamsGroupHeartbeatRequestTaskIds), default=None, nullable="0+"
    )
    warmup_tasks: list[StreamsGroupHeartbeatRequestTaskIds] | None = field(
        array(StreamsGroupHeartbeatRequestTaskIds), default=None, nullable="0+"
    )
    process_id: str | None = field(string, default=None, nullable="0+")
    user_endpoint: StreamsGroupHeartbeatRequestEndpoint | None = field(
        struct(StreamsGroupHeartbeatRequestEndpoint), default=None, nullable="0+"
    )
    client_tags: list[KeyValue] | None = field(array(KeyValue), default=None, nullable="0+")
    task_offsets: list[TaskOffset] | None = field(array(TaskOffset), default=None, nullable="0+")
    task_end_offsets: list[TaskOffset] | None = field(array(TaskOffset), default=None, nullable="0+")
    shutdown_application: bool = field(boolean, default=False)


class StreamsGroupDescribeResponseKeyValue(Struct):
    key: str = field(string, default="")
    value: str = field(string, default="")


class StreamsGroupDescribeResponseTopicInfo(Struct):
    name: str = field(string, default="")
    partitions: int = field(int32, default=0)
    replication_factor: int = field(int16, default=0)
    topic_configs: list[StreamsGroupDescribeResponseKeyValue] = field(
        array(StreamsGroupDescribeResponseKeyValue), default_factory=list
    )


class StreamsGroupDescribeResponseSubtopology(Struct):
    subtopology_id: str = field(string, default="")
    source_topics: list[str] = field(array(string), default_factory=list)
    repartition_sink_topics: list[str] = field(array(string), default_factory=list)
    state_changelog_topics: list[StreamsGroupDescribeResponseTopicInfo] = field(
        array(StreamsGroupDescribeResponseTopicInfo), default_factory=list
    )
    repartition_source_topics: list[StreamsGroupDescribeResponseTopicInfo] = field(
        array(StreamsGroupDescribeResponseTopicInfo), default_factory=list
    )


class StreamsGroupDescribeResponseTopology(Struct):
    epoch: int = field(int32, default=0)
    subtopologies: list[StreamsGroupDescribeResponseSubtopology] | None = field(
        array(StreamsGroupDescribeResponseSubtopology), default=None, nullable="0+"
    )


class StreamsGroupDescribeResponseEndpoint(Struct):
    host: str = field(string, default="")
    port: int = field(uint16, default=0)


class StreamsGroupDescribeResponseTaskOffset(Struct):
    subtopology_id: str = field(string, default="")
    partition: int = field(int32, default=0)
    offset: int = field(int64, default=0)


class StreamsGroupDescribeResponseTaskIds(Struct):
    subtopology_id: str = field(string, default="")
    partitions: list[int] = field(array(int32), default_factory=list)


class StreamsGroupDescribeResponseAssignment(Struct):
    active_tasks: list[StreamsGroupDescribeResponseTaskIds] = field(
        array(StreamsGroupDescribeResponseTaskIds), default_factory=list
    )
    standby_tasks: list[StreamsGroupDescribeResponseTaskIds] = field(
        array(StreamsGroupDescribeResponseTaskIds), default_factory=list
    )
    warmup_tasks: list[StreamsGroupDescribeResponseTaskIds] = field(
        array(StreamsGroupDescribeResponseTaskIds), default_factory=list
    )


class StreamsGroupDescribeResponseMember(Struct):
    member_id: str = field(string, default="")
    member_epoch: int = field(int32, default=0)
    instance_id: str | None = field(string, default=None, nullable="0+")
    rack_id: str | None = field(string, default=None, nullable="0+")
    client_id: str = field(string, default="")
    client_host: str = field(string, default="")
    topology_epoch: int = field(int32, default=0)
    process_id: str = field(string, default="")
    user_endpoint: StreamsGroupDescribeResponseEndpoint | None = field(
        struct(StreamsGroupDescribeResponseEndpoint), default=None, nullable="0+"
    )
    client_tags: list[StreamsGroupDescribeResponseKeyValue] = field(
        array(StreamsGroupDescribeResponseKeyValue), default_factory=list
    )
    task_offsets: list[StreamsGroupDescribeResponseTaskOffset] = field(
        array(StreamsGroupDescribeResponseTaskOffset), default_factory=list
    )
    task_end_offsets: list[StreamsGroupDescribeResponseTaskOffset] = field(
        array(StreamsGroupDescribeResponseTaskOffset), default_factory=list
    )
    assignment: StreamsGroupDescribeResponseAssignment = field(
        struct(StreamsGroupDescribeResponseAssignment), default_factory=StreamsGroupDescribeResponseAssignment
    )
    target_assignment: StreamsGroupDescribeResponseAssignment = field(
        struct(StreamsGroupDescribeResponseAssignment), default_factory=StreamsGroupDescribeResponseAssignment
    )
    is_classic: bool = field(boolean, default=False)


class TopologyDescriptionNode(Struct):
    name: str = field(string, "1+", default="")
    node_type: int = field(int8, "1+", default=0)
    source_topics: list[str] = field(array(string), "1+", default_factory=list)
    sink_topic: str | None = field(string, "1+", default=None, nullable="1+")
    stores: list[str] = field(array(string), "1+", default_factory=list)
    successors: list[str] = field(array(string), "1+", default_factory=list)


class TopologyDescriptionSubtopology(Struct):
    subtopology_id: str = field(string, "1+", default="")
    nodes: list[TopologyDescriptionNode] = field(array(TopologyDescriptionNode), "1+", default_factory=list)


class TopologyDescriptionGlobalStore(Struct):
    source: TopologyDescriptionNode = field(
        struct(TopologyDescriptionNode), "1+", default_factory=TopologyDescriptionNode
    )
    processor: TopologyDescriptionNode = field(
        struct(TopologyDescriptionNode), "1+", default_factory=TopologyDescriptionNode
    )


class TopologyDescription(Struct):
    subtopologies: list[TopologyDescriptionSubtopology] = field(
        array(TopologyDescriptionSubtopology), "1+", default_factory=list
    )
    global_stores: list[TopologyDescriptionGlobalStore] = field(
        array(TopologyDescriptionGlobalStore), "1+", default_factory=list
    )


class StreamsGroupDescribeResponseDescribedGroup(Struct):
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    group_id: str = field(string, default="")
    group_state: str = field(string, default="")
    group_epoch: int = field(int32, default=0)
    assignment_epoch: int = field(int32, default=0)
    topology: StreamsGroupDescribeResponseTopology | None = field(
        struct(StreamsGroupDescribeResponseTopology), default=None, nullable="0+"
    )
    members: list[StreamsGroupDescribeResponseMember] = field(
        array(StreamsGroupDescribeResponseMember), default_factory=list
    )
    authorized_operations: int = field(int32, default=-2147483648)
    topology_description: TopologyDescription | None = field(
        struct(TopologyDescription), "1+", default=None, nullable="1+"
    )
    topology_description_status: int = field(int8, "1+", default=0)
    assignor_name: str | None = field(string, "1+", default=None, nullable="1+", ignorable=True)


class StreamsGroupDescribeResponse(Response, api_key=ApiKey.STREAMS_GROUP_DESCRIBE, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    groups: list[StreamsGroupDescribeResponseDescribedGroup] = field(
        array(StreamsGroupDescribeResponseDescribedGroup), default_factory=list
    )


class StreamsGroupDescribeRequest(
    Request, api_key=ApiKey.STREAMS_GROUP_DESCRIBE, versions="0-1", flexible="0+", response=StreamsGroupDescribeResponse
):
    group_ids: list[str] = field(array(string), default_factory=list)
    include_authorized_operations: bool = field(boolean, default=False)
    include_topology_description: bool = field(boolean, "1+", default=False)


class StreamsGroupTopologyDescriptionUpdateResponse(
    Response, api_key=ApiKey.STREAMS_GROUP_TOPOLOGY_DESCRIPTION_UPDATE, versions="0", flexible="0+"
):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")


class StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionNode(Struct):
    name: str = field(string, default="")
    node_type: int = field(int8, default=0)
    source_topics: list[str] = field(array(string), default_factory=list)
    sink_topic: str | None = field(string, default=None, nullable="0+")
    stores: list[str] = field(array(string), default_factory=list)
    successors: list[str] = field(array(string), default_factory=list)


class StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionSubtopology(Struct):
    subtopology_id: str = field(string, default="")
    nodes: list[StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionNode] = field(
        array(StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionNode), default_factory=list
    )


class StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionGlobalStore(Struct):
    source: StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionNode = field(
        struct(StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionNode),
        default_factory=StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionNode,
    )
    processor: StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionNode = field(
        struct(StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionNode),
        default_factory=StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionNode,
    )


class StreamsGroupTopologyDescriptionUpdateRequestTopologyDescription(Struct):
    subtopologies: list[StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionSubtopology] = field(
        array(StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionSubtopology), default_factory=list
    )
    global_stores: list[StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionGlobalStore] = field(
        array(StreamsGroupTopologyDescriptionUpdateRequestTopologyDescriptionGlobalStore), default_factory=list
    )


class StreamsGroupTopologyDescriptionUpdateRequest(
    Request,
    api_key=ApiKey.STREAMS_GROUP_TOPOLOGY_DESCRIPTION_UPDATE,
    versions="0",
    flexible="0+",
    response=StreamsGroupTopologyDescriptionUpdateResponse,
):
    group_id: str = field(string, default="")
    member_id: str = field(string, default="")
    topology_epoch: int = field(int32, default=0)
    topology_description: StreamsGroupTopologyDescriptionUpdateRequestTopologyDescription = field(
        struct(StreamsGroupTopologyDescriptionUpdateRequestTopologyDescription),
        default_factory=StreamsGroupTopologyDescriptionUpdateRequestTopologyDescription,
    )
