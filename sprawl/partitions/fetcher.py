"""Follows one leader node: fetches every partition that this node replicates from it, over one link.

In: the partitions to follow. Out: their logs grown, or cut where the leader's goes on differently (KIP-595's way: the
answer to a fetch names the epoch that diverged). A partition is fetched from an offset only when everything below is
durable here: the leader counts on that. One partition's trouble does not hold up the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sprawl.partitions.fetch_requests import FetchRequests, Key, Place
from sprawl.partitions.partition import Partition
from sprawl.partitions.throttle import ReplicationThrottle
from sprawl.quorum.following import Peers
from sprawl.runtime import Clock
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError, ErrorCode, ProtocolError
from sprawl_protocol.messages import FetchResponse, PartitionData
from sprawl_protocol.records import check_crc, headers

log = logging.getLogger(__name__)

LANE: Final = "replicas"
_PATIENCE: Final = 2.0
"""Seconds beyond what a fetch may wait until a leader counts as not answering."""
_SESSION_LOST: Final = frozenset(
    {
        ErrorCode.FETCH_SESSION_ID_NOT_FOUND,
        ErrorCode.INVALID_FETCH_SESSION_EPOCH,
        ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR,
    }
)


@dataclass(frozen=True, slots=True)
class FetchPace:
    """Kafka's `replica.fetch.*`."""

    max_wait_ms: int = 500
    min_bytes: int = 1
    max_bytes: int = 10 * 1024 * 1024
    partition_max_bytes: int = 1024 * 1024
    backoff: float = 0.2
    """Seconds until a partition that could not be fetched is tried again, or a node that did not answer."""


