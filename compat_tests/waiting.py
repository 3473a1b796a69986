"""Waiting for what another process will do: asked again and again up to a deadline, never a fixed sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
SECONDS = 30.0
_PAUSE = 0.02


class Deadline:
    """Counts down from `seconds`; `left` is never below zero."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        return max(0.0, self._end - time.monotonic())

    @property
    def over(self) -> bool:
        return self.left <= 0.0


def until(what: str, ask: Callable[[], T | None], seconds: float = SECONDS) -> T:
    """The first truthy answer of `ask`; fails saying `what` was awaited and what came last."""
    deadline = Deadline(seconds)
    while not (answer := ask()):
        if deadline.over:
            raise AssertionError(f"{what}: not within {seconds:.0f} s; the last answer was {answer!r}")
        time.sleep(_PAUSE)
    return answer


async def until_async(what: str, ask: Callable[[], Awaitable[T | None]], seconds: float = SECONDS) -> T:
    """`until` for a coroutine."""
    deadline = Deadline(seconds)
    while not (answer := await ask()):
        if deadline.over:
            raise AssertionError(f"{what}: not within {seconds:.0f} s; the last answer was {answer!r}")
        await asyncio.sleep(_PAUSE)
    return answer
