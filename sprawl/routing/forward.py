"""Passing requests on: the parts of one request go to the nodes that can answer them, and their answers become one.

In: a request in parts, each with the node that should answer it. Out: an answer for every part. A part whose outcome is
known to be "not done" is sent again, to whoever should answer it by then, until the deadline; one whose outcome is not
known is sent again only where that cannot do anything twice. Parts for one node go together, in the client's order,
over a link that this client's connection has for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from sprawl.runtime import Clock
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError, ErrorCode

P = TypeVar("P")
A = TypeVar("A")

NOBODY: Final = -1
_PAUSE: Final = 0.03
_MOVED: Final = frozenset(
    {
        ErrorCode.NOT_LEADER_OR_FOLLOWER,
        ErrorCode.LEADER_NOT_AVAILABLE,
        ErrorCode.FENCED_LEADER_EPOCH,
        ErrorCode.UNKNOWN_LEADER_EPOCH,
        ErrorCode.NOT_COORDINATOR,
        ErrorCode.BROKER_NOT_AVAILABLE,
    }
)
"""Another node should have been asked: the picture was out of date."""


@dataclass(slots=True)
class Part(Generic[P]):
    what: P
    repeatable: bool
    """Whether asking twice does no harm, whatever became of the first time."""


@dataclass(frozen=True, slots=True)
class Spread(Generic[P, A]):
    """How the parts of one kind of request are sent and answered."""

    node_of: Callable[[P], int]
    """Who should answer it now; NOBODY if that is not known."""
    send: Callable[[int, Sequence[P]], Awaitable[Sequence[A]]]
    """Ask a node, this one among them; the answers in the order of the parts. Raises `ClientError`, `ApiError`."""
    error_of: Callable[[A], int]
    refusal: Callable[[P, ErrorCode], A]
    clock: Clock

    async def ask(self, parts: Sequence[Part[P]], timeout: float) -> list[A]:
        """In the order of `parts`."""
        deadline = self.clock.monotonic() + timeout
        answers: dict[int, A] = {}
        waiting = dict(enumerate(parts))
        while True:
            await self._round(waiting, answers)
            if not waiting or self.clock.monotonic() + _PAUSE >= deadline:
                return [answers[number] for number in range(len(parts))]
            await asyncio.sleep(_PAUSE)

    async def _round(self, waiting: dict[int, Part[P]], answers: dict[int, A]) -> None:
        """Ask once for everything in `waiting`; what has its final answer leaves it."""
        by_node: dict[int, list[int]] = {}
        for number, part in waiting.items():
            by_node.setdefault(self.node_of(part.what), []).append(number)
        nodes = [node for node in by_node if node != NOBODY]
        outcomes = await asyncio.gather(
            *(self._send(node, [waiting[number].what for number in by_node[node]]) for node in nodes)
        )
        for number in by_node.get(NOBODY, ()):
            answers[number] = self.refusal(waiting[number].what, ErrorCode.LEADER_NOT_AVAILABLE)
        for node, outcome in zip(nodes, outcomes, strict=True):
            numbers = by_node[node]
            if isinstance(outcome, ClientError | ApiError):
                self._failed(numbers, outcome, waiting, answers)
                continue
            for number, answer in zip(numbers, outcome, strict=True):
                error = self.error_of(answer)
                moved = error in _MOVED
                if error == ErrorCode.BROKER_NOT_AVAILABLE:  # it is starting; clients would not try again
                    answer = self.refusal(waiting[number].what, ErrorCode.LEADER_NOT_AVAILABLE)
                answers[number] = answer
                if not (moved and waiting[number].repeatable):
                    del waiting[number]

    async def _send(self, node: int, parts: Sequence[P]) -> Sequence[A] | ClientError | ApiError:
        try:
            return await self.send(node, parts)
        except (ClientError, ApiError) as problem:
            return problem

    def _failed(
        self,
        numbers: Sequence[int],
        problem: ClientError | ApiError,
        waiting: dict[int, Part[P]],
        answers: dict[int, A],
    ) -> None:
        not_done = isinstance(problem, ClientError) and problem.not_done
        refused = isinstance(problem, ApiError) and problem.code not in _MOVED
        for number in numbers:
            code = problem.code if isinstance(problem, ApiError) else ErrorCode.REQUEST_TIMED_OUT
            if not_done or code == ErrorCode.BROKER_NOT_AVAILABLE:  # which clients would not try again
                code = ErrorCode.LEADER_NOT_AVAILABLE
            answers[number] = self.refusal(waiting[number].what, code)
            if refused or not (not_done or waiting[number].repeatable):
                del waiting[number]
