"""Share groups (KIP-932)."""

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
    records,
    string,
    struct,
    uuid,
)
from sprawl_protocol.primitives import INT32_MAX, NO_ID, Buffer


class ShareGroupHeartbeatResponseTopicPartitions(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[int] = field(array(int32), default_factory=list)


class ShareGroupHeartbeatResponseAssignment(Struct):
    topic_partitions: list[ShareGroupHeartbeatResponseTopicPartitions] = field(
        array(ShareGroupHeartbeatResponseTopicPartitions), default_factory=list
    )


class ShareGroupHeartbeatResponse(Response, api_key=ApiKey.SHARE_GROUP_HEARTBEAT, versions="1", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    member_id: str | None = field(string, default=None, nullable="0+")
    member_epoch: int = field(int32, default=0)
    heartbeat_interval_ms: int = field(int32, default=0)
    assignment: ShareGroupHeartbeatResponseAssignment | None = field(
        struct(ShareGroupHeartbeatResponseAssignment), default=None, nullable="0+"
    )


class ShareGroupHeartbeatRequest(
    Request, api_key=ApiKey.SHARE_GROUP_HEARTBEAT, versions="1", flexible="0+", response=ShareGroupHeartbeatResponse
):
    group_id: str = field(string, default="")
    member_id: str = field(string, default="")
    member_epoch: int = field(int32, default=0)
    rack_id: str | None = field(string, default=None, nullable="0+")
    subscribed_topic_names: list[str] | None = field(array(string), default=None, nullable="0+")


class ShareGroupDescribeResponseTopicPartitions(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    topic_name: str = field(string, default="")
    partitions: list[int] = field(array(int32), default_factory=list)


class ShareGroupDescribeResponseAssignment(Struct):
    topic_partitions: list[ShareGroupDescribeResponseTopicPartitions] = field(
        array(ShareGroupDescribeResponseTopicPartitions), default_factory=list
    )


class ShareGroupDescribeResponseMember(Struct):
    member_id: str = field(string, default="")
    rack_id: str | None = field(string, default=None, nullable="0+")
    member_epoch: int = field(int32, default=0)
    client_id: str = field(string, default="")
    client_host: str = field(string, default="")
    subscribed_topic_names: list[str] = field(array(string), default_factory=list)
    assignment: ShareGroupDescribeResponseAssignment = field(
        struct(ShareGroupDescribeResponseAssignment), default_factory=ShareGroupDescribeResponseAssignment
    )


class ShareGroupDescribeResponseDescribedGroup(Struct):
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    group_id: str = field(string, default="")
    group_state: str = field(string, default="")
    group_epoch: int = field(int32, default=0)
    assignment_epoch: int = field(int32, default=0)
    assignor_name: str = field(string, default="")
    members: list[ShareGroupDescribeResponseMember] = field(
        array(ShareGroupDescribeResponseMember), default_factory=list
    )
    authorized_operations: int = field(int32, default=-2147483648)


class ShareGroupDescribeResponse(Response, api_key=ApiKey.SHARE_GROUP_DESCRIBE, versions="1", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    groups: list[ShareGroupDescribeResponseDescribedGroup] = field(
        array(ShareGroupDescribeResponseDescribedGroup), default_factory=list
    )


class ShareGroupDescribeRequest(
    Request, api_key=ApiKey.SHARE_GROUP_DESCRIBE, versions="1", flexible="0+", response=ShareGroupDescribeResponse
):
    group_ids: list[str] = field(array(string), default_factory=list)
    include_authorized_operations: bool = field(boolean, default=False)


class ShareFetchResponseLeaderIdAndEpoch(Struct):
    leader_id: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)


class AcquiredRecords(Struct):
    first_offset: int = field(int64, default=0)
    last_offset: int = field(int64, default=0)
    delivery_count: int = field(int16, default=0)


class ShareFetchResponsePartitionData(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    acknowledge_error_code: int = field(int16, default=0)
    acknowledge_error_message: str | None = field(string, default=None, nullable="0+")
    current_leader: ShareFetchResponseLeaderIdAndEpoch = field(
        struct(ShareFetchResponseLeaderIdAndEpoch), default_factory=ShareFetchResponseLeaderIdAndEpoch
    )
    records: Buffer | None = field(records, default=b"", nullable="0")
    acquired_records: list[AcquiredRecords] = field(array(AcquiredRecords), default_factory=list)


class ShareFetchableTopicResponse(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[ShareFetchResponsePartitionData] = field(
        array(ShareFetchResponsePartitionData), default_factory=list
    )


class ShareFetchResponseNodeEndpoint(Struct):
    node_id: int = field(int32, default=0)
    host: str = field(string, default="")
    port: int = field(int32, default=0)
    rack: str | None = field(string, default=None, nullable="0+")


class ShareFetchResponse(Response, api_key=ApiKey.SHARE_FETCH, versions="1-2", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    acquisition_lock_timeout_ms: int = field(int32, "1+", default=0)
    responses: list[ShareFetchableTopicResponse] = field(array(ShareFetchableTopicResponse), default_factory=list)
    node_endpoints: list[ShareFetchResponseNodeEndpoint] = field(
        array(ShareFetchResponseNodeEndpoint), default_factory=list
    )


class AcknowledgementBatch(Struct):
    first_offset: int = field(int64, default=0)
    last_offset: int = field(int64, default=0)
    acknowledge_types: list[int] = field(array(int8), default_factory=list)


class ShareFetchRequestFetchPartition(Struct):
    partition_index: int = field(int32, default=0)
    partition_max_bytes: int = field(int32, "0", default=0)
    acknowledgement_batches: list[AcknowledgementBatch] = field(array(AcknowledgementBatch), default_factory=list)


class ShareFetchRequestFetchTopic(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[ShareFetchRequestFetchPartition] = field(
        array(ShareFetchRequestFetchPartition), default_factory=list
    )


class ShareFetchRequestForgottenTopic(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[int] = field(array(int32), default_factory=list)


class ShareFetchRequest(
    Request, api_key=ApiKey.SHARE_FETCH, versions="1-2", flexible="0+", response=ShareFetchResponse
):
    group_id: str | None = field(string, default=None, nullable="0+")
    member_id: str | None = field(string, default="", nullable="0+")
    share_session_epoch: int = field(int32, default=0)
    max_wait_ms: int = field(int32, default=0)
    min_bytes: int = field(int32, default=0)
    max_bytes: int = field(int32, default=INT32_MAX)
    max_records: int = field(int32, "1+", default=0)
    batch_size: int = field(int32, "1+", default=0)
    share_acquire_mode: int = field(int8, "2+", default=0, ignorable=True)
    is_renew_ack: bool = field(boolean, "2+", default=False)
    topics: list[ShareFetchRequestFetchTopic] = field(array(ShareFetchRequestFetchTopic), default_factory=list)
    forgotten_topics_data: list[ShareFetchRequestForgottenTopic] = field(
        array(ShareFetchRequestForgottenTopic), default_factory=list
    )


class ShareAcknowledgeResponseLeaderIdAndEpoch(Struct):
    leader_id: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)


class ShareAcknowledgeResponsePartitionData(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    current_leader: ShareAcknowledgeResponseLeaderIdAndEpoch = field(
        struct(ShareAcknowledgeResponseLeaderIdAndEpoch), default_factory=ShareAcknowledgeResponseLeaderIdAndEpoch
    )


class ShareAcknowledgeTopicResponse(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[ShareAcknowledgeResponsePartitionData] = field(
        array(ShareAcknowledgeResponsePartitionData), default_factory=list
    )


class ShareAcknowledgeResponseNodeEndpoint(Struct):
    node_id: int = field(int32, default=0)
    host: str = field(string, default="")
    port: int = field(int32, default=0)
    rack: str | None = field(string, default=None, nullable="0+")


class ShareAcknowledgeResponse(Response, api_key=ApiKey.SHARE_ACKNOWLEDGE, versions="1-2", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    acquisition_lock_timeout_ms: int = field(int32, "2+", default=0, ignorable=True)
    responses: list[ShareAcknowledgeTopicResponse] = field(array(ShareAcknowledgeTopicResponse), default_factory=list)
    node_endpoints: list[ShareAcknowledgeResponseNodeEndpoint] = field(
        array(ShareAcknowledgeResponseNodeEndpoint), default_factory=list
    )


class ShareAcknowledgeRequestAcknowledgementBatch(Struct):
    first_offset: int = field(int64, default=0)
    last_offset: int = field(int64, default=0)
    acknowledge_types: list[int] = field(array(int8), default_factory=list)


class AcknowledgePartition(Struct):
    partition_index: int = field(int32, default=0)
    acknowledgement_batches: list[ShareAcknowledgeRequestAcknowledgementBatch] = field(
        array(ShareAcknowledgeRequestAcknowledgementBatch), default_factory=list
    )


class AcknowledgeTopic(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[AcknowledgePartition] = field(array(AcknowledgePartition), default_factory=list)


class ShareAcknowledgeRequest(
    Request, api_key=ApiKey.SHARE_ACKNOWLEDGE, versions="1-2", flexible="0+", response=ShareAcknowledgeResponse
):
    group_id: str | None = field(string, default=None, nullable="0+")
    member_id: str | None = field(string, default="", nullable="0+")
    share_session_epoch: int = field(int32, default=0)
    is_renew_ack: bool = field(boolean, "2+", default=False)
    topics: list[AcknowledgeTopic] = field(array(AcknowledgeTopic), default_factory=list)


class DescribeShareGroupOffsetsResponsePartition(Struct):
    partition_index: int = field(int32, default=0)
    start_offset: int = field(int64, default=0)
    leader_epoch: int = field(int32, default=0)
    lag: int = field(int64, "1+", default=-1, ignorable=True)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")


class DescribeShareGroupOffsetsResponseTopic(Struct):
    topic_name: str = field(string, default="")
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[DescribeShareGroupOffsetsResponsePartition] = field(
        array(DescribeShareGroupOffsetsResponsePartition), default_factory=list
    )


class DescribeShareGroupOffsetsResponseGroup(Struct):
    group_id: str = field(string, default="")
    topics: list[DescribeShareGroupOffsetsResponseTopic] = field(
        array(DescribeShareGroupOffsetsResponseTopic), default_factory=list
    )
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")


class DescribeShareGroupOffsetsResponse(
    Response, api_key=ApiKey.DESCRIBE_SHARE_GROUP_OFFSETS, versions="0-1", flexible="0+"
):
    throttle_time_ms: int = field(int32, default=0)
    groups: list[DescribeShareGroupOffsetsResponseGroup] = field(
        array(DescribeShareGroupOffsetsResponseGroup), default_factory=list
    )


class DescribeShareGroupOffsetsRequestTopic(Struct):
    topic_name: str = field(string, default="")
    partitions: list[int] = field(array(int32), default_factory=list)


class DescribeShareGroupOffsetsRequestGroup(Struct):
    group_id: str = field(string, default="")
    topics: list[DescribeShareGroupOffsetsRequestTopic] | None = field(
        array(DescribeShareGroupOffsetsRequestTopic), default_factory=list, nullable="0+"
    )


class DescribeShareGroupOffsetsRequest(
    Request,
    api_key=ApiKey.DESCRIBE_SHARE_GROUP_OFFSETS,
    versions="0-1",
    flexible="0+",
    response=DescribeShareGroupOffsetsResponse,
):
    groups: list[DescribeShareGroupOffsetsRequestGroup] = field(
        array(DescribeShareGroupOffsetsRequestGroup), default_factory=list
    )


class AlterShareGroupOffsetsResponsePartition(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")


class AlterShareGroupOffsetsResponseTopic(Struct):
    topic_name: str = field(string, default="")
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[AlterShareGroupOffsetsResponsePartition] = field(
        array(AlterShareGroupOffsetsResponsePartition), default_factory=list
    )


class AlterShareGroupOffsetsResponse(Response, api_key=ApiKey.ALTER_SHARE_GROUP_OFFSETS, versions="0", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    responses: list[AlterShareGroupOffsetsResponseTopic] = field(
        array(AlterShareGroupOffsetsResponseTopic), default_factory=list
    )


class AlterShareGroupOffsetsRequestPartition(Struct):
    partition_index: int = field(int32, default=0)
    start_offset: int = field(int64, default=0)


class AlterShareGroupOffsetsRequestTopic(Struct):
    topic_name: str = field(string, default="")
    partitions: list[AlterShareGroupOffsetsRequestPartition] = field(
        array(AlterShareGroupOffsetsRequestPartition), default_factory=list
    )


class AlterShareGroupOffsetsRequest(
    Request,
    api_key=ApiKey.ALTER_SHARE_GROUP_OFFSETS,
    versions="0",
    flexible="0+",
    response=AlterShareGroupOffsetsResponse,
):
    group_id: str = field(string, default="")
    topics: list[AlterShareGroupOffsetsRequestTopic] = field(
        array(AlterShareGroupOffsetsRequestTopic), default_factory=list
    )


class DeleteShareGroupOffsetsResponseTopic(Struct):
    topic_name: str = field(string, default="")
    topic_id: UUID = field(uuid, default=NO_ID)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")


class DeleteShareGroupOffsetsResponse(Response, api_key=ApiKey.DELETE_SHARE_GROUP_OFFSETS, versions="0", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    responses: list[DeleteShareGroupOffsetsResponseTopic] = field(
        array(DeleteShareGroupOffsetsResponseTopic), default_factory=list
    )


class DeleteShareGroupOffsetsRequestTopic(Struct):
    topic_name: str = field(string, default="")


class DeleteShareGroupOffsetsRequest(
    Request,
    api_key=ApiKey.DELETE_SHARE_GROUP_OFFSETS,
    versions="0",
    flexible="0+",
    response=DeleteShareGroupOffsetsResponse,
):
    group_id: str = field(string, default="")
    topics: list[DeleteShareGroupOffsetsRequestTopic] = field(
        array(DeleteShareGroupOffsetsRequestTopic), default_factory=list
    )
