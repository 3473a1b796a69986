"""A move of the balancer, with its reason in words and in numbers; a plan of several."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum


class Goal(IntEnum):
    """In order: none is pursued at the expense of one before it."""

    RACK = 0
    DISK = 1
    NETWORK = 2
    CPU = 3
    LEADERS = 4
    REPLICAS = 5


class What(Enum):
    LEADER = "leader"
    """The partition is led by another of its in-sync replicas: costs next to nothing."""
    REPLICA = "replica"
    """A replica is copied to another node: costs its bytes on both."""


@dataclass(frozen=True, slots=True)
class Move:
    what: What
    partition: int
    source: int
    target: int
    goal: Goal
    minutes: int = 0
    """For when it is made: the worst horizon; 0 if for what is now."""
    before: float = 0.0
    """How full the source would be without the move, in nine of ten cases at most; 1 is its capacity."""
    after: float = 0.0
    target_after: float = 0.0
    copied: float = 0.0
    """Bytes."""

    @property
    def reason(self) -> str:
        when = f"in {self.minutes} minutes" if self.minutes else "now"
        match self.goal:
            case Goal.RACK:
                return "two replicas stand in one rack"
            case Goal.LEADERS | Goal.REPLICAS:
                return f"node {self.source} has more {self.goal.name.lower()} than its part, and nothing is pressed"
        full = f"{self.before:.0%} of its {self.goal.name.lower()}"
        rest = f"without this {self.what.value} {self.after:.0%}, node {self.target} then {self.target_after:.0%}"
        return f"node {self.source} would use up to {full} {when}; {rest}"


class Held(Enum):
    """Why a plan is empty though something is to be done."""

    NOT = ""
    UNDER_REPLICATED = "something is under-replicated"


@dataclass(frozen=True, slots=True)
class Plan:
    moves: tuple[Move, ...] = ()
    held: Held = Held.NOT
    worst: float = 0.0
    """How full the fullest node would be without the plan, at the worst horizon, in nine of ten cases at most."""
