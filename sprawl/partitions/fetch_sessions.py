"""Incremental fetch sessions (KIP-227): what a client fetches, remembered, so that it need not say it each time.

In: a Fetch request's session id, epoch and partitions. Out: the partitions to read, in order, and the session to
answer for. No I/O and no clock: `now` (seconds) comes in. The client counts an epoch up with each request; a session
whose epoch does not match is refused, and the client starts a new one.

    request (id, epoch)     meaning
    (0, -1)                 no session, all partitions are named in the request
    (0, 0)                  make a session of the partitions named
    (N, 0)                  drop session N and make a new one
    (N, -1)                 drop session N, and this request is without one
    (N, next epoch)         changes to session N
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sprawl_protocol.errors import ApiError, ErrorCode

NO_SESSION: Final = 0
FINAL_EPOCH: Final = -1
INITIAL_EPOCH: Final = 0
_LARGEST: Final = 2**31 - 1

Key = tuple[str, UUID, int]
"""Topic name or topic id, whichever the request's version carries, and the partition."""


@dataclass(slots=True)
class Wanted:
    """One partition that a client wants to read, and what it was last told of it."""

    topic: str
    topic_id: UUID
    index: int
    offset: int
    max_bytes: int
    leader_epoch: int = -1
    last_fetched_epoch: int = -1
    told_high_watermark: int = -1
    told_log_start: int = -1
    told_error: int = 0

    @property
    def key(self) -> Key:
        return (self.topic, self.topic_id, self.index)

    def take_over(self, other: Wanted) -> None:
        """The client's newer word on the same partition; what it was told stays."""
        self.offset = other.offset
        self.max_bytes = other.max_bytes
        self.leader_epoch = other.leader_epoch
        self.last_fetched_epoch = other.last_fetched_epoch


@dataclass(slots=True)
class FetchSession:
    id: int
    epoch: int
    by_topic_id: bool
    partitions: OrderedDict[Key, Wanted]
    last_used: float

    def had_news(self, wanted: Wanted) -> None:
        """A partition that returned data goes to the end of the line, so that the next one gets its turn."""
        if wanted.key in self.partitions:
            self.partitions.move_to_end(wanted.key)


@dataclass(slots=True)
class FetchPlan:
    """What to read for one request. `full` answers name every partition; others only those with news."""

    wanted: list[Wanted]
    session: FetchSession | None
    full: bool

    @property
    def session_id(self) -> int:
        return self.session.id if self.session is not None else NO_SESSION


class FetchSessions:
    """All sessions of one node: at most `slots`, of which only those idle for `eviction_seconds` make room."""

    def __init__(self, slots: int, eviction_seconds: float, rng: random.Random) -> None:
        self._slots = slots
        self._eviction_seconds = eviction_seconds
        self._rng = rng
        self._sessions: OrderedDict[int, FetchSession] = OrderedDict()
        """Least recently used first."""

    def __len__(self) -> int:
        return len(self._sessions)

    def plan(
        self,
        session_id: int,
        epoch: int,
        named: list[Wanted],
        forgotten: Iterable[Key],
        *,
        by_topic_id: bool,
        now: float,
    ) -> FetchPlan:
        """Raises `ApiError` FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH or FETCH_SESSION_TOPIC_ID_ERROR."""
        if epoch in (FINAL_EPOCH, INITIAL_EPOCH):
            self._sessions.pop(session_id, None)
            session = self._make(named, by_topic_id, now) if epoch == INITIAL_EPOCH else None
            return FetchPlan(named, session, full=True)
        session = self._sessions.get(session_id)
        if session is None:
            raise ApiError(ErrorCode.FETCH_SESSION_ID_NOT_FOUND, f"no fetch session {session_id} is known here")
        if session.epoch != epoch:
            raise ApiError(
                ErrorCode.INVALID_FETCH_SESSION_EPOCH,
                f"fetch session {session_id} expects epoch {session.epoch}, the request has {epoch}",
            )
        if session.by_topic_id != by_topic_id:
            raise ApiError(
                ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
                f"fetch session {session_id} was made {'with' if session.by_topic_id else 'without'} topic ids",
            )
        for wanted in named:
            known = session.partitions.get(wanted.key)
            if known is None:
                session.partitions[wanted.key] = wanted
            else:
                known.take_over(wanted)
        for key in forgotten:
            session.partitions.pop(key, None)
        session.epoch = _next_epoch(epoch)
        session.last_used = now
        self._sessions.move_to_end(session_id)
        return FetchPlan(list(session.partitions.values()), session, full=False)

    def _make(self, named: list[Wanted], by_topic_id: bool, now: float) -> FetchSession | None:
        if not self._make_room(now):
            return None
        session_id = self._rng.randint(1, _LARGEST)
        while session_id in self._sessions:
            session_id = self._rng.randint(1, _LARGEST)
        partitions = OrderedDict((wanted.key, wanted) for wanted in named)
        session = FetchSession(session_id, INITIAL_EPOCH + 1, by_topic_id, partitions, now)
        self._sessions[session_id] = session
        return session

    def _make_room(self, now: float) -> bool:
        if len(self._sessions) < self._slots:
            return True
        if not self._sessions:
            return False
        oldest = next(iter(self._sessions.values()))
        if now - oldest.last_used < self._eviction_seconds:
            return False
        del self._sessions[oldest.id]
        return True


def _next_epoch(epoch: int) -> int:
    return 1 if epoch == _LARGEST else epoch + 1
