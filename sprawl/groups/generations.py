"""How one generation of a classic group follows another: the join phase, the sync phase, the assignment.

A change of membership starts a rebalance (PreparingRebalance), in which every member has to send JoinGroup again;
these requests wait. When all have, or the slowest member's rebalance timeout has passed, those who did not come are
dropped, a protocol is elected and all are answered (CompletingRebalance). The leader alone gets the list of members;
it sends the assignment with its SyncGroup, while the SyncGroups of the others wait. The assignment is written to the
log first; only then is it handed out (Stable).

`Generations` is the lower half of `ClassicGroup` (classic.py), which decides when a rebalance is due. All that moves
a group from one state to another is here. No clock, no randomness, no I/O.
"""

from __future__ import annotations

import logging
from typing import Final

from sprawl.groups.deadlines import JOIN_PHASE, SYNC_PHASE, Deadlines, session_of
from sprawl.groups.exchange import NO_MEMBER, GroupLimits, Instant, JoinAnswer, StoredGroup, SyncAnswer, Ticket
from sprawl.groups.outbox import Assigned, BecameEmpty, Outbox
from sprawl.groups.portrait import Generation, joined_members, stored_group, subscribed_topics
from sprawl.groups.roster import Member, Roster
from sprawl.groups.states import CAN_REBALANCE, TRANSITIONS, GroupState
from sprawl_protocol.errors import ErrorCode

log: Final = logging.getLogger(__name__)


