"""The event log: each event is in the topic once, whatever becomes of its writer; nobody waits for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, cast

from sprawl.quorum.batches import MetadataBatch
from sprawl.quorum.brokers import fence, unfence
from sprawl.quorum.delta import apply
from sprawl.quorum.history import Step
from sprawl.quorum.image import MetadataImage
from sprawl.quorum.leadership import TopicRules
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.quorum.records import MetadataRecord
from sprawl.quorum.voters import Voters
from sprawl.routing.events import WAITING_MOST, EventLog
from sprawl.runtime.simulated import Simulation
from sprawl.wire.client import NotConnectedError
from sprawl_protocol.errors import ApiError, ErrorCode
from tests.quorum.placed import at, placed, rules


def rules_of(_: object) -> TopicRules:
    return rules(1)


@dataclass
class FakeQuorum:
    image: MetadataImage
    node_id: int = 1
    leading: bool = True


@dataclass
class FakeTopic:
    """Takes events, unless it is down; may take them and not say so."""

    exists: bool = True
    down: bool = False
    forgets_to_answer: bool = False
    values: list[dict[str, Any]] = field(default_factory=list)
    made: int = 0
    reads: int = 0

    async def make(self) -> None:
        self.exists, self.made = True, self.made + 1

    async def write(self, events: list[tuple[str, bytes]]) -> None:
        if self.down:
            raise ApiError(ErrorCode.LEADER_NOT_AVAILABLE, "nobody leads")
        self.values += [json.loads(value) for _, value in events]
        if self.forgets_to_answer:
            self.forgets_to_answer = False
            raise NotConnectedError("the answer was lost")

    async def last(self, count: int) -> set[str]:
        if self.down:
            raise ApiError(ErrorCode.LEADER_NOT_AVAILABLE, "nobody leads")
        self.reads += 1
        return {each["id"] for each in self.values[-count:]}

    def kinds(self) -> list[str]:
        return [each["kind"] for each in self.values]


class Writing:
    """One node's event log, and the metadata it witnesses."""

    def __init__(self, world: Simulation, topic: FakeTopic, *, leading: bool = True) -> None:
        self.clock = world.driver.runtime.clock
        self.quorum = FakeQuorum(placed(at([1, 2, 3], 1, [1, 2, 3])), leading=leading)
        self.topic = topic
        self.log = EventLog(world.driver.runtime, cast(MetadataQuorum, self.quorum), topic)
        self.task = asyncio.create_task(self.log.run())

    def commit(self, records: list[MetadataRecord], age_ms: int = 0) -> None:
        before = self.quorum.image
        after = apply(before, records, offset=before.offset + len(records))
        now_ms = self.clock.wall_ms() - age_ms
        batch = MetadataBatch(before.offset + 1, after.offset, 0, now_ms, records, [])
        self.quorum.image = after
        self.log.witness(Step(batch, before, after, Voters({}), Voters({})))

    def fence(self, node: int, age_ms: int = 0) -> None:
        self.commit(fence(self.quorum.image, node, rules_of), age_ms)

    def unfence(self, node: int, age_ms: int = 0) -> None:
        self.commit(unfence(self.quorum.image, node, node, rules_of), age_ms)


def tell(story: Callable[[Simulation], Coroutine[None, None, None]]) -> None:
    with Simulation(3, strict=False) as world:
        world.run(story(world), limit=600)


def test_the_controller_writes_what_the_metadata_shows() -> None:
    async def story(world: Simulation) -> None:
        one = Writing(world, FakeTopic(exists=False))
        one.fence(2)
        await asyncio.sleep(1)
        (event,) = one.topic.values
        assert one.topic.made == 1
        assert (event["kind"], event["subject"], event["broker"], event["id"]) == ("fenced", "node 2", 2, "12-0")

    tell(story)


