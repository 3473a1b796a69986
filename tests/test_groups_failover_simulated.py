"""A group whose coordinator dies, sleeps or is cut off: its members go on at the next one, with their offsets and in
their generation; whoever believes itself the coordinator still gets nothing committed. Three simulated nodes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from sprawl.groups.registry import partition_of
from sprawl.runtime.simulated import Simulation
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    JoinGroupResponse,
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchRequestTopics,
    OffsetFetchResponse,
    SyncGroupRequest,
    SyncGroupRequestAssignment,
    SyncGroupResponse,
    TopicRequest,
)
from tests.test_reassignment_simulated import Operator
from tools.simulate.clients import TOPIC, Links
from tools.simulate.cluster import Member as Machine
from tools.simulate.cluster import SimulatedCluster

GROUP = "readers"
OFFSETS = "__consumer_offsets"
OFFSETS_PARTITIONS = 3
SETTINGS = {
    "group.initial.rebalance.delay.ms": "200",
    "offsets.topic.num.partitions": str(OFFSETS_PARTITIONS),
    "leader.imbalance.check.interval.seconds": "3600",
}
_ELSEWHERE = {
    ErrorCode.NOT_COORDINATOR,
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.REQUEST_TIMED_OUT,
}
_JOIN_AGAIN = {ErrorCode.REBALANCE_IN_PROGRESS, ErrorCode.ILLEGAL_GENERATION, ErrorCode.UNKNOWN_MEMBER_ID}
_PATIENCE = 2.0
R = TypeVar("R", bound=Response)


class Consumer:
    """A member of the group, as Kafka's clients behave."""

    def __init__(self, world: Simulation, cluster: SimulatedCluster, instance: str | None = None) -> None:
        names = [each.name for each in cluster.members.values()]
        self.links = Links(world.driver.runtime, names)
        self.instance = instance
        self.member_id = ""
        self.generation = -1
        self.assignment = b""
        self.joins = 0

    async def ask(self, request: Request, expect: type[R], version: int) -> R:
        """Of the coordinator, whoever that is."""
        while True:
            try:
                async with asyncio.timeout(_PATIENCE):  # a node that sleeps takes what it is sent, and says nothing
                    client = await self.links.any()
                    found = await client.request(
                        FindCoordinatorRequest(key=GROUP), version=3, expect=FindCoordinatorResponse
                    )
                    coordinator = await self.links.to(found.host) if not found.error_code else None
                if coordinator is not None:
                    answer = await coordinator.request(request, version=version, expect=expect)
                    if error_of(answer) not in _ELSEWHERE:
                        return answer
            except (ClientError, OSError, TimeoutError):
                pass
            await asyncio.sleep(0.1)

    async def live(self) -> None:
        """Join, and beat; join again whenever the group asks for it. Ends with an error when it is fenced."""
        await self.join()
        while True:
            await asyncio.sleep(0.5)
            error = await self.beat()
            if error in _JOIN_AGAIN:
                await self.join()
            else:
                assert error is ErrorCode.NONE

    async def beat(self) -> ErrorCode:
        request = HeartbeatRequest(
            group_id=GROUP, generation_id=self.generation, member_id=self.member_id, group_instance_id=self.instance
        )
        return error_of(await self.ask(request, HeartbeatResponse, 3))

    async def join(self) -> None:
        self.assignment = b""
        while not self.assignment:
            joined = await self.ask(self._join_request(), JoinGroupResponse, 7)
            error = error_of(joined)
            if error is ErrorCode.MEMBER_ID_REQUIRED:
                self.member_id = joined.member_id
            elif error is ErrorCode.UNKNOWN_MEMBER_ID:
                self.member_id = ""
            elif error is ErrorCode.NONE:
                self.member_id, self.generation = joined.member_id, joined.generation_id
                await self._sync(joined)
        self.joins += 1

    def _join_request(self) -> JoinGroupRequest:
        return JoinGroupRequest(
            group_id=GROUP,
            session_timeout_ms=10_000,
            rebalance_timeout_ms=2_500,
            member_id=self.member_id,
            group_instance_id=self.instance,
            protocol_type="consumer",
            protocols=[JoinGroupRequestProtocol(name="range", metadata=b"")],
        )

    async def _sync(self, joined: JoinGroupResponse) -> None:
        shares = [
            SyncGroupRequestAssignment(member_id=each.member_id, assignment=b"share %d" % number)
            for number, each in enumerate(joined.members)
        ]
        request = SyncGroupRequest(
            group_id=GROUP,
            generation_id=self.generation,
            member_id=self.member_id,
            group_instance_id=self.instance,
            protocol_type="consumer",
            protocol_name="range",
            assignments=shares,
        )
        synced = await self.ask(request, SyncGroupResponse, 5)
        if error_of(synced) is ErrorCode.NONE:
            self.assignment = bytes(synced.assignment)

    def commit_request(self, offset: int, generation: int | None = None) -> OffsetCommitRequest:
        partition = OffsetCommitRequestPartition(partition_index=0, committed_offset=offset)
        return OffsetCommitRequest(
            group_id=GROUP,
            generation_id_or_member_epoch=self.generation if generation is None else generation,
            member_id=self.member_id,
            group_instance_id=self.instance,
            topics=[OffsetCommitRequestTopic(name=TOPIC, partitions=[partition])],
        )

    async def commit(self, offset: int, generation: int | None = None) -> ErrorCode:
        return error_of(await self.ask(self.commit_request(offset, generation), OffsetCommitResponse, 8))

    async def told_by(self, host: str) -> ErrorCode:
        """What one node says to the question for the committed offset."""
        answer = await (await self.links.to(host)).request(fetch_request(), version=8, expect=OffsetFetchResponse)
        return error_of(answer)

    async def committed(self) -> int:
        answer = await self.ask(fetch_request(), OffsetFetchResponse, 8)
        assert error_of(answer) is ErrorCode.NONE
        return answer.groups[0].topics[0].partitions[0].committed_offset


