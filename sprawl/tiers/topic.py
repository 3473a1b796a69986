"""The topic `__sprawl_tier`: written by the leaders of tiered partitions, read by every node from its beginning.

In: records to write. Out: all records, in order, to the `Catalogs`. All records of one partition are in one partition
of the topic, so that all nodes read them in one order. It is an ordinary replicated topic, reached by ordinary requests
to whoever leads its partitions.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar
from uuid import UUID

from crc32c import crc32c

from sprawl.quorum.any_controller import AnyController
from sprawl.quorum.following import Peers
from sprawl.quorum.image import TIER_TOPIC, PartitionImage, TopicImage
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.runtime import Clock
from sprawl.tiers.catalogs import Catalogs
from sprawl.tiers.records import TierRecord
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError, ErrorCode, ProtocolError
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
    PartitionProduceData,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
)
from sprawl_protocol.records import Record, build_batch, check_crc, headers, records_of

log = logging.getLogger(__name__)

PARTITIONS: Final = 8
"""Never changed once the topic is there: the order of a partition's records hangs on it."""
_REPLICAS: Final = 3
CONFIGS: Final = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
_TIMEOUT: Final = 10.0
_WAIT_MS: Final = 5000
_FETCH_BYTES: Final = 1024 * 1024
_PAUSE: Final = 0.5
_AFTER_A_BUG: Final = 5.0
_READING: Final = "tier reading"
_WRITING: Final = "tier writing"
"""Lanes of their own: on one, what is written would wait for the answer to a fetch."""
R = TypeVar("R", bound=Response)


