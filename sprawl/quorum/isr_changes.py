"""AlterPartition: a leader asks for another in-sync set (KIP-497, KIP-841, KIP-903).

Pure: an image and a wish in, records out, or an `ApiError` with Kafka's code. A wish is judged against what the leader
believes: its broker epoch, its leader epoch, the partition epoch it has seen; whoever believes something else is told
so, and nothing changes. A set that ends a move to other replicas may end the leader's own term.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sprawl.quorum.damage import mended
from sprawl.quorum.image import MetadataImage, PartitionImage, TopicImage
from sprawl.quorum.leadership import RulesOf, changed, is_active
from sprawl.quorum.records import MetadataRecord
from sprawl_protocol.errors import ApiError, ErrorCode

ANY_EPOCH = -1


@dataclass(frozen=True, slots=True)
class IsrWish:
    topic_id: UUID
    partition: int
    leader_epoch: int
    partition_epoch: int
    isr: tuple[tuple[int, int], ...]
    """Brokers, each with the epoch in which it fetches; `ANY_EPOCH` where the leader does not say."""


def check_leader_broker(image: MetadataImage, broker_id: int, broker_epoch: int) -> None:
    """For the whole request. Raises `ApiError`."""
    broker = image.brokers.get(broker_id)
    if broker is None:
        raise ApiError(ErrorCode.BROKER_ID_NOT_REGISTERED, f"Broker {broker_id} is not registered.")
    if broker.epoch != broker_epoch:
        raise ApiError(
            ErrorCode.STALE_BROKER_EPOCH, f"Broker {broker_id} has epoch {broker.epoch}, not {broker_epoch}."
        )


def alter_partition(image: MetadataImage, broker_id: int, wish: IsrWish, rules_of: RulesOf) -> list[MetadataRecord]:
    """Raises `ApiError`."""
    topic = image.topics_by_id.get(wish.topic_id)
    if topic is None:
        raise ApiError(ErrorCode.UNKNOWN_TOPIC_ID, f"There is no topic with the id {wish.topic_id}.")
    if not 0 <= wish.partition < len(topic.partitions):
        raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"There is no partition {topic.name}-{wish.partition}.")
    partition = topic.partitions[wish.partition]
    _check_standing(topic, partition, broker_id, wish)
    isr = tuple(broker for broker, _ in wish.isr)
    _check_members(image, topic, partition, broker_id, wish)

    record = changed(topic, partition, rules_of(topic), is_active(image), isr=isr)
    if record is None:
        return []
    mended(image, partition, record)
    assert record.leader < 0 or record.leader == partition.leader or record.replicas, "who asks for it goes on leading"
    return [record]


def _check_standing(topic: TopicImage, partition: PartitionImage, broker_id: int, wish: IsrWish) -> None:
    name = f"{topic.name}-{partition.index}"
    if wish.leader_epoch > partition.leader_epoch:
        raise ApiError(ErrorCode.NOT_CONTROLLER, f"{name} has leader epoch {partition.leader_epoch} here.")
    if wish.partition_epoch > partition.partition_epoch:
        raise ApiError(ErrorCode.NOT_CONTROLLER, f"{name} has partition epoch {partition.partition_epoch} here.")
    if wish.leader_epoch < partition.leader_epoch:
        raise ApiError(ErrorCode.FENCED_LEADER_EPOCH, f"{name} is at leader epoch {partition.leader_epoch}.")
    if broker_id != partition.leader:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"{name} is led by {partition.leader}, not by {broker_id}.")
    if wish.partition_epoch < partition.partition_epoch:
        raise ApiError(ErrorCode.INVALID_UPDATE_VERSION, f"{name} is at partition epoch {partition.partition_epoch}.")


def _check_members(
    image: MetadataImage, topic: TopicImage, partition: PartitionImage, leader: int, wish: IsrWish
) -> None:
    name = f"{topic.name}-{partition.index}"
    members = [broker for broker, _ in wish.isr]
    if leader not in members or len(set(members)) != len(members) or not set(members) <= set(partition.replicas):
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            f"{members} cannot be in sync for {name}: its leader is {leader}, its replicas are {partition.replicas}.",
        )
    for each, epoch in wish.isr:
        broker = image.brokers.get(each)
        if broker is None or not broker.active or epoch not in (ANY_EPOCH, broker.epoch):
            raise ApiError(
                ErrorCode.INELIGIBLE_REPLICA,
                f"Broker {each} cannot be in sync for {name}: it is fenced, leaving, or has been started again.",
            )
