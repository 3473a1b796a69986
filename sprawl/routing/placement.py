"""The ring as the controller asks it: brokers of the image in, proposals by bounded rendezvous hashing out.

What brokers hold already is counted from the image, and counted on from the image before: a new topic among 10,000
costs one look at each, not at each partition.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from sprawl.overlay import dht
from sprawl.quorum.image import BrokerImage, MetadataImage, TopicImage
from sprawl.quorum.placement import placeable
from sprawl_protocol.errors import ApiError, ErrorCode

Label = Callable[[BrokerImage], str]


class RingPlacement:
    def __init__(self, image: Callable[[], MetadataImage], host_of: Label, weight_of: Callable[[int], float]) -> None:
        """`image`: with everything decided so far. `host_of`: the label of the machine that a broker is on."""
        self._image = image
        self._host_of = host_of
        self._weight_of = weight_of
        self._counted: Mapping[UUID, TopicImage] = {}
        self._replicas: Counter[int] = Counter()
        self._leaders: Counter[int] = Counter()

    def propose(
        self, topic_id: UUID, partitions: range, replication_factor: int, brokers: Sequence[BrokerImage]
    ) -> list[tuple[int, ...]]:
        """Raises `ApiError` INVALID_REPLICATION_FACTOR."""
        fit = placeable(brokers, replication_factor)
        active = [each for each in fit if each.active and self._weight_of(each.id) > 0]
        candidates = [self.candidate(each) for each in (active if len(active) >= replication_factor else fit)]
        self._count(self._image().topics_by_id)
        load = dht.Load(self._replicas, self._leaders)
        try:
            return dht.propose(topic_id, partitions, replication_factor, candidates, load)
        except dht.TooFewNodes as problem:
            raise ApiError(
                ErrorCode.INVALID_REPLICATION_FACTOR,
                f"Unable to replicate the partition {replication_factor} time(s): {problem} that are not drained.",
            ) from problem

    def candidate(self, broker: BrokerImage) -> dht.Candidate:
        return dht.Candidate(
            id=broker.id, weight=self._weight_of(broker.id), host=self._host_of(broker), rack=broker.rack or ""
        )

    def _count(self, topics: Mapping[UUID, TopicImage]) -> None:
        if topics is self._counted:
            return
        before = self._counted
        for topic_id, topic in before.items():
            if topics.get(topic_id) is not topic:
                self._add(topic, -1)
        for topic_id, topic in topics.items():
            if before.get(topic_id) is not topic:
                self._add(topic, 1)
        self._counted = topics

    def _add(self, topic: TopicImage, times: int) -> None:
        for partition in topic.partitions:
            for broker in partition.replicas:
                self._replicas[broker] += times
            if partition.replicas:
                self._leaders[partition.replicas[0]] += times
