"""Who belongs to the cluster and who votes in it: UnregisterBroker (64), AddRaftVoter (80), RemoveRaftVoter (81), and,
between nodes, UpdateRaftVoter (82) (KIP-631, KIP-853). Answered by the active controller.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from sprawl.handlers.context import Handler, RequestContext
from sprawl.quorum.controller import Controller
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.quorum.voters import LISTENER, Address, ReplicaKey
from sprawl.security.access import CLUSTER, Authorizer, Operation
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    AddRaftVoterRequest,
    AddRaftVoterResponse,
    CurrentLeader,
    RemoveRaftVoterRequest,
    RemoveRaftVoterResponse,
    UnregisterBrokerRequest,
    UnregisterBrokerResponse,
    UpdateRaftVoterRequest,
    UpdateRaftVoterResponse,
)
from sprawl_protocol.primitives import NO_ID


class MembershipHandlers:
    def __init__(self, controller: Controller, quorum: MetadataQuorum, authorizer: Authorizer) -> None:
        self._controller = controller
        self._quorum = quorum
        self._authorizer = authorizer

    def routes(self) -> dict[ApiKey, Handler]:
        return {
            ApiKey.UNREGISTER_BROKER: self.unregister,
            ApiKey.ADD_RAFT_VOTER: self.add_voter,
            ApiKey.REMOVE_RAFT_VOTER: self.remove_voter,
            ApiKey.UPDATE_RAFT_VOTER: self.update_voter,
        }

    async def unregister(self, context: RequestContext, request: UnregisterBrokerRequest) -> UnregisterBrokerResponse:
        try:
            self._check_may_alter(context)
            await self._controller.unregister_broker(request.broker_id)
        except ApiError as refusal:
            return UnregisterBrokerResponse(error_code=refusal.code, error_message=refusal.message)
        return UnregisterBrokerResponse(error_message=None)

    async def add_voter(self, context: RequestContext, request: AddRaftVoterRequest) -> AddRaftVoterResponse:
        try:
            self._check_may_alter(context)
            self._check_cluster(request.cluster_id)
            address = _address_in(request.listeners)
            if address is None:
                raise ApiError(ErrorCode.INVALID_REQUEST, "A voter needs a listener that the others can reach.")
            await self._controller.voters.add(
                _key(request.voter_id, request.voter_directory_id),
                address,
                max(request.timeout_ms, 0) / 1000,
                wait=request.ack_when_committed,
            )
        except ApiError as refusal:
            return AddRaftVoterResponse(error_code=refusal.code, error_message=refusal.message)
        return AddRaftVoterResponse(error_message=None)

    async def remove_voter(self, context: RequestContext, request: RemoveRaftVoterRequest) -> RemoveRaftVoterResponse:
        try:
            self._check_may_alter(context)
            self._check_cluster(request.cluster_id)
            await self._controller.voters.remove(_key(request.voter_id, request.voter_directory_id))
        except ApiError as refusal:
            return RemoveRaftVoterResponse(error_code=refusal.code, error_message=refusal.message)
        return RemoveRaftVoterResponse(error_message=None)

    async def update_voter(self, context: RequestContext, request: UpdateRaftVoterRequest) -> UpdateRaftVoterResponse:
        response = UpdateRaftVoterResponse()
        try:
            self._check_cluster(request.cluster_id)
            await self._controller.voters.update(
                _key(request.voter_id, request.voter_directory_id),
                request.current_leader_epoch,
                _address_in(request.listeners),
            )
        except ApiError as refusal:
            response.error_code = refusal.code
        leader = self._quorum.voters.address_of(self._quorum.leader_id)
        response.current_leader = CurrentLeader(leader_id=self._quorum.leader_id, leader_epoch=self._quorum.epoch)
        if leader is not None:
            response.current_leader.host, response.current_leader.port = leader.host, leader.port
        return response

    def _check_may_alter(self, context: RequestContext) -> None:
        if not self._authorizer.authorize(context.principal, Operation.ALTER, CLUSTER):
            raise ApiError(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, f"{context.principal} may not ALTER the cluster.")

    def _check_cluster(self, cluster_id: str | None) -> None:
        mine = self._quorum.image.cluster_id
        if cluster_id is not None and cluster_id != mine:
            raise ApiError(ErrorCode.INCONSISTENT_CLUSTER_ID, f"This is cluster {mine}, not {cluster_id}.")


class _Listener(Protocol):
    name: str
    host: str
    port: int


def _address_in(listeners: Sequence[_Listener]) -> Address | None:
    """The one for other nodes; the first, if none is named so."""
    found = [each for each in listeners if each.name == LISTENER] or list(listeners[:1])
    return Address(found[0].host, found[0].port) if found and found[0].host and found[0].port else None


def _key(voter_id: int, directory_id: UUID) -> ReplicaKey:
    if voter_id < 0 or directory_id == NO_ID:
        raise ApiError(ErrorCode.INVALID_REQUEST, "A voter is named by its node id and its directory id.")
    return ReplicaKey(voter_id, directory_id)
