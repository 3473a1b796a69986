"""Persistence of share group state, between brokers (KIP-932)."""

from __future__ import annotations

from uuid import UUID

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request, Response, Struct, array, field, int8, int16, int32, int64, string, uuid
from sprawl_protocol.primitives import NO_ID


class PartitionResult(Struct):
    partition: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")


class InitializeStateResult(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[PartitionResult] = field(array(PartitionResult), default_factory=list)


class InitializeShareGroupStateResponse(
    Response, api_key=ApiKey.INITIALIZE_SHARE_GROUP_STATE, versions="0", flexible="0+"
):
    results: list[InitializeStateResult] = field(array(InitializeStateResult), default_factory=list)


class InitializeShareGroupStateRequestPartitionData(Struct):
    partition: int = field(int32, default=0)
    state_epoch: int = field(int32, default=0)
    start_offset: int = field(int64, default=0)


class InitializeStateData(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[InitializeShareGroupStateRequestPartitionData] = field(
        array(InitializeShareGroupStateRequestPartitionData), default_factory=list
    )


class InitializeShareGroupStateRequest(
    Request,
    api_key=ApiKey.INITIALIZE_SHARE_GROUP_STATE,
    versions="0",
    flexible="0+",
    response=InitializeShareGroupStateResponse,
):
    group_id: str = field(string, default="")
    topics: list[InitializeStateData] = field(array(InitializeStateData), default_factory=list)


class StateBatch(Struct):
    first_offset: int = field(int64, default=0)
    last_offset: int = field(int64, default=0)
    delivery_state: int = field(int8, default=0)
    delivery_count: int = field(int16, default=0)


class ReadShareGroupStateResponsePartitionResult(Struct):
    partition: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    state_epoch: int = field(int32, default=0)
    start_offset: int = field(int64, default=0)
    state_batches: list[StateBatch] = field(array(StateBatch), default_factory=list)


class ReadStateResult(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[ReadShareGroupStateResponsePartitionResult] = field(
        array(ReadShareGroupStateResponsePartitionResult), default_factory=list
    )


class ReadShareGroupStateResponse(Response, api_key=ApiKey.READ_SHARE_GROUP_STATE, versions="0", flexible="0+"):
    results: list[ReadStateResult] = field(array(ReadStateResult), default_factory=list)


class ReadShareGroupStateRequestPartitionData(Struct):
    partition: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)


class ReadStateData(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[ReadShareGroupStateRequestPartitionData] = field(
        array(ReadShareGroupStateRequestPartitionData), default_factory=list
    )


class ReadShareGroupStateRequest(
    Request, api_key=ApiKey.READ_SHARE_GROUP_STATE, versions="0", flexible="0+", response=ReadShareGroupStateResponse
):
    group_id: str = field(string, default="")
    topics: list[ReadStateData] = field(array(ReadStateData), default_factory=list)


class WriteShareGroupStateResponsePartitionResult(Struct):
    partition: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")


class WriteStateResult(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[WriteShareGroupStateResponsePartitionResult] = field(
        array(WriteShareGroupStateResponsePartitionResult), default_factory=list
    )


class WriteShareGroupStateResponse(Response, api_key=ApiKey.WRITE_SHARE_GROUP_STATE, versions="0-1", flexible="0+"):
    results: list[WriteStateResult] = field(array(WriteStateResult), default_factory=list)


class WriteShareGroupStateRequestStateBatch(Struct):
    first_offset: int = field(int64, default=0)
    last_offset: int = field(int64, default=0)
    delivery_state: int = field(int8, default=0)
    delivery_count: int = field(int16, default=0)


class WriteShareGroupStateRequestPartitionData(Struct):
    partition: int = field(int32, default=0)
    state_epoch: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)
    start_offset: int = field(int64, default=0)
    delivery_complete_count: int = field(int32, "1+", default=-1, ignorable=True)
    state_batches: list[WriteShareGroupStateRequestStateBatch] = field(
        array(WriteShareGroupStateRequestStateBatch), default_factory=list
    )


class WriteStateData(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[WriteShareGroupStateRequestPartitionData] = field(
        array(WriteShareGroupStateRequestPartitionData), default_factory=list
    )


class WriteShareGroupStateRequest(
    Request,
    api_key=ApiKey.WRITE_SHARE_GROUP_STATE,
    versions="0-1",
    flexible="0+",
    response=WriteShareGroupStateResponse,
):
    group_id: str = field(string, default="")
    topics: list[WriteStateData] = field(array(WriteStateData), default_factory=list)


class DeleteShareGroupStateResponsePartitionResult(Struct):
    partition: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")


class DeleteStateResult(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[DeleteShareGroupStateResponsePartitionResult] = field(
        array(DeleteShareGroupStateResponsePartitionResult), default_factory=list
    )


class DeleteShareGroupStateResponse(Response, api_key=ApiKey.DELETE_SHARE_GROUP_STATE, versions="0", flexible="0+"):
    results: list[DeleteStateResult] = field(array(DeleteStateResult), default_factory=list)


class DeleteShareGroupStateRequestPartitionData(Struct):
    partition: int = field(int32, default=0)


class DeleteStateData(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[DeleteShareGroupStateRequestPartitionData] = field(
        array(DeleteShareGroupStateRequestPartitionData), default_factory=list
    )


class DeleteShareGroupStateRequest(
    Request,
    api_key=ApiKey.DELETE_SHARE_GROUP_STATE,
    versions="0",
    flexible="0+",
    response=DeleteShareGroupStateResponse,
):
    group_id: str = field(string, default="")
    topics: list[DeleteStateData] = field(array(DeleteStateData), default_factory=list)


class ReadShareGroupStateSummaryResponsePartitionResult(Struct):
    partition: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    state_epoch: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)
    start_offset: int = field(int64, default=0)
    delivery_complete_count: int = field(int32, "1+", default=-1, ignorable=True)


class ReadStateSummaryResult(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[ReadShareGroupStateSummaryResponsePartitionResult] = field(
        array(ReadShareGroupStateSummaryResponsePartitionResult), default_factory=list
    )


class ReadShareGroupStateSummaryResponse(
    Response, api_key=ApiKey.READ_SHARE_GROUP_STATE_SUMMARY, versions="0-1", flexible="0+"
):
    results: list[ReadStateSummaryResult] = field(array(ReadStateSummaryResult), default_factory=list)


class ReadShareGroupStateSummaryRequestPartitionData(Struct):
    partition: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)


class ReadStateSummaryData(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[ReadShareGroupStateSummaryRequestPartitionData] = field(
        array(ReadShareGroupStateSummaryRequestPartitionData), default_factory=list
    )


class ReadShareGroupStateSummaryRequest(
    Request,
    api_key=ApiKey.READ_SHARE_GROUP_STATE_SUMMARY,
    versions="0-1",
    flexible="0+",
    response=ReadShareGroupStateSummaryResponse,
):
    group_id: str = field(string, default="")
    topics: list[ReadStateSummaryData] = field(array(ReadStateSummaryData), default_factory=list)