class ReplicaFetcher:
    def __init__(
        self,
        node_id: int,
        leader: int,
        peers: Peers,
        clock: Clock,
        broker_epoch: Callable[[], int],
        throttle: ReplicationThrottle,
        pace: FetchPace,
    ) -> None:
        self._leader = leader
        self._throttle = throttle
        self._peers = peers
        self._clock = clock
        self._broker_epoch = broker_epoch
        self._pace = pace
        self._requests = FetchRequests(
            node_id,
            max_wait_ms=pace.max_wait_ms,
            min_bytes=pace.min_bytes,
            max_bytes=pace.max_bytes,
            partition_max_bytes=pace.partition_max_bytes,
        )
        self._followed: dict[Key, Partition] = {}
        self._paused: dict[Key, float] = {}
        """Until when."""
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._followed)

    def add(self, partition: Partition) -> None:
        key = (partition.topic_id, partition.index)
        self._followed[key] = partition
        self._paused.pop(key, None)
        self._changed.set()

    def remove(self, partition: Partition) -> None:
        key = (partition.topic_id, partition.index)
        self._followed.pop(key, None)
        self._paused.pop(key, None)

    async def run(self) -> None:
        while True:
            self._changed.clear()
            while undurable := self._undurable():
                await self._until_durable(undurable)
            places = self._places()
            if not places:
                await self._until_changed(self._pace.backoff if self._followed else None)
                continue
            try:
                answer = await self._peers.request(
                    self._leader,
                    self._requests.request(places, self._broker_epoch()),
                    expect=FetchResponse,
                    timeout=self._pace.max_wait_ms / 1000 + _PATIENCE,
                    lane=LANE,
                )
            except ClientError as problem:
                log.debug("node %d, followed for %d partitions, does not answer: %s", self._leader, len(self), problem)
                self._requests.forget()
                await self._until_changed(self._pace.backoff)
                continue
            if answer.error_code:
                self._requests.forget()
                if ErrorCode(answer.error_code) not in _SESSION_LOST:
                    log.warning("node %d refuses to be followed: %s", self._leader, ErrorCode(answer.error_code).name)
                    await self._until_changed(self._pace.backoff)
                continue
            self._requests.answered(answer.session_id)
            await self._take(places, answer)

    def _places(self) -> dict[Key, Place]:
        now = self._clock.monotonic()
        places: dict[Key, Place] = {}
        for key, partition in self._followed.items():
            if partition.leader != self._leader or self._paused.get(key, now) > now or self._throttle.holds(partition):
                continue
            if partition.log.damaged is not None:
                continue  # until it is mended
            self._paused.pop(key, None)
            end = partition.log.log_end_offset
            places[key] = Place(end, partition.leader_epoch, partition.log.last_epoch, partition.log.log_start_offset)
        return places

    def _undurable(self) -> list[tuple[Key, Partition]]:
        """Those with records that are not safe here yet: what came, or what this node took as leader a moment ago.

        To fetch from an offset is to say that one has all below.
        """
        now = self._clock.monotonic()
        return [
            (key, partition)
            for key, partition in self._followed.items()
            if partition.log.durable_offset < partition.log.log_end_offset
            and partition.log.damaged is None
            and self._paused.get(key, now) <= now
        ]

    async def _until_durable(self, partitions: Sequence[tuple[Key, Partition]]) -> None:
        for key, partition in partitions:
            try:
                await partition.durable()
            except ApiError as problem:
                log.warning("%s: %s", partition, problem)
                self._pause(key)

    async def _until_changed(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    # -- taking what came -------------------------------------------------------------------------------------------

    async def _take(self, places: dict[Key, Place], answer: FetchResponse) -> None:
        for topic in answer.responses:
            for data in topic.partitions:
                key = (topic.topic_id, data.partition_index)
                partition, place = self._followed.get(key), places.get(key)
                if partition is None or place is None:
                    continue
                try:
                    async with partition.mending:
                        await self._take_one(partition, place, data)
                except (ApiError, ProtocolError, OSError, ValueError) as problem:
                    log.warning("%s cannot be followed for the moment: %s", partition, problem)
                    self._pause(key)

    async def _take_one(self, partition: Partition, place: Place, data: PartitionData) -> None:
        """Raises `ApiError`, `ProtocolError`, `OSError`."""
        if (partition.leader, partition.leader_epoch) != (self._leader, place.leader_epoch) or partition.leading:
            return  # things have changed since it was asked
        if partition.log.log_end_offset != place.offset:
            return  # the disk took back what it was given: ask again from where the log ends now
        error = ErrorCode(data.error_code)
        if error is ErrorCode.OFFSET_OUT_OF_RANGE:
            await self._out_of_range(partition, data)
            return
        if error is ErrorCode.OFFSET_MOVED_TO_TIERED_STORAGE:
            await self._begin_behind_tier(partition, data)
            return
        if error is not ErrorCode.NONE:
            raise ApiError(error, f"node {self._leader} answers {error.name}")
        if data.diverging_epoch.epoch >= 0 or data.diverging_epoch.end_offset >= 0:
            await self._cut(partition, data.diverging_epoch.epoch, data.diverging_epoch.end_offset)
            return
        if data.records is not None and len(data.records):
            self._throttle.took(partition, len(data.records))
            _append(partition, data.records)
        partition.leader_says(data.high_watermark, data.log_start_offset)

    async def _cut(self, partition: Partition, epoch: int, end_offset: int) -> None:
        found, end = partition.epoch_end(epoch)
        target = min(end, end_offset) if found == epoch else end
        target = max(min(target, partition.log.log_end_offset), partition.log.log_start_offset)
        lost = partition.log.log_end_offset - target
        log.info("%s: %d records from offset %d on are not the leader's; cut", partition, lost, target)
        if target < partition.high_watermark:
            log.error(
                "%s: the leader lacks committed records from offset %d to %d: it was elected uncleanly",
                partition,
                target,
                partition.high_watermark,
            )
        await partition.cut(target)

    async def _out_of_range(self, partition: Partition, data: PartitionData) -> None:
        """The leader's log begins behind this one's end: nothing in between will ever come."""
        if data.log_start_offset <= partition.log.log_end_offset:
            raise ApiError(
                ErrorCode.OFFSET_OUT_OF_RANGE,
                f"the leader does not have offset {partition.log.log_end_offset}, and says no other",
            )
        log.info("%s: the leader's log begins at %d; starting over there", partition, data.log_start_offset)
        await partition.begin_at(data.log_start_offset)

    async def _begin_behind_tier(self, partition: Partition, data: PartitionData) -> None:
        """The leader has in the cloud tier only what comes next: go on where the tier ends."""
        beginning = None if partition.cold is None else partition.cold.beginning_now()
        if beginning is None or beginning.offset <= partition.log.log_end_offset:
            raise ApiError(
                ErrorCode.OFFSET_MOVED_TO_TIERED_STORAGE,
                f"what comes after offset {partition.log.log_end_offset} is in the cloud tier; looking where it ends",
            )
        log.info("%s: offsets up to %d are in the cloud tier; starting there", partition, beginning.offset)
        await partition.begin_behind_tier(beginning, max(data.log_start_offset, 0))

    def _pause(self, key: Key) -> None:
        self._paused[key] = self._clock.monotonic() + self._pace.backoff


def _append(partition: Partition, records: object) -> None:
    """Whole batches from the log's end on; what lies before it is passed over. Raises `ApiError`, `ProtocolError`."""
    assert isinstance(records, bytes | bytearray | memoryview)
    held = memoryview(bytearray(records))
    end = partition.log.log_end_offset
    found = [(position, header) for position, header in headers(held) if header.next_offset > end]
    for position, header in found:
        if not check_crc(held, position, header):
            raise ProtocolError(f"the batch at offset {header.base_offset} has a wrong checksum")
    if not found:
        return
    first = found[0][0]
    partition.log.append_replicated(held[first:], [(position - first, header) for position, header in found])
