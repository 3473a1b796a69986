"""The metadata quorum (KIP-595, KIP-630, KIP-853)."""

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
    int16,
    int32,
    int64,
    records,
    string,
    struct,
    uint16,
    uuid,
)
from sprawl_protocol.primitives import INT32_MAX, NO_ID, Buffer


class VoteResponsePartitionData(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    leader_id: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)
    vote_granted: bool = field(boolean, default=False)


class VoteResponseTopicData(Struct):
    topic_name: str = field(string, default="")
    partitions: list[VoteResponsePartitionData] = field(array(VoteResponsePartitionData), default_factory=list)


class VoteResponseNodeEndpoint(Struct):
    node_id: int = field(int32, "1+", default=0)
    host: str = field(string, "1+", default="")
    port: int = field(uint16, "1+", default=0)


class VoteResponse(Response, api_key=ApiKey.VOTE, versions="0-2", flexible="0+"):
    error_code: int = field(int16, default=0)
    topics: list[VoteResponseTopicData] = field(array(VoteResponseTopicData), default_factory=list)
    node_endpoints: list[VoteResponseNodeEndpoint] = field(
        array(VoteResponseNodeEndpoint), "1+", default_factory=list, tag=0, tagged="1+"
    )


class VoteRequestPartitionData(Struct):
    partition_index: int = field(int32, default=0)
    replica_epoch: int = field(int32, default=0)
    replica_id: int = field(int32, default=0)
    replica_directory_id: UUID = field(uuid, "1+", default=NO_ID, ignorable=True)
    voter_directory_id: UUID = field(uuid, "1+", default=NO_ID, ignorable=True)
    last_offset_epoch: int = field(int32, default=0)
    last_offset: int = field(int64, default=0)
    pre_vote: bool = field(boolean, "2+", default=False)


class VoteRequestTopicData(Struct):
    topic_name: str = field(string, default="")
    partitions: list[VoteRequestPartitionData] = field(array(VoteRequestPartitionData), default_factory=list)


class VoteRequest(Request, api_key=ApiKey.VOTE, versions="0-2", flexible="0+", response=VoteResponse):
    cluster_id: str | None = field(string, default=None, nullable="0+")
    voter_id: int = field(int32, "1+", default=-1, ignorable=True)
    topics: list[VoteRequestTopicData] = field(array(VoteRequestTopicData), default_factory=list)


class BeginQuorumEpochResponsePartitionData(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    leader_id: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)


class BeginQuorumEpochResponseTopicData(Struct):
    topic_name: str = field(string, default="")
    partitions: list[BeginQuorumEpochResponsePartitionData] = field(
        array(BeginQuorumEpochResponsePartitionData), default_factory=list
    )


class BeginQuorumEpochResponseNodeEndpoint(Struct):
    node_id: int = field(int32, "1+", default=0)
    host: str = field(string, "1+", default="")
    port: int = field(uint16, "1+", default=0)


class BeginQuorumEpochResponse(Response, api_key=ApiKey.BEGIN_QUORUM_EPOCH, versions="0-1", flexible="1+"):
    error_code: int = field(int16, default=0)
    topics: list[BeginQuorumEpochResponseTopicData] = field(
        array(BeginQuorumEpochResponseTopicData), default_factory=list
    )
    node_endpoints: list[BeginQuorumEpochResponseNodeEndpoint] = field(
        array(BeginQuorumEpochResponseNodeEndpoint), "1+", default_factory=list, tag=0, tagged="1+"
    )


class BeginQuorumEpochRequestPartitionData(Struct):
    partition_index: int = field(int32, default=0)
    voter_directory_id: UUID = field(uuid, "1+", default=NO_ID, ignorable=True)
    leader_id: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)


class BeginQuorumEpochRequestTopicData(Struct):
    topic_name: str = field(string, default="")
    partitions: list[BeginQuorumEpochRequestPartitionData] = field(
        array(BeginQuorumEpochRequestPartitionData), default_factory=list
    )


