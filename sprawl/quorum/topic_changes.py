"""Decisions on topics and partitions: what a request means, given what there is.

Pure: an image and a wish in, records out, or an `ApiError` that says what was wrong and what to do. Kafka's rules and
error codes, in Kafka's order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sprawl.config.broker import BrokerConfig
from sprawl.config.topics import TopicConfig, check_tier
from sprawl.quorum.image import INTERNAL_TOPICS, ConfigKind, MetadataImage, PartitionImage, TopicImage
from sprawl.quorum.moves import Move
from sprawl.quorum.names import check_new_topic_name
from sprawl.quorum.placement import Placement
from sprawl.quorum.records import NO_ID, ConfigRecord, MetadataRecord, RemoveTopicRecord, TopicRecord
from sprawl.quorum.snapshots import partition_record
from sprawl_protocol.errors import ApiError, ErrorCode

DEFAULT: Final = -1
"""Stands for the broker's own setting."""


@dataclass(frozen=True, slots=True)
class NewTopic:
    name: str
    partitions: int = DEFAULT
    replication_factor: int = DEFAULT
    assignments: Sequence[tuple[int, Sequence[int]]] = ()
    """Partition numbers with their brokers; then the two above must be `DEFAULT`."""
    configs: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewPartitions:
    topic: str
    count: int
    """How many there will be in all."""
    assignments: Sequence[Sequence[int]] | None = None
    """The brokers of each additional partition; None: let the cluster choose."""


@dataclass(frozen=True, slots=True)
class Limits:
    partitions_per_request: int = 10_000
    """Kafka's limit: more cannot be written as one."""
    partitions: int = 1_000_000
    """In the cluster."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What decisions stand on."""

    image: MetadataImage
    broker: BrokerConfig
    placement: Placement
    limits: Limits


def create_topic(ground: Ground, wish: NewTopic, topic_id: UUID) -> list[MetadataRecord]:
    """Raises `ApiError`."""
    image = ground.image
    if wish.name in image.topics:
        raise ApiError(ErrorCode.TOPIC_ALREADY_EXISTS, f"Topic '{wish.name}' already exists.")
    check_new_topic_name(wish.name, image.lookalikes)
    configs = _checked_configs(ground, wish)
    homes = _assigned(ground, wish) if wish.assignments else _placed(ground, wish, topic_id)
    _check_limits(ground, len(homes))
    topic = TopicImage(wish.name, topic_id, (), wish.name in INTERNAL_TOPICS)
    records: list[MetadataRecord] = [TopicRecord(name=topic.name, topic_id=topic.id)]
    records += [
        ConfigRecord(resource_type=ConfigKind.TOPIC, resource_name=topic.name, name=name, value=value)
        for name, value in configs.items()
    ]
    records += _partition_records(ground, topic, 0, homes)
    return records


def create_partitions(ground: Ground, wish: NewPartitions) -> list[MetadataRecord]:
    """Raises `ApiError`."""
    topic = ground.image.topics.get(wish.topic)
    if topic is None:
        raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"There is no topic '{wish.topic}'.")
    present = len(topic.partitions)
    if wish.count == present:
        raise ApiError(ErrorCode.INVALID_PARTITIONS, f"Topic '{topic.name}' already has {present} partition(s).")
    if wish.count < present:
        raise ApiError(
            ErrorCode.INVALID_PARTITIONS,
            f"Topic '{topic.name}' currently has {present} partition(s), which is higher than the requested "
            f"{wish.count}: partitions can be added, not taken away.",
        )
    if topic.internal:
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            f"'{topic.name}' keeps the number of partitions it was made with: what is in it is found by that number.",
        )
    additional = wish.count - present
    replication_factor = len(Move.of(topic.partitions[0]).target)
    if wish.assignments is None:
        _check_limits(ground, additional)
        homes = ground.placement.propose(
            topic.id, range(present, wish.count), replication_factor, list(ground.image.brokers.values())
        )
    else:
        if len(wish.assignments) != additional:
            raise ApiError(
                ErrorCode.INVALID_REPLICA_ASSIGNMENT,
                f"{additional} partition(s) would be added, but {len(wish.assignments)} assignment(s) were given.",
            )
        _check_limits(ground, additional)
        homes = [tuple(brokers) for brokers in wish.assignments]
        for brokers in homes:
            _check_assignment(ground.image, brokers, replication_factor)
    return _partition_records(ground, topic, present, homes)


def delete_topic(image: MetadataImage, topic_id: UUID) -> list[MetadataRecord]:
    """Raises `ApiError`."""
    if topic_id not in image.topics_by_id:
        raise ApiError(ErrorCode.UNKNOWN_TOPIC_ID, f"There is no topic with the id {topic_id}.")
    return [RemoveTopicRecord(topic_id=topic_id)]


