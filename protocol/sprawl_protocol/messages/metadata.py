"""What there is and where: topics, partitions, brokers, versions."""

from __future__ import annotations

from uuid import UUID

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
    uuid,
)
from sprawl_protocol.primitives import NO_ID


class MetadataResponseBroker(Struct):
    node_id: int = field(int32, default=0)
    host: str = field(string, default="")
    port: int = field(int32, default=0)
    rack: str | None = field(string, "1+", default=None, nullable="1+", ignorable=True)


class MetadataResponsePartition(Struct):
    error_code: int = field(int16, default=0)
    partition_index: int = field(int32, default=0)
    leader_id: int = field(int32, default=0)
    leader_epoch: int = field(int32, "7+", default=-1, ignorable=True)
    replica_nodes: list[int] = field(array(int32), default_factory=list)
    isr_nodes: list[int] = field(array(int32), default_factory=list)
    offline_replicas: list[int] = field(array(int32), "5+", default_factory=list, ignorable=True)


class MetadataResponseTopic(Struct):
    error_code: int = field(int16, default=0)
    name: str | None = field(string, default="", nullable="12+")
    topic_id: UUID = field(uuid, "10+", default=NO_ID, ignorable=True)
    is_internal: bool = field(boolean, "1+", default=False, ignorable=True)
    partitions: list[MetadataResponsePartition] = field(array(MetadataResponsePartition), default_factory=list)
    topic_authorized_operations: int = field(int32, "8+", default=-2147483648)


class MetadataResponse(Response, api_key=ApiKey.METADATA, versions="0-13", flexible="9+"):
    throttle_time_ms: int = field(int32, "3+", default=0, ignorable=True)
    brokers: list[MetadataResponseBroker] = field(array(MetadataResponseBroker), default_factory=list)
    cluster_id: str | None = field(string, "2+", default=None, nullable="2+", ignorable=True)
    controller_id: int = field(int32, "1+", default=-1, ignorable=True)
    topics: list[MetadataResponseTopic] = field(array(MetadataResponseTopic), default_factory=list)
    cluster_authorized_operations: int = field(int32, "8-10", default=-2147483648)
    error_code: int = field(int16, "13+", default=0, ignorable=True)


class MetadataRequestTopic(Struct):
    topic_id: UUID = field(uuid, "10+", default=NO_ID, ignorable=True)
    name: str | None = field(string, default="", nullable="10+")


class MetadataRequest(Request, api_key=ApiKey.METADATA, versions="0-13", flexible="9+", response=MetadataResponse):
    topics: list[MetadataRequestTopic] | None = field(array(MetadataRequestTopic), default_factory=list, nullable="1+")
    allow_auto_topic_creation: bool = field(boolean, "4+", default=True)
    include_cluster_authorized_operations: bool = field(boolean, "8-10", default=False)
    include_topic_authorized_operations: bool = field(boolean, "8+", default=False)


class DescribeTopicPartitionsResponsePartition(Struct):
    error_code: int = field(int16, default=0)
    partition_index: int = field(int32, default=0)
    leader_id: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=-1)
    replica_nodes: list[int] = field(array(int32), default_factory=list)
    isr_nodes: list[int] = field(array(int32), default_factory=list)
    eligible_leader_replicas: list[int] | None = field(array(int32), default=None, nullable="0+")
    last_known_elr: list[int] | None = field(array(int32), default=None, nullable="0+")
    offline_replicas: list[int] = field(array(int32), default_factory=list)


class DescribeTopicPartitionsResponseTopic(Struct):
    error_code: int = field(int16, default=0)
    name: str | None = field(string, default="", nullable="0+")
    topic_id: UUID = field(uuid, default=NO_ID)
    is_internal: bool = field(boolean, default=False)
    partitions: list[DescribeTopicPartitionsResponsePartition] = field(
        array(DescribeTopicPartitionsResponsePartition), default_factory=list
    )
    topic_authorized_operations: int = field(int32, default=-2147483648)


class Cursor(Struct):
    topic_name: str = field(string, default="")
    partition_index: int = field(int32, default=0)