def fetch_request() -> OffsetFetchRequest:
    topics = [OffsetFetchRequestTopics(name=TOPIC, partition_indexes=[0])]
    return OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=GROUP, topics=topics)])


def error_of(answer: Any) -> ErrorCode:
    if isinstance(answer, OffsetCommitResponse):
        return ErrorCode(answer.topics[0].partitions[0].error_code)
    if isinstance(answer, OffsetFetchResponse):
        return ErrorCode(answer.groups[0].error_code)
    return ErrorCode(answer.error_code)


class Scene:
    """Two dynamic and two static members that have found to each other."""

    def __init__(self, world: Simulation, cluster: SimulatedCluster) -> None:
        self.world = world
        self.cluster = cluster
        self.operator = Operator(world, cluster)
        self.members = [Consumer(world, cluster, instance) for instance in (None, None, "left", "right")]
        self.lives: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        self.cluster.start()
        await self.operator.make_topic(1, 2, 3)
        await self.operator.until(lambda now: len(now.isr_nodes) == 3)
        while await self.operator.voters() != [1, 2, 3]:
            await asyncio.sleep(0.1)
        self.lives = [asyncio.create_task(each.live()) for each in self.members]
        await self.stable()
        while len((await self._offsets_partition()).isr_nodes) < 3:
            await asyncio.sleep(0.1)

    async def stable(self, since: int = 0) -> int:
        """The generation, later than `since`, that all are in, each with a share of its own."""
        while True:
            for life in self.lives:
                if life.done():
                    life.result()
            generations = {each.generation for each in self.members}
            shares = {each.assignment for each in self.members}
            if len(generations) == 1 and len(shares) == len(self.members) and b"" not in shares:
                (generation,) = generations
                if generation > since:
                    return generation
            await asyncio.sleep(0.1)

    async def _offsets_partition(self) -> Any:
        request = DescribeTopicPartitionsRequest(topics=[TopicRequest(name=OFFSETS)])
        answer = await self.operator.ask(request, DescribeTopicPartitionsResponse)
        index = partition_of(GROUP, OFFSETS_PARTITIONS)
        return next(each for each in answer.topics[0].partitions if each.partition_index == index)

    async def coordinator(self) -> Machine:
        """The true one, with `routing=any` too."""
        while (leader := (await self._offsets_partition()).leader_id) < 0:
            await asyncio.sleep(0.1)
        return self.cluster.members[leader]

    async def another_coordinator(self, than: Machine) -> Machine:
        while (now := await self.coordinator()) is than:
            await asyncio.sleep(0.1)
        return now

    async def end(self) -> None:
        for life in self.lives:
            if life.done():
                life.result()
            life.cancel()
        await asyncio.gather(*self.lives, return_exceptions=True)
        self.cluster.stop()


