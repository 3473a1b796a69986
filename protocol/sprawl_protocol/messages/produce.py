"""Records in."""

from __future__ import annotations

from uuid import UUID

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import (
    Request,
    Response,
    Struct,
    array,
    field,
    int16,
    int32,
    int64,
    records,
    string,
    struct,
    uuid,
)
from sprawl_protocol.primitives import NO_ID, Buffer


class BatchIndexAndErrorMessage(Struct):
    batch_index: int = field(int32, "8+", default=0)
    batch_index_error_message: str | None = field(string, "8+", default=None, nullable="8+")


class LeaderIdAndEpoch(Struct):
    leader_id: int = field(int32, "10+", default=-1)
    leader_epoch: int = field(int32, "10+", default=-1)


class PartitionProduceResponse(Struct):
    index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    base_offset: int = field(int64, default=0)
    log_append_time_ms: int = field(int64, "2+", default=-1, ignorable=True)
    log_start_offset: int = field(int64, "5+", default=-1, ignorable=True)
    record_errors: list[BatchIndexAndErrorMessage] = field(
        array(BatchIndexAndErrorMessage), "8+", default_factory=list, ignorable=True
    )
    error_message: str | None = field(string, "8+", default=None, nullable="8+", ignorable=True)
    current_leader: LeaderIdAndEpoch = field(
        struct(LeaderIdAndEpoch), "10+", default_factory=LeaderIdAndEpoch, tag=0, tagged="10+"
    )


class TopicProduceResponse(Struct):
    name: str = field(string, "0-12", default="", ignorable=True)
    topic_id: UUID = field(uuid, "13+", default=NO_ID, ignorable=True)
    partition_responses: list[PartitionProduceResponse] = field(array(PartitionProduceResponse), default_factory=list)


class NodeEndpoint(Struct):
    node_id: int = field(int32, "10+", default=0)
    host: str = field(string, "10+", default="")
    port: int = field(int32, "10+", default=0)
    rack: str | None = field(string, "10+", default=None, nullable="10+")


class ProduceResponse(Response, api_key=ApiKey.PRODUCE, versions="3-13", flexible="9+"):
    responses: list[TopicProduceResponse] = field(array(TopicProduceResponse), default_factory=list)
    throttle_time_ms: int = field(int32, "1+", default=0, ignorable=True)
    node_endpoints: list[NodeEndpoint] = field(array(NodeEndpoint), "10+", default_factory=list, tag=0, tagged="10+")


class PartitionProduceData(Struct):
    index: int = field(int32, default=0)
    records: Buffer | None = field(records, default=b"", nullable="0+")


class TopicProduceData(Struct):
    name: str = field(string, "0-12", default="", ignorable=True)
    topic_id: UUID = field(uuid, "13+", default=NO_ID, ignorable=True)
    partition_data: list[PartitionProduceData] = field(array(PartitionProduceData), default_factory=list)


class ProduceRequest(Request, api_key=ApiKey.PRODUCE, versions="3-13", flexible="9+", response=ProduceResponse):
    transactional_id: str | None = field(string, "3+", default=None, nullable="3+")
    acks: int = field(int16, default=0)
    timeout_ms: int = field(int32, default=0)
    topic_data: list[TopicProduceData] = field(array(TopicProduceData), default_factory=list)