def _checked_configs(ground: Ground, wish: NewTopic) -> dict[str, str]:
    missing = sorted(name for name, value in wish.configs.items() if value is None)
    if missing:
        raise ApiError(ErrorCode.INVALID_CONFIG, f"Null value not supported for topic configs: {', '.join(missing)}.")
    configs = {name: value for name, value in wish.configs.items() if value is not None}
    internal = wish.name in INTERNAL_TOPICS
    check_tier(TopicConfig.of(configs, ground.broker), ground.broker, internal=internal)
    return configs


def _placed(ground: Ground, wish: NewTopic, topic_id: UUID) -> list[tuple[int, ...]]:
    if wish.replication_factor == 0 or wish.replication_factor < DEFAULT:
        raise ApiError(
            ErrorCode.INVALID_REPLICATION_FACTOR,
            f"The replication factor must be at least 1, or -1 for the default; it is {wish.replication_factor}.",
        )
    if wish.partitions == 0 or wish.partitions < DEFAULT:
        raise ApiError(
            ErrorCode.INVALID_PARTITIONS,
            f"The number of partitions must be at least 1, or -1 for the default; it is {wish.partitions}.",
        )
    count = ground.broker.num_partitions if wish.partitions == DEFAULT else wish.partitions
    replication_factor = (
        ground.broker.default_replication_factor if wish.replication_factor == DEFAULT else wish.replication_factor
    )
    _check_limits(ground, count)
    return ground.placement.propose(topic_id, range(count), replication_factor, list(ground.image.brokers.values()))


def _assigned(ground: Ground, wish: NewTopic) -> list[tuple[int, ...]]:
    if wish.replication_factor != DEFAULT or wish.partitions != DEFAULT:
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            "With a manual assignment of replicas, the number of partitions and the replication factor must be -1.",
        )
    homes: dict[int, tuple[int, ...]] = {}
    for index, brokers in wish.assignments:
        if index in homes:
            raise ApiError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, f"Partition {index} is assigned twice.")
        first = next(iter(homes.values()), None)
        _check_assignment(ground.image, brokers, None if first is None else len(first))
        homes[index] = tuple(brokers)
    if sorted(homes) != list(range(len(homes))):
        raise ApiError(
            ErrorCode.INVALID_REPLICA_ASSIGNMENT,
            f"Partitions must be numbered 0 to {len(homes) - 1} without gaps; they are {sorted(homes)}.",
        )
    return [homes[index] for index in range(len(homes))]


def _check_assignment(image: MetadataImage, brokers: Sequence[int], replication_factor: int | None) -> None:
    problem = ""
    unknown = sorted(broker for broker in brokers if broker not in image.brokers)
    if not brokers:
        problem = "The manual assignment has an empty list of replicas."
    elif len(set(brokers)) != len(brokers):
        problem = f"The manual assignment {list(brokers)} names a broker twice."
    elif unknown:
        problem = f"The manual assignment names broker {unknown[0]}, but no such broker is registered."
    elif replication_factor is not None and len(brokers) != replication_factor:
        problem = (
            f"The manual assignment has a partition with {len(brokers)} replica(s), while the others have "
            f"{replication_factor}."
        )
    elif not any(image.brokers[broker].active for broker in brokers):
        problem = f"All brokers of the manual assignment {list(brokers)} are fenced or shutting down."
    if problem:
        raise ApiError(ErrorCode.INVALID_REPLICA_ASSIGNMENT, problem)


def _check_limits(ground: Ground, added: int) -> None:
    if added > ground.limits.partitions_per_request:
        raise ApiError(
            ErrorCode.POLICY_VIOLATION,
            f"{added} partitions are more than can be made at once; add at most "
            f"{ground.limits.partitions_per_request} at a time.",
        )
    left = ground.limits.partitions - ground.image.partition_count
    if added > left:
        raise ApiError(
            ErrorCode.POLICY_VIOLATION,
            f"{added} more partitions would exceed the cluster's limit of {ground.limits.partitions}; {left} are left.",
        )


def _partition_records(
    ground: Ground, topic: TopicImage, first: int, homes: Sequence[tuple[int, ...]]
) -> list[MetadataRecord]:
    brokers = ground.image.brokers
    records: list[MetadataRecord] = []
    for index, replicas in enumerate(homes, first):
        isr = tuple(broker for broker in replicas if brokers[broker].active)
        if not isr:
            raise ApiError(
                ErrorCode.INVALID_REPLICATION_FACTOR,
                f"All brokers that partition {index} would live on are fenced or shutting down. Try again later.",
            )
        partition = PartitionImage(
            index=index,
            leader=isr[0],
            leader_epoch=0,
            partition_epoch=0,
            replicas=replicas,
            isr=isr,
            directories=tuple(_directory_on(ground.image, broker) for broker in replicas),
        )
        records.append(partition_record(topic, partition))
    return records


def _directory_on(image: MetadataImage, broker: int) -> UUID:
    """Where the replica will be: known where there is one directory."""
    directories = image.brokers[broker].directories
    return directories[0] if len(directories) == 1 else NO_ID