def tell(story: Callable[[Scene], Coroutine[None, None, None]], seed: int = 3, routing: str = "direct") -> None:
    with Simulation(seed, strict=False) as world:
        cluster = SimulatedCluster(world, 3, {**SETTINGS, "sprawl.routing": routing})

        async def whole() -> None:
            scene = Scene(world, cluster)
            await scene.begin()
            await story(scene)
            await scene.end()

        world.run(whole(), limit=300)


@pytest.mark.parametrize("routing", ["direct", "any"])
@pytest.mark.parametrize("power", [False, True], ids=["killed", "without power"])
def test_members_go_on_at_the_next_coordinator(power: bool, routing: str) -> None:
    async def story(scene: Scene) -> None:
        generation = await scene.stable()
        joins = [each.joins for each in scene.members]
        for number, each in enumerate(scene.members):
            assert await each.commit(10 + number) is ErrorCode.NONE
        dead = await scene.coordinator()
        (dead.crash if power else dead.kill)()
        await scene.another_coordinator(dead)
        for each in scene.members:
            assert await each.committed() == 13
            assert await each.beat() is ErrorCode.NONE
        assert await scene.stable() == generation
        assert [each.joins for each in scene.members] == joins, "nobody had to join again"
        first, static = scene.members[0], scene.members[2]
        assert await first.commit(20) is ErrorCode.NONE
        assert await first.commit(5, generation - 1) is ErrorCode.ILLEGAL_GENERATION
        assert await first.commit(5, generation + 1) is ErrorCode.ILLEGAL_GENERATION
        impostor = Consumer(scene.world, scene.cluster, "left")
        impostor.member_id, impostor.generation = first.member_id, generation
        assert await impostor.commit(5) is ErrorCode.FENCED_INSTANCE_ID
        assert await static.committed() == 20

    tell(story, routing=routing)


def test_any_node_tells_what_was_committed_and_none_says_that_it_is_not_the_one_to_ask() -> None:
    """librdkafka asks for committed offsets once more only after COORDINATOR_LOAD_IN_PROGRESS."""

    async def story(scene: Scene) -> None:
        assert await scene.members[0].commit(12) is ErrorCode.NONE
        true = await scene.coordinator()
        true.kill()
        other = Consumer(scene.world, scene.cluster)
        for name in (each.name for each in scene.cluster.members.values() if each is not true):
            while (told := await other.told_by(name)) is not ErrorCode.NONE:
                assert told is ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
                await asyncio.sleep(0.1)
        assert await other.committed() == 12

    tell(story)


def test_the_next_coordinator_misses_who_died_with_the_last() -> None:
    async def story(scene: Scene) -> None:
        generation = await scene.stable()
        dead = await scene.coordinator()
        dead.kill()
        gone = scene.members.pop(0)
        scene.lives.pop(0).cancel()
        later = await scene.stable(since=generation)
        assert later > generation
        assert await gone.commit(5) is ErrorCode.UNKNOWN_MEMBER_ID
        assert await gone.commit(5, later) is ErrorCode.UNKNOWN_MEMBER_ID
        assert await scene.members[0].commit(5, generation) is ErrorCode.ILLEGAL_GENERATION
        assert await scene.members[0].commit(7) is ErrorCode.NONE
        assert await scene.members[1].committed() == 7

    tell(story)


