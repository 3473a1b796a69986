"""AlterPartitionReassignments (KIP-455): partitions are to live elsewhere.

Pure: an image and a wish in, records out, or an `ApiError` with Kafka's code. What a move is, and when it is done, is
in `moves.py`; every later change of the partition brings it further (`leadership.changed`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from sprawl.quorum.image import MetadataImage, PartitionImage, TopicImage
from sprawl.quorum.leadership import RulesOf, all_partitions, changed, is_active
from sprawl.quorum.moves import Move
from sprawl.quorum.records import NO_ID, MetadataRecord, PartitionChangeRecord
from sprawl_protocol.errors import ApiError, ErrorCode


@dataclass(frozen=True, slots=True)
class Reassignment:
    topic: str
    partition: int
    target: Sequence[int] | None
    """The preferred leader first; None cancels the move that is under way."""
    may_change_replication_factor: bool = True


def find(image: MetadataImage, name: str, index: int) -> tuple[TopicImage, PartitionImage]:
    """Raises `ApiError`."""
    topic = image.topics.get(name)
    if topic is None:
        raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"There is no topic '{name}'.")
    if not 0 <= index < len(topic.partitions):
        raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"There is no partition {name}-{index}.")
    return topic, topic.partitions[index]


def reassign(image: MetadataImage, wish: Reassignment, rules_of: RulesOf) -> list[MetadataRecord]:
    """Raises `ApiError`."""
    topic, partition = find(image, wish.topic, wish.partition)
    before = Move.of(partition)
    if wish.target is None:
        if not before.under_way:
            raise ApiError(ErrorCode.NO_REASSIGNMENT_IN_PROGRESS, f"{_name(wish)} is not being moved.")
        move = before.cancelled()
    else:
        _check_target(image, wish, wish.target, before)
        move = before.to(wish.target)
    if partition.isr and not set(partition.isr) & set(move.replicas):
        raise ApiError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"{_name(wish)} cannot go to {list(move.replicas)}: only {list(partition.isr)} have all of it, so records "
            "would be lost. Let the present move end first, or start the brokers that it came from.",
        )
    record = changed(topic, partition, rules_of(topic), is_active(image), move=move)
    if record is None:
        return []
    _give_directories(image, record)
    return [record]


def under_way(image: MetadataImage) -> Iterator[tuple[TopicImage, PartitionImage]]:
    """The partitions that are being moved."""
    return ((topic, partition) for topic, partition in all_partitions(image) if Move.of(partition).under_way)


def _check_target(image: MetadataImage, wish: Reassignment, target: Sequence[int], before: Move) -> None:
    unknown = sorted(broker for broker in target if broker not in image.brokers)
    problem = ""
    if not target:
        problem = f"{_name(wish)} needs at least one replica."
    elif len(set(target)) != len(target):
        problem = f"{list(target)} names a broker twice."
    elif unknown:
        problem = f"{list(target)} names broker {unknown[0]}, but no such broker is registered."
    if problem:
        raise ApiError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, problem)
    present = len(before.target)
    if not wish.may_change_replication_factor and len(target) != present:
        raise ApiError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"The replication factor of {_name(wish)} would change from {present} to {len(target)}.",
        )


def _give_directories(image: MetadataImage, record: PartitionChangeRecord) -> None:
    """New replicas go where a broker has room: known where it has one directory."""
    if record.replicas is None or record.directories is None:
        return
    record.directories = [
        _only_directory(image, broker) if directory == NO_ID else directory
        for broker, directory in zip(record.replicas, record.directories, strict=True)
    ]


def _only_directory(image: MetadataImage, broker_id: int) -> UUID:
    broker = image.brokers.get(broker_id)
    return broker.directories[0] if broker is not None and len(broker.directories) == 1 else NO_ID


def _name(wish: Reassignment) -> str:
    return f"{wish.topic}-{wish.partition}"
