"""What replicas of the quorum say to each other, as Kafka's messages (KIP-595, KIP-630, KIP-853, KIP-996).

In: the state machine's terms. Out: requests and responses; and back. Pure translation; checks that a message is about
the metadata partition of this cluster, and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from sprawl.quorum.image import METADATA_TOPIC, METADATA_TOPIC_ID
from sprawl.quorum.raft import Announce, AskForVote, VoteAnswer
from sprawl.quorum.snapshots import SnapshotId
from sprawl.quorum.voters import LISTENER, Address, ReplicaKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    BeginQuorumEpochRequest,
    BeginQuorumEpochRequestPartitionData,
    BeginQuorumEpochRequestTopicData,
    BeginQuorumEpochResponse,
    BeginQuorumEpochResponsePartitionData,
    BeginQuorumEpochResponseTopicData,
    EndQuorumEpochRequest,
    EndQuorumEpochRequestPartitionData,
    EndQuorumEpochRequestTopicData,
    EndQuorumEpochResponse,
    EndQuorumEpochResponsePartitionData,
    EndQuorumEpochResponseTopicData,
    FetchableTopicResponse,
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchResponseLeaderIdAndEpoch,
    FetchResponseNodeEndpoint,
    FetchSnapshotRequest,
    FetchSnapshotRequestPartitionSnapshot,
    FetchSnapshotRequestSnapshotId,
    FetchSnapshotRequestTopicSnapshot,
    FetchTopic,
    LeaderEndpoint,
    PartitionData,
    PartitionSnapshot,
    ReplicaInfo,
    ReplicaState,
    VoteRequest,
    VoteRequestPartitionData,
    VoteRequestTopicData,
    VoteResponse,
    VoteResponsePartitionData,
    VoteResponseTopicData,
)


def check_cluster(mine: str, given: str | None) -> None:
    if given is not None and given != mine:
        raise ApiError(ErrorCode.INCONSISTENT_CLUSTER_ID, f"This is cluster {mine}, the request is for {given}.")


# -- votes --------------------------------------------------------------------------------------------------------


def vote_request(cluster_id: str, me: ReplicaKey, asked: AskForVote) -> VoteRequest:
    return VoteRequest(
        cluster_id=cluster_id,
        voter_id=asked.voter.node_id,
        topics=[
            VoteRequestTopicData(
                topic_name=METADATA_TOPIC,
                partitions=[
                    VoteRequestPartitionData(
                        partition_index=0,
                        replica_epoch=asked.epoch,
                        replica_id=me.node_id,
                        replica_directory_id=me.directory_id,
                        voter_directory_id=asked.voter.directory_id,
                        last_offset_epoch=asked.last_epoch,
                        last_offset=asked.end_offset,
                        pre_vote=asked.pre_vote,
                    )
                ],
            )
        ],
    )


def asked_for_vote(request: VoteRequest) -> VoteRequestPartitionData:
    """Raises `ApiError`."""
    if [topic.topic_name for topic in request.topics] == [METADATA_TOPIC]:
        partitions = request.topics[0].partitions
        if [each.partition_index for each in partitions] == [0]:
            return partitions[0]
    raise _not_metadata()


def vote_response(answer: VoteAnswer) -> VoteResponse:
    data = VoteResponsePartitionData(
        partition_index=0,
        error_code=int(answer.error),
        leader_id=answer.leader_id,
        leader_epoch=answer.epoch,
        vote_granted=answer.granted,
    )
    return VoteResponse(topics=[VoteResponseTopicData(topic_name=METADATA_TOPIC, partitions=[data])])


def vote_answer(response: VoteResponse) -> VoteAnswer | None:
    """None if the voter refused to take the request into account."""
    if response.error_code or not response.topics or not response.topics[0].partitions:
        return None
    data = response.topics[0].partitions[0]
    return VoteAnswer(ErrorCode(data.error_code), data.vote_granted, data.leader_epoch, data.leader_id)


# -- epochs -------------------------------------------------------------------------------------------------------


def begin_epoch_request(
    cluster_id: str, me: ReplicaKey, to: Announce, address: Address | None
) -> BeginQuorumEpochRequest:
    data = BeginQuorumEpochRequestPartitionData(
        partition_index=0,
        voter_directory_id=to.voter.directory_id,
        leader_id=me.node_id,
        leader_epoch=to.epoch,
    )
    return BeginQuorumEpochRequest(
        cluster_id=cluster_id,
        voter_id=to.voter.node_id,
        topics=[BeginQuorumEpochRequestTopicData(topic_name=METADATA_TOPIC, partitions=[data])],
        leader_endpoints=[]
        if address is None
        else [LeaderEndpoint(name=LISTENER, host=address.host, port=address.port)],
    )


def begun_epoch(request: BeginQuorumEpochRequest) -> BeginQuorumEpochRequestPartitionData:
    """Raises `ApiError`."""
    if not request.topics or not request.topics[0].partitions:
        raise _not_metadata()
    return request.topics[0].partitions[0]


def begin_epoch_response(error: ErrorCode, leader_id: int, epoch: int) -> BeginQuorumEpochResponse:
    data = BeginQuorumEpochResponsePartitionData(
        partition_index=0, error_code=int(error), leader_id=leader_id, leader_epoch=epoch
    )
    return BeginQuorumEpochResponse(
        topics=[BeginQuorumEpochResponseTopicData(topic_name=METADATA_TOPIC, partitions=[data])]
    )


def leader_in(response: BeginQuorumEpochResponse) -> tuple[int, int] | None:
    """Whom the voter believes to lead, and in which epoch."""
    if not response.topics or not response.topics[0].partitions:
        return None
    data = response.topics[0].partitions[0]
    return data.leader_id, data.leader_epoch


def end_epoch_request(
    cluster_id: str, me: ReplicaKey, epoch: int, successors: Sequence[ReplicaKey]
) -> EndQuorumEpochRequest:
    data = EndQuorumEpochRequestPartitionData(
        partition_index=0,
        leader_id=me.node_id,
        leader_epoch=epoch,
        preferred_candidates=[
            ReplicaInfo(candidate_id=key.node_id, candidate_directory_id=key.directory_id) for key in successors
        ],
    )
    return EndQuorumEpochRequest(
        cluster_id=cluster_id,
        topics=[EndQuorumEpochRequestTopicData(topic_name=METADATA_TOPIC, partitions=[data])],
    )


def ended_epoch(request: EndQuorumEpochRequest) -> EndQuorumEpochRequestPartitionData:
    """Raises `ApiError`."""
    if not request.topics or not request.topics[0].partitions:
        raise _not_metadata()
    return request.topics[0].partitions[0]


def end_epoch_response(error: ErrorCode, leader_id: int, epoch: int) -> EndQuorumEpochResponse:
    data = EndQuorumEpochResponsePartitionData(
        partition_index=0, error_code=int(error), leader_id=leader_id, leader_epoch=epoch
    )
    return EndQuorumEpochResponse(
        topics=[EndQuorumEpochResponseTopicData(topic_name=METADATA_TOPIC, partitions=[data])]
    )


# -- fetching -----------------------------------------------------------------------------------------------------


def fetch_request(
    cluster_id: str,
    me: ReplicaKey,
    *,
    epoch: int,
    offset: int,
    last_epoch: int,
    high_watermark: int,
    max_wait_ms: int,
    max_bytes: int,
) -> FetchRequest:
    partition = FetchPartition(
        partition=0,
        current_leader_epoch=epoch,
        fetch_offset=offset,
        last_fetched_epoch=last_epoch,
        partition_max_bytes=max_bytes,
        replica_directory_id=me.directory_id,
        high_watermark=high_watermark,
    )
    return FetchRequest(
        cluster_id=cluster_id,
        replica_state=ReplicaState(replica_id=me.node_id, replica_epoch=-1),
        max_wait_ms=max_wait_ms,
        min_bytes=1,
        max_bytes=max_bytes,
        topics=[FetchTopic(topic_id=METADATA_TOPIC_ID, partitions=[partition])],
    )


def is_metadata_fetch(request: FetchRequest) -> bool:
    return len(request.topics) == 1 and request.topics[0].topic_id == METADATA_TOPIC_ID


def fetched_partition(request: FetchRequest) -> tuple[ReplicaKey, FetchPartition]:
    """Raises `ApiError`."""
    partitions = request.topics[0].partitions
    if len(partitions) != 1 or partitions[0].partition != 0:
        raise _not_metadata()
    return ReplicaKey(request.replica_state.replica_id, partitions[0].replica_directory_id), partitions[0]


def fetch_response(data: PartitionData, leader_id: int, epoch: int, address: Address | None) -> FetchResponse:
    data.current_leader = FetchResponseLeaderIdAndEpoch(leader_id=leader_id, leader_epoch=epoch)
    return FetchResponse(
        responses=[FetchableTopicResponse(topic_id=METADATA_TOPIC_ID, partitions=[data])],
        node_endpoints=[]
        if address is None
        else [FetchResponseNodeEndpoint(node_id=leader_id, host=address.host, port=address.port)],
    )


def fetched(response: FetchResponse) -> PartitionData:
    """Raises `ApiError` if the whole request was refused."""
    if response.error_code:
        raise ApiError(ErrorCode(response.error_code), "the fetch was refused")
    if not response.responses or not response.responses[0].partitions:
        raise ApiError(ErrorCode.UNKNOWN_SERVER_ERROR, "a fetch without an answer for the metadata")
    return response.responses[0].partitions[0]


def snapshot_request(
    cluster_id: str, me: ReplicaKey, epoch: int, snapshot: SnapshotId, position: int, max_bytes: int
) -> FetchSnapshotRequest:
    return FetchSnapshotRequest(
        cluster_id=cluster_id,
        replica_id=me.node_id,
        max_bytes=max_bytes,
        topics=[
            FetchSnapshotRequestTopicSnapshot(
                name=METADATA_TOPIC,
                partitions=[
                    FetchSnapshotRequestPartitionSnapshot(
                        partition=0,
                        current_leader_epoch=epoch,
                        snapshot_id=FetchSnapshotRequestSnapshotId(
                            end_offset=snapshot.end_offset, epoch=snapshot.epoch
                        ),
                        position=position,
                        replica_directory_id=me.directory_id,
                    )
                ],
            )
        ],
    )


def snapshot_part(answer: Sequence[PartitionSnapshot]) -> PartitionSnapshot:
    """Raises `ApiError`."""
    if not answer:
        raise _not_metadata()
    if answer[0].error_code:
        raise ApiError(ErrorCode(answer[0].error_code), "the snapshot was refused")
    return answer[0]


def _not_metadata() -> ApiError:
    return ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Only partition 0 of {METADATA_TOPIC} is known here.")
