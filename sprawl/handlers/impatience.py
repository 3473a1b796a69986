"""Timeouts of answers that nearly always come within milliseconds.

A timer for each request would cost more than all else that waiting costs. So those who wait are looked at now and then,
and only who is still waiting then gets a timer of its own: a timeout may come late by `_LOOK_SECONDS`, never early.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

_LOOK_SECONDS: Final = 0.05


class Impatient(Protocol):
    deadline: float
    """By the event loop's clock."""

    @property
    def settled(self) -> bool: ...

    def give_up(self) -> None: ...


class Impatience:
    def __init__(self) -> None:
        self._young: list[Impatient] = []

    def watch(self, waiting: Impatient, seconds: float) -> None:
        """Have `waiting` give up if it is not settled within `seconds`."""
        loop = asyncio.get_running_loop()
        waiting.deadline = loop.time() + max(seconds, 0.0)
        if not self._young:
            loop.call_later(_LOOK_SECONDS, self._look)
        self._young.append(waiting)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        young, self._young = self._young, []
        for waiting in young:
            if not waiting.settled:
                loop.call_at(waiting.deadline, _give_up, waiting)


def _give_up(waiting: Impatient) -> None:
    if not waiting.settled:
        waiting.give_up()
