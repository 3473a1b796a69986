"""`sprawl.routing=any`: what clients route by names one broker for all; what operators look at names every one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from sprawl.groups.log import TOPIC as OFFSETS_TOPIC
from sprawl.handlers.context import RequestContext
from sprawl.handlers.coordinators import Coordinators
from sprawl.handlers.groups import Node
from sprawl.handlers.leader_hints import LeaderHints
from sprawl.quorum.brokers import BrokerRegistration
from sprawl.quorum.controller import Heartbeat
from sprawl.quorum.image import ListenerImage
from sprawl.quorum.topic_changes import NewTopic
from sprawl.routing.endpoints import Address, Endpoints
from sprawl.security.access import ANONYMOUS
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    DescribeClusterRequest,
    DescribeTopicPartitionsRequest,
    FetchableTopicResponse,
    FetchResponse,
    MetadataRequest,
    MetadataRequestTopic,
    PartitionData,
    PartitionProduceResponse,
    ProduceResponse,
    TopicProduceResponse,
)
from tests.handlers.metadata_node import Served, serve
from tests.handlers.wired import versions_of

PROXY = Address("proxy", 9999)
CAME_IN = ("10.1.1.1", 9092)


def endpoints(served: Served, *, advertised: bool = True) -> Endpoints:
    quorum = served.member.quorum
    return Endpoints(lambda: quorum.image, any_node=True, advertised={"PLAINTEXT": PROXY} if advertised else {})


def context(version: int = 0) -> RequestContext:
    return RequestContext(version, "client", "10.0.0.9", ANONYMOUS, "PLAINTEXT", 1, local_address=CAME_IN)


async def join(served: Served, number: int, *, active: bool = True) -> None:
    """Another broker, with an address of its own that no client of `any` may be told."""
    controller, quorum = served.member.controller, served.member.quorum
    listener = ListenerImage("PLAINTEXT", f"10.0.0.{number}", 9092, 0)
    directory = UUID(int=100 + number)
    wish = BrokerRegistration(number, quorum.image.cluster_id, UUID(int=number), (listener,), (directory,), rack="r")
    epoch = await controller.register_broker(wish)
    if active:
        await controller.heartbeat(Heartbeat(number, epoch, quorum.image.offset))


async def spread_topic(served: Served, name: str) -> None:
    """Partition 0 is led by broker 1, partition 1 by broker 2, partition 2 by broker 3."""
    replicas = ([1, 2, 3], [2, 3, 1], [3, 1, 2])
    await served.member.controller.create_topics([NewTopic(name, assignments=list(enumerate(replicas)))])


async def told(served: Served, version: int) -> Any:
    asked = MetadataRequest(topics=[MetadataRequestTopic(name="topic")])
    return await served.ask(asked, version)


@pytest.mark.parametrize("version", versions_of(MetadataRequest))
def test_metadata_names_one_broker_that_leads_everything(version: int) -> None:
    async def run(served: Served) -> None:
        for number in (2, 3):
            await join(served, number)
        await spread_topic(served, "topic")
        answer = await told(served, version)
        (broker,) = answer.brokers
        assert (broker.node_id, broker.host, broker.port) == (1, PROXY.host, PROXY.port)
        assert version < 1 or answer.controller_id == 1
        partitions = answer.topics[0].partitions
        assert [each.error_code for each in partitions] == [0, 0, 0]
        assert [each.leader_id for each in partitions] == [1, 1, 1]
        assert [each.replica_nodes for each in partitions] == [[1, 2, 3], [2, 3, 1], [3, 1, 2]], "as they are"
        assert [each.isr_nodes for each in partitions] == [[1, 2, 3], [2, 3, 1], [3, 1, 2]]

    serve(run, endpoints=endpoints)


def test_it_is_the_same_broker_whether_it_is_fenced_or_not() -> None:
    async def run(served: Served) -> None:
        await join(served, 0, active=False)
        await join(served, 2)
        topic = NewTopic("topic", assignments=[(0, [1, 2]), (1, [2, 1])])
        await served.member.controller.create_topics([topic])
        before = await told(served, 12)
        assert [each.node_id for each in before.brokers] == [0], "the least that is registered, in whatever state"
        await join(served, 0)
        after = await told(served, 12)
        assert [(each.node_id, each.rack) for each in after.brokers] == [(0, None)], "its address leads to every rack"
        assert [each.leader_id for each in after.topics[0].partitions] == [0, 0]

    serve(run, endpoints=endpoints)


def test_without_an_advertised_address_clients_are_told_the_one_they_came_through() -> None:
    async def run(served: Served) -> None:
        await join(served, 2)
        routes = endpoints(served, advertised=False).routes(context())
        assert routes.shown == {1: Address(*CAME_IN)}

    serve(run)


def test_a_groups_coordinator_is_that_broker_too() -> None:
    async def run(served: Served) -> None:
        for number in (2, 3):
            await join(served, number)
        await spread_topic(served, OFFSETS_TOPIC)
        groups: Any = None  # asked for the topic only, which is there
        found = Coordinators(groups, lambda: served.member.quorum.image, endpoints(served))
        nodes = [found.leader(context(), partition) for partition in range(3)]
        assert nodes == [Node(1, PROXY.host, PROXY.port)] * 3
        assert found.leader(context(), 3) is None

    serve(run)


def test_who_is_said_to_lead_instead_is_that_broker_too() -> None:
    async def run(served: Served) -> None:
        for number in (2, 3):
            await join(served, number)
        await spread_topic(served, "topic")
        hints = LeaderHints(lambda: served.member.quorum.image, endpoints(served))
        wrong = int(ErrorCode.NOT_LEADER_OR_FOLLOWER)
        produced = ProduceResponse(
            responses=[
                TopicProduceResponse(
                    name="topic", partition_responses=[PartitionProduceResponse(index=1, error_code=wrong)]
                )
            ]
        )
        hints.add_to_produce(context(12), produced)
        fetched = FetchResponse(
            responses=[
                FetchableTopicResponse(topic="topic", partitions=[PartitionData(partition_index=2, error_code=wrong)])
            ]
        )
        hints.add_to_fetch(context(16), fetched)
        leaders = (
            produced.responses[0].partition_responses[0].current_leader,
            fetched.responses[0].partitions[0].current_leader,
        )
        assert [each.leader_id for each in leaders] == [1, 1]
        endpoints_told: list[Any] = [*produced.node_endpoints, *fetched.node_endpoints]
        assert len(endpoints_told) == 2
        for node in endpoints_told:
            assert (node.node_id, node.host, node.port, node.rack) == (1, PROXY.host, PROXY.port, None)

    serve(run)


def test_operators_are_told_every_broker_and_the_true_leaders() -> None:
    async def run(served: Served) -> None:
        for number in (2, 3):
            await join(served, number)
        await spread_topic(served, "topic")
        described = await served.ask(DescribeTopicPartitionsRequest())
        leaders = [each.leader_id for each in described.topics[0].partitions]
        assert leaders == [1, 2, 3]
        cluster = await served.ask(DescribeClusterRequest())
        assert {each.broker_id for each in cluster.brokers} >= set(leaders), "tools look leaders up there"
        assert {(each.host, each.port) for each in cluster.brokers} == {(PROXY.host, PROXY.port)}
        assert {each.broker_id: each.rack for each in cluster.brokers} == {1: None, 2: "r", 3: "r"}

    serve(run, endpoints=endpoints)
