"""What this replica of the metadata answers to the others: votes, new and ended epochs, fetches, snapshots.

In: requests of authenticated nodes. Out: Kafka's answers. A fetch that finds nothing new waits for news, up to the time
it allows; what is served is what cannot be taken back any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final
from uuid import UUID

from sprawl.quorum import requests
from sprawl.quorum.addresses import AddressBook
from sprawl.quorum.raft import FetchAnswer, Verdict, VoteAnswer
from sprawl.quorum.records import NO_ID
from sprawl.quorum.replica import QuorumReplica
from sprawl.quorum.snapshots import SnapshotId
from sprawl.quorum.state import NOBODY
from sprawl.quorum.voters import Address, ReplicaKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    BeginQuorumEpochRequest,
    BeginQuorumEpochResponse,
    EndQuorumEpochRequest,
    EndQuorumEpochResponse,
    EpochEndOffset,
    FetchRequest,
    FetchResponse,
    FetchSnapshotRequest,
    FetchSnapshotResponse,
    FetchSnapshotResponseSnapshotId,
    PartitionData,
    PartitionSnapshot,
    TopicSnapshot,
    VoteRequest,
    VoteResponse,
)
from sprawl_protocol.messages import SnapshotId as WireSnapshotId

_MAX_FETCH_BYTES: Final = 16 * 1024 * 1024
_MAX_WAIT: Final = 5.0


class QuorumService:
    def __init__(
        self, replica: QuorumReplica, addresses: AddressBook, my_address: Callable[[], Address | None]
    ) -> None:
        self._replica = replica
        self._addresses = addresses
        self._my_address = my_address
        self._waiting: set[asyncio.Future[None]] = set()

    def news(self) -> None:
        """The log has grown, more is committed, or somebody else leads: whoever waits looks again."""
        waiting, self._waiting = self._waiting, set()
        for each in waiting:
            if not each.done():
                each.set_result(None)

    async def vote(self, request: VoteRequest) -> VoteResponse:
        replica = await self._ready(request.cluster_id)
        asked = requests.asked_for_vote(request)
        if not self._meant(request.voter_id, asked.voter_directory_id):
            raft = replica.raft
            return requests.vote_response(VoteAnswer(ErrorCode.INVALID_VOTER_KEY, False, raft.epoch, raft.leader_id))
        candidate = ReplicaKey(asked.replica_id, asked.replica_directory_id)
        return requests.vote_response(
            replica.decide(
                lambda raft, now: raft.vote_requested(
                    candidate,
                    asked.replica_epoch,
                    asked.last_offset_epoch,
                    asked.last_offset,
                    pre_vote=asked.pre_vote,
                    now=now,
                )
            )
        )

    def _meant(self, node_id: int, directory_id: UUID) -> bool:
        """Whether this voter is asked, and not the one whose disk was lost: that one may have voted already, and knew
        what this one does not. Requests of old versions don't say."""
        me = self._replica.me
        return node_id in (NOBODY, me.node_id) and directory_id in (NO_ID, me.directory_id)

    async def begin_epoch(self, request: BeginQuorumEpochRequest) -> BeginQuorumEpochResponse:
        replica = await self._ready(request.cluster_id)
        begun = requests.begun_epoch(request)
        for endpoint in request.leader_endpoints[:1]:
            self._addresses.learn(begun.leader_id, Address(endpoint.host, endpoint.port))
        error = replica.decide(lambda raft, now: raft.epoch_begun(begun.leader_id, begun.leader_epoch, now))
        if error is ErrorCode.NONE and not self._meant(request.voter_id, begun.voter_directory_id):
            error = ErrorCode.INVALID_VOTER_KEY  # who leads is known now all the same, as with Kafka's voters
        return requests.begin_epoch_response(error, replica.raft.leader_id, replica.raft.epoch)

    async def end_epoch(self, request: EndQuorumEpochRequest) -> EndQuorumEpochResponse:
        replica = await self._ready(request.cluster_id)
        ended = requests.ended_epoch(request)
        successors = [ReplicaKey(each.candidate_id, each.candidate_directory_id) for each in ended.preferred_candidates]
        error = replica.decide(lambda raft, now: raft.epoch_ended(ended.leader_id, ended.leader_epoch, successors, now))
        return requests.end_epoch_response(error, replica.raft.leader_id, replica.raft.epoch)

    async def _ready(self, cluster_id: str | None) -> QuorumReplica:
        requests.check_cluster(self._replica.cluster_id, cluster_id)
        if not self._replica.started:
            raise ApiError(ErrorCode.BROKER_NOT_AVAILABLE, "This node is still starting.")
        await self._replica.mended.wait()
        return self._replica

    # -- fetching ---------------------------------------------------------------------------------------------------

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        replica = await self._ready(request.cluster_id)
        key, wanted = requests.fetched_partition(request)
        deadline = replica.clock.monotonic() + min(max(request.max_wait_ms, 0) / 1000, _MAX_WAIT)
        while True:
            verdict = replica.decide(
                lambda raft, now: raft.fetch_requested(
                    key, wanted.current_leader_epoch, wanted.fetch_offset, wanted.last_fetched_epoch, now
                )
            )
            data = await self._answer(verdict, wanted.fetch_offset, min(request.max_bytes, _MAX_FETCH_BYTES))
            news = verdict.verdict is not Verdict.READ or data.records or data.high_watermark > wanted.high_watermark
            left = deadline - replica.clock.monotonic()
            if news or left <= 0 or not await self._news_within(left):
                break
        raft = replica.raft
        leader_address = self._my_address() if replica.leading else self._addresses.of(raft.leader_id)
        return requests.fetch_response(data, raft.leader_id, raft.epoch, leader_address)

    async def _answer(self, verdict: FetchAnswer, offset: int, max_bytes: int) -> PartitionData:
        replica = self._replica
        data = PartitionData(partition_index=0, error_code=int(verdict.error), records=b"")
        data.high_watermark = replica.raft.high_watermark if replica.leading else -1
        data.log_start_offset = replica.log.start_offset
        match verdict.verdict:
            case Verdict.DIVERGED:
                data.diverging_epoch = EpochEndOffset(epoch=verdict.diverging_epoch, end_offset=verdict.diverging_end)
            case Verdict.SNAPSHOT:
                newest = replica.log.latest_snapshot()
                assert newest is not None, "a log that does not begin at 0 stands behind a snapshot"
                data.snapshot_id = WireSnapshotId(end_offset=newest.end_offset, epoch=newest.epoch)
            case Verdict.READ if offset < replica.log.written_offset:
                data.records = b"".join(await replica.log.read(offset, max_bytes))
        return data

    async def _news_within(self, seconds: float) -> bool:
        news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(news)
        try:
            async with asyncio.timeout(seconds):
                await news
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(news)
        return True

    async def fetch_snapshot(self, request: FetchSnapshotRequest) -> FetchSnapshotResponse:
        replica = await self._ready(request.cluster_id)
        if not request.topics or len(request.topics[0].partitions) != 1:
            raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "Only the metadata has snapshots.")
        wanted = request.topics[0].partitions[0]
        snapshot = SnapshotId(wanted.snapshot_id.end_offset, wanted.snapshot_id.epoch)
        part = PartitionSnapshot(index=0, position=wanted.position)
        part.snapshot_id = FetchSnapshotResponseSnapshotId(end_offset=snapshot.end_offset, epoch=snapshot.epoch)
        part.error_code = int(self._refusal(wanted.current_leader_epoch))
        if not part.error_code:
            try:
                data = replica.log.snapshot_bytes(snapshot)
            except OSError:
                part.error_code = int(ErrorCode.SNAPSHOT_NOT_FOUND)
            else:
                if not 0 <= wanted.position < len(data):
                    part.error_code = int(ErrorCode.POSITION_OUT_OF_RANGE)
                part.size = len(data)
                size = max(min(request.max_bytes, _MAX_FETCH_BYTES), 1)
                part.unaligned_records = data[wanted.position : wanted.position + size]
        return FetchSnapshotResponse(topics=[TopicSnapshot(name=request.topics[0].name, partitions=[part])])

    def _refusal(self, epoch: int) -> ErrorCode:
        raft = self._replica.raft
        if epoch < raft.epoch:
            return ErrorCode.FENCED_LEADER_EPOCH
        if epoch > raft.epoch:
            return ErrorCode.UNKNOWN_LEADER_EPOCH
        return ErrorCode.NONE if self._replica.leading else ErrorCode.NOT_LEADER_OR_FOLLOWER