class Generations:
    def __init__(self, group_id: str, limits: GroupLimits, now: Instant) -> None:
        self.group_id: Final = group_id
        self.state = GroupState.EMPTY
        self.generation = 0
        self.protocol_type: str | None = None
        self.protocol_name: str | None = None
        self.since_ms = now.wall_ms
        self.subscribed_topics: frozenset[str] | None = None
        self.stored: StoredGroup | None = None
        """What the log holds of this group, which is what it would be restored from."""
        self._limits = limits
        self._roster = Roster()
        self._pending_sync: set[str] = set()
        self._deadlines = Deadlines()
        self._outbox = Outbox()
        self._previous_state = GroupState.DEAD
        self._newcomers = False
        self._initial_delay_ms = 0
        self._initial_remaining_ms = 0

    # The join phase

    def _rebalance_or_complete(self, reason: str, now: Instant) -> None:
        if self.state in CAN_REBALANCE:
            self._prepare_rebalance(reason, now)
        else:
            self._complete_join_if_all_came(now)

    def _prepare_rebalance(self, reason: str, now: Instant) -> None:
        log.info("group %s: rebalance after generation %d: %s", self.group_id, self.generation, reason)
        if self.state is GroupState.COMPLETING_REBALANCE:
            self._withdraw_assignment(ErrorCode.REBALANCE_IN_PROGRESS, f"another rebalance has begun: {reason}", now)
        self._deadlines.cancel(SYNC_PHASE)
        initial = self.state is GroupState.EMPTY
        self._move_to(GroupState.PREPARING_REBALANCE, now)
        if initial:
            # Wait for more members to come: a group that starts would rebalance once for each otherwise.
            delay = self._limits.initial_rebalance_delay_ms
            self._newcomers = False
            self._initial_delay_ms = delay
            self._initial_remaining_ms = max(self._roster.rebalance_timeout_ms - delay, 0)
            self._deadlines.set(JOIN_PHASE, now.monotonic_ms + delay)
        elif self._roster.all_joined:
            self._complete_join(now)
        else:
            self._deadlines.set(JOIN_PHASE, now.monotonic_ms + self._roster.rebalance_timeout_ms)

    def _join_phase_is_due(self, now: Instant) -> None:
        if self._previous_state is GroupState.EMPTY and self._newcomers and self._initial_remaining_ms > 0:
            elapsed = self._initial_delay_ms
            self._newcomers = False
            self._initial_delay_ms = min(self._limits.initial_rebalance_delay_ms, self._initial_remaining_ms)
            self._initial_remaining_ms = max(self._initial_remaining_ms - elapsed, 0)
            self._deadlines.set(JOIN_PHASE, now.monotonic_ms + self._initial_delay_ms)
        else:
            self._complete_join(now)

    def _complete_join_if_all_came(self, now: Instant) -> None:
        """The first rebalance of a group ends by its delay only."""
        if (
            self.state is GroupState.PREPARING_REBALANCE
            and self._previous_state is not GroupState.EMPTY
            and self._roster.all_joined
        ):
            self._complete_join(now)

    def _complete_join(self, now: Instant) -> None:
        self._deadlines.cancel(JOIN_PHASE)
        for member in self._roster:
            if member.join_ticket is None and not member.is_static:
                log.info("group %s: %s did not join again in time", self.group_id, member.member_id)
                self._drop(member.member_id)
        if not self._roster.elect_joined_leader() and len(self._roster):
            # Only static members are left and none is back: wait until one is, or their sessions are over.
            self._deadlines.set(JOIN_PHASE, now.monotonic_ms + self._roster.rebalance_timeout_ms)
            return
        self.generation += 1
        if len(self._roster):
            self._begin_generation(now)
        else:
            self._become_empty(now)

    def _become_empty(self, now: Instant) -> None:
        self.protocol_name = None
        self._move_to(GroupState.EMPTY, now)
        self.subscribed_topics = subscribed_topics(self._roster, self._current)
        self._outbox.write(BecameEmpty(), stored_group(self._current, self._roster, {}))

    def _begin_generation(self, now: Instant) -> None:
        self.protocol_name = self._roster.elect_protocol()
        self._move_to(GroupState.COMPLETING_REBALANCE, now)
        self.subscribed_topics = subscribed_topics(self._roster, self._current)
        log.info(
            "group %s: generation %d has %d members, protocol %s, leader %s",
            self.group_id,
            self.generation,
            len(self._roster),
            self.protocol_name,
            self._roster.leader,
        )
        for member in self._roster:
            self._answer_join(member, self._joined(member))
            self._expect_heartbeat(member, now)
            member.is_new = False
        self._pending_sync = {member.member_id for member in self._roster}
        self._deadlines.set(SYNC_PHASE, now.monotonic_ms + self._roster.rebalance_timeout_ms)

    def _joined(self, member: Member) -> JoinAnswer:
        assert self.protocol_name is not None, "a member of no generation cannot have joined one"
        leads = member.member_id == self._roster.leader
        return JoinAnswer(
            member_id=member.member_id,
            generation=self.generation,
            protocol_type=self.protocol_type,
            protocol_name=self.protocol_name,
            leader=self._roster.leader or NO_MEMBER,
            members=joined_members(self._roster, self.protocol_name) if leads else (),
        )

    # The sync phase

    def _await_assignment(self, ticket: Ticket, member: Member, given: tuple[tuple[str, bytes], ...]) -> None:
        """A SyncGroup in CompletingRebalance: that of the leader brings the assignment, the others wait for it."""
        self._answer_sync(member, SyncAnswer(ErrorCode.REBALANCE_IN_PROGRESS, "a later SyncGroup took its place"))
        member.sync_ticket = ticket
        if member.member_id == self._roster.leader and not self._assignment_is_being_written():
            of_leader = dict(given)
            assignments = {each.member_id: of_leader.get(each.member_id, b"") for each in self._roster}
            self._outbox.write(
                Assigned(self.generation, member.member_id, assignments),
                stored_group(self._current, self._roster, assignments),
            )

    def _synced(self, member: Member) -> SyncAnswer:
        return SyncAnswer(
            protocol_type=self.protocol_type, protocol_name=self.protocol_name, assignment=member.assignment
        )

    def _assignment_is_being_written(self) -> bool:
        return any(
            isinstance(purpose, Assigned) and purpose.generation == self.generation
            for purpose in self._outbox.open_purposes()
        )

    def _assignment_was_written(self, purpose: Assigned, error: ErrorCode | None, now: Instant) -> None:
        if self.state is not GroupState.COMPLETING_REBALANCE or self.generation != purpose.generation:
            return  # another rebalance has begun meanwhile and has answered everybody
        if error is not None:
            reason = f"the assignment made by {purpose.leader} could not be written ({error.name})"
            self._withdraw_assignment(error, reason, now)
            self._prepare_rebalance(reason, now)
            return
        self._move_to(GroupState.STABLE, now)
        for member in self._roster:
            member.assignment = purpose.assignments.get(member.member_id, b"")
            if self._answer_sync(member, self._synced(member)):
                self._expect_heartbeat(member, now)

    def _withdraw_assignment(self, error: ErrorCode, message: str, now: Instant) -> None:
        for member in self._roster:
            member.assignment = b""
            if self._answer_sync(member, SyncAnswer(error, message)):
                self._expect_heartbeat(member, now)

    def _sync_phase_is_due(self, now: Instant) -> None:
        if self.state not in (GroupState.COMPLETING_REBALANCE, GroupState.STABLE) or not self._pending_sync:
            return
        late = sorted(self._pending_sync)
        for member_id in late:
            self._drop(member_id)
        self._prepare_rebalance(f"no SyncGroup came from {', '.join(late)}", now)

    # What both halves are made of

    @property
    def _current(self) -> Generation:
        return Generation(self.generation, self.protocol_type, self.protocol_name, self.since_ms)

    def _move_to(self, state: GroupState, now: Instant) -> None:
        assert state in TRANSITIONS[self.state], f"group {self.group_id}: {self.state} is never followed by {state}"
        self._previous_state, self.state, self.since_ms = self.state, state, now.wall_ms

    def _answer_join(self, member: Member, answer: JoinAnswer) -> None:
        ticket = self._roster.take_join(member)
        if ticket is not None:
            self._outbox.answer(ticket, answer)

    def _answer_sync(self, member: Member, answer: SyncAnswer) -> bool:
        if member.sync_ticket is None:
            return False
        self._outbox.answer(member.sync_ticket, answer)
        member.sync_ticket = None
        return True

    def _expect_heartbeat(self, member: Member, now: Instant) -> None:
        self._deadlines.set(session_of(member.member_id), now.monotonic_ms + member.session_timeout_ms)

    def _drop(self, member_id: str) -> None:
        """Out of the group; a member that is still there is told that it is unknown, and joins again."""
        member = self._roster.get(member_id)
        if member is not None:
            message = f"{member_id} is no longer a member of group {self.group_id}"
            self._answer_join(member, JoinAnswer(ErrorCode.UNKNOWN_MEMBER_ID, message))
            self._answer_sync(member, SyncAnswer(ErrorCode.UNKNOWN_MEMBER_ID, message))
        self._roster.remove(member_id)
        self._pending_sync.discard(member_id)
        self._deadlines.cancel(session_of(member_id))