class DescribeTopicPartitionsResponse(Response, api_key=ApiKey.DESCRIBE_TOPIC_PARTITIONS, versions="0", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    topics: list[DescribeTopicPartitionsResponseTopic] = field(
        array(DescribeTopicPartitionsResponseTopic), default_factory=list
    )
    next_cursor: Cursor | None = field(struct(Cursor), default=None, nullable="0+")


class TopicRequest(Struct):
    name: str = field(string, default="")


class DescribeTopicPartitionsRequestCursor(Struct):
    topic_name: str = field(string, default="")
    partition_index: int = field(int32, default=0)


class DescribeTopicPartitionsRequest(
    Request,
    api_key=ApiKey.DESCRIBE_TOPIC_PARTITIONS,
    versions="0",
    flexible="0+",
    response=DescribeTopicPartitionsResponse,
):
    topics: list[TopicRequest] = field(array(TopicRequest), default_factory=list)
    response_partition_limit: int = field(int32, default=2000)
    cursor: DescribeTopicPartitionsRequestCursor | None = field(
        struct(DescribeTopicPartitionsRequestCursor), default=None, nullable="0+"
    )


class DescribeClusterBroker(Struct):
    broker_id: int = field(int32, default=0)
    host: str = field(string, default="")
    port: int = field(int32, default=0)
    rack: str | None = field(string, default=None, nullable="0+")
    is_fenced: bool = field(boolean, "2+", default=False)


class DescribeClusterResponse(Response, api_key=ApiKey.DESCRIBE_CLUSTER, versions="0-2", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    endpoint_type: int = field(int8, "1+", default=1)
    cluster_id: str = field(string, default="")
    controller_id: int = field(int32, default=-1)
    brokers: list[DescribeClusterBroker] = field(array(DescribeClusterBroker), default_factory=list)
    cluster_authorized_operations: int = field(int32, default=-2147483648)


class DescribeClusterRequest(
    Request, api_key=ApiKey.DESCRIBE_CLUSTER, versions="0-2", flexible="0+", response=DescribeClusterResponse
):
    include_cluster_authorized_operations: bool = field(boolean, default=False)
    endpoint_type: int = field(int8, "1+", default=1)
    include_fenced_brokers: bool = field(boolean, "2+", default=False)


class ApiVersion(Struct):
    api_key: int = field(int16, default=0)
    min_version: int = field(int16, default=0)
    max_version: int = field(int16, default=0)


class SupportedFeatureKey(Struct):
    name: str = field(string, "3+", default="")
    min_version: int = field(int16, "3+", default=0)
    max_version: int = field(int16, "3+", default=0)


class FinalizedFeatureKey(Struct):
    name: str = field(string, "3+", default="")
    max_version_level: int = field(int16, "3+", default=0)
    min_version_level: int = field(int16, "3+", default=0)


class ApiVersionsResponse(Response, api_key=ApiKey.API_VERSIONS, versions="0-5", flexible="3+"):
    error_code: int = field(int16, default=0)
    api_keys: list[ApiVersion] = field(array(ApiVersion), default_factory=list)
    throttle_time_ms: int = field(int32, "1+", default=0, ignorable=True)
    supported_features: list[SupportedFeatureKey] = field(
        array(SupportedFeatureKey), "3+", default_factory=list, tag=0, tagged="3+", ignorable=True
    )
    finalized_features_epoch: int = field(int64, "3+", default=-1, tag=1, tagged="3+", ignorable=True)
    finalized_features: list[FinalizedFeatureKey] = field(
        array(FinalizedFeatureKey), "3+", default_factory=list, tag=2, tagged="3+", ignorable=True
    )
    zk_migration_ready: bool = field(boolean, "3+", default=False, tag=3, tagged="3+", ignorable=True)


class ApiVersionsRequest(
    Request, api_key=ApiKey.API_VERSIONS, versions="0-5", flexible="3+", response=ApiVersionsResponse
):
    client_software_name: str = field(string, "3+", default="", ignorable=True)
    client_software_version: str = field(string, "3+", default="", ignorable=True)
    cluster_id: str | None = field(string, "5+", default=None, nullable="5+", ignorable=True)
    node_id: int = field(int32, "5+", default=-1, ignorable=True)
