"""Who is in sync: a leader's view of its followers, and what follows for the high watermark and for the ISR.

Pure: fetches and `now` (seconds) in, offsets and wishes out. The rules:

- An offset is committed once every in-sync replica has it. A replica counts with what it has fetched from: it fetches
  from an offset only once everything below is as durable as the topic asks for.
- Two sets count while a change of the ISR is under way: the high watermark waits for the members of both, since either
  may be the one that the controller knows (KIP-497).
- A follower leaves when it has not caught up with the leader's end for `lag` seconds; it joins when it has everything
  below the high watermark and everything from before this leader's epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

NOT_FETCHED = -1


@dataclass(slots=True)
class FollowerState:
    end_offset: int = NOT_FETCHED
    """What it fetches from: everything below is durable there."""
    broker_epoch: int = -1
    last_fetch: float = 0.0
    last_caught_up: float = 0.0
    leader_end_then: int = NOT_FETCHED
    """Where the leader's log ended at its last fetch: whoever fetches from there had caught up by that time."""

    def fetched(self, offset: int, leader_end: int, now: float) -> None:
        if offset >= leader_end:
            self.last_caught_up = now
        elif 0 <= self.leader_end_then <= offset:
            self.last_caught_up = self.last_fetch
        self.end_offset = offset
        self.last_fetch = now
        self.leader_end_then = leader_end


class InSync:
    def __init__(self, me: int, replicas: Iterable[int], isr: Iterable[int], partition_epoch: int, now: float) -> None:
        self._me = me
        self.isr = tuple(isr)
        """As the controller last said."""
        self.partition_epoch = partition_epoch
        self.pending: tuple[int, ...] | None = None
        """What the controller was asked to make of it; it may or may not have done so."""
        self.followers: dict[int, FollowerState] = {}
        self._lost: frozenset[int] = frozenset()
        self.assign(replicas, now)

    def assign(self, replicas: Iterable[int], now: float) -> None:
        """The replicas there are. New ones have a grace of one lag."""
        self.followers = {
            each: self.followers.get(each) or FollowerState(last_caught_up=now) for each in replicas if each != self._me
        }

    def lost(self, followers: Iterable[int]) -> None:
        """They do not have their data any more: what they fetched before counts for nothing."""
        now_lost = frozenset(followers)
        for each in now_lost - self._lost:
            if each in self.followers:
                self.followers[each].end_offset = NOT_FETCHED
        self._lost = now_lost

    # -- what followers do ----------------------------------------------------------------------------------------

    def fetched(self, follower: int, broker_epoch: int, offset: int, leader_end: int, now: float) -> None:
        state = self.followers[follower]
        state.broker_epoch = broker_epoch
        state.fetched(offset, leader_end, now)

    def committed(self, my_durable_offset: int) -> int:
        """What all members hold; 0 if one of them has not fetched yet."""
        reached = my_durable_offset
        if not self.followers:  # which is asked for every record of a topic that is not replicated
            return reached
        for member in {*self.isr, *(self.pending or ())}:
            if member != self._me:
                state = self.followers.get(member)
                reached = min(reached, 0 if state is None else max(state.end_offset, 0))
        return reached

    # -- changes ----------------------------------------------------------------------------------------------------

    def wanted(
        self,
        *,
        high_watermark: int,
        epoch_start: int,
        leader_end: int,
        lag: float,
        now: float,
        eligible: Callable[[int, int], bool],
    ) -> tuple[int, ...] | None:
        """The ISR as it should be, if that is another than it is and no change is under way.

        `eligible` is asked with a broker and the epoch it fetches in: whether the controller would take it.
        """
        if self.pending is not None:
            return None
        kept = [each for each in self.isr if each == self._me or self._keeps_up(each, leader_end, lag, now)]
        least = max(high_watermark, epoch_start)
        joined = [
            each
            for each, state in self.followers.items()
            if each not in self.isr and state.end_offset >= least and eligible(each, state.broker_epoch)
        ]
        wanted = (*kept, *joined)
        return wanted if set(wanted) != set(self.isr) else None

    def _keeps_up(self, follower: int, leader_end: int, lag: float, now: float) -> bool:
        state = self.followers.get(follower)
        return state is not None and (state.end_offset >= leader_end or now - state.last_caught_up <= lag)

    def settle(self, isr: Iterable[int], partition_epoch: int) -> bool:
        """The controller's word; True if it is news. An older word than the last changes nothing."""
        if partition_epoch < self.partition_epoch:
            return False
        if partition_epoch > self.partition_epoch:
            self.pending = None
        changed = (tuple(isr), partition_epoch) != (self.isr, self.partition_epoch)
        self.isr = tuple(isr)
        self.partition_epoch = partition_epoch
        return changed
