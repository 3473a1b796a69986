"""Records out, to consumers and to followers."""

from __future__ import annotations

from uuid import UUID

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import (
    Request,
    Response,
    Struct,
    array,
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
from sprawl_protocol.primitives import INT32_MAX, INT64_MAX, NO_ID, Buffer


class EpochEndOffset(Struct):
    epoch: int = field(int32, "12+", default=-1)
    end_offset: int = field(int64, "12+", default=-1)


class FetchResponseLeaderIdAndEpoch(Struct):
    leader_id: int = field(int32, "12+", default=-1)
    leader_epoch: int = field(int32, "12+", default=-1)


class SnapshotId(Struct):
    end_offset: int = field(int64, default=-1)
    epoch: int = field(int32, default=-1)


class AbortedTransaction(Struct):
    producer_id: int = field(int64, "4+", default=0)
    first_offset: int = field(int64, "4+", default=0)


class PartitionData(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    high_watermark: int = field(int64, default=0)
    last_stable_offset: int = field(int64, "4+", default=-1, ignorable=True)
    log_start_offset: int = field(int64, "5+", default=-1, ignorable=True)
    diverging_epoch: EpochEndOffset = field(
        struct(EpochEndOffset), "12+", default_factory=EpochEndOffset, tag=0, tagged="12+"
    )
    current_leader: FetchResponseLeaderIdAndEpoch = field(
        struct(FetchResponseLeaderIdAndEpoch), "12+", default_factory=FetchResponseLeaderIdAndEpoch, tag=1, tagged="12+"
    )
    snapshot_id: SnapshotId = field(struct(SnapshotId), "12+", default_factory=SnapshotId, tag=2, tagged="12+")
    aborted_transactions: list[AbortedTransaction] | None = field(
        array(AbortedTransaction), "4+", default_factory=list, nullable="4+", ignorable=True
    )
    preferred_read_replica: int = field(int32, "11+", default=-1)
    records: Buffer | None = field(records, default=b"", nullable="0+")


class FetchableTopicResponse(Struct):
    topic: str = field(string, "0-12", default="", ignorable=True)
    topic_id: UUID = field(uuid, "13+", default=NO_ID, ignorable=True)
    partitions: list[PartitionData] = field(array(PartitionData), default_factory=list)


class FetchResponseNodeEndpoint(Struct):
    node_id: int = field(int32, "16+", default=0)
    host: str = field(string, "16+", default="")
    port: int = field(int32, "16+", default=0)
    rack: str | None = field(string, "16+", default=None, nullable="16+")


class FetchResponse(Response, api_key=ApiKey.FETCH, versions="4-18", flexible="12+"):
    throttle_time_ms: int = field(int32, "1+", default=0, ignorable=True)
    error_code: int = field(int16, "7+", default=0, ignorable=True)
    session_id: int = field(int32, "7+", default=0)
    responses: list[FetchableTopicResponse] = field(array(FetchableTopicResponse), default_factory=list)
    node_endpoints: list[FetchResponseNodeEndpoint] = field(
        array(FetchResponseNodeEndpoint), "16+", default_factory=list, tag=0, tagged="16+"
    )


class ReplicaState(Struct):
    replica_id: int = field(int32, "15+", default=-1)
    replica_epoch: int = field(int64, "15+", default=-1)


class FetchPartition(Struct):
    partition: int = field(int32, default=0)
    current_leader_epoch: int = field(int32, "9+", default=-1, ignorable=True)
    fetch_offset: int = field(int64, default=0)
    last_fetched_epoch: int = field(int32, "12+", default=-1)
    log_start_offset: int = field(int64, "5+", default=-1, ignorable=True)
    partition_max_bytes: int = field(int32, default=0)
    replica_directory_id: UUID = field(uuid, "17+", default=NO_ID, tag=0, tagged="17+", ignorable=True)
    high_watermark: int = field(int64, "18+", default=INT64_MAX, tag=1, tagged="18+", ignorable=True)


class FetchTopic(Struct):
    topic: str = field(string, "0-12", default="", ignorable=True)
    topic_id: UUID = field(uuid, "13+", default=NO_ID, ignorable=True)
    partitions: list[FetchPartition] = field(array(FetchPartition), default_factory=list)


class ForgottenTopic(Struct):
    topic: str = field(string, "7-12", default="", ignorable=True)
    topic_id: UUID = field(uuid, "13+", default=NO_ID, ignorable=True)
    partitions: list[int] = field(array(int32), "7+", default_factory=list)


class FetchRequest(Request, api_key=ApiKey.FETCH, versions="4-18", flexible="12+", response=FetchResponse):
    cluster_id: str | None = field(string, "12+", default=None, nullable="12+", tag=0, tagged="12+", ignorable=True)
    replica_id: int = field(int32, "0-14", default=-1)
    replica_state: ReplicaState = field(struct(ReplicaState), "15+", default_factory=ReplicaState, tag=1, tagged="15+")
    max_wait_ms: int = field(int32, default=0)
    min_bytes: int = field(int32, default=0)
    max_bytes: int = field(int32, "3+", default=INT32_MAX, ignorable=True)
    isolation_level: int = field(int8, "4+", default=0, ignorable=True)
    session_id: int = field(int32, "7+", default=0, ignorable=True)
    session_epoch: int = field(int32, "7+", default=-1, ignorable=True)
    topics: list[FetchTopic] = field(array(FetchTopic), default_factory=list)
    forgotten_topics_data: list[ForgottenTopic] = field(array(ForgottenTopic), "7+", default_factory=list)
    rack_id: str = field(string, "11+", default="", ignorable=True)