class LeaderEndpoint(Struct):
    name: str = field(string, "1+", default="")
    host: str = field(string, "1+", default="")
    port: int = field(uint16, "1+", default=0)


class BeginQuorumEpochRequest(
    Request, api_key=ApiKey.BEGIN_QUORUM_EPOCH, versions="0-1", flexible="1+", response=BeginQuorumEpochResponse
):
    cluster_id: str | None = field(string, default=None, nullable="0+")
    voter_id: int = field(int32, "1+", default=-1, ignorable=True)
    topics: list[BeginQuorumEpochRequestTopicData] = field(
        array(BeginQuorumEpochRequestTopicData), default_factory=list
    )
    leader_endpoints: list[LeaderEndpoint] = field(array(LeaderEndpoint), "1+", default_factory=list, ignorable=True)


class EndQuorumEpochResponsePartitionData(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    leader_id: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)


class EndQuorumEpochResponseTopicData(Struct):
    topic_name: str = field(string, default="")
    partitions: list[EndQuorumEpochResponsePartitionData] = field(
        array(EndQuorumEpochResponsePartitionData), default_factory=list
    )


class EndQuorumEpochResponseNodeEndpoint(Struct):
    node_id: int = field(int32, "1+", default=0)
    host: str = field(string, "1+", default="")
    port: int = field(uint16, "1+", default=0)


class EndQuorumEpochResponse(Response, api_key=ApiKey.END_QUORUM_EPOCH, versions="0-1", flexible="1+"):
    error_code: int = field(int16, default=0)
    topics: list[EndQuorumEpochResponseTopicData] = field(array(EndQuorumEpochResponseTopicData), default_factory=list)
    node_endpoints: list[EndQuorumEpochResponseNodeEndpoint] = field(
        array(EndQuorumEpochResponseNodeEndpoint), "1+", default_factory=list, tag=0, tagged="1+"
    )


class ReplicaInfo(Struct):
    candidate_id: int = field(int32, "1+", default=0)
    candidate_directory_id: UUID = field(uuid, "1+", default=NO_ID)


class EndQuorumEpochRequestPartitionData(Struct):
    partition_index: int = field(int32, default=0)
    leader_id: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)
    preferred_successors: list[int] = field(array(int32), "0", default_factory=list, ignorable=True)
    preferred_candidates: list[ReplicaInfo] = field(array(ReplicaInfo), "1+", default_factory=list, ignorable=True)


class EndQuorumEpochRequestTopicData(Struct):
    topic_name: str = field(string, default="")
    partitions: list[EndQuorumEpochRequestPartitionData] = field(
        array(EndQuorumEpochRequestPartitionData), default_factory=list
    )


class EndQuorumEpochRequestLeaderEndpoint(Struct):
    name: str = field(string, "1+", default="")
    host: str = field(string, "1+", default="")
    port: int = field(uint16, "1+", default=0)


class EndQuorumEpochRequest(
    Request, api_key=ApiKey.END_QUORUM_EPOCH, versions="0-1", flexible="1+", response=EndQuorumEpochResponse
):
    cluster_id: str | None = field(string, default=None, nullable="0+")
    topics: list[EndQuorumEpochRequestTopicData] = field(array(EndQuorumEpochRequestTopicData), default_factory=list)
    leader_endpoints: list[EndQuorumEpochRequestLeaderEndpoint] = field(
        array(EndQuorumEpochRequestLeaderEndpoint), "1+", default_factory=list, ignorable=True
    )


class DescribeQuorumResponseReplicaState(Struct):
    replica_id: int = field(int32, default=0)
    replica_directory_id: UUID = field(uuid, "2+", default=NO_ID)
    log_end_offset: int = field(int64, default=0)
    last_fetch_timestamp: int = field(int64, "1+", default=-1, ignorable=True)
    last_caught_up_timestamp: int = field(int64, "1+", default=-1, ignorable=True)