class TierTopic:
    longest_wait: Final = 2 * _WAIT_MS / 1000
    """Seconds after which, if all is well, it has been read to its end once more."""

    def __init__(
        self,
        quorum: MetadataQuorum,
        anywhere: AnyController,
        peers: Peers,
        serve_here: Callable[[Request], Awaitable[Response]],
        clock: Clock,
        catalogs: Catalogs,
    ) -> None:
        """`serve_here`: this node's own answer to a request."""
        self._quorum = quorum
        self._anywhere = anywhere
        self._peers = peers
        self._serve_here = serve_here
        self._clock = clock
        self._catalogs = catalogs
        self._next: dict[int, int] = {}
        """The offset to read next, by partition of the topic."""
        self._read_to_end: dict[int, float] = {}
        """When there was nothing more to read, by the monotonic clock."""
        self._changed = asyncio.Event()

    # -- writing --------------------------------------------------------------------------------------------

    async def write(self, record: TierRecord) -> str | None:
        """Returns once the record took effect here: None, or why it is void.

        Raises `ApiError`, `ClientError`, `TimeoutError`: then it may take effect yet.
        """
        topic = await self._topic()
        index = partition_of(topic, record.topic_id, record.partition)
        waiting = self._catalogs.expect(record.token)
        try:
            async with asyncio.timeout(_TIMEOUT * 2):
                await self._produce(topic, index, record)
                return await waiting
        finally:
            waiting.cancel()

    async def _produce(self, topic: TopicImage, index: int, record: TierRecord) -> None:
        batch = build_batch([Record(0, self._clock.wall_ms(), record.key(), record.pack(), [])])
        data = TopicProduceData(topic_id=topic.id, partition_data=[PartitionProduceData(index=index, records=batch)])
        request = ProduceRequest(acks=-1, timeout_ms=int(_TIMEOUT * 1000), topic_data=[data])
        answer = await self._ask(topic.partitions[index].leader, request, ProduceResponse, _TIMEOUT, _WRITING)
        error = answer.responses[0].partition_responses[0].error_code
        if error:
            raise ApiError(ErrorCode(error), f"{TIER_TOPIC}-{index} does not take records")

    async def _topic(self) -> TopicImage:
        """Makes the topic if there is none. Raises `ApiError`."""
        image = self._quorum.image
        if TIER_TOPIC not in image.topics:
            alive = sum(each.active for each in image.brokers.values())
            if alive < min(len(image.brokers), 2):
                raise ApiError(ErrorCode.INVALID_REPLICATION_FACTOR, "one node is alive: too few for tier metadata")
            await self._anywhere.make_topic(TIER_TOPIC, PARTITIONS, min(_REPLICAS, max(alive, 1)), CONFIGS)
            image = await self._quorum.until(lambda image: TIER_TOPIC in image.topics)
            self._changed.set()
        return image.topics[TIER_TOPIC]

    # -- reading --------------------------------------------------------------------------------------------

    def up_to_date(self, topic_id: UUID, partition: int, since: float) -> bool:
        """Whether, at some moment after `since` (monotonic), all records of that partition had been read here."""
        topic = self._quorum.image.topics.get(TIER_TOPIC)
        if topic is None:
            return False
        return self._read_to_end.get(partition_of(topic, topic_id, partition), -1.0) > since

    def read_since(self, index: int, since: float) -> bool:
        """The same, of a partition of the topic itself."""
        return self._read_to_end.get(index, -1.0) > since

    def led_here(self, topic_id: UUID, partition: int) -> bool:
        """Whether this node leads the partition of the topic that has that partition's records."""
        topic = self._quorum.image.topics.get(TIER_TOPIC)
        if topic is None:
            return False
        return topic.partitions[partition_of(topic, topic_id, partition)].leader == self._quorum.node_id

    def image_changed(self) -> None:
        self._changed.set()

    async def run(self) -> None:
        """Reads for ever; ends with the node."""
        readers: dict[int, asyncio.Task[None]] = {}
        try:
            while True:
                self._changed.clear()
                for leader in {partition.leader for partition in self._partitions()} - {-1}:
                    if leader not in readers or readers[leader].done():
                        reader = asyncio.create_task(self._follow(leader), name=f"tier topic, node {leader}")
                        reader.add_done_callback(self._reader_ended)
                        readers[leader] = reader
                await self._changed.wait()
        finally:
            for reader in readers.values():
                reader.cancel()
            await asyncio.gather(*readers.values(), return_exceptions=True)

    def _reader_ended(self, reader: asyncio.Task[None]) -> None:
        if not reader.cancelled() and reader.exception() is not None:
            log.critical("reading the tier's topic broke; this is a bug", exc_info=reader.exception())
            asyncio.get_running_loop().call_later(_AFTER_A_BUG, self._changed.set)

    def _partitions(self) -> tuple[PartitionImage, ...]:
        topic = self._quorum.image.topics.get(TIER_TOPIC)
        return () if topic is None else topic.partitions

    async def _follow(self, leader: int) -> None:
        """As long as this node leads some of the topic."""
        while True:
            topic = self._quorum.image.topics.get(TIER_TOPIC)
            led = [] if topic is None else [each.index for each in topic.partitions if each.leader == leader]
            if topic is None or not led:
                return
            try:
                request, patience = self._fetch(topic, led), _WAIT_MS / 1000 + _TIMEOUT
                answer = await self._ask(leader, request, FetchResponse, patience, _READING)
                if answer.error_code:
                    raise ApiError(ErrorCode(answer.error_code), f"node {leader} refuses the fetch")
                for each in answer.responses:
                    for data in each.partitions:
                        self._take(data)
            except (ApiError, ClientError, ProtocolError) as problem:
                log.debug("the tier topic cannot be read from node %d: %s", leader, problem)
                await asyncio.sleep(_PAUSE)

    def _fetch(self, topic: TopicImage, led: list[int]) -> FetchRequest:
        asked = [
            FetchPartition(
                partition=index,
                fetch_offset=self._next.get(index, 0),
                current_leader_epoch=-1,
                last_fetched_epoch=-1,
                partition_max_bytes=_FETCH_BYTES,
            )
            for index in led
        ]
        return FetchRequest(
            max_wait_ms=_WAIT_MS,
            min_bytes=1,
            max_bytes=_FETCH_BYTES * len(led),
            session_id=0,
            session_epoch=-1,
            topics=[FetchTopic(topic_id=topic.id, partitions=asked)],
        )

    def _take(self, data: PartitionData) -> None:
        """Raises `ApiError`, `ProtocolError`."""
        index, error = data.partition_index, ErrorCode(data.error_code)
        if error is not ErrorCode.NONE:
            raise ApiError(error, f"{TIER_TOPIC}-{index} cannot be read: {error.name}")
        records = data.records
        if records is not None and len(records):
            assert isinstance(records, bytes | bytearray | memoryview)
            for position, header in headers(records):
                if not check_crc(records, position, header):
                    raise ProtocolError(f"{TIER_TOPIC}-{index}: a wrong checksum at offset {header.base_offset}")
                if header.next_offset <= self._next.get(index, 0):
                    continue
                for record in records_of(records, position):
                    if record.offset >= self._next.get(index, 0) and record.value is not None and not header.is_control:
                        self._apply(index, record.offset, bytes(record.value))
                self._next[index] = header.next_offset
        if self._next.get(index, 0) >= data.high_watermark:
            self._read_to_end[index] = self._clock.monotonic()

    def _apply(self, index: int, offset: int, value: bytes) -> None:
        try:
            record = TierRecord.parse(value)
        except ValueError as problem:
            log.error("%s-%d, offset %d: passed over: %s", TIER_TOPIC, index, offset, problem)
            return
        self._catalogs.apply(record)

    async def _ask(self, leader: int, request: Request, expect: type[R], timeout: float, lane: str) -> R:
        """Raises `ApiError`, `ClientError`."""
        if leader < 0:
            raise ApiError(ErrorCode.LEADER_NOT_AVAILABLE, f"nobody leads a partition of {TIER_TOPIC}")
        if leader == self._quorum.node_id:
            answer = await self._serve_here(request)
        else:
            answer = await self._peers.request(leader, request, expect=expect, timeout=timeout, lane=lane)
        assert isinstance(answer, expect), "an answer of its kind"
        return answer


def partition_of(topic: TopicImage, topic_id: UUID, partition: int) -> int:
    """Where in the tier topic a partition's records are."""
    return crc32c(topic_id.bytes + partition.to_bytes(4, "big")) % len(topic.partitions)
