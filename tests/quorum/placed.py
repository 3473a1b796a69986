"""Images of a topic `t` on brokers 1 to 6, built from what a test says of each partition."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sprawl.quorum.delta import apply
from sprawl.quorum.image import BrokerImage, MetadataImage, PartitionImage, TopicImage
from sprawl.quorum.isr_changes import ANY_EPOCH, IsrWish
from sprawl.quorum.leadership import TopicRules
from sprawl.quorum.records import MetadataRecord

TOPIC = UUID(int=7)


def directory(broker: int) -> UUID:
    return UUID(int=200 + broker)


def at(replicas: Sequence[int], leader: int, isr: Sequence[int]) -> PartitionImage:
    """At leader epoch 4; its number is set by `placed`."""
    return PartitionImage(0, leader, 4, 10, tuple(replicas), tuple(isr), directories=tuple(map(directory, replicas)))


def placed(*partitions: PartitionImage, fenced: Collection[int] = ()) -> MetadataImage:
    brokers = {
        each: BrokerImage(each, (), None, each, each in fenced, UUID(int=100 + each), (directory(each),))
        for each in range(1, 7)
    }
    numbered = []
    for index, each in enumerate(partitions):
        numbered.append(
            PartitionImage(index, each.leader, 4, 10, each.replicas, each.isr, directories=each.directories)
        )
    topic = TopicImage("t", TOPIC, tuple(numbered), internal=False)
    return MetadataImage("cluster", offset=10, topics={"t": topic}, topics_by_id={TOPIC: topic}, brokers=brokers)


def then(image: MetadataImage, records: Sequence[MetadataRecord]) -> MetadataImage:
    return apply(image, records, offset=image.offset + len(records))


def first(image: MetadataImage) -> PartitionImage:
    return image.topics["t"].partitions[0]


def wish(image: MetadataImage, isr: Sequence[int]) -> IsrWish:
    """As the leader of the first partition would ask for it."""
    now = first(image)
    return IsrWish(TOPIC, 0, now.leader_epoch, now.partition_epoch, tuple((each, ANY_EPOCH) for each in isr))


def rules(min_isr: int = 1, *, unclean: bool = False) -> TopicRules:
    return TopicRules(min_isr, unclean_elections=unclean)