class DescribeQuorumResponsePartitionData(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, "2+", default="", nullable="2+", ignorable=True)
    leader_id: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)
    high_watermark: int = field(int64, default=0)
    current_voters: list[DescribeQuorumResponseReplicaState] = field(
        array(DescribeQuorumResponseReplicaState), default_factory=list
    )
    observers: list[DescribeQuorumResponseReplicaState] = field(
        array(DescribeQuorumResponseReplicaState), default_factory=list
    )


class DescribeQuorumResponseTopicData(Struct):
    topic_name: str = field(string, default="")
    partitions: list[DescribeQuorumResponsePartitionData] = field(
        array(DescribeQuorumResponsePartitionData), default_factory=list
    )


class Listener(Struct):
    name: str = field(string, "2+", default="")
    host: str = field(string, "2+", default="")
    port: int = field(uint16, "2+", default=0)


class Node(Struct):
    node_id: int = field(int32, "2+", default=0)
    listeners: list[Listener] = field(array(Listener), "2+", default_factory=list)


class DescribeQuorumResponse(Response, api_key=ApiKey.DESCRIBE_QUORUM, versions="0-2", flexible="0+"):
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, "2+", default="", nullable="2+", ignorable=True)
    topics: list[DescribeQuorumResponseTopicData] = field(array(DescribeQuorumResponseTopicData), default_factory=list)
    nodes: list[Node] = field(array(Node), "2+", default_factory=list)


class DescribeQuorumRequestPartitionData(Struct):
    partition_index: int = field(int32, default=0)


class DescribeQuorumRequestTopicData(Struct):
    topic_name: str = field(string, default="")
    partitions: list[DescribeQuorumRequestPartitionData] = field(
        array(DescribeQuorumRequestPartitionData), default_factory=list
    )


class DescribeQuorumRequest(
    Request, api_key=ApiKey.DESCRIBE_QUORUM, versions="0-2", flexible="0+", response=DescribeQuorumResponse
):
    topics: list[DescribeQuorumRequestTopicData] = field(array(DescribeQuorumRequestTopicData), default_factory=list)


class FetchSnapshotResponseSnapshotId(Struct):
    end_offset: int = field(int64, default=0)
    epoch: int = field(int32, default=0)


class FetchSnapshotResponseLeaderIdAndEpoch(Struct):
    leader_id: int = field(int32, default=0)
    leader_epoch: int = field(int32, default=0)


class PartitionSnapshot(Struct):
    index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    snapshot_id: FetchSnapshotResponseSnapshotId = field(
        struct(FetchSnapshotResponseSnapshotId), default_factory=FetchSnapshotResponseSnapshotId
    )
    current_leader: FetchSnapshotResponseLeaderIdAndEpoch = field(
        struct(FetchSnapshotResponseLeaderIdAndEpoch),
        default_factory=FetchSnapshotResponseLeaderIdAndEpoch,
        tag=0,
        tagged="0+",
    )
    size: int = field(int64, default=0)
    position: int = field(int64, default=0)
    unaligned_records: Buffer = field(records, default=b"")


class TopicSnapshot(Struct):
    name: str = field(string, default="")
    partitions: list[PartitionSnapshot] = field(array(PartitionSnapshot), default_factory=list)


class FetchSnapshotResponseNodeEndpoint(Struct):
    node_id: int = field(int32, "1+", default=0)
    host: str = field(string, "1+", default="")
    port: int = field(uint16, "1+", default=0)


