"""Who leads the metadata quorum, and what is committed: KIP-595's pull-based Raft as a plain state machine.

All that changes a replica's role, epoch or vote lives here. Events and `now` (seconds, monotonic) come in as method
calls; what must be done comes out of `take_effects`, in the order in which it must be done. Nothing here does I/O:
`RaftLog` tells what the replica's log holds, `quorum.py` carries out the effects.

    UNATTACHED ---- timeout ----> PROSPECTIVE -- majority of pre-votes --> CANDIDATE -- majority of votes --> LEADER
        ^  ^                        |     ^                                   |                                 |
        |  +------ rejected --------+     +----------- timeout, rejected -----+                                 |
        |                                 |                                                                     |
        |                              timeout                                                                  |
        +-- no leader known --> FOLLOWER -+            <-------- a higher epoch, from anywhere -----------------+
                                                                 or no majority has fetched: UNATTACHED

What keeps it safe:
- An epoch has one leader: a vote is kept (`Keep`) before it is answered, and is given once in an epoch.
- A leader has everything committed: votes go only to logs that are as long as the voter's (Raft, section 5.4.1).
- Only what was written in the leader's own epoch commits by counting; the rest along with it (Raft, section 5.4.2).
- An offset counts for a replica once it is on stable storage there.
What keeps it calm: a pre-vote (KIP-996), so that a node which was cut off does not disturb; check-quorum, so that a
leader which was cut off stops. Voters change one at a time and are judged from the log (KIP-853): `RaftLog.voters`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, Protocol

from sprawl.quorum.identifiers import text_of, uuid_of
from sprawl.quorum.state import NOBODY, QuorumState
from sprawl.quorum.voters import ReplicaKey, Voters
from sprawl_protocol.errors import ErrorCode


class Role(Enum):
    UNATTACHED = "unattached"
    FOLLOWER = "follower"
    PROSPECTIVE = "prospective"
    CANDIDATE = "candidate"
    LEADER = "leader"


@dataclass(frozen=True, slots=True)
class RaftTimeouts:
    """Seconds."""

    election: float = 0.5
    """Of a candidate, and at least that long between elections; up to twice that, at random."""
    fetch: float = 1.0
    """How long a follower believes in a leader it does not hear from."""

    @property
    def check_quorum(self) -> float:
        """How long a leader believes in itself without a majority fetching."""
        return 1.5 * self.fetch


class RaftLog(Protocol):
    """What this replica's log holds. Offsets are exclusive ends."""

    @property
    def end_offset(self) -> int: ...
    @property
    def durable_offset(self) -> int: ...
    @property
    def start_offset(self) -> int: ...
    @property
    def last_epoch(self) -> int:
        """Of the last batch, or of the snapshot that stands before the log; 0 if there is neither."""
        ...

    @property
    def writable(self) -> bool:
        """Whether the disk takes what is appended, as far as that is known."""
        ...

    @property
    def voters(self) -> Voters:
        """The newest in the log, committed or not."""
        ...

    def end_of_epoch(self, epoch: int) -> tuple[int, int]:
        """The largest epoch in the log that is not above `epoch`, and where it ends.

        (-1, -1) if only a snapshot could say; `epoch` itself, ending at 0, if the log has nothing so old.
        """
        ...


# -- decisions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Keep:
    """Make the state durable. Whatever follows, and the answer to the event, must wait for it."""

    state: QuorumState


@dataclass(frozen=True, slots=True)
class AskForVote:
    voter: ReplicaKey
    epoch: int
    """With a pre-vote: the present one, else the one to lead."""
    last_epoch: int
    end_offset: int
    pre_vote: bool


@dataclass(frozen=True, slots=True)
class Announce:
    """BeginQuorumEpoch: tell a voter who leads, for it does not fetch."""

    voter: ReplicaKey
    epoch: int


@dataclass(frozen=True, slots=True)
class Lead:
    """This replica leads `epoch` from now on: it must append the epoch's first record at once."""

    epoch: int
    granted_by: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class StopLeading:
    epoch: int
    reason: str


