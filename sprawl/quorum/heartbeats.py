"""Which brokers are alive, as the active controller hears of them (KIP-631).

Pure: contacts and `now` (seconds) in; brokers to fence out. A controller that has just begun to lead gives everyone a
full session: it has not heard of anybody yet. Suspicion, from gossip, shortens a session and never ends it by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_SUSPECTED_SHARE: Final = 1 / 3
"""Of a session: what is left to a broker that is suspected."""


class Heartbeats:
    def __init__(self, session_timeout: float) -> None:
        """Seconds."""
        self._session_timeout = session_timeout
        self._deadlines: dict[int, float] = {}

    def begin(self, brokers: Iterable[int], now: float) -> None:
        """This controller begins to lead: `brokers` are those that are not fenced."""
        self._deadlines = dict.fromkeys(brokers, now + self._session_timeout)

    def touch(self, broker: int, now: float) -> None:
        self._deadlines[broker] = now + self._session_timeout

    def suspect(self, broker: int, now: float) -> None:
        deadline = self._deadlines.get(broker)
        if deadline is not None:
            self._deadlines[broker] = min(deadline, now + self._session_timeout * _SUSPECTED_SHARE)

    def forget(self, broker: int) -> None:
        self._deadlines.pop(broker, None)

    def stale(self, now: float) -> list[int]:
        """Brokers whose session is over."""
        return sorted(broker for broker, deadline in self._deadlines.items() if deadline <= now)

    @property
    def next_deadline(self) -> float | None:
        return min(self._deadlines.values(), default=None)
