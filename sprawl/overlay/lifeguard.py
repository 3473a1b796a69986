"""Lifeguard: a node that doubts itself is slow to accuse others (Dadgar, Phillips and Currey, "Lifeguard: Local Health
Awareness for More Accurate Failure Detection", 2018).

`LocalHealth` is LHA-Probe's multiplier, `Suspicion` is LHA-Suspicion's timer; the buddy system is in swim.py. Both
know of time only what they are told.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, log10
from typing import Final

from sprawl.overlay.members import NOBODY

WORST: Final = 8
_LAG_WORTH_NOTICE: Final = 0.2
"""Of a probe's patience."""


@dataclass(frozen=True, slots=True)
class SwimSettings:
    """Times in seconds. The defaults suit a data centre; a cluster's nodes need not agree on them, but should."""

    probe_interval: float = 1.0
    probe_timeout: float = 0.5
    """For a direct answer. What is left of the interval is for the relays'."""
    relays: int = 3
    suspicion_multiplier: int = 4
    suspicion_stretch: int = 6
    """How much longer an unconfirmed suspicion waits than a confirmed one."""
    confirmations: int = 2
    gossip_interval: float = 0.2
    """Between packets of news alone, sent only while there is news of members."""
    gossip_fanout: int = 3
    retransmit_multiplier: int = 4
    sync_interval: float = 30.0
    """Between push-pulls over TCP; longer in clusters of more than 32."""
    reconnect_interval: float = 5.0
    """Between attempts to reach somebody who is thought dead."""
    forget_after: float = 3600.0
    """Until a node that is dead or left is no longer remembered."""
    digest_interval: float = 5.0
    """Between versions of this node's digest; longer in clusters of more than a hundred."""
    most_members: int = 4096
    lifeguard: bool = True
    """False for comparison only: plain SWIM."""

    def __post_init__(self) -> None:
        if not 0 < self.probe_timeout < self.probe_interval:
            raise ValueError("a probe's timeout must be shorter than the interval between probes")

    def suspicion_times(self, nodes: int) -> tuple[float, float]:
        """The least and the most that a suspicion waits for a contradiction."""
        least = self.suspicion_multiplier * max(1.0, log10(max(nodes, 1))) * self.probe_interval
        return least, least * (self.suspicion_stretch if self.lifeguard else 1)

    def sync_pause(self, nodes: int) -> float:
        return self.sync_interval * max(1, ceil(log(max(nodes, 1), 2)) - 4)

    def digest_pause(self, nodes: int) -> float:
        """So that digests of all nodes fit into the packets that are sent anyway (docs/gossip.md)."""
        return max(self.digest_interval, nodes / 20)


class LocalHealth:
    """From 0, well, to `WORST`: probes take (1 + score) times as long."""

    __slots__ = ("_settings", "score")

    def __init__(self, settings: SwimSettings) -> None:
        self._settings = settings
        self.score = 0

    @property
    def factor(self) -> int:
        return 1 + self.score

    def add(self, change: int) -> None:
        if self._settings.lifeguard:
            self.score = min(WORST, max(0, self.score + change))

    def lagged(self, seconds: float) -> bool:
        """This node's event loop was late by so much. Whether that is worth making up for."""
        patience = self._settings.probe_timeout
        if not self._settings.lifeguard or seconds < _LAG_WORTH_NOTICE * patience:
            return False
        self.add(ceil(min(seconds / patience, WORST)))
        return True


class Suspicion:
    """The timer of one suspicion. Each independent confirmation brings its end nearer, logarithmically."""

    __slots__ = ("_least", "_most", "_needed", "_start", "accusers")

    def __init__(self, settings: SwimSettings, nodes: int, by: int, now: float) -> None:
        self._least, self._most = settings.suspicion_times(nodes)
        others = nodes - 2  # who could confirm: neither the suspect nor the first accuser
        self._needed = settings.confirmations if others >= settings.confirmations else 0
        self._start = now
        self.accusers = {by} - {NOBODY}

    @property
    def ends(self) -> float:
        confirmed = max(0, len(self.accusers) - 1)
        if confirmed >= self._needed:
            return self._start + self._least
        part = log(confirmed + 1) / log(self._needed + 1)
        return self._start + self._most - (self._most - self._least) * part

    def confirm(self, by: int) -> bool:
        """Whether this is an accuser who is new and still wanted: then others should hear of him."""
        if by == NOBODY or by in self.accusers or len(self.accusers) > self._needed:
            return False
        self.accusers.add(by)
        return True

    def postpone(self, seconds: float) -> None:
        """This node has not listened for so long; it may have missed the contradiction."""
        self._start += seconds
