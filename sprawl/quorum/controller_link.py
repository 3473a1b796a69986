"""The way to the active controller, wherever it is: this node or another, now or after the next election.

In: requests. Out: the controller's answers, or an `ApiError` once the time allowed has passed. A request is made again
only where it is certain that it was not acted upon: nobody led, or the node asked was not the controller.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar, cast

from sprawl.quorum.following import Peers
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.quorum.state import NOBODY
from sprawl.runtime import Clock
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    AlterPartitionRequest,
    AlterPartitionResponse,
    AssignReplicasToDirsRequest,
    AssignReplicasToDirsResponse,
)

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Response)
LANE: Final = "controller"
_PAUSE: Final = 0.05
_ISR_TIMEOUT: Final = 3.0

ServeHere = Callable[[Request], Awaitable[Response]]


class ControllerLink:
    def __init__(self, quorum: MetadataQuorum, peers: Peers | None, serve_here: ServeHere, clock: Clock) -> None:
        """`serve_here`: how this node answers a request of its own while it is the controller itself."""
        self._quorum = quorum
        self._peers = peers
        self._serve_here = serve_here
        self._clock = clock

    async def ask(
        self, message: Request, *, expect: type[R], timeout: float, lane: str = LANE, patience: float | None = None
    ) -> R:
        """`patience`: how long to look for a controller, if not for all of `timeout`. Raises `ApiError`; `ClientError`
        if the controller was asked and its answer never came."""
        patience = timeout if patience is None else min(patience, timeout)
        began = self._clock.monotonic()
        why = "the metadata quorum has no leader"
        while (passed := self._clock.monotonic() - began) < patience:
            left = timeout - passed
            try:
                answer = await self._once(message, expect, left, lane)
                if answer is not None and getattr(answer, "error_code", 0) != ErrorCode.NOT_CONTROLLER:
                    return answer
                why = f"node {self._quorum.leader_id} is not the controller" if answer is not None else why
            except ApiError as refusal:
                if refusal.code is not ErrorCode.NOT_CONTROLLER:
                    raise
                why = refusal.message
            except ClientError as problem:
                if not problem.not_done:
                    raise
                why = str(problem)
            await asyncio.sleep(min(_PAUSE, left))
        raise ApiError(ErrorCode.REQUEST_TIMED_OUT, f"No controller within {patience:g} s: {why}.")

    async def alter_partition(self, request: AlterPartitionRequest) -> AlterPartitionResponse:
        """Raises as `ask`."""
        return await self.ask(request, expect=AlterPartitionResponse, timeout=_ISR_TIMEOUT, lane="isr")

    async def assign_directories(self, request: AssignReplicasToDirsRequest) -> AssignReplicasToDirsResponse:
        """Raises as `ask`."""
        return await self.ask(request, expect=AssignReplicasToDirsResponse, timeout=_ISR_TIMEOUT)

    async def _once(self, message: Request, expect: type[R], timeout: float, lane: str) -> R | None:
        """None if nobody is known to lead."""
        leader = self._quorum.leader_id
        if self._quorum.leading:
            return cast("R", await self._serve_here(message))
        if leader == NOBODY or self._peers is None:
            return None
        return await self._peers.request(leader, message, expect=expect, timeout=timeout, lane=lane)
