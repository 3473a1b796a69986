"""What a voter must never forget: its epoch, and whom it voted for in it (KIP-595's quorum state).

Kept in the node's small state, durable before anything is done or said because of it. A voter that forgot could vote
twice in one epoch, and two leaders could commit different records.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Final

from sprawl.runtime import SmallState

_KEY: Final = "quorum"
NOBODY: Final = -1


@dataclass(frozen=True, slots=True)
class QuorumState:
    epoch: int = 0
    leader_id: int = NOBODY
    voted_id: int = NOBODY
    voted_directory_id: str = ""
    begun: bool = False
    """Whether this node's log has ever held a committed record: then an empty log is a lost log."""

    def voting_for(self, voter_id: int, directory_id: str, epoch: int) -> QuorumState:
        """The first vote in an epoch, or the same vote again. Any other is a bug in the caller."""
        free = epoch > self.epoch or (epoch == self.epoch and self.voted_id == NOBODY)
        same = (epoch, voter_id, directory_id) == (self.epoch, self.voted_id, self.voted_directory_id)
        assert free or same, f"a second vote in epoch {epoch}"
        return replace(self, epoch=epoch, leader_id=NOBODY, voted_id=voter_id, voted_directory_id=directory_id)

    def led_by(self, leader_id: int, epoch: int) -> QuorumState:
        assert epoch >= self.epoch, f"epoch {epoch} is behind {self.epoch}"
        return replace(self, epoch=epoch, leader_id=leader_id)


def state_in(state: SmallState) -> QuorumState:
    found = state.get(_KEY)
    return QuorumState() if found is None else QuorumState(**found)


def keep(state: SmallState, quorum: QuorumState) -> None:
    """Durable on return. Raises `OSError`."""
    state[_KEY] = asdict(quorum)