def test_a_static_member_that_starts_anew_at_the_next_coordinator_keeps_its_share() -> None:
    async def story(scene: Scene) -> None:
        generation = await scene.stable()
        old = scene.members[3]
        share = old.assignment
        scene.lives[3].cancel()
        dead = await scene.coordinator()
        dead.kill()
        again = scene.members[3] = Consumer(scene.world, scene.cluster, "right")
        scene.lives[3] = asyncio.create_task(again.live())
        assert await scene.stable() == generation, "no rebalance"
        assert again.assignment == share
        assert again.member_id != old.member_id
        assert await old.commit(5) is ErrorCode.FENCED_INSTANCE_ID
        assert await again.commit(6) is ErrorCode.NONE

    tell(story)


@pytest.mark.parametrize("seed", range(40, 43))
def test_a_coordinator_that_dies_in_a_rebalance_leaves_a_group_that_finds_together(seed: int) -> None:
    async def story(scene: Scene) -> None:
        generation = await scene.stable()
        assert await scene.members[1].commit(11) is ErrorCode.NONE
        late = Consumer(scene.world, scene.cluster)
        scene.members.append(late)
        scene.lives.append(asyncio.create_task(late.live()))
        await asyncio.sleep(scene.operator.rng.random() * 1.2)
        dead = await scene.coordinator()
        dead.kill()
        later = await scene.stable(since=generation)
        for each in scene.members:
            assert await each.committed() == 11
        assert await late.commit(12, later) is ErrorCode.NONE

    tell(story, seed)


@pytest.mark.parametrize("routing", ["direct", "any"])
def test_a_coordinator_that_slept_accepts_no_commit(routing: str) -> None:
    """What was sent to it while it slept it finds when it wakes, before it learns that others have taken over."""

    async def story(scene: Scene) -> None:
        generation = await scene.stable()
        member = scene.members[0]
        assert await member.commit(10) is ErrorCode.NONE
        asleep = await scene.coordinator()
        direct = await Links(scene.world.driver.runtime, [asleep.name]).to(asleep.name)
        old = member.commit_request(5)
        asleep.machine.pause()
        sent = [
            asyncio.create_task(direct.request(old, version=8, expect=OffsetCommitResponse, timeout=60.0))
            for _ in range(3)
        ]
        await scene.another_coordinator(asleep)
        assert await member.commit(20) is ErrorCode.NONE
        scene.members.append(late := Consumer(scene.world, scene.cluster))
        scene.lives.append(asyncio.create_task(late.live()))
        assert await scene.stable(since=generation) > generation
        assert await member.commit(30) is ErrorCode.NONE
        asleep.machine.resume()
        for outcome in await asyncio.gather(*sent, return_exceptions=True):
            if isinstance(outcome, OffsetCommitResponse):
                assert error_of(outcome) is not ErrorCode.NONE
            else:
                assert isinstance(outcome, ClientError)
        await asyncio.sleep(5)
        for each in scene.members:
            assert await each.committed() == 30

    tell(story, routing=routing)


def test_a_coordinator_that_is_cut_off_accepts_no_commit() -> None:
    """Clients reach it, the other nodes do not: it believes itself to lead, and cannot have anything committed."""

    async def story(scene: Scene) -> None:
        member = scene.members[0]
        assert await member.commit(10) is ErrorCode.NONE
        alone = await scene.coordinator()
        direct = await Links(scene.world.driver.runtime, [alone.name]).to(alone.name)
        others = [each for each in scene.cluster.members.values() if each is not alone]
        for each in others:
            scene.world.links.block(alone.name, each.name)
        early = asyncio.create_task(
            direct.request(member.commit_request(5), version=8, expect=OffsetCommitResponse, timeout=60.0)
        )
        await scene.another_coordinator(alone)
        assert await member.commit(20) is ErrorCode.NONE
        scene.world.links.heal()
        outcome = (await asyncio.gather(early, return_exceptions=True))[0]
        refused = isinstance(outcome, ClientError) or error_of(outcome) is not ErrorCode.NONE
        assert refused, "it had no majority, nor an in-sync replica"
        await asyncio.sleep(5)
        assert await member.committed() == 20

    tell(story)