@dataclass(frozen=True, slots=True)
class Follow:
    """Fetch from `leader_id`; NOBODY: nobody is known to lead."""

    leader_id: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything below is committed."""

    high_watermark: int


Effect = Keep | AskForVote | Announce | Lead | StopLeading | Follow | Commit


@dataclass(frozen=True, slots=True)
class VoteAnswer:
    error: ErrorCode
    granted: bool
    epoch: int
    leader_id: int


class Verdict(Enum):
    READ = "read"
    DIVERGED = "diverged"
    SNAPSHOT = "snapshot"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class FetchAnswer:
    verdict: Verdict
    error: ErrorCode = ErrorCode.NONE
    diverging_epoch: int = -1
    diverging_end: int = -1


@dataclass(slots=True)
class Progress:
    """Of a replica, as its leader knows it."""

    end_offset: int = -1
    """-1: it has not fetched from this leader yet."""
    last_fetch: float = 0.0
    last_caught_up: float = 0.0


_NOT_FETCHED: Final = -1


class Raft:
    def __init__(
        self,
        me: ReplicaKey,
        state: QuorumState,
        log: RaftLog,
        timeouts: RaftTimeouts,
        jitter: Callable[[], float],
        now: float,
    ) -> None:
        """`state` is what was kept. A replica that led begins anew: its epoch is over. `jitter`: 0 to 1, by chance."""
        self.me = me
        self.state = state
        self.role = Role.UNATTACHED
        self.high_watermark = 0
        self.epoch_start = -1
        """Of the epoch that this replica leads: the offset of its first record."""
        self.progress: dict[ReplicaKey, Progress] = {}
        """While leading: of every replica that fetches."""
        self.deadline = 0.0
        """When `tick` is due next."""
        self._log = log
        self._timeouts = timeouts
        self._jitter = jitter
        self._grants: dict[ReplicaKey, bool] = {}
        self._heard = False
        """As a follower: whether the leader has answered in this epoch."""
        self._effects: list[Effect] = []
        if state.leader_id not in (NOBODY, me.node_id):
            self._become_follower(state.epoch, state.leader_id, now)
        elif self._alone:
            self._become_candidate(now)
        else:
            self._become_unattached(state.epoch, now)

    @property
    def epoch(self) -> int:
        return self.state.epoch

    @property
    def leader_id(self) -> int:
        return self.state.leader_id

    @property
    def is_voter(self) -> bool:
        return self.me in self._log.voters

    @property
    def _alone(self) -> bool:
        return self._log.voters.keys == {self.me}

    def take_effects(self) -> list[Effect]:
        effects, self._effects = self._effects, []
        return effects

    # -- time ---------------------------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        if now < self.deadline:
            return
        match self.role:
            case Role.LEADER:
                self._check_quorum(now)
            case _ if not self.is_voter:
                self._become_unattached(self.epoch, now)  # look for the leader elsewhere
            case Role.UNATTACHED | Role.FOLLOWER | Role.PROSPECTIVE | Role.CANDIDATE:
                self._become_prospective(now)

    def _check_quorum(self, now: float) -> None:
        """A leader that no majority fetches from steps down: its successor may lead already."""
        oldest = now - self._timeouts.check_quorum
        present = sum(
            key == self.me or self.progress[key].last_fetch > oldest
            for key in self._log.voters.keys
            if key == self.me or key in self.progress
        )
        if present < self._log.voters.majority:
            self._stop_leading(f"no majority of the voters has fetched for {self._timeouts.check_quorum:g} s", now)
            return
        for key in sorted(self._log.voters.keys - {self.me}):
            if key not in self.progress or self.progress[key].last_fetch <= now - self._timeouts.fetch / 2:
                self._effects.append(Announce(key, self.epoch))
        self.deadline = now + self._timeouts.fetch / 4

    # -- votes --------------------------------------------------------------------------------------------------

    def vote_requested(
        self, candidate: ReplicaKey, epoch: int, last_epoch: int, end_offset: int, *, pre_vote: bool, now: float
    ) -> VoteAnswer:
        if epoch < self.epoch:
            return self._vote(ErrorCode.FENCED_LEADER_EPOCH, False)
        if epoch > self.epoch:
            self._become_unattached(epoch, now)
        up_to_date = (last_epoch, end_offset) >= (self._log.last_epoch, self._log.end_offset)
        if pre_vote:
            # Whoever hears from a leader sees no need for another. The state stays as it is.
            content = self.role is Role.LEADER or (self.role is Role.FOLLOWER and self._heard)
            return self._vote(ErrorCode.NONE, up_to_date and not content)
        voted = self.state.voted_id != NOBODY
        repeated = voted and self._voted_for() == candidate
        free = not voted and self.leader_id == NOBODY
        if not (repeated or (free and up_to_date)):
            return self._vote(ErrorCode.NONE, False)
        if not repeated:
            self._keep(self.state.voting_for(candidate.node_id, text_of(candidate.directory_id), epoch))
            self.deadline = now + self._election_timeout()
        return self._vote(ErrorCode.NONE, True)

    def _vote(self, error: ErrorCode, granted: bool) -> VoteAnswer:
        return VoteAnswer(error, granted, self.epoch, self.leader_id)

    def _voted_for(self) -> ReplicaKey:
        return ReplicaKey(self.state.voted_id, uuid_of(self.state.voted_directory_id))

    def vote_answered(self, voter: ReplicaKey, asked: AskForVote, answer: VoteAnswer, now: float) -> None:
        self.epoch_seen(answer.epoch, answer.leader_id, now)
        expected = Role.PROSPECTIVE if asked.pre_vote else Role.CANDIDATE
        if self.role is not expected or self.epoch != asked.epoch or voter not in self._log.voters:
            return
        self._grants[voter] = answer.granted and answer.error is ErrorCode.NONE
        self._count(now)

    def _count(self, now: float) -> None:
        voters = self._log.voters
        granted = sum(self._grants.get(key, False) for key in voters.keys)
        refused = sum(not self._grants.get(key, True) for key in voters.keys)
        if granted >= voters.majority:
            if self.role is Role.PROSPECTIVE:
                self._become_candidate(now)
            else:
                self._become_leader(now)
        elif len(voters) - refused < voters.majority:
            self._become_unattached(self.epoch, now)

    # -- the leader's word ----------------------------------------------------------------------------------------

    def epoch_seen(self, epoch: int, leader_id: int, now: float) -> None:
        """Another replica is in `epoch`, and believes that `leader_id` leads it.

        Who stands for election has waited for that leader long enough: only a later epoch, or the leader's own word
        (`epoch_begun`), changes its mind. Else replicas could send each other back to a leader that is gone, for ever.
        """
        if epoch < self.epoch or leader_id == self.me.node_id:
            return
        if leader_id != NOBODY and (epoch > self.epoch or self.role is Role.UNATTACHED):
            self._become_follower(epoch, leader_id, now)
        elif epoch > self.epoch:
            self._become_unattached(epoch, now)

    def epoch_begun(self, leader_id: int, epoch: int, now: float) -> ErrorCode:
        """BeginQuorumEpoch: `leader_id` says that it leads."""
        if epoch < self.epoch:
            return ErrorCode.FENCED_LEADER_EPOCH
        if (leader_id, epoch) != (self.leader_id, self.epoch) and leader_id != self.me.node_id:
            self._become_follower(epoch, leader_id, now)
        return ErrorCode.NONE

    def epoch_ended(self, leader_id: int, epoch: int, successors: list[ReplicaKey], now: float) -> ErrorCode:
        """EndQuorumEpoch: the leader steps down. The first of its preferred successors stands at once, the others in
        turn."""
        if epoch < self.epoch:
            return ErrorCode.FENCED_LEADER_EPOCH
        self.epoch_seen(epoch, leader_id, now)
        if self.role is Role.FOLLOWER and self.is_voter:
            place = successors.index(self.me) if self.me in successors else len(successors)
            self._become_unattached(self.epoch, now)
            self.deadline = now + place * self._timeouts.election
        return ErrorCode.NONE

    def leader_heard(self, leader_id: int, epoch: int, high_watermark: int, now: float) -> None:
        """The leader has answered a fetch."""
        if self.role is Role.FOLLOWER and (leader_id, epoch) == (self.leader_id, self.epoch):
            self._heard = True
            self.deadline = now + self._timeouts.fetch
            self._commit(min(high_watermark, self._log.end_offset))

    # -- leading --------------------------------------------------------------------------------------------------

    def fetch_requested(self, replica: ReplicaKey, epoch: int, offset: int, last_epoch: int, now: float) -> FetchAnswer:
        """A replica fetches from `offset` on; it has everything below on stable storage, the last in `last_epoch`."""
        if epoch < self.epoch:
            return FetchAnswer(Verdict.REFUSED, ErrorCode.FENCED_LEADER_EPOCH)
        if epoch > self.epoch:
            return FetchAnswer(Verdict.REFUSED, ErrorCode.UNKNOWN_LEADER_EPOCH)
        if self.role is not Role.LEADER:
            return FetchAnswer(Verdict.REFUSED, ErrorCode.NOT_LEADER_OR_FOLLOWER)
        progress = self.progress.setdefault(replica, Progress())
        progress.last_fetch = now
        if offset < self._log.start_offset or (offset == 0 and self._log.start_offset > 0):
            return FetchAnswer(Verdict.SNAPSHOT)
        found, end = self._log.end_of_epoch(last_epoch)
        if offset > 0 and (found != last_epoch or end < offset):
            if found < 0:
                return FetchAnswer(Verdict.SNAPSHOT)
            return FetchAnswer(Verdict.DIVERGED, diverging_epoch=found, diverging_end=end)
        progress.end_offset = max(progress.end_offset, offset)
        if offset >= self._log.end_offset:
            progress.last_caught_up = now
        self.advance()
        return FetchAnswer(Verdict.READ)

    def advance(self) -> None:
        """This replica's log, or another's, has grown: what does a majority have?"""
        if self.role is not Role.LEADER:
            return
        held = sorted((self._held_by(key) for key in self._log.voters.keys), reverse=True)
        if not held:
            return
        reached = held[self._log.voters.majority - 1]
        if reached > self.epoch_start:
            self._commit(reached)

    def _held_by(self, key: ReplicaKey) -> int:
        if key == self.me:
            return self._log.durable_offset
        progress = self.progress.get(key)
        return _NOT_FETCHED if progress is None else progress.end_offset

    def _commit(self, offset: int) -> None:
        if offset > self.high_watermark:
            self.high_watermark = offset
            self._effects.append(Commit(offset))

    def resign(self, reason: str, now: float) -> None:
        """Step down by choice: this node stops, is no voter any more, or its disk takes nothing."""
        if self.role is Role.LEADER:
            self._stop_leading(reason, now)

    def successors(self) -> list[ReplicaKey]:
        """The other voters, those with the longest logs first."""
        return sorted(self._log.voters.keys - {self.me}, key=lambda key: (-self._held_by(key), key))

    # -- transitions ------------------------------------------------------------------------------------------------

    def _become_unattached(self, epoch: int, now: float) -> None:
        self._leave_lead(f"epoch {epoch} has begun elsewhere")
        if epoch > self.epoch or self.leader_id != NOBODY:
            voted = self.state if epoch == self.epoch else replace(self.state, voted_id=NOBODY, voted_directory_id="")
            self._keep(replace(voted, epoch=epoch, leader_id=NOBODY))
        self.role = Role.UNATTACHED
        self.deadline = now + self._election_timeout()
        self._effects.append(Follow(NOBODY, epoch))

    def _become_follower(self, epoch: int, leader_id: int, now: float) -> None:
        self._leave_lead(f"node {leader_id} leads epoch {epoch}")
        voted = self.state if epoch == self.epoch else replace(self.state, voted_id=NOBODY, voted_directory_id="")
        self._keep(replace(voted, epoch=epoch, leader_id=leader_id))
        self.role = Role.FOLLOWER
        self._heard = False
        self.deadline = now + self._timeouts.fetch
        self._effects.append(Follow(leader_id, epoch))

    def _become_prospective(self, now: float) -> None:
        """Ask whether the others would vote, before anything is disturbed."""
        if self._alone:
            self._become_candidate(now)
            return
        if not self._log.writable:
            self._become_unattached(self.epoch, now)  # as a leader it could not even begin its epoch
            return
        if self.leader_id != NOBODY:
            self._keep(replace(self.state, leader_id=NOBODY))
        self.role = Role.PROSPECTIVE
        self._effects.append(Follow(NOBODY, self.epoch))
        self._stand(now, pre_vote=True)

    def _become_candidate(self, now: float) -> None:
        self.role = Role.CANDIDATE
        self._keep(self.state.voting_for(self.me.node_id, text_of(self.me.directory_id), self.epoch + 1))
        self._stand(now, pre_vote=False)

    def _stand(self, now: float, *, pre_vote: bool) -> None:
        self.deadline = now + self._election_timeout()
        self._grants = {self.me: True}
        for voter in sorted(self._log.voters.keys - {self.me}):
            self._effects.append(
                AskForVote(voter, self.epoch, self._log.last_epoch, self._log.end_offset, pre_vote=pre_vote)
            )
        self._count(now)

    def _become_leader(self, now: float) -> None:
        self._keep(self.state.led_by(self.me.node_id, self.epoch))
        self.role = Role.LEADER
        self.epoch_start = self._log.end_offset
        self.progress = {key: Progress(last_fetch=now, last_caught_up=now) for key in self._log.voters.keys - {self.me}}
        self.deadline = now + self._timeouts.fetch / 4
        granted = tuple(sorted(key.node_id for key, granted in self._grants.items() if granted))
        self._effects.append(Lead(self.epoch, granted))
        self._effects += [Announce(key, self.epoch) for key in sorted(self.progress)]

    def _stop_leading(self, reason: str, now: float) -> None:
        self._leave_lead(reason)
        self._become_unattached(self.epoch, now)

    def _leave_lead(self, reason: str) -> None:
        if self.role is Role.LEADER:
            self.role = Role.UNATTACHED
            self.progress = {}
            self.epoch_start = -1
            self._effects.append(StopLeading(self.epoch, reason))

    def _keep(self, state: QuorumState) -> None:
        if state != self.state:
            self.state = state
            self._effects.append(Keep(state))

    def _election_timeout(self) -> float:
        return self._timeouts.election * (1 + self._jitter())
