"""Copies that are to be made slowly."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from sprawl.config.broker import BrokerConfig
from sprawl.config.topics import TopicConfig
from sprawl.partitions.throttle import UNLIMITED, ReplicationThrottle


@dataclass
class Copied:
    """A partition, as far as a throttle looks at it."""

    replicas: str
    index: int = 3
    in_sync: bool = False
    config: TopicConfig = field(init=False)

    def __post_init__(self) -> None:
        given = {"follower.replication.throttled.replicas": self.replicas} if self.replicas else {}
        self.config = TopicConfig.of(given, BrokerConfig.of({}))


class World:
    def __init__(self, rate: int) -> None:
        self.now = 100.0
        self.rate = rate
        self.throttle = ReplicationThrottle(1, lambda: self.rate, lambda: self.now)

    def waits(self, partition: Copied, size: int) -> float:
        """Seconds until it may be fetched again."""
        self.throttle.took(partition, size)  # type: ignore[arg-type]
        start = self.now
        while self.throttle.holds(partition):  # type: ignore[arg-type]
            self.now += 0.25
        return self.now - start


@pytest.mark.parametrize("replicas", ["*", "3:1", "0:1,3:1,3:2"])
def test_what_came_is_paid_for_by_a_pause(replicas: str) -> None:
    assert World(rate=1000).waits(Copied(replicas), 5000) == 4.0


@pytest.mark.parametrize(
    "partition", [Copied(""), Copied("3:2"), Copied("1:1"), Copied("*", in_sync=True)], ids=lambda one: one.replicas
)
def test_other_replicas_are_copied_at_once(partition: Copied) -> None:
    assert World(rate=1000).waits(partition, 5000) == 0.0


def test_a_copy_that_has_nearly_caught_up_is_not_held_back() -> None:
    assert World(rate=1000).waits(Copied("*"), 999) == 0.0


def test_without_a_rate_nothing_waits() -> None:
    assert World(rate=UNLIMITED).waits(Copied("*"), 5000) == 0.0


def test_a_rate_that_is_lifted_lets_go() -> None:
    world = World(rate=1)
    world.throttle.took(Copied("*"), 5000)  # type: ignore[arg-type]
    world.rate = UNLIMITED
    assert not world.throttle.holds(Copied("*"))  # type: ignore[arg-type]


def test_all_copies_share_one_rate() -> None:
    world = World(rate=1000)
    world.throttle.took(Copied("*", index=1), 2000)  # type: ignore[arg-type]
    assert world.waits(Copied("*", index=2), 1000) == 2.0
