"""The client's side of a connection, against a broker that follows a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from sprawl.runtime.real import RealRuntime
from sprawl.wire.client import (
    ClientError,
    ConnectionLostError,
    KafkaClient,
    NotConnectedError,
    TimedOutError,
    UnsupportedError,
)
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.framing import RequestHeader, frame_response, parse_request_header
from sprawl_protocol.message import Response
from sprawl_protocol.messages import (
    REQUESTS,
    ApiVersion,
    ApiVersionsRequest,
    ApiVersionsResponse,
    DescribeClusterRequest,
    DescribeClusterResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    ProduceRequest,
)


class Broker:
    """Answers ApiVersions by itself; everything else as the test says."""

    def __init__(self) -> None:
        self.versions = {key: (request.MIN_VERSION, request.MAX_VERSION) for key, request in REQUESTS.items()}
        self.knows_flexible_versions = True
        self.seen: list[RequestHeader] = []
        self.answer: Callable[[RequestHeader, asyncio.StreamWriter], Awaitable[None]] = self.heartbeat
        self.port = 0
        self.gone = asyncio.Event()

    async def heartbeat(self, header: RequestHeader, writer: asyncio.StreamWriter) -> None:
        send(writer, header, HeartbeatResponse(throttle_time_ms=header.correlation_id))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                frame = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big"))
                header = parse_request_header(memoryview(frame))
                self.seen.append(header)
                if header.api_key == ApiKey.API_VERSIONS:
                    self.answer_versions(header, writer)
                else:
                    await self.answer(header, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.gone.set()
            writer.close()

    def answer_versions(self, header: RequestHeader, writer: asyncio.StreamWriter) -> None:
        if header.api_version > 0 and not self.knows_flexible_versions:
            header.api_version = 0
            send(writer, header, ApiVersionsResponse(error_code=ErrorCode.UNSUPPORTED_VERSION))
            return
        keys = [
            ApiVersion(api_key=key, min_version=low, max_version=high) for key, (low, high) in self.versions.items()
        ]
        send(writer, header, ApiVersionsResponse(api_keys=keys))


def send(writer: asyncio.StreamWriter, header: RequestHeader, response: Response) -> None:
    writer.writelines(frame_response(header.correlation_id, response, header.api_version))


@asynccontextmanager
async def running(broker: Broker) -> AsyncIterator[Broker]:
    server = await asyncio.start_server(broker.serve, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    async with server:
        yield broker


@asynccontextmanager
async def connected(broker: Broker, **options: float) -> AsyncIterator[KafkaClient]:
    async with running(broker):
        client = KafkaClient(RealRuntime(), **options)  # type: ignore[arg-type]
        await client.connect("127.0.0.1", broker.port)
        try:
            yield client
        finally:
            await client.close()


async def test_versions_are_settled_and_the_newest_common_one_is_used() -> None:
    broker = Broker()
    broker.versions[ApiKey.HEARTBEAT] = (0, 2)
    async with connected(broker) as client:
        answer = await client.request(HeartbeatRequest(group_id="g"), expect=HeartbeatResponse)
        assert answer.throttle_time_ms == broker.seen[-1].correlation_id
        assert broker.seen[-1].api_version == 2
        assert broker.seen[-1].client_id == "sprawl"


async def test_a_broker_that_knows_only_the_oldest_version_question_is_asked_again() -> None:
    broker = Broker()
    broker.knows_flexible_versions = False
    async with connected(broker) as client:
        assert len(broker.seen) == 2
        assert broker.seen[-1].api_version == 0
        assert client.versions[ApiKey.HEARTBEAT].highest == HeartbeatRequest.MAX_VERSION


async def test_what_the_broker_does_not_offer_is_not_sent() -> None:
    broker = Broker()
    del broker.versions[ApiKey.DESCRIBE_CLUSTER]
    broker.versions[ApiKey.HEARTBEAT] = (90, 99)
    async with connected(broker) as client:
        with pytest.raises(UnsupportedError, match="does not offer DescribeCluster"):
            await client.request(DescribeClusterRequest(), expect=DescribeClusterResponse)
        with pytest.raises(UnsupportedError, match="versions 90 to 99"):
            await client.request(HeartbeatRequest())
        assert len(broker.seen) == 1


async def test_requests_overlap_and_answers_find_their_askers() -> None:
    broker = Broker()
    held: list[RequestHeader] = []

    async def hold(header: RequestHeader, writer: asyncio.StreamWriter) -> None:
        held.append(header)
        if len(held) == 5:
            for one in held:
                await broker.heartbeat(one, writer)

    broker.answer = hold
    async with connected(broker) as client:
        asked = [client.request(HeartbeatRequest(), expect=HeartbeatResponse) for _ in range(5)]
        answers = await asyncio.gather(*asked)
        assert [answer.throttle_time_ms for answer in answers] == [header.correlation_id for header in held]


async def test_no_more_requests_are_on_their_way_than_allowed() -> None:
    broker = Broker()
    on_their_way: list[int] = []
    async with connected(broker, max_in_flight=2) as client:

        async def slow(header: RequestHeader, writer: asyncio.StreamWriter) -> None:
            assert client._link is not None
            on_their_way.append(len(client._link._pending))
            await broker.heartbeat(header, writer)

        broker.answer = slow
        await asyncio.gather(*(client.request(HeartbeatRequest()) for _ in range(6)))
        assert len(on_their_way) == 6
        assert max(on_their_way) == 2


async def test_a_late_answer_costs_the_connection() -> None:
    broker = Broker()

    async def never(header: RequestHeader, writer: asyncio.StreamWriter) -> None:
        pass

    broker.answer = never
    async with connected(broker) as client:
        with pytest.raises(TimedOutError, match=r"no answer to HeartbeatRequest within 0\.05 s") as caught:
            await client.request(HeartbeatRequest(), timeout=0.05)
        assert not caught.value.not_done
        await broker.gone.wait()
        with pytest.raises(NotConnectedError) as refused:
            await client.request(HeartbeatRequest())
        assert refused.value.not_done


async def test_a_lost_connection_fails_what_was_on_its_way() -> None:
    broker = Broker()

    async def hang_up(header: RequestHeader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    broker.answer = hang_up
    async with connected(broker) as client:
        asked = [client.request(HeartbeatRequest()) for _ in range(3)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(outcome, ConnectionLostError) for outcome in outcomes)
        assert not client.connected


async def test_giving_up_on_a_request_leaves_the_others_alone() -> None:
    broker = Broker()
    release = asyncio.Event()

    async def slow(header: RequestHeader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await release.wait()
        await broker.heartbeat(header, writer)

    arrived = asyncio.Event()
    broker.answer = slow
    async with connected(broker) as client:
        first = asyncio.create_task(client.request(HeartbeatRequest()))
        second = asyncio.create_task(client.request(HeartbeatRequest(), expect=HeartbeatResponse))
        await arrived.wait()
        first.cancel()
        release.set()
        assert (await second).throttle_time_ms == broker.seen[-1].correlation_id


@pytest.mark.parametrize("shift", [1, -1])
async def test_an_answer_out_of_turn_ends_the_connection(shift: int) -> None:
    broker = Broker()

    async def confuse(header: RequestHeader, writer: asyncio.StreamWriter) -> None:
        header.correlation_id += shift
        await broker.heartbeat(header, writer)

    broker.answer = confuse
    async with connected(broker) as client:
        with pytest.raises(ConnectionLostError, match="correlation id"):
            await client.request(HeartbeatRequest())
        assert not client.connected


@pytest.mark.parametrize(
    "sent", [b"\x7f\xff\xff\xff", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\4\0\0\0\2", b"\0\0\0\6\0\0\0\2\xff\xff"]
)
async def test_an_answer_that_cannot_be_read_ends_the_connection(sent: bytes) -> None:
    broker = Broker()

    async def babble(header: RequestHeader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)

    broker.answer = babble
    async with connected(broker) as client:
        with pytest.raises(ConnectionLostError):
            await client.request(HeartbeatRequest(), timeout=5)


async def test_produce_without_acknowledgement_waits_for_nothing() -> None:
    broker = Broker()
    arrived = asyncio.Event()

    async def note(header: RequestHeader, writer: asyncio.StreamWriter) -> None:
        arrived.set()

    broker.answer = note
    async with connected(broker) as client:
        await client.send(ProduceRequest(acks=0))
        await arrived.wait()
        broker.answer = broker.heartbeat
        assert await client.request(HeartbeatRequest(), expect=HeartbeatResponse)


async def test_nobody_there() -> None:
    broker = Broker()
    async with running(broker):
        pass
    with pytest.raises(NotConnectedError, match=f"127.0.0.1:{broker.port}"):
        await KafkaClient(RealRuntime()).connect("127.0.0.1", broker.port)


async def test_not_a_kafka_broker() -> None:
    async def web(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(web, "127.0.0.1", 0)
    async with server:
        with pytest.raises(ClientError):
            await KafkaClient(RealRuntime()).connect("127.0.0.1", server.sockets[0].getsockname()[1])


def test_the_first_question_is_version_3() -> None:
    assert ApiVersionsRequest.MIN_VERSION <= 3 <= ApiVersionsRequest.MAX_VERSION
