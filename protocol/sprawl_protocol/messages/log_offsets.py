"""Where a log begins, ends, and what is where in it."""

from __future__ import annotations

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request, Response, Struct, array, field, int8, int16, int32, int64, string


class ListOffsetsPartitionResponse(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    timestamp: int = field(int64, "1+", default=-1)
    offset: int = field(int64, "1+", default=-1)
    leader_epoch: int = field(int32, "4+", default=-1)


class ListOffsetsTopicResponse(Struct):
    name: str = field(string, default="")
    partitions: list[ListOffsetsPartitionResponse] = field(array(ListOffsetsPartitionResponse), default_factory=list)


class ListOffsetsResponse(Response, api_key=ApiKey.LIST_OFFSETS, versions="1-11", flexible="6+"):
    throttle_time_ms: int = field(int32, "2+", default=0, ignorable=True)
    topics: list[ListOffsetsTopicResponse] = field(array(ListOffsetsTopicResponse), default_factory=list)


class ListOffsetsPartition(Struct):
    partition_index: int = field(int32, default=0)
    current_leader_epoch: int = field(int32, "4+", default=-1, ignorable=True)
    timestamp: int = field(int64, default=0)


class ListOffsetsTopic(Struct):
    name: str = field(string, default="")
    partitions: list[ListOffsetsPartition] = field(array(ListOffsetsPartition), default_factory=list)


class ListOffsetsRequest(
    Request, api_key=ApiKey.LIST_OFFSETS, versions="1-11", flexible="6+", response=ListOffsetsResponse
):
    replica_id: int = field(int32, default=0)
    isolation_level: int = field(int8, "2+", default=0)
    topics: list[ListOffsetsTopic] = field(array(ListOffsetsTopic), default_factory=list)
    timeout_ms: int = field(int32, "10+", default=0, ignorable=True)


class OffsetForLeaderEpochResponseEpochEndOffset(Struct):
    error_code: int = field(int16, default=0)
    partition: int = field(int32, default=0)
    leader_epoch: int = field(int32, "1+", default=-1, ignorable=True)
    end_offset: int = field(int64, default=-1)


class OffsetForLeaderTopicResult(Struct):
    topic: str = field(string, default="")
    partitions: list[OffsetForLeaderEpochResponseEpochEndOffset] = field(
        array(OffsetForLeaderEpochResponseEpochEndOffset), default_factory=list
    )


class OffsetForLeaderEpochResponse(Response, api_key=ApiKey.OFFSET_FOR_LEADER_EPOCH, versions="2-4", flexible="4+"):
    throttle_time_ms: int = field(int32, "2+", default=0, ignorable=True)
    topics: list[OffsetForLeaderTopicResult] = field(array(OffsetForLeaderTopicResult), default_factory=list)


class OffsetForLeaderPartition(Struct):
    partition: int = field(int32, default=0)
    current_leader_epoch: int = field(int32, "2+", default=-1, ignorable=True)
    leader_epoch: int = field(int32, default=0)


class OffsetForLeaderTopic(Struct):
    topic: str = field(string, default="")
    partitions: list[OffsetForLeaderPartition] = field(array(OffsetForLeaderPartition), default_factory=list)


class OffsetForLeaderEpochRequest(
    Request,
    api_key=ApiKey.OFFSET_FOR_LEADER_EPOCH,
    versions="2-4",
    flexible="4+",
    response=OffsetForLeaderEpochResponse,
):
    replica_id: int = field(int32, "3+", default=-2, ignorable=True)
    topics: list[OffsetForLeaderTopic] = field(array(OffsetForLeaderTopic), default_factory=list)


class DeleteRecordsPartitionResult(Struct):
    partition_index: int = field(int32, default=0)
    low_watermark: int = field(int64, default=0)
    error_code: int = field(int16, default=0)


class DeleteRecordsTopicResult(Struct):
    name: str = field(string, default="")
    partitions: list[DeleteRecordsPartitionResult] = field(array(DeleteRecordsPartitionResult), default_factory=list)


class DeleteRecordsResponse(Response, api_key=ApiKey.DELETE_RECORDS, versions="0-2", flexible="2+"):
    throttle_time_ms: int = field(int32, default=0)
    topics: list[DeleteRecordsTopicResult] = field(array(DeleteRecordsTopicResult), default_factory=list)


class DeleteRecordsPartition(Struct):
    partition_index: int = field(int32, default=0)
    offset: int = field(int64, default=0)


class DeleteRecordsTopic(Struct):
    name: str = field(string, default="")
    partitions: list[DeleteRecordsPartition] = field(array(DeleteRecordsPartition), default_factory=list)


class DeleteRecordsRequest(
    Request, api_key=ApiKey.DELETE_RECORDS, versions="0-2", flexible="2+", response=DeleteRecordsResponse
):
    topics: list[DeleteRecordsTopic] = field(array(DeleteRecordsTopic), default_factory=list)
    timeout_ms: int = field(int32, default=0)
