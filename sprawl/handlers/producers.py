"""InitProducerId (API 22): the identity behind idempotent producing (KIP-98, KIP-360). AllocateProducerIds (API 67):
blocks of such identities, given by the controller to the nodes (KIP-730)."""

from __future__ import annotations

from sprawl.handlers.context import Handler, RequestContext
from sprawl.quorum.controller import Controller
from sprawl.security.access import CLUSTER, Authorizer, Operation
from sprawl.transactions.producer_ids import ProducerIds
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    AllocateProducerIdsRequest,
    AllocateProducerIdsResponse,
    InitProducerIdRequest,
    InitProducerIdResponse,
)


class ProducerHandlers:
    def __init__(self, producer_ids: ProducerIds, authorizer: Authorizer) -> None:
        self._producer_ids = producer_ids
        self._authorizer = authorizer

    def routes(self) -> dict[ApiKey, Handler]:
        return {ApiKey.INIT_PRODUCER_ID: self.init_producer_id}

    async def init_producer_id(self, context: RequestContext, request: InitProducerIdRequest) -> InitProducerIdResponse:
        if request.transactional_id is not None:
            raise ApiError(
                ErrorCode.INVALID_REQUEST,
                "this broker serves no transactions yet: leave transactional.id unset; enable.idempotence works",
            )
        if not self._authorizer.authorize(context.principal, Operation.IDEMPOTENT_WRITE, CLUSTER):
            raise ApiError(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, f"{context.principal} may not write idempotently")
        # A producer without a transactional id always gets an id of its own at epoch 0, as from Kafka: whether it
        # names a former one (KIP-360) matters only to transactional producers.
        return InitProducerIdResponse(producer_id=await self._producer_ids.take(), producer_epoch=0)


class ProducerIdHandlers:
    """Between nodes."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def routes(self) -> dict[ApiKey, Handler]:
        return {ApiKey.ALLOCATE_PRODUCER_IDS: self.allocate}

    async def allocate(
        self, context: RequestContext, request: AllocateProducerIdsRequest
    ) -> AllocateProducerIdsResponse:
        first, count = await self._controller.allocate_producer_ids(request.broker_id)
        return AllocateProducerIdsResponse(producer_id_start=first, producer_id_len=count)
