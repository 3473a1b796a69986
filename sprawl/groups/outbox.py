"""What a group has decided and not yet handed over, and which of its writes have not been reported back.

In: answers to tickets, records to write with the purpose each serves. Out: `Decisions`, and the purpose again when the
shell reports a write. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sprawl.groups.exchange import (
    Answer,
    Decisions,
    GroupWrite,
    LeaveAnswer,
    StoredGroup,
    Strategy,
    Ticket,
    WriteId,
)


@dataclass(slots=True)
class BecameEmpty:
    """Whoever left last is answered once that is written."""

    leave: tuple[Ticket, LeaveAnswer] | None = None


@dataclass(frozen=True, slots=True)
class Assigned:
    generation: int
    leader: str
    assignments: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Replaced:
    """A static member came back under a new id to a stable group. What to go back to if that cannot be written."""

    generation: int
    old_id: str
    new_id: str
    strategies: tuple[Strategy, ...]
    rebalance_timeout_ms: int
    session_timeout_ms: int
    may_skip_assignment: bool


Purpose = BecameEmpty | Assigned | Replaced


class Outbox:
    __slots__ = ("_answers", "_last_id", "_new", "_open")

    def __init__(self) -> None:
        self._answers: list[tuple[Ticket, Answer]] = []
        self._new: list[GroupWrite] = []
        self._open: dict[WriteId, tuple[Purpose, StoredGroup]] = {}
        self._last_id = 0

    def answer(self, ticket: Ticket, answer: Answer) -> None:
        self._answers.append((ticket, answer))

    def write(self, purpose: Purpose, stored: StoredGroup) -> None:
        self._last_id += 1
        write_id = WriteId(self._last_id)
        self._open[write_id] = (purpose, stored)
        self._new.append(GroupWrite(write_id, stored))

    def take(self) -> Decisions:
        decisions = Decisions(tuple(self._answers), tuple(self._new))
        self._answers.clear()
        self._new.clear()
        return decisions

    def reported(self, write_id: WriteId) -> tuple[Purpose, StoredGroup] | None:
        return self._open.pop(write_id, None)

    def open_purposes(self) -> Iterator[Purpose]:
        return (purpose for purpose, _ in self._open.values())

    def not_handed_over(self) -> Iterator[Purpose]:
        return (self._open[write.id][0] for write in self._new)

    def forget_open(self) -> None:
        self._open.clear()
        self._new.clear()
