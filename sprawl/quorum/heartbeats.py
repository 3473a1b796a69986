"""Which brokers are alive, as the active controller hears of them (KIP-631).

Pure: contacts and `now` (seconds) in; brokers to fence out. A controller that has just begun to lead gives everyone a
full session: it has not heard of anybody yet. Suspicion shortens a session to a missing heartbeat and never ends it by
itself: whoever goes on with its heartbeats is not fenced, whatever others say of it.
"""

from __future__ import annotations

from collections.abc import Iterable


class Heartbeats:
    def __init__(self, session_timeout: float, suspected_timeout: float) -> None:
        """Seconds since the last contact; the second is for who is suspected: more than a heartbeat's interval."""
        self._session_timeout = session_timeout
        self._suspected_timeout = min(session_timeout, suspected_timeout)
        self._contacts: dict[int, float] = {}
        self._suspected: set[int] = set()

    def begin(self, brokers: Iterable[int], now: float) -> None:
        """This controller begins to lead: `brokers` are those that are not fenced."""
        self._contacts = dict.fromkeys(brokers, now)
        self._suspected.clear()

    def touch(self, broker: int, now: float) -> None:
        self._contacts[broker] = now
        self._suspected.discard(broker)

    def suspect(self, broker: int) -> None:
        if broker in self._contacts:
            self._suspected.add(broker)

    def clear(self, broker: int) -> None:
        """It is suspected no more."""
        self._suspected.discard(broker)

    def forget(self, broker: int) -> None:
        self._contacts.pop(broker, None)
        self._suspected.discard(broker)

    def stale(self, now: float) -> list[int]:
        """Brokers whose session is over."""
        return sorted(broker for broker in self._contacts if self._deadline(broker) <= now)

    @property
    def next_deadline(self) -> float | None:
        return min(map(self._deadline, self._contacts), default=None)

    def _deadline(self, broker: int) -> float:
        suspected = broker in self._suspected
        return self._contacts[broker] + (self._suspected_timeout if suspected else self._session_timeout)
