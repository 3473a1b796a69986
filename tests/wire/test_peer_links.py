"""Links between nodes, over a simulated network and real listeners: who gets in, and what fails when a link does."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from sprawl.handlers.api_versions import ApiVersionsHandlers
from sprawl.handlers.context import Handler, RequestContext
from sprawl.handlers.peers import PeerHandlers
from sprawl.quorum.image import MetadataImage
from sprawl.runtime.simulated import SimulatedNode, SimulatedRuntime, Simulation
from sprawl.security.access import Principal
from sprawl.security.peers import MECHANISM, PeerIdentity
from sprawl.wire.client import ClientError, ConnectionLostError, KafkaClient, NotConnectedError, TimedOutError
from sprawl.wire.dispatch import PEER_ONLY, Dispatcher
from sprawl.wire.limits import ConnectionLimits, RequestMemory
from sprawl.wire.listener import KafkaListener
from sprawl.wire.peers import CONNECT_SECONDS, COOL_DOWN, REFUSED_COOL_DOWN, PeerLinks, PeerRefusedError
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    BrokerHeartbeatRequest,
    BrokerHeartbeatResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
    VoteRequest,
    VoteResponse,
)

PORT = 9092
SECRET = bytes(range(32))
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qk"


def identity(node_id: int, cluster_id: str = CLUSTER) -> PeerIdentity:
    return PeerIdentity(node_id, f"directory-{node_id}", cluster_id)


class Server:
    """A node as others see it: it answers heartbeats, at once or when it is let."""

    def __init__(self, runtime: SimulatedRuntime, me: PeerIdentity, *, closed: bool = False) -> None:
        self.seen: list[RequestContext] = []
        self.asked: list[int] = []
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.routes: dict[ApiKey, Handler] = {
            **PeerHandlers(me, SECRET, runtime).routes(),
            **ApiVersionsHandlers(lambda: self.routes, lambda: MetadataImage(CLUSTER), me.node_id).routes(),
            ApiKey.HEARTBEAT: self.heartbeat,
            ApiKey.VOTE: self.vote,
        }
        self.dispatcher = Dispatcher(self.routes, closed=closed)
        self.listener = KafkaListener(
            "PLAINTEXT",
            "0.0.0.0",
            PORT,
            network=runtime.network,
            clock=runtime.clock,
            dispatcher=self.dispatcher,
            limits=ConnectionLimits(),
            memory=RequestMemory(1 << 20),
            ids=itertools.count(1),
        )

    async def start(self) -> None:
        await self.listener.open()
        self.listener.serve()

    async def heartbeat(self, context: RequestContext, request: HeartbeatRequest) -> HeartbeatResponse:
        self.asked.append(request.generation_id)
        if request.group_id == "slow":
            await self.let_go.wait()
        return HeartbeatResponse(throttle_time_ms=request.generation_id)

    def vote(self, context: RequestContext, request: VoteRequest) -> VoteResponse:
        self.seen.append(context)
        return VoteResponse()


class World:
    """Node `two` serves; node `one` has links to it."""

    def __init__(self, simulation: Simulation) -> None:
        self.simulation = simulation
        self.one = simulation.node("one")
        self.two = simulation.node("two")
        self.addresses: dict[int, tuple[str, int]] = {2: ("two", PORT)}

    async def serve(self, node: SimulatedNode | None = None, me: PeerIdentity | None = None, **options: bool) -> Server:
        where = self.two if node is None else node

        async def start() -> Server:
            server = Server(where.runtime, identity(2) if me is None else me, **options)
            await server.start()
            return server

        return await where.run(start())

    @asynccontextmanager
    async def links(self, me: PeerIdentity | None = None, secret: bytes = SECRET) -> AsyncIterator[PeerLinks]:
        links = PeerLinks(self.one.runtime, identity(1) if me is None else me, secret, self.addresses.get)
        try:
            yield links
        finally:
            await links.close()


def play(story: Any) -> None:
    with Simulation(7) as simulation:
        world = World(simulation)
        simulation.run(story(world), on=world.one)


async def beat(links: PeerLinks, number: int = 1, *, slow: bool = False, lane: str = "", timeout: float = 30.0) -> int:
    request = HeartbeatRequest(group_id="slow" if slow else "", generation_id=number)
    answer = await links.request(2, request, expect=HeartbeatResponse, timeout=timeout, lane=lane)
    return answer.throttle_time_ms


async def failure(work: Coroutine[Any, Any, object]) -> ClientError:
    with pytest.raises(ClientError) as caught:
        await work
    return caught.value


def test_nodes_know_each_other_and_may_ask_what_clients_may_not() -> None:
    async def story(world: World) -> None:
        server = await world.serve()
        async with world.links() as links:
            await links.request(2, VoteRequest(cluster_id=CLUSTER), expect=VoteResponse, timeout=1)
            (context,) = server.seen
            assert context.peer == identity(1)
            assert context.principal == Principal("Node", "1")
            assert await links.identity_at("two", PORT) == identity(2)

    play(story)


def test_a_joining_node_learns_the_cluster_from_a_seed() -> None:
    async def story(world: World) -> None:
        await world.serve()
        async with world.links(identity(1, cluster_id="")) as links:
            assert (await links.identity_at("two", PORT)).cluster_id == CLUSTER
            request = HeartbeatRequest(generation_id=4)
            answer = await links.request_at("two", PORT, request, expect=HeartbeatResponse, timeout=1)
            assert answer.throttle_time_ms == 4

    play(story)


@pytest.mark.parametrize(
    ("me", "secret", "reason"),
    [
        (identity(1), bytes(32), "node 2 does not have the same cluster secret as node 1"),
        (identity(1, "another"), SECRET, f"node 2 belongs to cluster {CLUSTER}, node 1 to cluster another"),
        (identity(2), SECRET, "node 2 has connected to itself"),
        (PeerIdentity(2, "elsewhere", CLUSTER), SECRET, "there are two nodes with id 2"),
    ],
    ids=["secret", "cluster", "itself", "id"],
)
def test_both_sides_say_why_a_node_is_refused(
    me: PeerIdentity, secret: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(world: World) -> None:
        await world.serve()
        async with world.links(me, secret) as links:
            refused = await failure(beat(links))
            assert isinstance(refused, PeerRefusedError)
            assert refused.not_done
            assert reason in str(refused)

    caplog.set_level(logging.WARNING)
    play(story)
    (line,) = [record.getMessage() for record in caplog.records if "refused" in record.getMessage()]
    assert "is refused" in line


def test_a_host_that_is_refused_again_and_again_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def story(world: World) -> None:
        await world.serve()
        for number in range(20):
            async with world.links(identity(10 + number), bytes(32)) as links:
                await failure(beat(links))
        await asyncio.sleep(60)
        async with world.links(secret=bytes(32)) as links:
            await failure(beat(links))

    caplog.set_level(logging.WARNING)
    play(story)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2, lines


def test_another_node_at_the_address_is_not_the_node_that_was_meant() -> None:
    async def story(world: World) -> None:
        server = await world.serve(me=identity(3))
        async with world.links() as links:
            refused = await failure(beat(links))
            assert isinstance(refused, PeerRefusedError)
            assert "node 3 is there, not node 2" in str(refused)
            assert server.asked == []

    play(story)


def test_what_only_nodes_may_ask_is_refused_to_clients_and_not_named_to_them() -> None:
    async def story(world: World) -> None:
        server = await world.serve()
        client = await KafkaClient(world.one.runtime).connect("two", PORT)
        assert not PEER_ONLY & client.versions.keys()
        assert ApiKey.SASL_HANDSHAKE not in client.versions
        assert ApiKey.HEARTBEAT in client.versions
        answer = await client.request(VoteRequest(), VoteRequest.MAX_VERSION, expect=VoteResponse)
        assert answer.error_code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED
        assert server.seen == []
        await client.close()

    play(story)


def test_clients_that_want_to_authenticate_hear_what_kafka_says_without_sasl() -> None:
    async def story(world: World) -> None:
        await world.serve()
        client = await KafkaClient(world.one.runtime).connect("two", PORT)
        plain = await client.request(SaslHandshakeRequest(mechanism="PLAIN"), 1, expect=SaslHandshakeResponse)
        assert (plain.error_code, plain.mechanisms) == (ErrorCode.ILLEGAL_SASL_STATE, [])
        early = await client.request(SaslAuthenticateRequest(auth_bytes=b"x"), 2, expect=SaslAuthenticateResponse)
        assert early.error_code == ErrorCode.ILLEGAL_SASL_STATE
        await client.close()

    play(story)


def test_who_fails_to_prove_anything_stays_a_client(caplog: pytest.LogCaptureFixture) -> None:
    async def story(world: World) -> None:
        server = await world.serve()
        client = await KafkaClient(world.one.runtime).connect("two", PORT)
        for garbage in (b"", b"\xff" * 90, bytes(100_000)):
            begun = await client.request(SaslHandshakeRequest(mechanism=MECHANISM), 1, expect=SaslHandshakeResponse)
            assert begun.error_code == ErrorCode.NONE
            said = SaslAuthenticateRequest(auth_bytes=garbage)
            answer = await client.request(said, 2, expect=SaslAuthenticateResponse)
            assert answer.error_code == ErrorCode.SASL_AUTHENTICATION_FAILED
            again = await client.request(said, 2, expect=SaslAuthenticateResponse)
            assert again.error_code == ErrorCode.ILLEGAL_SASL_STATE
        vote = await client.request(VoteRequest(), VoteRequest.MAX_VERSION, expect=VoteResponse)
        assert vote.error_code == ErrorCode.CLUSTER_AUTHORIZATION_FAILED
        assert server.seen == []
        await client.close()

    play(story)


def test_a_node_that_starts_answers_nodes_and_lets_clients_wait() -> None:
    async def story(world: World) -> None:
        server = await world.serve(closed=True)
        async with world.links() as links:
            assert await beat(links, 1) == 1
            client = KafkaClient(world.one.runtime)

            async def ask() -> HeartbeatResponse:
                await client.connect("two", PORT)
                return await client.request(HeartbeatRequest(generation_id=2), expect=HeartbeatResponse)

            waiting = asyncio.create_task(ask())
            await asyncio.sleep(1)
            assert not waiting.done()
            server.dispatcher.open()
            assert (await waiting).throttle_time_ms == 2
            await client.close()

    play(story)


def test_what_a_node_cannot_answer_before_its_start_it_answers_later_on_the_same_connection() -> None:
    async def story(world: World) -> None:
        server = await world.serve(closed=True)
        async with world.links() as links:
            request = BrokerHeartbeatRequest()
            early = await links.request(2, request, expect=BrokerHeartbeatResponse, timeout=1)
            assert early.error_code == ErrorCode.BROKER_NOT_AVAILABLE
            server.routes[ApiKey.BROKER_HEARTBEAT] = lambda context, request: BrokerHeartbeatResponse(is_fenced=False)
            answer = await links.request(2, request, expect=BrokerHeartbeatResponse, timeout=1)
            assert answer.error_code == ErrorCode.NONE
            assert server.listener.connections == 1

    play(story)


def test_requests_of_one_lane_share_a_connection_and_keep_their_order() -> None:
    async def story(world: World) -> None:
        server = await world.serve()
        async with world.links() as links:
            numbers = list(range(50))
            assert await asyncio.gather(*(beat(links, number) for number in numbers)) == numbers
            assert server.asked == numbers
            assert server.listener.connections == 1

    play(story)


def test_what_waits_in_one_lane_does_not_hold_up_another() -> None:
    async def story(world: World) -> None:
        server = await world.serve()
        server.let_go.clear()
        async with world.links() as links:
            poll = asyncio.create_task(beat(links, 1, slow=True, lane="fetch"))
            behind = asyncio.create_task(beat(links, 2, lane="fetch"))
            await asyncio.sleep(1)
            assert await beat(links, 3, timeout=5) == 3
            assert not poll.done()
            assert not behind.done()
            server.let_go.set()
            assert [await poll, await behind] == [1, 2]

    play(story)


def test_a_node_that_is_back_is_reached_again_and_what_was_lost_may_have_been_done() -> None:
    async def story(world: World) -> None:
        server = await world.serve()
        server.let_go.clear()
        async with world.links() as links:
            lost = asyncio.create_task(beat(links, 1, slow=True))
            await asyncio.sleep(1)
            world.two.kill()
            problem = await failure(await_(lost))
            assert isinstance(problem, ConnectionLostError)
            assert not problem.not_done
            assert (await failure(beat(links, 2))).not_done
            world.two.boot()
            await world.serve()
            await asyncio.sleep(COOL_DOWN)
            assert await beat(links, 3) == 3

    play(story)


def test_after_a_failure_nobody_hammers() -> None:
    async def story(world: World) -> None:
        async with world.links() as links:
            await failure(beat(links))
            server = await world.serve()
            problem = await failure(beat(links))
            assert isinstance(problem, NotConnectedError)
            assert server.asked == []
            await asyncio.sleep(COOL_DOWN)
            assert await beat(links, 2) == 2

    play(story)


def test_a_refusal_holds_for_longer_than_a_failure() -> None:
    async def story(world: World) -> None:
        await world.serve(me=identity(3))
        async with world.links() as links:
            await failure(beat(links))
            world.two.kill()
            world.two.boot()
            await world.serve()
            await asyncio.sleep(COOL_DOWN)
            assert isinstance(await failure(beat(links)), PeerRefusedError)
            await asyncio.sleep(REFUSED_COOL_DOWN)
            assert await beat(links, 2) == 2

    play(story)


def test_a_node_that_moved_is_reached_where_it_is_now() -> None:
    async def story(world: World) -> None:
        old = await world.serve()
        moved = world.simulation.node("elsewhere")
        new = await world.serve(moved)
        async with world.links() as links:
            await beat(links, 1)
            world.addresses[2] = ("elsewhere", PORT)
            assert await beat(links, 2) == 2
            assert old.asked == [1]
            assert new.asked == [2]
            await asyncio.sleep(1)
            assert old.listener.connections == 0

    play(story)


def test_a_node_without_an_address_is_not_asked() -> None:
    async def story(world: World) -> None:
        del world.addresses[2]
        async with world.links() as links:
            assert (await failure(beat(links))).not_done

    play(story)


def test_who_does_not_answer_in_time_is_given_up_and_tried_anew() -> None:
    async def story(world: World) -> None:
        server = await world.serve()
        server.let_go.clear()
        async with world.links() as links:
            problem = await failure(beat(links, 1, slow=True, timeout=3))
            assert isinstance(problem, TimedOutError)
            assert not problem.not_done
            assert await beat(links, 2) == 2

    play(story)


def test_an_attempt_goes_on_when_the_first_who_waits_for_it_gives_up() -> None:
    async def story(world: World) -> None:
        server = await world.serve()
        async with world.links() as links:
            impatient = await failure(beat(links, 1, timeout=0.0001))
            assert isinstance(impatient, NotConnectedError)
            await links.request(2, VoteRequest(cluster_id=CLUSTER), expect=VoteResponse, timeout=1)
            assert server.asked == []
            assert [context.connection_id for context in server.seen] == [1], "the first attempt's connection"

    play(story)


def test_a_node_that_cannot_be_reached_fails_within_the_time_for_connecting() -> None:
    async def story(world: World) -> None:
        await world.serve()
        world.simulation.links.block("one", "two")
        async with world.links() as links:
            began = world.simulation.now
            assert (await failure(beat(links))).not_done
            assert world.simulation.now - began == pytest.approx(CONNECT_SECONDS, rel=0.01)
            world.simulation.links.heal()
            await asyncio.sleep(COOL_DOWN)
            assert await beat(links, 2) == 2

    play(story)


def test_dropping_a_node_fails_what_is_under_way_and_the_next_request_connects_anew() -> None:
    async def story(world: World) -> None:
        server = await world.serve()
        server.let_go.clear()
        async with world.links() as links:
            lost = asyncio.create_task(beat(links, 1, slow=True))
            await asyncio.sleep(1)
            links.drop(2)
            assert isinstance(await failure(await_(lost)), ConnectionLostError)
            assert await beat(links, 2) == 2

    play(story)


def test_closing_fails_what_is_under_way_connected_or_not() -> None:
    async def story(world: World) -> None:
        server = await world.serve()
        server.let_go.clear()
        world.addresses[3] = ("unreachable", PORT)
        world.simulation.node("unreachable")
        world.simulation.links.block("one", "unreachable")
        async with world.links() as links:
            asked = asyncio.create_task(beat(links, 1, slow=True))
            connecting = asyncio.create_task(links.request(3, HeartbeatRequest(), expect=HeartbeatResponse, timeout=30))
            await asyncio.sleep(1)
            began = world.simulation.now
            await links.close()
            assert world.simulation.now - began < 0.1
            assert isinstance(await failure(await_(asked)), ConnectionLostError)
            assert (await failure(await_(connecting))).not_done
            assert (await failure(beat(links))).not_done
            await asyncio.sleep(1)
            assert server.listener.connections == 0

    play(story)


async def await_(task: asyncio.Task[Any]) -> object:
    return await task
