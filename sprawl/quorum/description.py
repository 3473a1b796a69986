"""Voters and observers of the metadata quorum as its leader knows them: what DescribeQuorum tells (KIP-595, KIP-836).

In: the state machine, the voters, the time. Out: offsets and times; of the others, only the leader knows any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sprawl.quorum.raft import Raft
from sprawl.quorum.voters import ReplicaKey, Voters
from sprawl.runtime import Clock

_OBSERVED: Final = 300.0
"""Seconds: who has not fetched for so long observes no more."""


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """One voter or observer, as the leader knows it."""

    node_id: int
    directory_id: UUID
    log_end_offset: int
    """-1 if it has not fetched from this leader."""
    last_fetch_ms: int
    last_caught_up_ms: int


@dataclass(frozen=True, slots=True)
class QuorumDescription:
    leader_id: int
    epoch: int
    high_watermark: int
    voters: tuple[ReplicaState, ...]
    observers: tuple[ReplicaState, ...]


def describe(raft: Raft, voters: Voters, end_offset: int, clock: Clock) -> QuorumDescription:
    """`end_offset`: of this node's own log."""
    now = clock.monotonic()
    state = _states(raft, end_offset, now, clock.wall_ms())
    observers = sorted(k for k, p in raft.progress.items() if k not in voters and now - p.last_fetch <= _OBSERVED)
    return QuorumDescription(
        leader_id=raft.leader_id,
        epoch=raft.epoch,
        high_watermark=raft.high_watermark,
        voters=tuple(state(key) for key in sorted(voters.keys)),
        observers=tuple(state(key) for key in observers),
    )


def _states(raft: Raft, end_offset: int, now: float, now_ms: int) -> Callable[[ReplicaKey], ReplicaState]:
    def state(key: ReplicaKey) -> ReplicaState:
        if key == raft.me:
            return ReplicaState(key.node_id, key.directory_id, end_offset, now_ms, now_ms)
        known = raft.progress.get(key)
        if known is None or known.end_offset < 0:
            return ReplicaState(key.node_id, key.directory_id, -1, -1, -1)
        fetched, caught_up = (
            now_ms - int((now - each) * 1000) if each else -1 for each in (known.last_fetch, known.last_caught_up)
        )
        return ReplicaState(key.node_id, key.directory_id, known.end_offset, fetched, caught_up)

    return state
