"""Pings on behalf of others: who asked, and what they are told when (SWIM's ping-req, Lifeguard's nack).

In: requests, answers, time. Out: whom to tell what. Holds a bounded number; more are refused, which the asker counts
against itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sprawl.overlay.lifeguard import SwimSettings
from sprawl.overlay.members import Peer
from sprawl.overlay.messages import Kind

_MOST: Final = 256
_NACK_AFTER: Final = 0.8
_KEPT: Final = 9
"""Probe intervals: as long as the least healthy asker waits."""


@dataclass(slots=True)
class Relayed:
    asker: Peer
    number: int
    """The asker's."""
    subject: int
    nack_at: float
    ends: float


class Relays:
    def __init__(self, settings: SwimSettings) -> None:
        patience = min(settings.probe_timeout, settings.probe_interval - settings.probe_timeout)
        self._nack_after = _NACK_AFTER * patience
        self._kept = _KEPT * settings.probe_interval
        self._lifeguard = settings.lifeguard
        self._open: dict[int, Relayed] = {}
        """By the number of our own ping."""

    def take(self, own: int, asker: Peer, number: int, subject: int, now: float) -> bool:
        """Whether there is room for one more."""
        if len(self._open) >= _MOST:
            return False
        self._open[own] = Relayed(asker, number, subject, now + self._nack_after, now + self._kept)
        return True

    def answered(self, own: int, by: int) -> Relayed | None:
        """Who is to be told, if it is an answer to a relayed ping."""
        found = self._open.get(own)
        if found is None or found.subject != by:
            return None
        return self._open.pop(own)

    def overdue(self, now: float) -> list[tuple[Peer, Kind, int, int]]:
        """The askers to be told that there is no answer so far."""
        told = []
        for own, one in list(self._open.items()):
            if now >= one.ends:
                del self._open[own]
            elif now >= one.nack_at:
                one.nack_at = float("inf")
                if self._lifeguard:
                    told.append((one.asker, Kind.NACK, one.number, one.subject))
        return told

    @property
    def next_due(self) -> float:
        return min((min(one.nack_at, one.ends) for one in self._open.values()), default=float("inf"))
