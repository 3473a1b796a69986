"""Changes of the quorum's voters: those that an operator asks for (KIP-853), and those the cluster makes by itself.

In: requests, and a tick now and then on the active controller. Out: voters changed, one at a time. How many vote is the
cluster's business: 1, 3 or 5, as many as there are nodes for (`voter_care.py`). Who votes may be said by an operator:
a voter that was removed is not taken again, and one that was added is the last to go, for as long as this node is the
controller.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from sprawl.quorum.addresses import peer_address
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.quorum.voter_care import next_voters
from sprawl.quorum.voters import Address, ReplicaKey, Voters
from sprawl.runtime import Clock
from sprawl_protocol.errors import ApiError, ErrorCode

log = logging.getLogger(__name__)

_CAUGHT_UP_WITHIN: Final = 1.0
"""Seconds: a replica of the metadata that had everything so lately may vote."""
_CHANGE_TIMEOUT: Final = 5.0
_LOOK_AGAIN: Final = 0.1


class VoterChanges:
    def __init__(self, quorum: MetadataQuorum, clock: Clock, *, grace: float, most: int) -> None:
        """`grace`: seconds that a voter is awaited. `most`: voters at most."""
        self._quorum = quorum
        self._clock = clock
        self._grace = grace
        self._most = most
        self._away: dict[int, float] = {}
        """Since when a node has been fenced or unknown, as this controller saw it."""
        self._wanted: set[ReplicaKey] = set()
        self._unwanted: set[ReplicaKey] = set()

    # -- asked for ----------------------------------------------------------------------------------------------

    async def add(self, key: ReplicaKey, address: Address | None, timeout: float, *, wait: bool = True) -> None:
        """Let a replica vote once it has caught up. `wait`: until that is committed. Raises `ApiError`."""
        self._check_leading()
        present = self._quorum.voters.key_of(key.node_id)
        if present is not None:
            raise ApiError(ErrorCode.DUPLICATE_VOTER, f"{present} is a voter.")
        deadline = self._clock.monotonic() + timeout
        while not self._quorum.has_caught_up(key, _CAUGHT_UP_WITHIN):
            if self._clock.monotonic() >= deadline:
                told = f"{key} has not caught up with the metadata in {timeout:g} s."
                raise ApiError(ErrorCode.REQUEST_TIMED_OUT, told)
            await asyncio.sleep(_LOOK_AGAIN)
            self._check_leading()
        if self._quorum.voters.key_of(key.node_id) is not None:
            raise ApiError(ErrorCode.DUPLICATE_VOTER, f"{key} has become a voter meanwhile.")
        known = self._quorum.image.brokers.get(key.node_id)
        reached_at = peer_address(known) if known is not None else address
        self._wanted.add(key)
        self._unwanted.discard(key)
        changing = self._change(self._quorum.voters.with_voter(key, reached_at or address), timeout)
        if wait:
            await changing
        else:
            task = asyncio.create_task(changing, name="add a voter")
            task.add_done_callback(_report)
            await asyncio.sleep(0)

    async def remove(self, key: ReplicaKey) -> None:
        """Returns once committed. Raises `ApiError`."""
        self._check_leading()
        if key not in self._quorum.voters:
            raise ApiError(ErrorCode.VOTER_NOT_FOUND, f"{key} is no voter.")
        if len(self._quorum.voters) == 1:
            raise ApiError(ErrorCode.INVALID_REQUEST, f"{key} is the only voter: add another one first.")
        self._unwanted.add(key)
        self._wanted.discard(key)
        await self._change(self._quorum.voters.without(key), _CHANGE_TIMEOUT)

    async def update(self, key: ReplicaKey, epoch: int, address: Address | None) -> None:
        """A voter is found elsewhere now. Raises `ApiError`."""
        self._check_leading()
        if epoch != self._quorum.epoch:
            code = ErrorCode.FENCED_LEADER_EPOCH if epoch < self._quorum.epoch else ErrorCode.UNKNOWN_LEADER_EPOCH
            raise ApiError(code, f"The quorum is in epoch {self._quorum.epoch}, the request says {epoch}.")
        if key not in self._quorum.voters:
            raise ApiError(ErrorCode.VOTER_NOT_FOUND, f"{key} is no voter.")
        if address is None:
            raise ApiError(ErrorCode.INVALID_REQUEST, "A voter needs an address.")
        if address != self._quorum.voters.address_of(key.node_id):
            await self._change(self._quorum.voters.with_voter(key, address), _CHANGE_TIMEOUT)

    # -- by itself ----------------------------------------------------------------------------------------------

    async def tend(self) -> None:
        """Replace voters that are gone, and let new nodes vote, one change at a time."""
        quorum, now = self._quorum, self._clock.monotonic()
        brokers = quorum.image.brokers
        self._away = {
            each: self._away.get(each, now)
            for each in {*brokers, *quorum.voters.ids}
            if each not in brokers or brokers[each].fenced
        }

        def gone(node_id: int) -> bool:
            return now - self._away.get(node_id, now) > self._grace

        if not quorum.voters_settled:
            return
        wanted = next_voters(
            quorum.voters,
            brokers.values(),
            quorum.me,
            caught_up=lambda key: key not in self._unwanted and quorum.has_caught_up(key, _CAUGHT_UP_WITHIN),
            gone=gone,
            address_of=peer_address,
            limit=self._most,
            keep=self._wanted,
        )
        if wanted is None:
            return
        try:
            await self._change(wanted, _CHANGE_TIMEOUT)
        except ApiError as problem:
            log.warning("the voters could not be changed for now: %s", problem)

    def forget(self) -> None:
        """Another controller begins."""
        self._wanted.clear()
        self._unwanted.clear()

    # -- how ----------------------------------------------------------------------------------------------------

    async def _change(self, voters: Voters, timeout: float) -> None:
        log.info("the voters of the metadata quorum change from %s to %s", self._quorum.voters, voters)
        try:
            async with asyncio.timeout(timeout):
                await self._quorum.change_voters(voters)
        except TimeoutError:
            raise ApiError(ErrorCode.REQUEST_TIMED_OUT, "No majority has agreed to the new voters in time.") from None

    def _check_leading(self) -> None:
        if not self._quorum.leading:
            raise ApiError(ErrorCode.NOT_CONTROLLER, "This node is not the controller.")


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.warning("the voters could not be changed: %s", task.exception())
