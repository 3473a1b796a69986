"""Replicas that do not have their data, or not all of it: AssignReplicasToDirs, to the directory LOST (KIP-858).

Pure: an image and a wish in, records out, or an `ApiError`. A broker that finds a replica of its own damaged says so.
From then on the replica is neither in sync nor eligible: nothing is believed to be on it, and it never leads. Only then
does it cut off what is damaged and fetch it anew. It is whole again when the leader finds it in sync.

Where it was the last to be in sync the partition has no leader: the damage may be all there is of some records, and
what is to be done about them is for the operator to decide (an unclean election, or a repair of the disk).
"""

from __future__ import annotations

from uuid import UUID

from sprawl.quorum.image import LOST, MetadataImage, PartitionImage, TopicImage
from sprawl.quorum.leadership import RulesOf, changed, is_active
from sprawl.quorum.records import NO_ID, MetadataRecord, PartitionChangeRecord
from sprawl_protocol.errors import ApiError, ErrorCode


def assign_directory(
    image: MetadataImage, broker_id: int, directory: UUID, topic_id: UUID, index: int, rules_of: RulesOf
) -> list[MetadataRecord]:
    """Raises `ApiError`."""
    topic = image.topics_by_id.get(topic_id)
    if topic is None:
        raise ApiError(ErrorCode.UNKNOWN_TOPIC_ID, f"There is no topic with the id {topic_id}.")
    partition = image.partition(topic_id, index)
    if partition is None or broker_id not in partition.replicas:
        raise ApiError(
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"Broker {broker_id} has no replica of {topic.name}-{index}."
        )
    if directory == LOST:
        return _lost(image, topic, partition, broker_id, rules_of)
    broker = image.brokers.get(broker_id)
    if broker is None or directory not in broker.directories:
        raise ApiError(ErrorCode.LOG_DIR_NOT_FOUND, f"Broker {broker_id} is not registered with that directory.")
    if _directories(partition)[partition.replicas.index(broker_id)] in (LOST, directory):
        return []  # who has lost its data is back when it is in sync, not before
    return [_record(topic, partition, _put(partition, broker_id, directory))]


def _lost(
    image: MetadataImage, topic: TopicImage, partition: PartitionImage, broker_id: int, rules_of: RulesOf
) -> list[MetadataRecord]:
    if broker_id in partition.lost:
        return []
    record = changed(topic, partition, rules_of(topic), is_active(image), without=(broker_id,))
    if record is None:
        record = PartitionChangeRecord(partition_id=partition.index, topic_id=topic.id)
    if record.replicas is None or broker_id in record.replicas:
        replicas, directories = record.replicas or partition.replicas, record.directories or _directories(partition)
        known = dict(zip(replicas, directories, strict=True))
        known[broker_id] = LOST
        record.directories = list(known.values())
    return [record]


def mended(image: MetadataImage, partition: PartitionImage, record: PartitionChangeRecord) -> None:
    """Whoever is in sync has its data: note where."""
    back = set(partition.lost) & set(record.isr or ())
    if not back:
        return
    replicas = record.replicas or list(partition.replicas)
    directories = record.directories or _directories(partition)
    record.directories = [
        _home(image, each) if each in back else at for each, at in zip(replicas, directories, strict=True)
    ]


def _home(image: MetadataImage, broker_id: int) -> UUID:
    broker = image.brokers.get(broker_id)
    return broker.directories[0] if broker is not None and len(broker.directories) == 1 else NO_ID


def _directories(partition: PartitionImage) -> list[UUID]:
    """One for each replica, also where the record of old had none."""
    missing = len(partition.replicas) - len(partition.directories)
    return [*partition.directories, *[NO_ID] * missing]


def _put(partition: PartitionImage, broker_id: int, directory: UUID) -> list[UUID]:
    return [
        directory if each == broker_id else at
        for each, at in zip(partition.replicas, _directories(partition), strict=True)
    ]


def _record(topic: TopicImage, partition: PartitionImage, directories: list[UUID]) -> PartitionChangeRecord:
    return PartitionChangeRecord(partition_id=partition.index, topic_id=topic.id, directories=directories)
