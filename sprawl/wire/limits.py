"""What one client, and all clients together, may cost this node. Enforced by connections and listeners."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Bounds on one listener's connections. Sizes in bytes, times in seconds."""

    max_frame: int = 100 * 1024 * 1024
    """Kafka's socket.request.max.bytes."""
    max_pipelined: int = 128
    """Requests received but not yet answered on one connection; more are left in the socket."""
    max_idle: float = 600.0
    """Kafka's connections.max.idle.ms: no request under way and none arriving for this long."""
    max_frame_time: float = 60.0
    """From a frame's first byte to its last: a peer that trickles is cut off."""
    max_connections: int = 100_000
    max_connections_per_host: int = 100_000
    backlog: int = 50
    """Connections the system keeps waiting to be accepted: Kafka's socket.listen.backlog.size."""
    write_high_water: int = 8 * 1024 * 1024
    """Unsent answer bytes at which a connection stops being read."""


class RequestMemory:
    """The node-wide budget for requests that were received and not yet answered (Kafka's queued.max.request.bytes).

    Connections take what a frame costs and give it back with the answer. Over budget, the connections that
    notice pause reading until `give_back` brings the total under it again. A single request may always be
    taken, however big, so that nothing starves.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._taken = 0
        self._waiting: list[Callable[[], None]] = []

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def exhausted(self) -> bool:
        return self._taken > self._budget

    def take(self, size: int) -> None:
        self._taken += size

    def give_back(self, size: int) -> None:
        self._taken -= size
        assert self._taken >= 0, "more request memory given back than taken"
        if self._waiting and not self.exhausted:
            waiting, self._waiting = self._waiting, []
            for resume in waiting:
                resume()

    def when_available(self, resume: Callable[[], None]) -> None:
        self._waiting.append(resume)
