"""Committed offsets of groups."""

from __future__ import annotations

from uuid import UUID

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request, Response, Struct, array, boolean, field, int16, int32, int64, string, uuid
from sprawl_protocol.primitives import NO_ID


class OffsetCommitResponsePartition(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)


class OffsetCommitResponseTopic(Struct):
    name: str = field(string, "0-9", default="", ignorable=True)
    topic_id: UUID = field(uuid, "10+", default=NO_ID, ignorable=True)
    partitions: list[OffsetCommitResponsePartition] = field(array(OffsetCommitResponsePartition), default_factory=list)


class OffsetCommitResponse(Response, api_key=ApiKey.OFFSET_COMMIT, versions="2-10", flexible="8+"):
    throttle_time_ms: int = field(int32, "3+", default=0, ignorable=True)
    topics: list[OffsetCommitResponseTopic] = field(array(OffsetCommitResponseTopic), default_factory=list)


class OffsetCommitRequestPartition(Struct):
    partition_index: int = field(int32, default=0)
    committed_offset: int = field(int64, default=0)
    committed_leader_epoch: int = field(int32, "6+", default=-1, ignorable=True)
    committed_metadata: str | None = field(string, default="", nullable="0+")


class OffsetCommitRequestTopic(Struct):
    name: str = field(string, "0-9", default="", ignorable=True)
    topic_id: UUID = field(uuid, "10+", default=NO_ID, ignorable=True)
    partitions: list[OffsetCommitRequestPartition] = field(array(OffsetCommitRequestPartition), default_factory=list)


class OffsetCommitRequest(
    Request, api_key=ApiKey.OFFSET_COMMIT, versions="2-10", flexible="8+", response=OffsetCommitResponse
):
    group_id: str = field(string, default="")
    generation_id_or_member_epoch: int = field(int32, "1+", default=-1, ignorable=True)
    member_id: str = field(string, "1+", default="", ignorable=True)
    group_instance_id: str | None = field(string, "7+", default=None, nullable="7+")
    retention_time_ms: int = field(int64, "2-4", default=-1, ignorable=True)
    topics: list[OffsetCommitRequestTopic] = field(array(OffsetCommitRequestTopic), default_factory=list)


class OffsetFetchResponsePartition(Struct):
    partition_index: int = field(int32, "0-7", default=0)
    committed_offset: int = field(int64, "0-7", default=0)
    committed_leader_epoch: int = field(int32, "5-7", default=-1, ignorable=True)
    metadata: str | None = field(string, "0-7", default="", nullable="0-7")
    error_code: int = field(int16, "0-7", default=0)


class OffsetFetchResponseTopic(Struct):
    name: str = field(string, "0-7", default="")
    partitions: list[OffsetFetchResponsePartition] = field(
        array(OffsetFetchResponsePartition), "0-7", default_factory=list
    )


class OffsetFetchResponsePartitions(Struct):
    partition_index: int = field(int32, "8+", default=0)
    committed_offset: int = field(int64, "8+", default=0)
    committed_leader_epoch: int = field(int32, "8+", default=-1, ignorable=True)
    metadata: str | None = field(string, "8+", default="", nullable="8+")
    error_code: int = field(int16, "8+", default=0)


class OffsetFetchResponseTopics(Struct):
    name: str = field(string, "8-9", default="", ignorable=True)
    topic_id: UUID = field(uuid, "10+", default=NO_ID, ignorable=True)
    partitions: list[OffsetFetchResponsePartitions] = field(
        array(OffsetFetchResponsePartitions), "8+", default_factory=list
    )


class OffsetFetchResponseGroup(Struct):
    group_id: str = field(string, "8+", default="")
    topics: list[OffsetFetchResponseTopics] = field(array(OffsetFetchResponseTopics), "8+", default_factory=list)
    error_code: int = field(int16, "8+", default=0)


class OffsetFetchResponse(Response, api_key=ApiKey.OFFSET_FETCH, versions="1-10", flexible="6+"):
    throttle_time_ms: int = field(int32, "3+", default=0, ignorable=True)
    topics: list[OffsetFetchResponseTopic] = field(array(OffsetFetchResponseTopic), "0-7", default_factory=list)
    error_code: int = field(int16, "2-7", default=0, ignorable=True)
    groups: list[OffsetFetchResponseGroup] = field(array(OffsetFetchResponseGroup), "8+", default_factory=list)


class OffsetFetchRequestTopic(Struct):
    name: str = field(string, "0-7", default="")
    partition_indexes: list[int] = field(array(int32), "0-7", default_factory=list)


class OffsetFetchRequestTopics(Struct):
    name: str = field(string, "8-9", default="", ignorable=True)
    topic_id: UUID = field(uuid, "10+", default=NO_ID, ignorable=True)
    partition_indexes: list[int] = field(array(int32), "8+", default_factory=list)


class OffsetFetchRequestGroup(Struct):
    group_id: str = field(string, "8+", default="")
    member_id: str | None = field(string, "9+", default=None, nullable="9+", ignorable=True)
    member_epoch: int = field(int32, "9+", default=-1, ignorable=True)
    topics: list[OffsetFetchRequestTopics] | None = field(
        array(OffsetFetchRequestTopics), "8+", default_factory=list, nullable="8+"
    )


class OffsetFetchRequest(
    Request, api_key=ApiKey.OFFSET_FETCH, versions="1-10", flexible="6+", response=OffsetFetchResponse
):
    group_id: str = field(string, "0-7", default="")
    topics: list[OffsetFetchRequestTopic] | None = field(
        array(OffsetFetchRequestTopic), "0-7", default_factory=list, nullable="2-7"
    )
    groups: list[OffsetFetchRequestGroup] = field(array(OffsetFetchRequestGroup), "8+", default_factory=list)
    require_stable: bool = field(boolean, "7+", default=False)


class OffsetDeleteResponsePartition(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)


class OffsetDeleteResponseTopic(Struct):
    name: str = field(string, default="")
    partitions: list[OffsetDeleteResponsePartition] = field(array(OffsetDeleteResponsePartition), default_factory=list)


class OffsetDeleteResponse(Response, api_key=ApiKey.OFFSET_DELETE, versions="0", flexible="none"):
    error_code: int = field(int16, default=0)
    throttle_time_ms: int = field(int32, default=0)
    topics: list[OffsetDeleteResponseTopic] = field(array(OffsetDeleteResponseTopic), default_factory=list)


class OffsetDeleteRequestPartition(Struct):
    partition_index: int = field(int32, default=0)


class OffsetDeleteRequestTopic(Struct):
    name: str = field(string, default="")
    partitions: list[OffsetDeleteRequestPartition] = field(array(OffsetDeleteRequestPartition), default_factory=list)


class OffsetDeleteRequest(
    Request, api_key=ApiKey.OFFSET_DELETE, versions="0", flexible="none", response=OffsetDeleteResponse
):
    group_id: str = field(string, default="")
    topics: list[OffsetDeleteRequestTopic] = field(array(OffsetDeleteRequestTopic), default_factory=list)
