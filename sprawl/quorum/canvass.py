"""What a voter says to the other voters: asking for votes, announcing an epoch, giving up the lead (KIP-595).

In: what the state machine wants said. Out: requests; the answers are events of the state machine again. Who does not
answer in time is asked again when the state machine says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Final

from sprawl.quorum import requests
from sprawl.quorum.following import Peers
from sprawl.quorum.raft import Announce, AskForVote
from sprawl.quorum.replica import QuorumReplica
from sprawl.quorum.voters import Address, ReplicaKey
from sprawl.wire.client import ClientError
from sprawl_protocol.messages import BeginQuorumEpochResponse, EndQuorumEpochResponse, VoteResponse

log = logging.getLogger(__name__)

PATIENCE: Final = 1.0
"""Seconds for an answer."""
_LANE: Final = "votes"


class Canvass:
    def __init__(self, replica: QuorumReplica, peers: Peers, my_address: Callable[[], Address | None]) -> None:
        self._replica = replica
        self._peers = peers
        self._my_address = my_address

    async def ask(self, asked: AskForVote) -> None:
        replica = self._replica
        request = requests.vote_request(replica.cluster_id, replica.me, asked)
        try:
            response = await self._peers.request(
                asked.voter.node_id, request, expect=VoteResponse, timeout=PATIENCE, lane=_LANE
            )
            answer = requests.vote_answer(response)
        except (ClientError, ValueError) as problem:
            log.debug("%s does not vote: %s", asked.voter, problem)
            return
        await replica.mended.wait()
        if answer is not None:
            replica.decide(lambda raft, now: raft.vote_answered(asked.voter, asked, answer, now))

    async def announce(self, to: Announce) -> None:
        replica = self._replica
        request = requests.begin_epoch_request(replica.cluster_id, replica.me, to, self._my_address())
        try:
            response = await self._peers.request(
                to.voter.node_id, request, expect=BeginQuorumEpochResponse, timeout=PATIENCE, lane=_LANE
            )
        except ClientError as problem:
            log.debug("%s cannot be told who leads: %s", to.voter, problem)
            return
        leader = requests.leader_in(response)
        if leader is not None:
            replica.decide(lambda raft, now: raft.epoch_seen(leader[1], leader[0], now))

    async def give_up(self, epoch: int, successors: Sequence[ReplicaKey]) -> None:
        """Tell all of them that this node led `epoch`, and who should stand first."""
        request = requests.end_epoch_request(self._replica.cluster_id, self._replica.me, epoch, list(successors))
        told = (
            self._peers.request(key.node_id, request, expect=EndQuorumEpochResponse, timeout=PATIENCE, lane=_LANE)
            for key in successors
        )
        await asyncio.gather(*told, return_exceptions=True)