class FetchSnapshotResponse(Response, api_key=ApiKey.FETCH_SNAPSHOT, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    topics: list[TopicSnapshot] = field(array(TopicSnapshot), default_factory=list)
    node_endpoints: list[FetchSnapshotResponseNodeEndpoint] = field(
        array(FetchSnapshotResponseNodeEndpoint), "1+", default_factory=list, tag=0, tagged="1+"
    )


class FetchSnapshotRequestSnapshotId(Struct):
    end_offset: int = field(int64, default=0)
    epoch: int = field(int32, default=0)


class FetchSnapshotRequestPartitionSnapshot(Struct):
    partition: int = field(int32, default=0)
    current_leader_epoch: int = field(int32, default=0)
    snapshot_id: FetchSnapshotRequestSnapshotId = field(
        struct(FetchSnapshotRequestSnapshotId), default_factory=FetchSnapshotRequestSnapshotId
    )
    position: int = field(int64, default=0)
    replica_directory_id: UUID = field(uuid, "1+", default=NO_ID, tag=0, tagged="1+", ignorable=True)


class FetchSnapshotRequestTopicSnapshot(Struct):
    name: str = field(string, default="")
    partitions: list[FetchSnapshotRequestPartitionSnapshot] = field(
        array(FetchSnapshotRequestPartitionSnapshot), default_factory=list
    )


class FetchSnapshotRequest(
    Request, api_key=ApiKey.FETCH_SNAPSHOT, versions="0-1", flexible="0+", response=FetchSnapshotResponse
):
    cluster_id: str | None = field(string, default=None, nullable="0+", tag=0, tagged="0+")
    replica_id: int = field(int32, default=-1)
    max_bytes: int = field(int32, default=INT32_MAX)
    topics: list[FetchSnapshotRequestTopicSnapshot] = field(
        array(FetchSnapshotRequestTopicSnapshot), default_factory=list
    )


class AddRaftVoterResponse(Response, api_key=ApiKey.ADD_RAFT_VOTER, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")


class AddRaftVoterRequestListener(Struct):
    name: str = field(string, default="")
    host: str = field(string, default="")
    port: int = field(uint16, default=0)


class AddRaftVoterRequest(
    Request, api_key=ApiKey.ADD_RAFT_VOTER, versions="0-1", flexible="0+", response=AddRaftVoterResponse
):
    cluster_id: str | None = field(string, default="", nullable="0+")
    timeout_ms: int = field(int32, default=0)
    voter_id: int = field(int32, default=0)
    voter_directory_id: UUID = field(uuid, default=NO_ID)
    listeners: list[AddRaftVoterRequestListener] = field(array(AddRaftVoterRequestListener), default_factory=list)
    ack_when_committed: bool = field(boolean, "1+", default=True)


class RemoveRaftVoterResponse(Response, api_key=ApiKey.REMOVE_RAFT_VOTER, versions="0", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")


class RemoveRaftVoterRequest(
    Request, api_key=ApiKey.REMOVE_RAFT_VOTER, versions="0", flexible="0+", response=RemoveRaftVoterResponse
):
    cluster_id: str | None = field(string, default="", nullable="0+")
    voter_id: int = field(int32, default=0)
    voter_directory_id: UUID = field(uuid, default=NO_ID)


class CurrentLeader(Struct):
    leader_id: int = field(int32, default=-1)
    leader_epoch: int = field(int32, default=-1)
    host: str = field(string, default="")
    port: int = field(int32, default=0)


class UpdateRaftVoterResponse(Response, api_key=ApiKey.UPDATE_RAFT_VOTER, versions="0", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    current_leader: CurrentLeader = field(struct(CurrentLeader), default_factory=CurrentLeader, tag=0, tagged="0+")


class UpdateRaftVoterRequestListener(Struct):
    name: str = field(string, default="")
    host: str = field(string, default="")
    port: int = field(uint16, default=0)


class KRaftVersionFeature(Struct):
    min_supported_version: int = field(int16, default=0)
    max_supported_version: int = field(int16, default=0)


class UpdateRaftVoterRequest(
    Request, api_key=ApiKey.UPDATE_RAFT_VOTER, versions="0", flexible="0+", response=UpdateRaftVoterResponse
):
    cluster_id: str | None = field(string, default="", nullable="0+")
    current_leader_epoch: int = field(int32, default=0)
    voter_id: int = field(int32, default=0)
    voter_directory_id: UUID = field(uuid, default=NO_ID)
    listeners: list[UpdateRaftVoterRequestListener] = field(array(UpdateRaftVoterRequestListener), default_factory=list)
    k_raft_version_feature: KRaftVersionFeature = field(
        struct(KRaftVersionFeature), default_factory=KRaftVersionFeature
    )
