"""The event topic: every act of the cluster on its own, with its reason, as a record that any consumer can read.

In: acts as they happen, on whatever node. Out: records of `__sprawl_events`, partition 0: the key is what the act was
on, the value a JSON object with `id`, `time` (ms), `node`, `kind`, `subject`, `reason` and what else there is to say.
An event whose writing was interrupted may be there twice, with one id. Events wait in memory while they cannot be
written, up to a bound; beyond it the oldest are in the node's log only.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from sprawl.quorum.any_controller import AnyController
from sprawl.quorum.following import Peers
from sprawl.quorum.image import EVENTS_TOPIC, TopicImage
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.runtime import Runtime
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData
from sprawl_protocol.records import Record, build_batch

log = logging.getLogger(__name__)

_WAITING_MOST: Final = 1000
_BATCH: Final = 100
_TIMEOUT: Final = 5.0
_PAUSE: Final = 1.0
_REPLICAS: Final = 3


class EventLog:
    def __init__(
        self,
        runtime: Runtime,
        quorum: MetadataQuorum,
        anywhere: AnyController,
        peers: Peers,
        serve_here: Callable[[Request], Awaitable[Response]],
    ) -> None:
        """`serve_here`: this node's own answer to a request."""
        self._runtime = runtime
        self._quorum = quorum
        self._anywhere = anywhere
        self._peers = peers
        self._serve_here = serve_here
        self._waiting: deque[tuple[str, bytes]] = deque(maxlen=_WAITING_MOST)
        self._news = asyncio.Event()

    def note(self, kind: str, subject: str, reason: str, **more: Any) -> None:
        """Something was done to `subject`."""
        log.info("%s %s: %s %s", kind, subject, reason, more or "")
        event = {
            "id": self._runtime.token_bytes(8).hex(),
            "time": self._runtime.clock.wall_ms(),
            "node": self._quorum.node_id,
            "kind": kind,
            "subject": subject,
            "reason": reason,
            **more,
        }
        self._waiting.append((subject, json.dumps(event).encode()))
        self._news.set()

    async def run(self) -> None:
        """Ends with the node."""
        while True:
            if not self._waiting:
                self._news.clear()
                await self._news.wait()
            some = [self._waiting[at] for at in range(min(len(self._waiting), _BATCH))]
            try:
                await self._write(some)
            except (ApiError, ClientError) as problem:
                log.warning("%d events cannot be written yet: %s", len(self._waiting), problem)
                await asyncio.sleep(_PAUSE)
                continue
            for each in some:
                if self._waiting and self._waiting[0] is each:
                    self._waiting.popleft()

    async def _write(self, events: list[tuple[str, bytes]]) -> None:
        """Raises `ApiError`, `ClientError`."""
        topic = await self._topic()
        leader = topic.partitions[0].leader
        if leader < 0:
            raise ApiError(ErrorCode.LEADER_NOT_AVAILABLE, "nobody leads the event topic")
        now = self._runtime.clock.wall_ms()
        records = [Record(at, now, subject.encode(), event, []) for at, (subject, event) in enumerate(events)]
        request = ProduceRequest(
            acks=-1,
            timeout_ms=int(_TIMEOUT * 1000),
            topic_data=[
                TopicProduceData(
                    topic_id=topic.id, partition_data=[PartitionProduceData(index=0, records=build_batch(records))]
                )
            ],
        )
        if leader == self._quorum.node_id:
            answer = await self._serve_here(request)
        else:
            answer = await self._peers.request(leader, request, expect=ProduceResponse, timeout=_TIMEOUT, lane="events")
        assert isinstance(answer, ProduceResponse), "acks are asked for"
        error = answer.responses[0].partition_responses[0].error_code
        if error:
            raise ApiError(ErrorCode(error), "the event topic does not take records")

    async def _topic(self) -> TopicImage:
        """Makes the topic if there is none. Raises `ApiError`."""
        image = self._quorum.image
        if EVENTS_TOPIC not in image.topics:
            alive = sum(each.active for each in image.brokers.values())
            await self._anywhere.make_topic(EVENTS_TOPIC, 1, min(_REPLICAS, max(alive, 1)), {})
            image = self._quorum.image
        return image.topics[EVENTS_TOPIC]
