"""A broker's life in the cluster: it registers, lives by heartbeats, and leaves in order (KIP-631).

In: the controller's answers. Out: the broker's epoch, which all it says to the controller and to leaders carries. A
broker that the controller no longer knows in this epoch registers again. Owns no task: `run` is the node's.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Final

from sprawl.quorum.brokers import BrokerRegistration
from sprawl.quorum.controller_link import ControllerLink
from sprawl.quorum.image import BrokerImage, MetadataImage
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.runtime import Clock
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    BrokerHeartbeatRequest,
    BrokerHeartbeatResponse,
    BrokerRegistrationRequest,
    BrokerRegistrationRequestListener,
    BrokerRegistrationResponse,
    Feature,
)

log = logging.getLogger(__name__)

_LANE: Final = "heartbeats"
_LEASE: Final = 1.25
"""Heartbeat intervals. A broker is fenced after 1.5 of them at the earliest, and a leader of the quorum that is cut off
notices within half of another that it is none."""
_FINAL: Final = frozenset(
    {ErrorCode.INCONSISTENT_CLUSTER_ID, ErrorCode.UNSUPPORTED_VERSION, ErrorCode.INVALID_REGISTRATION}
)
"""Refusals that no waiting will change."""
_UNKNOWN_HERE: Final = frozenset({ErrorCode.STALE_BROKER_EPOCH, ErrorCode.BROKER_ID_NOT_REGISTERED})


class BrokerLifecycle:
    def __init__(
        self,
        registration: BrokerRegistration,
        link: ControllerLink,
        quorum: MetadataQuorum,
        clock: Clock,
        *,
        heartbeat_interval: float,
        session_timeout: float,
    ) -> None:
        """Seconds."""
        self._registration = registration
        self._link = link
        self._quorum = quorum
        self._clock = clock
        self._interval = heartbeat_interval
        self._session_timeout = session_timeout
        self._confirmed = -math.inf
        """When the last heartbeat was sent that the controller accepted."""
        self._leaving = False
        self._may_leave = asyncio.Event()
        self._beat = asyncio.Event()
        self.epoch = -1

    async def register(self) -> None:
        """Returns once this node's own image holds the registration. Raises `ApiError` if it cannot be.

        Another broker under this id that is alive is waited out for as long as a dead one would be fenced after.
        """
        patience = self._clock.monotonic() + 3 * self._session_timeout
        while True:
            error, why = await self._register_once()
            if error is ErrorCode.NONE:
                break
            if error in _FINAL or (
                error is ErrorCode.DUPLICATE_BROKER_REGISTRATION and self._clock.monotonic() > patience
            ):
                raise ApiError(error, _REASONS.get(error, why).format(id=self._registration.id))
            log.info("not registered yet (%s); trying again", why)
            await asyncio.sleep(self._interval)
        await self._quorum.until(lambda image: self._in(image) is not None)

    @property
    def active(self) -> bool:
        return self._active_in(self._quorum.image)

    @property
    def surely_active(self) -> bool:
        """Whether nobody can have taken over yet what this broker leads: it was heard of too lately to be fenced."""
        if len(self._quorum.image.brokers) == 1:
            return True
        return self._clock.monotonic() - self._confirmed <= _LEASE * self._interval

    def _in(self, image: MetadataImage) -> BrokerImage | None:
        broker = image.brokers.get(self._registration.id)
        return broker if broker is not None and broker.epoch == self.epoch else None

    def _active_in(self, image: MetadataImage) -> bool:
        broker = self._in(image)
        return broker is not None and broker.active

    async def _register_once(self) -> tuple[ErrorCode, str]:
        try:
            answer = await self._link.ask(
                _registration_request(self._registration), expect=BrokerRegistrationResponse, timeout=5.0, lane=_LANE
            )
        except ApiError as refusal:
            return refusal.code, refusal.message
        except ClientError as problem:
            return ErrorCode.REQUEST_TIMED_OUT, str(problem)
        error = ErrorCode(answer.error_code)
        if error is ErrorCode.NONE:
            self.epoch = answer.broker_epoch
        return error, error.name

    async def run(self) -> None:
        """Heartbeats, for ever. Raises `ApiError` if the broker is not wanted any more."""
        while True:
            await self._heartbeat()
            try:
                async with asyncio.timeout(self._interval):
                    await self._beat.wait()
            except TimeoutError:
                continue
            self._beat.clear()

    async def _heartbeat(self) -> None:
        request = BrokerHeartbeatRequest(
            broker_id=self._registration.id,
            broker_epoch=self.epoch,
            current_metadata_offset=self._quorum.image.offset,
            want_fence=False,
            want_shut_down=self._leaving,
        )
        sent = self._clock.monotonic()
        try:
            answer = await self._link.ask(
                request, expect=BrokerHeartbeatResponse, timeout=self._session_timeout / 2, lane=_LANE
            )
        except (ApiError, ClientError) as problem:
            log.debug("a heartbeat was not answered: %s", problem)
            return
        error = ErrorCode(answer.error_code)
        if error in _UNKNOWN_HERE and not self._leaving:
            log.warning("the controller does not know this broker in epoch %d (%s)", self.epoch, error.name)
            await self.register()
        elif error is not ErrorCode.NONE:
            log.info("the controller refuses a heartbeat: %s", error.name)
        elif not answer.is_fenced:
            self._confirmed = sent
        if answer.should_shut_down:
            self._may_leave.set()

    async def until_active(self) -> None:
        await self._quorum.until(self._active_in)

    async def leave(self, patience: float) -> None:
        """Hand over what this broker leads, for `patience` seconds at most."""
        if not self.active:
            return
        self._leaving = True
        self._beat.set()
        try:
            async with asyncio.timeout(patience):
                await self._may_leave.wait()
        except TimeoutError:
            log.warning("the controller has not let this broker go within %.1f s; leaving anyhow", patience)


_REASONS: Final = {
    ErrorCode.DUPLICATE_BROKER_REGISTRATION: (
        "Another node with id {id} is alive in this cluster. Give this one an id of its own (node.id), or stop the "
        "other."
    ),
}


def _registration_request(wish: BrokerRegistration) -> BrokerRegistrationRequest:
    return BrokerRegistrationRequest(
        broker_id=wish.id,
        cluster_id=wish.cluster_id,
        incarnation_id=wish.incarnation,
        listeners=[
            BrokerRegistrationRequestListener(
                name=each.name, host=each.host, port=each.port, security_protocol=each.security_protocol
            )
            for each in wish.listeners
        ],
        features=[
            Feature(name=name, min_supported_version=least, max_supported_version=greatest)
            for name, (least, greatest) in wish.features.items()
        ],
        rack=wish.rack,
        log_dirs=list(wish.directories),
    )
