"""What a network does to packets between its members: nothing, or drop, delay or lose them, each direction by itself.

In: which packet, when, and what faults there are. Out: when it is to arrive, or that it never will. Knows no sockets.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field

Member = int


@dataclass(frozen=True, slots=True)
class Weather:
    """Of one direction of one link."""

    blocked: bool = False
    delay: float = 0.0
    """Seconds that each packet takes."""
    jitter: float = 0.0
    """Seconds by which one may take longer than another."""
    loss: float = 0.0
    """Share of packets that never arrive."""


CLEAR = Weather()


@dataclass
class Rules:
    rng: random.Random
    _weather: dict[tuple[Member, Member], Weather] = field(default_factory=dict)

    def set(self, links: Iterable[tuple[Member, Member]], weather: Weather) -> None:
        """`links`: (from, to)."""
        for link in links:
            if weather == CLEAR:
                self._weather.pop(link, None)
            else:
                self._weather[link] = weather

    def clear(self) -> None:
        self._weather.clear()

    def blocked(self, source: Member, target: Member) -> bool:
        weather = self._weather.get((source, target))
        return weather is not None and weather.blocked

    def arrival(self, source: Member, target: Member, now: float) -> float | None:
        """None: never; `now`: at once."""
        weather = self._weather.get((source, target))
        if weather is None:
            return now
        if weather.blocked or (weather.loss and self.rng.random() < weather.loss):
            return None
        return now + weather.delay + weather.jitter * self.rng.random()


def between(one: Iterable[Member], other: Iterable[Member]) -> list[tuple[Member, Member]]:
    """The links between two sides, both directions."""
    pairs = [(a, b) for a in one for b in other if a != b]
    return pairs + [(b, a) for a, b in pairs]


def towards(one: Iterable[Member], other: Iterable[Member]) -> list[tuple[Member, Member]]:
    """The links from one side to the other, that direction only."""
    return [(a, b) for a in one for b in other if a != b]


def bridge(members: Iterable[Member], middle: Member) -> list[tuple[Member, Member]]:
    """Two halves that see each other only through `middle`, which sees all."""
    rest = [each for each in members if each != middle]
    half = (len(rest) + 1) // 2
    return between(rest[:half], rest[half:])
