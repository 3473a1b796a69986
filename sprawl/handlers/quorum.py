"""The metadata quorum's own requests (KIP-595, KIP-630): between nodes, answered by `QuorumService`, or, before there
is a cluster, by `Formation`."""

from __future__ import annotations

from collections.abc import Awaitable

from sprawl.handlers.context import Handler, RequestContext
from sprawl.quorum.formation import Formation
from sprawl.quorum.serving import QuorumService
from sprawl_protocol.api import ApiKey
from sprawl_protocol.messages import (
    BeginQuorumEpochRequest,
    BeginQuorumEpochResponse,
    EndQuorumEpochRequest,
    EndQuorumEpochResponse,
    FetchSnapshotRequest,
    FetchSnapshotResponse,
    VoteRequest,
    VoteResponse,
)


class QuorumHandlers:
    def __init__(self, service: QuorumService | Formation) -> None:
        self._service = service

    def routes(self) -> dict[ApiKey, Handler]:
        return {
            ApiKey.VOTE: self.vote,
            ApiKey.BEGIN_QUORUM_EPOCH: self.begin_epoch,
            ApiKey.END_QUORUM_EPOCH: self.end_epoch,
            ApiKey.FETCH_SNAPSHOT: self.fetch_snapshot,
        }

    def vote(self, context: RequestContext, request: VoteRequest) -> Awaitable[VoteResponse]:
        return self._service.vote(request)

    def begin_epoch(
        self, context: RequestContext, request: BeginQuorumEpochRequest
    ) -> Awaitable[BeginQuorumEpochResponse]:
        return self._service.begin_epoch(request)

    def end_epoch(self, context: RequestContext, request: EndQuorumEpochRequest) -> Awaitable[EndQuorumEpochResponse]:
        return self._service.end_epoch(request)

    def fetch_snapshot(
        self, context: RequestContext, request: FetchSnapshotRequest
    ) -> Awaitable[FetchSnapshotResponse]:
        return self._service.fetch_snapshot(request)
