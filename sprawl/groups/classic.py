"""The classic consumer group: members share partitions by an assignment that one of them makes (KIP-134, 345, 394,
814).

In: what members ask (`join`, `sync`, `heartbeat`, `leave`, `check_commit`), that time passes (`tick`), that a record
was written or was not (`written`), that the group is deleted or no longer ours (`end`). Out: `Decisions`: tickets to
answer and records to write. No clock, no randomness, no I/O: `now` and fresh ids are passed in, and the shell arms
one timer at `wake_at_ms`. How one generation follows another is in generations.py, how static members return in
incarnations.py; here are the rules of who may do what when.

What is true at all times, and asserted or tested: every ticket is answered exactly once; a leader is a member;
members of one generation share a protocol; an assignment is answered only if it is in the log; the states follow
`TRANSITIONS`.
"""

from __future__ import annotations

import logging
from typing import Final

from sprawl.groups.deadlines import Due, session_of
from sprawl.groups.exchange import (
    NO_MEMBER,
    Decisions,
    GroupDescription,
    GroupLimits,
    Instant,
    JoinAnswer,
    JoinRequest,
    LeaveAnswer,
    Leaving,
    Left,
    StoredGroup,
    Strategy,
    SyncAnswer,
    SyncRequest,
    Ticket,
    WriteId,
)
from sprawl.groups.incarnations import Incarnations
from sprawl.groups.outbox import Assigned, BecameEmpty, Replaced
from sprawl.groups.portrait import described_members, restored_roster, subscribed_topics
from sprawl.groups.roster import Member
from sprawl.groups.states import CAN_REBALANCE, GroupState
from sprawl_protocol.errors import ApiError, ErrorCode

log: Final = logging.getLogger(__name__)


