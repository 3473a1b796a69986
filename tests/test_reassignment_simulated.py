"""Partitions that move between the nodes of a simulated cluster, under load; moves that are cancelled; leaders that
come back; voters and brokers that are added and removed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from sprawl.runtime.simulated import Simulation
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    AddRaftVoterRequest,
    AddRaftVoterRequestListener,
    AddRaftVoterResponse,
    AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse,
    CreatableReplicaAssignment,
    CreatableTopic,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DescribeClusterRequest,
    DescribeClusterResponse,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeQuorumRequest,
    DescribeQuorumRequestPartitionData,
    DescribeQuorumRequestTopicData,
    DescribeQuorumResponse,
    DescribeQuorumResponsePartitionData,
    DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition,
    DescribeTopicPartitionsResponseTopic,
    ElectLeadersRequest,
    ElectLeadersResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterableConfig,
    IncrementalAlterConfigsRequestAlterConfigsResource,
    IncrementalAlterConfigsResponse,
    ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
    ReassignablePartition,
    ReassignableTopic,
    RemoveRaftVoterRequest,
    RemoveRaftVoterResponse,
    TopicRequest,
    UnregisterBrokerRequest,
    UnregisterBrokerResponse,
)
from tools.simulate.clients import TOPIC, Links, Producer, Seen, check, read_whole
from tools.simulate.cluster import SimulatedCluster

R = TypeVar("R", bound=Response)


class Operator:
    """Asks any node, again if it goes away."""

    def __init__(self, world: Simulation, cluster: SimulatedCluster) -> None:
        self.names = [member.name for member in cluster.members.values()]
        self.links = Links(world.driver.runtime, self.names)
        self.rng = world.driver.runtime.rng
        self._clock = world.driver.runtime.clock

    async def ask(self, request: Request, expect: type[R], version: int | None = None) -> R:
        while True:
            try:
                client = await self.links.any()
                return await client.request(request, expect=expect, version=version)
            except (ClientError, OSError):
                await asyncio.sleep(0.05)

    async def ask_of(self, name: str, request: Request, expect: type[R]) -> R:
        return await (await self.links.to(name)).request(request, expect=expect)

    async def make_topic(self, *replicas: int) -> None:
        assignment = [CreatableReplicaAssignment(partition_index=0, broker_ids=list(replicas))]
        topic = CreatableTopic(name=TOPIC, num_partitions=-1, replication_factor=-1, assignments=assignment)
        while True:
            answer = await self.ask(CreateTopicsRequest(topics=[topic], timeout_ms=2000), CreateTopicsResponse)
            if answer.topics[0].error_code in (0, ErrorCode.TOPIC_ALREADY_EXISTS):
                return
            await asyncio.sleep(0.1)

    async def move(self, target: list[int] | None) -> ErrorCode:
        part = ReassignablePartition(partition_index=0, replicas=target)
        request = AlterPartitionReassignmentsRequest(topics=[ReassignableTopic(name=TOPIC, partitions=[part])])
        answer = await self.ask(request, AlterPartitionReassignmentsResponse)
        if answer.error_code == ErrorCode.REQUEST_TIMED_OUT:  # the controller died with the request in its hands
            return ErrorCode.REQUEST_TIMED_OUT
        assert answer.error_code == 0
        return ErrorCode(answer.responses[0].partitions[0].error_code)

    async def moving(self) -> bool:
        answer = await self.ask(ListPartitionReassignmentsRequest(), ListPartitionReassignmentsResponse)
        assert answer.error_code in (0, ErrorCode.REQUEST_TIMED_OUT)
        return bool(answer.topics or answer.error_code)

    async def moved(self) -> None:
        while await self.moving():
            await asyncio.sleep(0.1)

    async def elect(self) -> int:
        answer = await self.ask(ElectLeadersRequest(topic_partitions=None), ElectLeadersResponse)
        assert answer.error_code == 0
        assert not any(each.error_code for topic in answer.replica_election_results for each in topic.partition_result)
        return sum(len(topic.partition_result) for topic in answer.replica_election_results)

    async def partition(self) -> DescribeTopicPartitionsResponsePartition:
        """As operators see it: with `routing=any` too it names the true leader."""
        while not (found := (await self.topic()).partitions):
            await asyncio.sleep(0.1)  # the node that was asked has not heard of the topic yet
        return found[0]

    async def topic(self) -> DescribeTopicPartitionsResponseTopic:
        request = DescribeTopicPartitionsRequest(topics=[TopicRequest(name=TOPIC)])
        return (await self.ask(request, DescribeTopicPartitionsResponse)).topics[0]

    async def until(self, holds: Callable[[DescribeTopicPartitionsResponsePartition], bool]) -> None:
        while not holds(await self.partition()):
            await asyncio.sleep(0.1)

    def now(self) -> float:
        return self._clock.monotonic()

    async def set(self, kind: int, resource: str, key: str, value: str | None) -> None:
        deletes = int(value is None)
        config = IncrementalAlterConfigsRequestAlterableConfig(name=key, value=value, config_operation=deletes)
        changed = IncrementalAlterConfigsRequestAlterConfigsResource(
            resource_type=kind, resource_name=resource, configs=[config]
        )
        request = IncrementalAlterConfigsRequest(resources=[changed])
        answer = await self.ask(request, IncrementalAlterConfigsResponse)
        assert answer.responses[0].error_code == 0, answer.responses[0].error_message

    async def has_log(self, name: str) -> bool:
        answer = await self.ask_of(name, DescribeLogDirsRequest(topics=None), DescribeLogDirsResponse)
        return any(topic.name == TOPIC for topic in answer.results[0].topics)

    async def quorum(self) -> DescribeQuorumResponsePartitionData:
        part = [DescribeQuorumRequestPartitionData(partition_index=0)]
        request = DescribeQuorumRequest(
            topics=[DescribeQuorumRequestTopicData(topic_name="__cluster_metadata", partitions=part)]
        )
        while not (answer := await self.ask(request, DescribeQuorumResponse)).topics:
            await asyncio.sleep(0.1)  # nobody is the controller at present
        return answer.topics[0].partitions[0]

    async def voters(self) -> list[int]:
        return sorted(each.replica_id for each in (await self.quorum()).current_voters)


Deed = Callable[[Operator, SimulatedCluster], Coroutine[Any, Any, None]]


async def under_load(world: Simulation, cluster: SimulatedCluster, replicas: list[int], deed: Deed) -> None:
    """Produce while `deed` is done, and after it; then read everything and judge."""
    cluster.start()
    operator = Operator(world, cluster)
    runtime, seen = world.driver.runtime, Seen()
    while len((await operator.ask(DescribeClusterRequest(), DescribeClusterResponse)).brokers) < len(cluster.members):
        await asyncio.sleep(0.1)
    await operator.make_topic(*replicas)
    producing = asyncio.create_task(Producer(runtime, operator.names, 0, seen).run())
    await asyncio.sleep(2)
    await deed(operator, cluster)
    done = runtime.clock.monotonic()
    await asyncio.sleep(5)
    if producing.done():
        producing.result()
    producing.cancel()
    await asyncio.gather(producing, return_exceptions=True)
    assert seen.last_ack > done, "nothing acknowledged once all was done"
    check(0, seen, await read_whole(operator.links, 0, max(seen.acknowledged.values()) + 1))
    cluster.stop()


async def move_away(operator: Operator, cluster: SimulatedCluster) -> None:
    assert await operator.move([3, 4]) is ErrorCode.NONE
    await operator.moved()
    await operator.until(lambda now: (now.replica_nodes, sorted(now.isr_nodes), now.leader_id) == ([3, 4], [3, 4], 3))
    await asyncio.sleep(1)
    assert [await operator.has_log(name) for name in operator.names] == [False, False, True, True]


async def move_to_and_fro(operator: Operator, cluster: SimulatedCluster) -> None:
    """A replica comes and goes before what it left is deleted."""
    for target in ([3, 4], [1, 2], [4, 1], [2, 3], [1, 2]):
        assert await operator.move(target) is ErrorCode.NONE
        await operator.moved()
        await operator.until(lambda now, target=target: now.replica_nodes == target)  # type: ignore[misc]


async def cancel_midway(operator: Operator, cluster: SimulatedCluster) -> None:
    cluster.members[4].kill()
    assert await operator.move([3, 4]) is ErrorCode.NONE
    await operator.until(lambda now: 3 in now.isr_nodes)
    assert await operator.moving()
    assert await operator.move(None) is ErrorCode.NONE
    assert not await operator.moving()
    await operator.until(lambda now: (sorted(now.replica_nodes), sorted(now.isr_nodes)) == ([1, 2], [1, 2]))
    assert await operator.move(None) is ErrorCode.NO_REASSIGNMENT_IN_PROGRESS
    cluster.members[4].start()
    await asyncio.sleep(5)
    assert [await operator.has_log(name) for name in operator.names] == [True, True, False, False]


async def kill_the_leader_on_the_way(operator: Operator, cluster: SimulatedCluster) -> None:
    cluster.members[4].kill()
    assert await operator.move([3, 4]) is ErrorCode.NONE
    await operator.until(lambda now: 3 in now.isr_nodes)
    cluster.members[1].kill()
    await operator.until(lambda now: now.leader_id in (2, 3))
    cluster.members[4].start()
    await operator.moved()
    await operator.until(lambda now: sorted(now.isr_nodes) == [3, 4])
    cluster.members[1].start()


async def move_slowly(operator: Operator, cluster: SimulatedCluster) -> None:
    """As kafka-reassign-partitions.sh --throttle sets it, and takes it back."""
    await asyncio.sleep(6)
    await operator.set(4, "4", "follower.replication.throttled.rate", "20000")
    await operator.set(2, TOPIC, "follower.replication.throttled.replicas", "0:4")
    began = operator.now()
    assert await operator.move([1, 2, 4]) is ErrorCode.NONE
    await operator.moved()
    assert operator.now() - began > 3, "what 8 s of load have left is more than 80,000 bytes"
    await operator.set(2, TOPIC, "follower.replication.throttled.replicas", None)
    began = operator.now()
    assert await operator.move([1, 2, 3]) is ErrorCode.NONE
    await operator.moved()
    assert operator.now() - began < 3


async def give_slowly(operator: Operator, cluster: SimulatedCluster) -> None:
    """The same where the copy is made from."""
    await asyncio.sleep(6)
    await operator.set(4, "1", "leader.replication.throttled.rate", "20000")
    await operator.set(2, TOPIC, "leader.replication.throttled.replicas", "0:1")
    began = operator.now()
    assert await operator.move([1, 2, 4]) is ErrorCode.NONE
    await operator.moved()
    assert operator.now() - began > 3, "what 8 s of load have left is more than 80,000 bytes"
    await operator.set(4, "1", "leader.replication.throttled.rate", None)
    began = operator.now()
    assert await operator.move([1, 2, 3]) is ErrorCode.NONE
    await operator.moved()
    assert operator.now() - began < 3


@pytest.mark.parametrize(
    "deed",
    [move_away, move_to_and_fro, cancel_midway, kill_the_leader_on_the_way, move_slowly, give_slowly],
    ids=lambda deed: getattr(deed, "__name__", ""),
)
@pytest.mark.parametrize("routing", ["direct", "any"])
def test_a_partition_is_moved_under_load(deed: Deed, routing: str) -> None:
    with Simulation(11, strict=False) as world:
        cluster = SimulatedCluster(world, 4, {"sprawl.routing": routing})
        world.run(under_load(world, cluster, [1, 2], deed), limit=200)
        assert not any(member.endings for member in cluster.members.values())


async def moves_and_kills(operator: Operator, cluster: SimulatedCluster) -> None:
    """Moves that overtake each other, and nodes that die in the middle of them."""
    rng = operator.rng
    for _ in range(12):
        await operator.move(rng.choice([None, rng.sample([1, 2, 3, 4], 2), rng.sample([1, 2, 3, 4], 3)]))
        member = cluster.members[rng.randint(1, 4)]
        if rng.random() < 0.5:
            rng.choice([member.kill, member.crash])()
        await asyncio.sleep(rng.random() * 2)
        if not member.up:
            member.start()
    await operator.moved()


@pytest.mark.parametrize("seed", range(20, 23))
def test_moves_in_the_midst_of_failures_lose_nothing(seed: int) -> None:
    with Simulation(seed, strict=False) as world:
        cluster = SimulatedCluster(world, 4)
        world.run(under_load(world, cluster, [1, 2, 3], moves_and_kills), limit=300)


async def _kill_the_first(operator: Operator, cluster: SimulatedCluster) -> None:
    cluster.members[1].kill()
    await operator.until(lambda now: now.leader_id == 2)
    cluster.members[1].start()
    await operator.until(lambda now: 1 in now.isr_nodes)


async def leader_is_called_back(operator: Operator, cluster: SimulatedCluster) -> None:
    await _kill_the_first(operator, cluster)
    assert (await operator.partition()).leader_id == 2
    assert await operator.elect() >= 1
    await operator.until(lambda now: now.leader_id == 1)
    assert await operator.elect() == 0


async def leader_returns(operator: Operator, cluster: SimulatedCluster) -> None:
    await _kill_the_first(operator, cluster)
    await operator.until(lambda now: now.leader_id == 1)


def test_the_preferred_leader_is_called_back_after_a_kill() -> None:
    with Simulation(12, strict=False) as world:
        cluster = SimulatedCluster(world, 3)
        world.run(under_load(world, cluster, [1, 2, 3], leader_is_called_back), limit=100)


def test_the_preferred_leader_returns_by_itself_after_a_kill() -> None:
    with Simulation(13, strict=False) as world:
        cluster = SimulatedCluster(world, 3, {"leader.imbalance.check.interval.seconds": "5"})
        world.run(under_load(world, cluster, [1, 2, 3], leader_returns), limit=100)


def test_voters_are_added_and_removed_and_a_broker_is_unregistered() -> None:
    async def story() -> None:
        cluster.start()
        operator = Operator(world, cluster)
        await asyncio.sleep(10)
        quorum = await operator.quorum()
        assert await operator.voters() == [1, 2, 3]
        assert [each.replica_id for each in quorum.observers] == [4]
        assert all(each.last_caught_up_timestamp > 0 for each in (*quorum.current_voters, *quorum.observers))
        (outsider,) = quorum.observers
        gone = next(each for each in quorum.current_voters if each.replica_id not in (1, quorum.leader_id))
        listener = [AddRaftVoterRequestListener(name="PEER", host="n4", port=9092)]
        add = AddRaftVoterRequest(
            cluster_id=None,
            timeout_ms=3000,
            voter_id=4,
            voter_directory_id=outsider.replica_directory_id,
            listeners=listener,
        )
        assert (await operator.ask(add, AddRaftVoterResponse)).error_code == 0
        assert (await operator.ask(add, AddRaftVoterResponse)).error_code == ErrorCode.DUPLICATE_VOTER
        await asyncio.sleep(3)
        assert len(await operator.voters()) == 3
        assert 4 in await operator.voters(), "the cluster keeps three, and the one it was told to take"
        before = await operator.quorum()
        gone = next(each for each in before.current_voters if each.replica_id not in (4, before.leader_id))
        remove = RemoveRaftVoterRequest(
            cluster_id=None, voter_id=gone.replica_id, voter_directory_id=gone.replica_directory_id
        )
        assert (await operator.ask(remove, RemoveRaftVoterResponse)).error_code == 0
        assert (await operator.ask(remove, RemoveRaftVoterResponse)).error_code == ErrorCode.VOTER_NOT_FOUND
        await asyncio.sleep(3)
        now = await operator.voters()
        assert len(now) == 3
        assert gone.replica_id not in now, "another takes its place"
        cluster.members[gone.replica_id].kill()
        await asyncio.sleep(5)
        unregister = UnregisterBrokerRequest(broker_id=gone.replica_id)
        assert (await operator.ask(unregister, UnregisterBrokerResponse)).error_code == 0
        again = await operator.ask(unregister, UnregisterBrokerResponse)
        assert again.error_code == ErrorCode.BROKER_ID_NOT_REGISTERED
        answer = await operator.ask(DescribeClusterRequest(include_fenced_brokers=True), DescribeClusterResponse)
        assert sorted(each.broker_id for each in answer.brokers) == now
        cluster.stop()

    with Simulation(14, strict=False) as world:
        cluster = SimulatedCluster(world, 4)
        world.run(story(), limit=100)
