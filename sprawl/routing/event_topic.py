"""The topic of events as its writer sees it: `__sprawl_events`, partition 0, led by whatever node.

In: keys and values. Out: whether they are written and committed; and which events the topic ends with, for a writer
that does not know what became of its last words, or of its predecessor's. Makes the topic where there is none.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeVar

from sprawl.quorum.any_controller import AnyController
from sprawl.quorum.following import Peers
from sprawl.quorum.image import EVENTS_TOPIC, TopicImage
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.runtime import Clock
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from sprawl_protocol.records import Record, build_batch, headers, records_of

R = TypeVar("R", bound=Response)

_TIMEOUT: Final = 5.0
_REPLICAS: Final = 3
_LANE: Final = "events"
_READ_BYTES: Final = 1 << 20
_LATEST: Final = -1
_EARLIEST: Final = -2
_NO_SESSION: Final = -1


class EventTopic:
    def __init__(
        self,
        quorum: MetadataQuorum,
        anywhere: AnyController,
        peers: Peers,
        serve_here: Callable[[Request], Awaitable[Response]],
        clock: Clock,
    ) -> None:
        """`serve_here`: this node's own answer to a request."""
        self._quorum = quorum
        self._anywhere = anywhere
        self._peers = peers
        self._serve_here = serve_here
        self._clock = clock

    @property
    def exists(self) -> bool:
        return EVENTS_TOPIC in self._quorum.image.topics

    async def make(self) -> None:
        """Raises `ApiError`."""
        brokers = self._quorum.image.brokers.values()
        alive = sum(each.active for each in brokers)
        fewest = min(len(brokers), 2)
        if alive < fewest:
            raise ApiError(ErrorCode.INVALID_REPLICATION_FACTOR, "one node is alive: too few to keep events safe")
        replicas = min(_REPLICAS, alive)
        while True:
            try:
                return await self._anywhere.make_topic(EVENTS_TOPIC, 1, replicas, {})
            except ApiError as refusal:
                if refusal.code != ErrorCode.INVALID_REPLICATION_FACTOR or replicas <= fewest:
                    raise
                replicas -= 1  # some are being drained

    async def write(self, events: Sequence[tuple[str, bytes]]) -> None:
        """Returns once they are committed. Raises `ApiError`, `ClientError`."""
        topic = self._topic()
        now = self._clock.wall_ms()
        records = [Record(at, now, subject.encode(), event, []) for at, (subject, event) in enumerate(events)]
        data = PartitionProduceData(index=0, records=build_batch(records))
        request = ProduceRequest(
            acks=-1,
            timeout_ms=int(_TIMEOUT * 1000),
            topic_data=[TopicProduceData(name=topic.name, topic_id=topic.id, partition_data=[data])],
        )
        answer = await self._ask(topic, request, ProduceResponse)
        _check(answer.responses[0].partition_responses[0].error_code, "the event topic does not take records")

    async def last(self, count: int) -> set[str]:
        """The ids of its last events: at least `count`, where there are so many. Raises `ApiError`, `ClientError`."""
        topic = self._topic()
        end = await self._offset(topic, _LATEST)
        offset = max(await self._offset(topic, _EARLIEST), end - count)
        found: set[str] = set()
        while offset < end:
            data = await self._read(topic, offset)
            if not data:
                raise ApiError(ErrorCode.OFFSET_NOT_AVAILABLE, f"the event topic has nothing at offset {offset}")
            for record_offset, event_id in _ids(data):
                found.add(event_id)
                offset = max(offset, record_offset + 1)
        return found

    async def _offset(self, topic: TopicImage, which: int) -> int:
        wanted = ListOffsetsPartition(partition_index=0, timestamp=which)
        request = ListOffsetsRequest(topics=[ListOffsetsTopic(name=topic.name, partitions=[wanted])])
        answer = (await self._ask(topic, request, ListOffsetsResponse)).topics[0].partitions[0]
        _check(answer.error_code, "the event topic does not tell its offsets")
        return answer.offset

    async def _read(self, topic: TopicImage, offset: int) -> bytes:
        wanted = FetchPartition(partition=0, fetch_offset=offset, partition_max_bytes=_READ_BYTES)
        request = FetchRequest(
            max_bytes=_READ_BYTES,
            session_epoch=_NO_SESSION,
            topics=[FetchTopic(topic=topic.name, topic_id=topic.id, partitions=[wanted])],
        )
        answer = (await self._ask(topic, request, FetchResponse)).responses[0].partitions[0]
        _check(answer.error_code, "the event topic cannot be read")
        return bytes(answer.records or b"")

    def _topic(self) -> TopicImage:
        """Raises `ApiError`."""
        topic = self._quorum.image.topics.get(EVENTS_TOPIC)
        if topic is None:
            raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, "there is no event topic yet")
        return topic

    async def _ask(self, topic: TopicImage, request: Request, expect: type[R]) -> R:
        leader = topic.partitions[0].leader
        if leader < 0:
            raise ApiError(ErrorCode.LEADER_NOT_AVAILABLE, "nobody leads the event topic")
        if leader != self._quorum.node_id:
            return await self._peers.request(leader, request, expect=expect, timeout=_TIMEOUT, lane=_LANE)
        try:
            async with asyncio.timeout(_TIMEOUT):
                answer = await self._serve_here(request)
        except TimeoutError:
            raise ApiError(ErrorCode.REQUEST_TIMED_OUT, "this node has not answered itself in time") from None
        assert isinstance(answer, expect), "a request is answered by its response"
        return answer


def _check(error: int, what: str) -> None:
    if error:
        raise ApiError(ErrorCode(error), what)


def _ids(data: bytes) -> Iterator[tuple[int, str]]:
    """Offset and id of each event."""
    for position, header in headers(data):
        if header.is_control:
            continue
        for record in records_of(data, position):
            yield record.offset, _id_in(bytes(record.value or b""))


def _id_in(value: bytes) -> str:
    """Empty for what is no event: anybody may write to the topic."""
    try:
        event = json.loads(value)
    except ValueError:
        return ""
    return str(event.get("id", "")) if isinstance(event, dict) else ""