class ClassicGroup(Incarnations):
    @classmethod
    def restore(cls, group_id: str, limits: GroupLimits, stored: StoredGroup, now: Instant) -> ClassicGroup:
        """A group as its last record in the log has it. Its members get a whole session to report to this node."""
        group = cls(group_id, limits, now)
        group.stored = stored
        group.generation = stored.generation
        group.protocol_type = stored.protocol_type or None
        group.protocol_name = (stored.protocol_name or "") if stored.members else None
        group.since_ms = stored.since_ms
        group._roster = restored_roster(stored)
        group.state = GroupState.STABLE if stored.members else GroupState.EMPTY
        for member in group._roster:
            group._expect_heartbeat(member, now)
        group.subscribed_topics = subscribed_topics(group._roster, group._current)
        return group

    # What the outside may look at

    @property
    def wake_at_ms(self) -> float:
        """Monotonic; `tick` does nothing before. Infinity: nothing to wait for."""
        return self._deadlines.wake_at

    @property
    def members(self) -> tuple[Member, ...]:
        return tuple(self._roster)

    @property
    def leader(self) -> str | None:
        return self._roster.leader

    @property
    def pending_members(self) -> frozenset[str]:
        return frozenset(self._roster.pending)

    @property
    def is_blank(self) -> bool:
        """Nothing would be missed if it were forgotten."""
        return (
            self.state is GroupState.EMPTY
            and self.stored is None
            and not self._roster.pending
            and not any(self._outbox.open_purposes())
        )

    def is_subscribed_to(self, topic: str) -> bool:
        """In doubt (a consumer group whose metadata cannot be read), yes."""
        if self.subscribed_topics is None:
            return self.is_consumer_group
        return topic in self.subscribed_topics

    def describe(self) -> GroupDescription:
        shown = self.protocol_name if self.state is GroupState.STABLE else None
        return GroupDescription(
            group_id=self.group_id,
            state=self.state,
            protocol_type=self.protocol_type or "",
            protocol_name=shown or "",
            members=described_members(self._roster, shown),
        )

    # JoinGroup

    def join(self, ticket: Ticket, request: JoinRequest, now: Instant) -> Decisions:
        try:
            self._admit(request, now)
            if request.member_id == NO_MEMBER:
                self._join_new(ticket, request, now)
            elif request.member_id in self._roster.pending and request.instance_id is None:
                self._add(ticket, request.member_id, request, now)
            else:
                self._rejoin(ticket, request, now)
        except ApiError as refusal:
            known = NO_MEMBER if refusal.code is ErrorCode.GROUP_MAX_SIZE_REACHED else request.member_id
            self._outbox.answer(ticket, JoinAnswer(refusal.code, refusal.message, known))
        return self._outbox.take()

    def _admit(self, request: JoinRequest, now: Instant) -> None:
        self._must_live()
        if not self._has_room_for(request.member_id):
            self._drop(request.member_id)
            self._complete_join_if_all_came(now)
            raise ApiError(
                ErrorCode.GROUP_MAX_SIZE_REACHED,
                f"group {self.group_id} is full: group.max.size is {self._limits.max_size}",
            )
        if not self._supports(request.protocol_type, request.strategies):
            raise ApiError(
                ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
                f"group {self.group_id} is of protocol type {self.protocol_type!r} and shares no assignment protocol"
                f" with {[strategy.name for strategy in request.strategies]} of type {request.protocol_type!r}",
            )

    def _has_room_for(self, member_id: str) -> bool:
        if self.state is GroupState.EMPTY:
            return True
        member = self._roster.get(member_id)
        if self.state is GroupState.PREPARING_REBALANCE:
            # The size may be above a limit that was lowered: whoever comes last is the one to go.
            waits = member is not None and member.join_ticket is not None
            return waits or self._roster.awaiting_join < self._limits.max_size
        return member is not None or len(self._roster) < self._limits.max_size

    def _supports(self, protocol_type: str, strategies: tuple[Strategy, ...]) -> bool:
        if self.state is GroupState.EMPTY:
            return bool(protocol_type) and bool(strategies)
        names = (strategy.name for strategy in strategies)
        return self.protocol_type == protocol_type and self._roster.supported_by_all(names)

    def _join_new(self, ticket: Ticket, request: JoinRequest, now: Instant) -> None:
        replaced = self._roster.static_id(request.instance_id) if request.instance_id is not None else None
        if replaced is not None:
            self._replace_static(ticket, replaced, request, now)
        elif request.instance_id is None and request.must_return_with_id:
            self._roster.pending.add(request.fresh_id)
            self._deadlines.set(session_of(request.fresh_id), now.monotonic_ms + request.session_timeout_ms)
            message = "join again with the member id given here"
            self._outbox.answer(ticket, JoinAnswer(ErrorCode.MEMBER_ID_REQUIRED, message, request.fresh_id))
        else:
            self._add(ticket, request.fresh_id, request, now)

    def _rejoin(self, ticket: Ticket, request: JoinRequest, now: Instant) -> None:
        member = self._roster.require(request.member_id, request.instance_id, self.group_id)
        unchanged = member.strategies == request.strategies
        missed_its_answer = unchanged and self.state is GroupState.COMPLETING_REBALANCE
        follows = unchanged and self.state is GroupState.STABLE and member.member_id != self._roster.leader
        if missed_its_answer or follows:
            self._outbox.answer(ticket, self._joined(member))
        else:
            # A leader that joins again wants a new assignment, perhaps because topics have grown.
            self._roster.update(member, request)
            self._park_join(ticket, member)
            self._rebalance_or_complete(f"{member.member_id} joined again ({request.reason or 'no reason given'})", now)

    def _add(self, ticket: Ticket, member_id: str, request: JoinRequest, now: Instant) -> None:
        if self.state is GroupState.PREPARING_REBALANCE and self._previous_state is GroupState.EMPTY:
            self._newcomers = True
        if not len(self._roster):
            self.protocol_type = request.protocol_type
        self._roster.add(
            Member(
                member_id=member_id,
                instance_id=request.instance_id,
                client_id=request.client_id,
                client_host=request.client_host,
                rebalance_timeout_ms=request.rebalance_timeout_ms,
                session_timeout_ms=request.session_timeout_ms,
                strategies=request.strategies,
                is_new=True,
                join_ticket=ticket,
            )
        )
        self._deadlines.set(session_of(member_id), now.monotonic_ms + self._limits.new_member_join_timeout_ms)
        self._rebalance_or_complete(f"{member_id} is new ({request.reason or 'no reason given'})", now)

    # SyncGroup, Heartbeat, OffsetCommit

    def sync(self, ticket: Ticket, request: SyncRequest, now: Instant) -> Decisions:
        try:
            member = self._of_generation(request.member_id, request.instance_id, request.generation)
            self._must_agree(request.protocol_type, self.protocol_type)
            self._must_agree(request.protocol_name, self.protocol_name)
            self._must_not_rebalance()
            self._pending_sync.discard(member.member_id)
            if self.state is GroupState.STABLE:
                self._outbox.answer(ticket, self._synced(member))
            else:
                self._await_assignment(ticket, member, request.assignments)
        except ApiError as refusal:
            self._outbox.answer(ticket, SyncAnswer(refusal.code, refusal.message))
        return self._outbox.take()

    def _must_agree(self, theirs: str | None, ours: str | None) -> None:
        if theirs is not None and ours is not None and theirs != ours:
            raise ApiError(
                ErrorCode.INCONSISTENT_GROUP_PROTOCOL,
                f"generation {self.generation} of group {self.group_id} goes by {ours!r}, not {theirs!r}",
            )

    def heartbeat(self, member_id: str, instance_id: str | None, generation: int, now: Instant) -> None:
        """Raises ApiError: REBALANCE_IN_PROGRESS asks the member to join again."""
        self._expect_heartbeat(self._of_generation(member_id, instance_id, generation), now)
        self._must_not_rebalance()

    def check_commit(
        self, member_id: str, instance_id: str | None, generation: int, now: Instant, *, transactional: bool = False
    ) -> None:
        """Whether these offsets may be committed; a commit also counts as a heartbeat. Raises ApiError."""
        self._must_live()
        if generation < 0 and self.state is GroupState.EMPTY:
            return  # a consumer that assigns its own partitions, or an administrator
        if generation >= 0 or member_id != NO_MEMBER or instance_id is not None:
            member = self._of_generation(member_id, instance_id, generation)
            if not transactional and self.state is not GroupState.COMPLETING_REBALANCE:
                self._expect_heartbeat(member, now)
        elif not transactional:
            raise ApiError(
                ErrorCode.UNKNOWN_MEMBER_ID,
                f"group {self.group_id} has members ({self.state}): only they may commit, with their id and generation",
            )
        if not transactional and self.state is GroupState.COMPLETING_REBALANCE:
            raise self._is_rebalancing()

    def check_offset_deletion(self) -> None:
        """While there are members, only of topics that are known not to be read. Raises ApiError."""
        self._must_live()
        if self.state is not GroupState.EMPTY and not self.is_consumer_group:
            raise ApiError(
                ErrorCode.NON_EMPTY_GROUP,
                f"group {self.group_id} has members of protocol type {self.protocol_type!r}: which topics they read"
                " is not known; stop them first",
            )

    # LeaveGroup and the end of sessions

    def leave(self, ticket: Ticket, leaving: tuple[Leaving, ...], now: Instant) -> Decisions:
        try:
            self._must_live()
        except ApiError as refusal:
            self._outbox.answer(ticket, LeaveAnswer(refusal.code, refusal.message))
            return self._outbox.take()
        left = tuple(self._leave_one(each) for each in leaving)
        gone = [each.member_id or str(each.instance_id) for each in left if each.error is ErrorCode.NONE]
        if gone and self.state in (GroupState.STABLE, GroupState.COMPLETING_REBALANCE):
            self._prepare_rebalance(f"{', '.join(gone)} left", now)
        elif gone:
            self._complete_join_if_all_came(now)
        answer = LeaveAnswer(members=left)
        for purpose in self._outbox.not_handed_over():
            assert isinstance(purpose, BecameEmpty), "members leaving can only make a group empty"
            purpose.leave = (ticket, answer)
            break
        else:
            self._outbox.answer(ticket, answer)
        return self._outbox.take()

    def _leave_one(self, leaving: Leaving) -> Left:
        member_id = leaving.member_id
        try:
            if member_id == NO_MEMBER:
                found = self._roster.static_id(leaving.instance_id) if leaving.instance_id is not None else None
                if found is None:
                    message = f"group {self.group_id} knows no static member {leaving.instance_id}"
                    raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID, message)
                member_id = found
            elif member_id not in self._roster.pending:
                self._roster.require(member_id, leaving.instance_id, self.group_id)
        except ApiError as refusal:
            return Left(leaving.member_id, leaving.instance_id, refusal.code, refusal.message)
        log.info("group %s: %s leaves (%s)", self.group_id, member_id, leaving.reason or "no reason given")
        self._drop(member_id)
        return Left(leaving.member_id, leaving.instance_id)

    def _session_is_due(self, member_id: str, now: Instant) -> None:
        member = self._roster.get(member_id)
        if member is not None and member.waits_for_answer:
            return  # its session begins anew with the answer
        log.info("group %s: the session of %s is over", self.group_id, member_id)
        self._drop(member_id)
        if self.state is GroupState.PREPARING_REBALANCE:
            if self._roster.all_joined:
                self._complete_join(now)
        elif member is not None and self.state in CAN_REBALANCE:
            self._prepare_rebalance(f"the session of {member_id} is over", now)

    # Time, writes, the end

    def tick(self, now: Instant) -> Decisions:
        while (alarm := self._deadlines.take_due(now.monotonic_ms)) is not None:
            match alarm.due:
                case Due.JOIN_PHASE:
                    self._join_phase_is_due(now)
                case Due.SYNC_PHASE:
                    self._sync_phase_is_due(now)
                case Due.SESSION:
                    self._session_is_due(alarm.member_id, now)
        return self._outbox.take()

    def written(self, write_id: WriteId, error: ErrorCode | None, now: Instant) -> Decisions:
        """What was handed out to be written is in the log (None), or is not: then `error` is what clients are told."""
        reported = self._outbox.reported(write_id)
        if reported is None:
            assert self.state is GroupState.DEAD, f"write {write_id} of group {self.group_id} was reported twice"
            return self._outbox.take()
        purpose, stored = reported
        if error is None:
            self.stored = stored
        match purpose:
            case Assigned():
                self._assignment_was_written(purpose, error, now)
            case Replaced():
                self._replacement_was_written(purpose, error, now)
            case BecameEmpty(leave=(ticket, answer)):
                if error is not None:
                    answer = LeaveAnswer(error, "the members left, but that could not be written")
                self._outbox.answer(ticket, answer)
        return self._outbox.take()

    def end(self, error: ErrorCode, message: str, now: Instant) -> Decisions:
        """Deleted, or coordinated elsewhere from now on: all that wait are told so, and nothing is done any more."""
        for member in self._roster:
            self._answer_join(member, JoinAnswer(error, message, member.member_id))
            self._answer_sync(member, SyncAnswer(error, message))
        for purpose in self._outbox.open_purposes():
            if isinstance(purpose, BecameEmpty) and purpose.leave is not None:
                self._outbox.answer(purpose.leave[0], LeaveAnswer(error, message))
        self._outbox.forget_open()
        self._deadlines.clear()
        if self.state is not GroupState.DEAD:
            self._move_to(GroupState.DEAD, now)
        return self._outbox.take()

    def rebalance_if_too_large(self, now: Instant) -> Decisions:
        """After a restore under a lower `group.max.size`: all may commit once more before the last ones are refused."""
        if len(self._roster) > self._limits.max_size and self.state in CAN_REBALANCE:
            self._prepare_rebalance(f"{len(self._roster)} members, but group.max.size is {self._limits.max_size}", now)
        return self._outbox.take()

    # What a request must meet

    def _of_generation(self, member_id: str, instance_id: str | None, generation: int) -> Member:
        self._must_live()
        member = self._roster.require(member_id, instance_id, self.group_id)
        if generation != self.generation:
            raise ApiError(
                ErrorCode.ILLEGAL_GENERATION,
                f"group {self.group_id} is at generation {self.generation}, not {generation}: join again",
            )
        return member

    def _must_live(self) -> None:
        if self.state is GroupState.DEAD:
            raise ApiError(
                ErrorCode.COORDINATOR_NOT_AVAILABLE,
                f"group {self.group_id} has just been deleted or moved: find its coordinator again",
            )

    def _must_not_rebalance(self) -> None:
        if self.state is GroupState.PREPARING_REBALANCE:
            raise self._is_rebalancing()

    def _is_rebalancing(self) -> ApiError:
        return ApiError(ErrorCode.REBALANCE_IN_PROGRESS, f"group {self.group_id} is rebalancing: join again")
