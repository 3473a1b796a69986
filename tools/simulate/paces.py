"""How much goes on in a world: many faults at once, or one now and then in a cluster that does little.

In: a seed's random numbers. Out: a `Pace`, and settings that go with it. Most clusters do little most of the time, and
some bugs show only after a while of that: what was forgotten, what piled up, what only a timer sets in motion. Such
hours are cheap to simulate, so worlds like that are long, and the dense ones short.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds from one to the next; where there are several, one is drawn."""

    faults: tuple[float, ...]
    longest: float
    """Fault, in seconds."""
    records: tuple[float, ...]
    """Of one producer."""
    polls: float
    """Of one reader; 0: it waits at the leader."""
    commits: float
    looks: float
    """At the invariants, while there are faults."""
    share: float
    """Of all worlds."""
    stretch: float
    """How much longer than the average world."""
    nodes: tuple[int, ...]
    patient: bool
    """Whether the nodes may wait longer for each other, as Kafka's do."""

    def settings(self, rng: random.Random) -> dict[str, str]:
        heartbeat = rng.choice([400, 1000, 2000] if self.patient else [400, 400, 1000])
        return {
            "broker.heartbeat.interval.ms": str(heartbeat),
            "broker.session.timeout.ms": str(heartbeat * rng.choice([4, 5])),
            "replica.fetch.wait.max.ms": str(rng.choice([500, 2000, 5000] if self.patient else [100, 500, 500])),
        }


PACES: Final = {
    "dense": Pace(
        faults=(0.5, 1.0, 3.0),
        longest=8.0,
        records=(0.05, 0.1, 0.3),
        polls=0.0,
        commits=0.5,
        looks=0.05,
        share=0.5,
        stretch=0.15,
        nodes=(3, 3, 3, 4, 5, 7),
        patient=False,
    ),
    "calm": Pace(
        faults=(5.0, 15.0, 30.0),
        longest=20.0,
        records=(0.5, 1.0, 3.0),
        polls=1.0,
        commits=2.0,
        looks=0.1,
        share=0.2,
        stretch=0.6,
        nodes=(3, 3, 4, 5),
        patient=False,
    ),
    "quiet": Pace(
        faults=(20.0, 40.0, 80.0),
        longest=60.0,
        records=(5.0, 20.0),
        polls=5.0,
        commits=10.0,
        looks=0.25,
        share=0.3,
        stretch=2.7,
        nodes=(3, 3, 3, 3, 5),
        patient=True,
    ),
}


def draw(rng: random.Random) -> Pace:
    paces = list(PACES.values())
    return rng.choices(paces, [pace.share for pace in paces])[0]
