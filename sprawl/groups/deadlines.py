"""What a group waits for, and until when: sessions, the join phase, the sync phase.

In: alarms set and cancelled, and `now` when asking what is due. Out: the due alarms, earliest first, and `wake_at`.
A heartbeat only moves an alarm to a later time, so `wake_at` is a lower bound that is put right when it is reached:
setting an alarm costs O(1) and a group needs one timer of the shell, not one per member. Never reads a clock.
"""

from __future__ import annotations

from enum import Enum
from math import inf
from typing import NamedTuple


class Due(Enum):
    JOIN_PHASE = "join phase"
    SYNC_PHASE = "sync phase"
    SESSION = "session"


class Alarm(NamedTuple):
    due: Due
    member_id: str = ""


JOIN_PHASE = Alarm(Due.JOIN_PHASE)
SYNC_PHASE = Alarm(Due.SYNC_PHASE)


def session_of(member_id: str) -> Alarm:
    return Alarm(Due.SESSION, member_id)


class Deadlines:
    """Times are milliseconds of the monotonic clock."""

    __slots__ = ("_at", "_wake_at")

    def __init__(self) -> None:
        self._at: dict[Alarm, float] = {}
        self._wake_at = inf

    @property
    def wake_at(self) -> float:
        """No alarm is due before this; infinity if none is set."""
        return self._wake_at

    def set(self, alarm: Alarm, at: float) -> None:
        self._at[alarm] = at
        if at < self._wake_at:
            self._wake_at = at

    def cancel(self, alarm: Alarm) -> None:
        self._at.pop(alarm, None)

    def clear(self) -> None:
        self._at.clear()
        self._wake_at = inf

    def is_set(self, alarm: Alarm) -> bool:
        return alarm in self._at

    def take_due(self, now: float) -> Alarm | None:
        """Remove and return the earliest alarm that is due, if one is."""
        if now < self._wake_at:
            return None
        earliest = min(self._at, key=self._at.__getitem__, default=None)
        if earliest is None:
            self._wake_at = inf
            return None
        at = self._at[earliest]
        if at > now:
            self._wake_at = at
            return None
        del self._at[earliest]
        return earliest
