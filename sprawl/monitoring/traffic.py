"""What clients send and get: counted per topic and per kind of request, as requests pass.

In: handlers, which `count` puts counting ones before; partitions, which count themselves what was appended to them.
Out: plain numbers, read when somebody asks for the metrics. A request is counted on the node that the client is
connected to, also where another node answers it; records that come in are counted by the leader they come to, as in
Kafka. What followers fetch is counted apart. How long an answer takes is measured on one request of thirty-two.

The hot path pays for a call and an addition per request, and for three additions per partition of a Produce request:
docs/monitoring.md has what that is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final
from uuid import UUID

from sprawl.handlers.context import Handler, RequestContext
from sprawl.observability.metrics import OTHER, Counter, Family, Histogram, Registry, Rows
from sprawl.partitions.partition import Partition
from sprawl.quorum.image import MetadataImage
from sprawl.wire.dispatch import Later
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError
from sprawl_protocol.message import Response

SAMPLED: Final = 32
"""One request in so many is timed."""


class TopicTraffic:
    """Of one topic, through this node, since it started."""

    __slots__ = ("bytes_in", "bytes_out", "failed_fetches", "failed_produces", "fetches", "produces", "records_in")

    def __init__(self) -> None:
        self.bytes_in = self.records_in = self.produces = self.failed_produces = 0
        self.bytes_out = self.fetches = self.failed_fetches = 0


class RequestTraffic:
    """Of one kind of request."""

    __slots__ = ("_seconds", "failed", "name", "total")

    def __init__(self, name: str, seconds: Family[Histogram]) -> None:
        self.name = name
        self.total = 0
        self.failed = 0
        self._seconds = seconds

    def took(self, seconds: float) -> None:
        self._seconds.of(self.name).observe(seconds)


class Traffic:
    def __init__(
        self,
        registry: Registry,
        image: Callable[[], MetadataImage],
        partitions: Callable[[], Iterable[Partition]],
        now: Callable[[], float],
        *,
        max_topics: int = 1000,
    ) -> None:
        self._image = image
        self._partitions = partitions
        self._now = now
        self._max_topics = max_topics
        self.topics: dict[str, TopicTraffic] = {}
        self.requests: dict[ApiKey, RequestTraffic] = {}
        self.replication_bytes_out = 0
        self._counted: dict[tuple[UUID, int], tuple[Partition, int, int, int]] = {}
        """What a partition had counted when it was looked at last: it may go, and what came in has come in."""
        self._seconds = registry.histograms(
            "sprawl_request_seconds", f"Time to an answer; one request in {SAMPLED} is timed.", "request"
        )
        _register(registry, self)

    def count(self, routes: dict[ApiKey, Handler]) -> None:
        """Put counting handlers in the place of those in `routes`."""
        for key, handler in routes.items():
            name = "".join(word.capitalize() for word in key.name.split("_"))
            counts = self.requests[key] = RequestTraffic(name, self._seconds)
            if key is ApiKey.FETCH:
                handler = self._fetch(handler)
            routes[key] = self._counting(counts, handler, self._look_at_produced if key is ApiKey.PRODUCE else None)

    def look(self) -> dict[str, TopicTraffic]:
        """By topic, with what the partitions here have counted since the last look."""
        for partition in self._partitions():
            key = (partition.topic_id, partition.index)
            appends, records, size = partition.appends, partition.records_in, partition.bytes_in
            before = self._counted.get(key)
            if not appends or (before is not None and before[0] is partition and before[1] == appends):
                continue
            known = before[1:] if before is not None and before[0] is partition else (0, 0, 0)
            self._counted[key] = (partition, appends, records, size)
            topic = self._of(partition.topic, partition.topic_id)
            topic.produces += appends - known[0]
            topic.records_in += records - known[1]
            topic.bytes_in += size - known[2]
        return self.topics

    def forget_deleted(self, image: MetadataImage) -> None:
        """So that the topics there are have room."""
        for name in [name for name in self.topics if name != OTHER and name not in image.topics]:
            del self.topics[name]
        for key in [key for key in self._counted if key[0] not in image.topics_by_id]:
            del self._counted[key]

    # -- as requests pass -----------------------------------------------------------------------------------

    def _counting(
        self, counts: RequestTraffic, handler: Handler, look_at: Callable[[Response], None] | None
    ) -> Handler:
        """`look_at` gets what was answered at once."""

        def handle(context: RequestContext, request: Any) -> Any:
            counts.total = total = counts.total + 1
            try:
                if total % SAMPLED == 1:
                    began = self._now()
                    result = self._timed(counts, handler(context, request), began)
                else:
                    result = handler(context, request)
            except ApiError:
                counts.failed += 1
                raise
            if look_at is not None and isinstance(result, Response):
                look_at(result)
            return result

        return handle

    def _timed(self, counts: RequestTraffic, result: Any, began: float) -> Any:
        if isinstance(result, Later):
            return _Timed(result, counts, began, self._now)
        if isinstance(result, Awaitable):
            return self._awaited(counts, began, result)
        counts.took(self._now() - began)
        return result

    async def _awaited(self, counts: RequestTraffic, began: float, result: Awaitable[Any]) -> Any:
        answer = await result
        counts.took(self._now() - began)
        return answer

    def _look_at_produced(self, answer: Any) -> None:
        for topic in answer.responses:
            for each in topic.partition_responses:
                if each.error_code:
                    self._of(topic.name, topic.topic_id).failed_produces += 1

    def _fetch(self, handler: Handler) -> Handler:
        def handle(context: RequestContext, request: Any) -> Any:
            result = handler(context, request)
            if isinstance(result, Awaitable):
                return self._fetched(context, result)
            self._count_fetched(context, result)
            return result

        return handle

    async def _fetched(self, context: RequestContext, result: Awaitable[Any]) -> Any:
        answer = await result
        self._count_fetched(context, answer)
        return answer

    def _count_fetched(self, context: RequestContext, answer: Any) -> None:
        if context.peer is not None:
            self.replication_bytes_out += sum(
                len(data.records) for topic in answer.responses for data in topic.partitions if data.records is not None
            )
            return
        for topic in answer.responses:
            counts = self._of(topic.topic, topic.topic_id)
            for data in topic.partitions:
                counts.fetches += 1
                counts.bytes_out += 0 if data.records is None else len(data.records)
                if data.error_code:
                    counts.failed_fetches += 1

    def _of(self, name: str, topic_id: UUID) -> TopicTraffic:
        """Unknown topics are counted together: their names are whatever clients think of."""
        image = self._image()
        topic = image.topics.get(name) if name else image.topics_by_id.get(topic_id)
        known = OTHER if topic is None else topic.name
        counts = self.topics.get(known)
        if counts is None:
            if len(self.topics) >= self._max_topics:
                known = OTHER
            counts = self.topics.setdefault(known, TopicTraffic())
        return counts


class _Timed(Later):
    """Hands an answer on, and notes how long it took."""

    __slots__ = ("_began", "_counts", "_now")

    def __init__(self, result: Later, counts: RequestTraffic, began: float, now: Callable[[], float]) -> None:
        super().__init__()
        self._counts, self._began, self._now = counts, began, now
        result.when_settled(self._done)

    def _done(self, response: Any) -> None:
        self._counts.took(self._now() - self._began)
        self.settle(response)


def _register(registry: Registry, traffic: Traffic) -> None:
    def by_topic(of: Callable[[TopicTraffic], int]) -> Callable[[], Rows]:
        return lambda: [((name,), of(counts)) for name, counts in traffic.look().items()]

    topics: tuple[tuple[str, str, Callable[[TopicTraffic], int]], ...] = (
        ("bytesin", "Bytes of records that producers appended here.", lambda counts: counts.bytes_in),
        ("bytesout", "Bytes of records that clients fetched.", lambda counts: counts.bytes_out),
        ("messagesin", "Records that producers appended here.", lambda counts: counts.records_in),
        ("totalproducerequests", "Appends by producers, one per partition.", lambda counts: counts.produces),
        ("failedproducerequests", "Appends that were refused at once.", lambda counts: counts.failed_produces),
        ("totalfetchrequests", "Partitions in answers to consumers' fetches.", lambda counts: counts.fetches),
        ("failedfetchrequests", "Those of them that carried an error.", lambda counts: counts.failed_fetches),
    )
    for name, text, of in topics:
        registry.table(Counter.KIND, f"kafka_server_brokertopicmetrics_{name}_total", text, ("topic",), by_topic(of))
    registry.counter(
        "kafka_server_brokertopicmetrics_replicationbytesout_total", "Bytes of records that followers fetched here."
    ).follow(lambda: traffic.replication_bytes_out)
    registry.table(
        Counter.KIND,
        "kafka_network_requestmetrics_requests_total",
        "Requests by kind, those of other nodes included.",
        ("request",),
        lambda: [((each.name,), each.total) for each in list(traffic.requests.values()) if each.total],
    )
    registry.table(
        Counter.KIND,
        "sprawl_requests_refused_total",
        "Requests that were refused as a whole.",
        ("request",),
        lambda: [((each.name,), each.failed) for each in list(traffic.requests.values()) if each.failed],
    )
