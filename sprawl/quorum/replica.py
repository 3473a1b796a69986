"""This node's replica of the metadata: the Raft state machine beside the log it decides about.

Everything that concerns the quorum's safety passes through `decide`: it runs one event through the machine and then
carries out what follows, in order, the vote on disk before anything else. Nothing here waits; what must wait (asking
others, fetching) is handed to the callbacks. While the log is being mended (cut, replaced by a snapshot) the machine is
not told anything that could make this replica a leader: see `mended`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from sprawl.quorum.history import MetadataHistory
from sprawl.quorum.metadata_log import MetadataLog
from sprawl.quorum.raft import Announce, AskForVote, Commit, Follow, Keep, Lead, Raft, RaftTimeouts, Role, StopLeading
from sprawl.quorum.state import QuorumState, keep
from sprawl.quorum.voters import ReplicaKey, Voters
from sprawl.runtime import Clock, SmallState

R = TypeVar("R")


class _Position:
    """What the machine may ask of the log."""

    def __init__(self, log: MetadataLog, history: MetadataHistory) -> None:
        self._log = log
        self._history = history

    @property
    def end_offset(self) -> int:
        return self._log.end_offset

    @property
    def durable_offset(self) -> int:
        return self._log.durable_offset

    @property
    def start_offset(self) -> int:
        return self._log.start_offset

    @property
    def last_epoch(self) -> int:
        return self._log.last_epoch

    @property
    def writable(self) -> bool:
        return self._log.writable

    @property
    def voters(self) -> Voters:
        return self._history.voters

    def end_of_epoch(self, epoch: int) -> tuple[int, int]:
        return self._log.end_of_epoch(epoch)


class QuorumReplica:
    def __init__(
        self,
        cluster_id: str,
        me: ReplicaKey,
        log: MetadataLog,
        history: MetadataHistory,
        state: SmallState,
        clock: Clock,
    ) -> None:
        self.cluster_id = cluster_id
        self.me = me
        self.log = log
        self.history = history
        self.clock = clock
        self.mended = asyncio.Event()
        self.mended.set()
        self.on_lead: Callable[[Lead], None] = _ignore
        self.on_stop_leading: Callable[[StopLeading], None] = _ignore
        self.on_follow: Callable[[Follow], None] = _ignore
        self.on_ask: Callable[[AskForVote], None] = _ignore
        self.on_announce: Callable[[Announce], None] = _ignore
        self.on_commit: Callable[[int], None] = _ignore
        self.on_failure: Callable[[str], None] = _ignore
        self._state = state
        self._raft: Raft | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    @property
    def raft(self) -> Raft:
        assert self._raft is not None, "start() comes first"
        return self._raft

    @property
    def started(self) -> bool:
        return self._raft is not None

    @property
    def leading(self) -> bool:
        return self._raft is not None and self._raft.role is Role.LEADER

    def start(self, state: QuorumState, timeouts: RaftTimeouts, jitter: Callable[[], float]) -> None:
        position = _Position(self.log, self.history)
        self._raft = Raft(self.me, state, position, timeouts, jitter, self.clock.monotonic())
        self._carry_out()

    def stop(self) -> None:
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def decide(self, event: Callable[[Raft, float], R]) -> R:
        """Run one event through the machine, and carry out what follows before its answer is given to anybody.

        Raises `OSError` if the state could not be made durable: the node has failed then.
        """
        answer = event(self.raft, self.clock.monotonic())
        self._carry_out()
        return answer

    def note_begun(self) -> None:
        """The log has held a committed record: from now on an empty log is a lost log."""
        raft = self.raft
        if not raft.state.begun:
            raft.state = replace(raft.state, begun=True)
            self._keep(raft.state)

    def _carry_out(self) -> None:
        raft = self.raft
        while effects := raft.take_effects():
            for effect in effects:
                match effect:
                    case Keep(state):
                        self._keep(state)
                    case Lead():
                        self.on_lead(effect)
                    case StopLeading():
                        self.on_stop_leading(effect)
                    case Follow():
                        self.on_follow(effect)
                    case AskForVote():
                        self.on_ask(effect)
                    case Announce():
                        self.on_announce(effect)
                    case Commit(high_watermark):
                        self.on_commit(high_watermark)
        self._set_timer()

    def _keep(self, state: QuorumState) -> None:
        try:
            keep(self._state, state)
        except OSError as problem:
            self._stopped = True
            self.on_failure(f"the quorum's epoch and vote cannot be kept: {problem}")
            raise

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._stopped:
            self._timer = asyncio.get_running_loop().call_at(max(self.raft.deadline, 0), self._tick)

    def _tick(self) -> None:
        if self._stopped:
            return
        if not self.mended.is_set():
            self._timer = asyncio.get_running_loop().call_later(0.01, self._tick)
            return
        try:
            self.decide(lambda raft, now: raft.tick(now))
        except Exception as problem:  # noqa: BLE001 - whatever it is, this replica can't go on
            self.on_failure(f"the metadata quorum broke: {problem!r}")


def _ignore(_: object) -> None:
    pass
