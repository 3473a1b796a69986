"""Copies that are to be made slowly."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from sprawl.config.broker import BrokerConfig
from sprawl.config.topics import TopicConfig
from sprawl.partitions.insync import InSync
from sprawl.partitions.throttle import UNLIMITED, LeaderThrottle, ReplicationThrottle


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


@dataclass
class Led:
    """A partition that this node leads, as far as a throttle looks at it: node 2 is in sync, node 3 is not."""

    replicas: str
    index: int = 3
    insync: InSync | None = None
    config: TopicConfig = field(init=False)

    def __post_init__(self) -> None:
        given = {"leader.replication.throttled.replicas": self.replicas} if self.replicas else {}
        self.config = TopicConfig.of(given, BrokerConfig.of({}))
        self.insync = InSync(1, (1, 2, 3), (1, 2), 0, 0.0)


class Giving:
    def __init__(self, rate: int) -> None:
        self.now = 100.0
        self.rate = rate
        self.throttle = LeaderThrottle(1, lambda: self.rate, lambda: self.now)

    def waits(self, partition: Led, follower: int, size: int) -> float:
        """Seconds until the follower is given more."""
        self.throttle.gave(partition, follower, size)  # type: ignore[arg-type]
        start = self.now
        while not self.throttle.room(partition, follower):  # type: ignore[arg-type]
            self.now += 0.25
        return self.now - start


@pytest.mark.parametrize("replicas", ["*", "3:1", "0:2,3:1"])
def test_what_was_given_is_paid_for_by_a_pause(replicas: str) -> None:
    assert Giving(rate=1000).waits(Led(replicas), 3, 5000) == 4.0


@pytest.mark.parametrize("replicas", ["", "3:3", "1:1"])
def test_other_partitions_are_given_at_once(replicas: str) -> None:
    assert Giving(rate=1000).waits(Led(replicas), 3, 5000) == 0.0


def test_who_is_in_sync_is_neither_held_back_nor_counted() -> None:
    world = Giving(rate=1000)
    assert world.waits(Led("*"), 2, 50_000) == 0.0
    assert world.waits(Led("*"), 3, 900) == 0.0
    world.throttle.gave(Led("*"), 3, 50_000)  # type: ignore[arg-type]
    assert world.waits(Led("*"), 2, 0) == 0.0


def test_a_leaders_rate_that_is_lifted_lets_go() -> None:
    world = Giving(rate=1)
    world.throttle.gave(Led("*"), 3, 5000)  # type: ignore[arg-type]
    world.rate = UNLIMITED
    assert world.throttle.room(Led("*"), 3) == UNLIMITED  # type: ignore[arg-type]


def test_no_more_goes_at_once_than_a_seconds_worth() -> None:
    assert Giving(rate=1000).throttle.room(Led("*"), 3) == 1000  # type: ignore[arg-type]
    assert Giving(rate=1000).throttle.room(Led("*"), 2) == UNLIMITED  # type: ignore[arg-type]
    assert Giving(rate=0).throttle.room(Led("*"), 3) == 1  # type: ignore[arg-type]
