"""The event log: every act of the cluster on its own, with its reason, as a record that any consumer can read.

In: what the metadata log shows to every node (`happenings.py`), and what this node says of its own acts. Out: records
of `__sprawl_events` (`event_topic.py`): the key is what the act was on, the value a JSON object with `id`, `time` (ms),
`node` (the controller of the time, or whoever acted), `kind`, `subject`, `reason` and what else there is to say.

Each is written once. The controller writes what the metadata log shows; every other node keeps the last of it for a
while, and goes on telling where a controller died in the middle: what the topic has already it finds by reading its
end. Two nodes that both take themselves for the controller may write an event twice, with one id.

Nobody waits for an event: what cannot be written yet is kept, up to a bound. Beyond it the oldest are in the node's
text log only, and counted.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sprawl.quorum.history import Step
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.routing.happenings import FORMING, happenings
from sprawl.runtime import Runtime
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError

log = logging.getLogger(__name__)

WAITING_MOST: Final = 1000
_BATCH: Final = 100
_PAUSE: Final = 1.0
_KEPT_MS: Final = 60_000
"""How long a node that is not the controller keeps what the controller should have written by then."""
_OLD_MS: Final = 600_000
"""What was proposed longer ago is read again from an old log, by a node that starts."""


class Topic(Protocol):
    @property
    def exists(self) -> bool: ...

    async def make(self) -> None: ...

    async def write(self, events: list[tuple[str, bytes]]) -> None: ...

    async def last(self, count: int) -> set[str]: ...


@dataclass(frozen=True, slots=True)
class _Event:
    id: str
    time_ms: int
    kind: str
    subject: str
    value: bytes
    own: bool
    """Nobody else has it."""


class EventLog:
    def __init__(self, runtime: Runtime, quorum: MetadataQuorum, topic: Topic, weight: float = 1.0) -> None:
        """`weight`: of nodes for which none is set."""
        self._runtime = runtime
        self._quorum = quorum
        self._topic = topic
        self._weight = weight
        self._waiting: deque[_Event] = deque()
        self._news = asyncio.Event()
        self._in_doubt = True
        """Some of what waits may be in the topic already."""
        self.dropped = 0
        """Events that are not in the topic and never will be."""

    def note(self, kind: str, subject: str, reason: str, **more: Any) -> None:
        """This node did something to `subject`."""
        log.info("%s %s: %s %s", kind, subject, reason, more or "")
        now, id_ = self._runtime.clock.wall_ms(), self._runtime.token_bytes(8).hex()
        self._keep(_event(id_, now, self._quorum.node_id, kind, subject, reason, more, own=True))

    def witness(self, step: Step) -> None:
        """A batch of the metadata log has been committed."""
        if step.batch.timestamp_ms < self._runtime.clock.wall_ms() - _OLD_MS:
            return
        for number, each in enumerate(happenings(step, self._weight)):
            if self._quorum.leading:
                log.info("%s %s: %s", each.kind, each.subject, each.reason)
            id_ = f"{step.batch.last_offset}-{number}"
            node, time_ms = step.after.controller_id, step.batch.timestamp_ms
            self._keep(_event(id_, time_ms, node, each.kind, each.subject, each.reason, each.more, own=False))

    def _keep(self, event: _Event) -> None:
        self._forget_old()
        if len(self._waiting) == WAITING_MOST:
            lost = self._waiting.popleft()
            if lost.own or self._quorum.leading:
                self.dropped += 1
                log.warning("an event is lost, too many wait to be written: %s", lost.value.decode())
        self._waiting.append(event)
        self._news.set()

    def _forget_old(self) -> None:
        """What the controller has written by now, which is another node; or nobody, while a cluster forms."""
        before = self._runtime.clock.wall_ms() - _KEPT_MS
        if self._quorum.leading and self._wanted:
            return
        while self._waiting and not self._waiting[0].own and self._waiting[0].time_ms < before:
            self._waiting.popleft()

    @property
    def _wanted(self) -> bool:
        """Whether there is a topic, or should be: not for a node alone, nor for a cluster that only forms."""
        if self._topic.exists:
            return True
        told = any(each.own or each.kind not in FORMING for each in self._waiting)
        return told and len(self._quorum.image.brokers) > 1

    @property
    def due(self) -> int:
        """How many this node is to write."""
        return len(self._due())

    def _due(self) -> list[_Event]:
        if not self._waiting or not self._wanted:
            return []
        return [each for each in self._waiting if each.own or self._quorum.leading]

    async def run(self) -> None:
        """Ends with the node."""
        while True:
            if not self._quorum.leading:
                self._in_doubt = True
            due = self._due()
            if not due:
                await self._until_news()
                continue
            try:
                await self._write(due[:_BATCH])
            except (ApiError, ClientError) as problem:
                self._in_doubt = True
                log.warning("%d events cannot be written yet: %s", len(self._waiting), problem)
                await asyncio.sleep(_PAUSE)

    async def _until_news(self) -> None:
        self._forget_old()
        self._news.clear()
        try:
            async with asyncio.timeout(_PAUSE):  # this node may have become the controller
                await self._news.wait()
        except TimeoutError:
            return

    async def _write(self, due: list[_Event]) -> None:
        """Raises `ApiError`, `ClientError`."""
        if not self._topic.exists:
            await self._topic.make()
        if self._in_doubt:
            known = await self._topic.last(2 * WAITING_MOST)
            self._in_doubt = False
            self._waiting = deque(each for each in self._waiting if each.id not in known)
            due = [each for each in due if each.id not in known]
        if due:
            await self._topic.write([(each.subject, each.value) for each in due])
            written = {each.id for each in due}
            self._waiting = deque(each for each in self._waiting if each.id not in written)


def _event(id_: str, time_ms: int, node: int, kind: str, subject: str, reason: str, more: Any, *, own: bool) -> _Event:
    value = {"id": id_, "time": time_ms, "node": node, "kind": kind, "subject": subject, "reason": reason, **more}
    return _Event(id_, time_ms, kind, subject, json.dumps(value).encode(), own)
