"""A static member that comes back: a new process in an old place (KIP-345, KIP-814).

A member with a `group.instance.id` keeps its place and its assignment over a restart. Its new incarnation gets a new
member id; the old one is fenced. While the group is stable that needs no rebalance, only a record of the new id, and
the answer waits for that. The middle part of `ClassicGroup`, between generations.py and classic.py.
"""

from __future__ import annotations

from dataclasses import replace

from sprawl.groups.deadlines import session_of
from sprawl.groups.exchange import Instant, JoinAnswer, JoinRequest, Strategy, SyncAnswer, Ticket
from sprawl.groups.generations import Generations
from sprawl.groups.outbox import Replaced
from sprawl.groups.portrait import stored_group
from sprawl.groups.roster import Member
from sprawl.groups.states import GroupState
from sprawl.groups.subscription import CONSUMER_PROTOCOL_TYPE, topics_of
from sprawl_protocol.errors import ErrorCode


class Incarnations(Generations):
    @property
    def is_consumer_group(self) -> bool:
        return self.protocol_type == CONSUMER_PROTOCOL_TYPE

    def _replace_static(self, ticket: Ticket, old_id: str, request: JoinRequest, now: Instant) -> None:
        """The process behind a `group.instance.id` restarted: the new one takes the place, the old one is fenced."""
        member = self._roster[old_id]
        fenced = f"{request.instance_id} of group {self.group_id} joined again as {request.fresh_id}"
        self._answer_join(member, JoinAnswer(ErrorCode.FENCED_INSTANCE_ID, fenced, old_id))
        self._answer_sync(member, SyncAnswer(ErrorCode.FENCED_INSTANCE_ID, fenced))
        was = Replaced(
            generation=self.generation,
            old_id=old_id,
            new_id=request.fresh_id,
            strategies=member.strategies,
            rebalance_timeout_ms=member.rebalance_timeout_ms,
            session_timeout_ms=member.session_timeout_ms,
            may_skip_assignment=request.may_skip_assignment,
        )
        self._rename(old_id, request.fresh_id)
        self._roster.update(member, request)
        member.is_new = False
        self._expect_heartbeat(member, now)
        self._park_join(ticket, member)
        if self.state is GroupState.STABLE and self._changes_nothing(was.strategies, member):
            assignments = {each.member_id: each.assignment for each in self._roster}
            self._outbox.write(was, stored_group(self._current, self._roster, assignments))
        else:
            # In CompletingRebalance too: the leader may be working on an assignment for the old id.
            self._rebalance_or_complete(f"static member {request.instance_id} is back as {request.fresh_id}", now)

    def _changes_nothing(self, former: tuple[Strategy, ...], member: Member) -> bool:
        """Whether the assignment can stand: same elected protocol, same topics.

        The metadata as a whole may well differ (partitions owned, user data): a restart must not cause a rebalance.
        """
        assert self.protocol_name is not None, "a stable group has a protocol"
        if self._roster.elect_protocol() != self.protocol_name:
            return False
        if not self.is_consumer_group:
            return True
        before = next((each.metadata for each in former if each.name == self.protocol_name), b"")
        return topics_of(before) == topics_of(member.metadata(self.protocol_name))

    def _replacement_was_written(self, purpose: Replaced, error: ErrorCode | None, now: Instant) -> None:
        member = self._roster.get(purpose.new_id)
        if self.state is not GroupState.STABLE or self.generation != purpose.generation or member is None:
            return  # a rebalance has begun meanwhile: it takes the new member's JoinGroup along
        if error is None:
            answer = self._joined(member)
            if member.member_id == self._roster.leader:
                if purpose.may_skip_assignment:
                    answer = replace(answer, skip_assignment=True)
                else:
                    # Told that it leads, it would make an assignment that nobody asked for: name its former self.
                    answer = replace(answer, leader=purpose.old_id, members=())
            self._answer_join(member, answer)
        else:
            message = f"that {purpose.new_id} takes the place of {purpose.old_id} could not be written"
            self._answer_join(member, JoinAnswer(error, message))
            self._roster.set_strategies(member, purpose.strategies)
            member.rebalance_timeout_ms = purpose.rebalance_timeout_ms
            member.session_timeout_ms = purpose.session_timeout_ms
            self._rename(purpose.new_id, purpose.old_id)
        self._expect_heartbeat(member, now)

    def _rename(self, old_id: str, new_id: str) -> None:
        self._deadlines.cancel(session_of(old_id))
        self._roster.rename(old_id, new_id)
        if old_id in self._pending_sync:
            self._pending_sync.remove(old_id)
            self._pending_sync.add(new_id)

    def _park_join(self, ticket: Ticket, member: Member) -> None:
        message = "a later JoinGroup took its place"
        self._answer_join(member, JoinAnswer(ErrorCode.REBALANCE_IN_PROGRESS, message, member.member_id))
        self._roster.park_join(member, ticket)
