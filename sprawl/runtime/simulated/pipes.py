"""One direction of a TCP connection: in order, nothing lost, nothing twice, or else broken.

In: segments from one endpoint. Out: the same to the other endpoint, later. Loss and partitions show as delay, since TCP
sends again; after `give_up` seconds of silence the sender is told that the connection timed out. Never reorders.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sprawl.runtime.simulated.connections import Endpoint
    from sprawl.runtime.simulated.fabric import Fabric


class Mark(Enum):
    """What a segment may be instead of bytes."""

    OPEN = "open"
    FIN = "fin"
    RST = "rst"


Segment = bytes | Mark

_FIRST_RETRY: Final = 0.2
_LONGEST_RETRY: Final = 2.0


class Pipe:
    __slots__ = ("_arriving", "_fabric", "_last", "_queue", "_retry", "_silent_since", "_sink", "_source", "in_flight")

    def __init__(self, fabric: Fabric, source: Endpoint, sink: Endpoint) -> None:
        self.in_flight = 0
        self._fabric = fabric
        self._source = source
        self._sink = sink
        self._queue: deque[tuple[float, Segment]] = deque()
        self._last = 0.0
        self._arriving = False
        self._retry = _FIRST_RETRY
        self._silent_since: float | None = None

    def send(self, segment: Segment) -> None:
        scheduler = self._fabric.scheduler
        size = len(segment) if isinstance(segment, bytes) else 0
        link = self._fabric.links.between(self._source.node.name, self._sink.node.name)
        self._last = max(self._last, scheduler.now + link.delay(size, scheduler.rng))
        self.in_flight += size
        self._queue.append((self._last, segment))
        if not self._arriving:
            self._arriving = True
            scheduler.at(self._last, self._arrive)

    def clear(self) -> None:
        """What is under way will not arrive: the sender's machine lost power, or the connection is broken."""
        self._queue.clear()
        self.in_flight = 0

    def _arrive(self, _: None) -> None:
        scheduler = self._fabric.scheduler
        queue = self._queue
        if not queue:
            self._arriving = False
            return
        source, sink = self._source.node.name, self._sink.node.name
        link = self._fabric.links.between(source, sink)
        lost = link.tcp_loss > 0.0 and scheduler.rng.random() < link.tcp_loss
        if lost or link.tcp_blocked or not self._sink.node.up:
            self._try_again()
            return
        back = self._fabric.links.between(sink, source)
        while queue and queue[0][0] <= scheduler.now:
            segment = queue.popleft()[1]
            if isinstance(segment, bytes):
                self.in_flight -= len(segment)
            self._sink.receive(segment)
        if back.tcp_blocked and self._source.connected:
            self._watch_for_answer()
        else:
            self._silent_since = None
            self._retry = _FIRST_RETRY
        if queue:
            scheduler.at(queue[0][0], self._arrive)
        else:
            self._arriving = False

    def _try_again(self) -> None:
        if self._gave_up():
            self._arriving = False
            return
        scheduler = self._fabric.scheduler
        scheduler.after(self._retry * (0.75 + scheduler.rng.random() / 2), self._arrive)
        self._retry = min(self._retry * 2, _LONGEST_RETRY)

    def _watch_for_answer(self) -> None:
        """Arrived, but the acknowledgement can't come back."""
        if self._silent_since is None:
            self._silent_since = self._fabric.scheduler.now
            self._fabric.scheduler.after(_LONGEST_RETRY, self._check_for_answer)

    def _check_for_answer(self, _: None) -> None:
        if self._silent_since is None or not self._source.connected:
            return
        back = self._fabric.links.between(self._sink.node.name, self._source.node.name)
        if not back.tcp_blocked:
            self._silent_since = None
        elif not self._gave_up():
            self._fabric.scheduler.after(_LONGEST_RETRY, self._check_for_answer)

    def _gave_up(self) -> bool:
        now = self._fabric.scheduler.now
        if self._silent_since is None:
            self._silent_since = now
        if now - self._silent_since < self._fabric.give_up:
            return False
        self.clear()
        self._source.break_off(TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))
        return True