def test_while_the_topic_is_away_events_wait_and_nobody_else_does() -> None:
    async def story(world: Simulation) -> None:
        one = Writing(world, FakeTopic(down=True))
        one.fence(2)
        one.log.note("move", "t-0", "node left")
        await asyncio.sleep(100)
        one.unfence(2)
        assert (one.topic.values, one.log.due) == ([], 3)
        one.topic.down = False
        await asyncio.sleep(5)
        assert one.log.due == 0
        assert one.topic.kinds() == ["fenced", "move", "unfenced"]
        assert one.log.dropped == 0

    tell(story)


def test_a_write_without_answer_is_not_repeated() -> None:
    async def story(world: Simulation) -> None:
        one = Writing(world, FakeTopic())
        one.fence(3)
        await asyncio.sleep(1)
        one.topic.forgets_to_answer = True
        one.fence(2)
        await asyncio.sleep(5)
        assert len(one.topic.values) == 2
        assert one.topic.reads == 2, "only where there is doubt"

    tell(story)


def test_the_next_controller_goes_on_where_the_one_before_died() -> None:
    async def story(world: Simulation) -> None:
        topic = FakeTopic()
        first, second = Writing(world, topic), Writing(world, topic, leading=False)
        for each in (first, second):
            each.fence(2)
        await asyncio.sleep(2)
        assert topic.kinds() == ["fenced"]
        topic.down = True
        for each in (first, second):
            each.unfence(2)
        first.task.cancel()
        topic.down = False
        await asyncio.sleep(2)
        assert topic.kinds() == ["fenced"]
        second.quorum.leading = True
        await asyncio.sleep(3)
        assert topic.kinds() == ["fenced", "unfenced"]

    tell(story)


def test_what_is_long_past_is_not_told_again() -> None:
    async def story(world: Simulation) -> None:
        topic = FakeTopic()
        follower = Writing(world, topic, leading=False)
        follower.fence(2)
        await asyncio.sleep(90)
        follower.quorum.leading = True
        await asyncio.sleep(5)
        assert topic.values == [], "the controller of the time has told it"
        follower.unfence(2, age_ms=3_600_000)
        await asyncio.sleep(5)
        assert topic.values == [], "an old log is read again"

    tell(story)


def test_beyond_the_bound_the_oldest_are_lost_and_counted() -> None:
    async def story(world: Simulation) -> None:
        one = Writing(world, FakeTopic(down=True))
        for number in range(WAITING_MOST + 7):
            one.log.note("move", f"t-{number}", "node left")
        assert one.log.dropped == 7
        one.topic.down = False
        await asyncio.sleep(5)
        assert [each["subject"] for each in one.topic.values] == [f"t-{n}" for n in range(7, WAITING_MOST + 7)]

    tell(story)


def test_a_node_that_is_no_controller_writes_what_it_did_itself() -> None:
    async def story(world: Simulation) -> None:
        one = Writing(world, FakeTopic(), leading=False)
        one.fence(2)
        one.log.note("move", "t-0", "node left")
        await asyncio.sleep(5)
        assert one.topic.kinds() == ["move"]

    tell(story)


def test_a_cluster_that_only_forms_makes_no_topic() -> None:
    async def story(world: Simulation) -> None:
        one = Writing(world, FakeTopic(exists=False))
        one.quorum.image = placed(at([1], 1, [1]), fenced=(2, 3))
        one.unfence(2)
        await asyncio.sleep(1)
        assert (one.topic.made, one.topic.values) == (0, [])
        one.fence(3)  # which it is
        one.fence(2)
        await asyncio.sleep(1)
        assert one.topic.kinds() == ["unfenced", "fenced"]

    tell(story)


def test_a_node_alone_makes_no_topic() -> None:
    async def story(world: Simulation) -> None:
        one = Writing(world, FakeTopic(exists=False))
        alone = one.quorum.image
        one.quorum.image = MetadataImage(
            "cluster",
            offset=10,
            topics=alone.topics,
            topics_by_id=alone.topics_by_id,
            brokers={1: alone.brokers[1]},
        )
        one.fence(1)
        await asyncio.sleep(1)
        assert one.topic.made == 0

    tell(story)
