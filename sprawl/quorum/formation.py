"""Before there is a cluster: does this node found one, or is there one that it joins?

A node without seeds founds. A node with seeds joins the cluster of the first seed that has one. Where none has, the
one with the least id founds, once every node of the first hour has told it so: each looks at its own seeds, and says
yes only to the one that it would have chosen among itself and all of them. Two nodes can found only if somebody said
yes to both; so nobody founds while a seed is out of reach, for that one may know of a cluster.

In: what the seeds answer. Out: whether to found. All have the cluster's id and secret already. Asks with the quorum's
own requests: a fetch of the metadata tells whether there is a cluster, a pre-vote in epoch 0 asks for the yes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol, TypeVar

from sprawl.quorum import requests
from sprawl.quorum.identifiers import uuid_of
from sprawl.quorum.raft import AskForVote, VoteAnswer
from sprawl.quorum.state import NOBODY
from sprawl.quorum.voters import Address, ReplicaKey
from sprawl.security.peers import PeerIdentity
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    BeginQuorumEpochRequest,
    BeginQuorumEpochResponse,
    EndQuorumEpochRequest,
    EndQuorumEpochResponse,
    FetchRequest,
    FetchResponse,
    FetchSnapshotRequest,
    FetchSnapshotResponse,
    PartitionData,
    VoteRequest,
    VoteResponse,
)

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Response)
_LANE: Final = "formation"
_PATIENCE: Final = 1.0
_PAUSE: Final = 0.1
_NO_EPOCH: Final = 0


class SeedLinks(Protocol):
    async def identity_at(self, host: str, port: int) -> PeerIdentity:
        """Raises `ClientError`."""
        ...

    async def request_at(
        self, host: str, port: int, message: Request, *, expect: type[R], timeout: float, lane: str = ""
    ) -> R:
        """Raises `ClientError`."""
        ...


class Formation:
    """Answers the other nodes as the quorum will later; has no log and no epoch."""

    def __init__(self, me: PeerIdentity, seeds: Sequence[Address], links: SeedLinks) -> None:
        self._me = me
        self._seeds = seeds
        self._links = links
        self._key = ReplicaKey(me.node_id, uuid_of(me.directory_id))
        self._choice: ReplicaKey | None = None
        """Whom this node would have found, once it has met all its seeds."""
        self._told: dict[Address, str] = {}

    async def founds(self) -> bool:
        """Whether this node founds the cluster; returns once that is certain."""
        while True:
            met: dict[Address, PeerIdentity] = {}
            for seed in self._seeds:
                try:
                    identity = await self._links.identity_at(seed.host, seed.port)
                    if await self._has_cluster(seed):
                        return False
                    met[seed] = identity
                except (ClientError, ApiError) as problem:
                    self._tell(seed, str(problem))
            if len(met) == len(self._seeds):
                self._choice = min([self._key, *(_key_of(each) for each in met.values())])
                if self._choice == self._key and await self._all_agree(met):
                    return True
            await asyncio.sleep(_PAUSE)

    async def _has_cluster(self, seed: Address) -> bool:
        probe = requests.fetch_request(
            self._me.cluster_id,
            self._key,
            epoch=_NO_EPOCH,
            offset=0,
            last_epoch=-1,
            high_watermark=0,
            max_wait_ms=0,
            max_bytes=1,
        )
        answer = await self._links.request_at(
            seed.host, seed.port, probe, expect=FetchResponse, timeout=_PATIENCE, lane=_LANE
        )
        return requests.fetched(answer).current_leader.leader_epoch > _NO_EPOCH

    async def _all_agree(self, met: dict[Address, PeerIdentity]) -> bool:
        for seed, identity in met.items():
            asked = AskForVote(_key_of(identity), _NO_EPOCH, 0, 0, pre_vote=True)
            request = requests.vote_request(self._me.cluster_id, self._key, asked)
            try:
                answer = requests.vote_answer(
                    await self._links.request_at(
                        seed.host, seed.port, request, expect=VoteResponse, timeout=_PATIENCE, lane=_LANE
                    )
                )
            except ClientError as problem:
                self._tell(seed, str(problem))
                return False
            if answer is None or not answer.granted:
                return False
        return True

    def _tell(self, seed: Address, problem: str) -> None:
        if self._told.get(seed) != problem:
            self._told[seed] = problem
            log.warning("seed %s:%d: %s; waiting for it", seed.host, seed.port, problem)

    # -- answers --------------------------------------------------------------------------------------------------

    async def vote(self, request: VoteRequest) -> VoteResponse:
        asked = requests.asked_for_vote(request)
        candidate = ReplicaKey(asked.replica_id, asked.replica_directory_id)
        granted = asked.pre_vote and asked.replica_epoch == _NO_EPOCH and candidate == self._choice != self._key
        return requests.vote_response(VoteAnswer(ErrorCode.NONE, granted, _NO_EPOCH, NOBODY))

    async def fetch(self, request: FetchRequest) -> FetchResponse:
        data = PartitionData(
            partition_index=0, error_code=int(ErrorCode.NOT_LEADER_OR_FOLLOWER), high_watermark=-1, records=b""
        )
        return requests.fetch_response(data, NOBODY, _NO_EPOCH, None)

    async def begin_epoch(self, request: BeginQuorumEpochRequest) -> BeginQuorumEpochResponse:
        raise _not_yet()

    async def end_epoch(self, request: EndQuorumEpochRequest) -> EndQuorumEpochResponse:
        raise _not_yet()

    async def fetch_snapshot(self, request: FetchSnapshotRequest) -> FetchSnapshotResponse:
        raise _not_yet()


def _key_of(identity: PeerIdentity) -> ReplicaKey:
    return ReplicaKey(identity.node_id, uuid_of(identity.directory_id))


def _not_yet() -> ApiError:
    return ApiError(ErrorCode.BROKER_NOT_AVAILABLE, "This node belongs to no cluster yet.")
