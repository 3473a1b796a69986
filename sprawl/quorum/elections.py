"""Elections that somebody asks for (KIP-460), and the preferred leaders' return (`auto.leader.rebalance.enable`).

Pure: an image and a wish in, records out, or an `ApiError` with Kafka's code. The preferred leader of a partition is
the first of its replicas; it leads only if it is in sync. An unclean election is held only where nobody leads, and only
when it is asked for by name: it may lose records.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sprawl.quorum.image import MetadataImage, PartitionImage
from sprawl.quorum.leadership import RulesOf, all_partitions, changed, is_active
from sprawl.quorum.reassignments import find
from sprawl.quorum.records import NO_LEADER, MetadataRecord
from sprawl_protocol.errors import ApiError, ErrorCode

MOST_AT_ONCE: Final = 1000
"""Leaders that return in one go, as in Kafka: each is a moment's pause for its clients."""


class ElectionType(IntEnum):
    """Kafka's numbers."""

    PREFERRED = 0
    UNCLEAN = 1


@dataclass(frozen=True, slots=True)
class Election:
    topic: str
    partition: int
    type: ElectionType


def elect(image: MetadataImage, wish: Election, rules_of: RulesOf) -> list[MetadataRecord]:
    """Raises `ApiError`."""
    topic, partition = find(image, wish.topic, wish.partition)
    name, preferred = f"{topic.name}-{partition.index}", wish.type is ElectionType.PREFERRED
    if (partition.leader == partition.replicas[0]) if preferred else (partition.leader != NO_LEADER):
        raise ApiError(ErrorCode.ELECTION_NOT_NEEDED, f"{name} is led by broker {partition.leader}.")
    active = is_active(image)
    if preferred and partition.leader != NO_LEADER and not _may_return(image, partition):
        record = None
    else:
        record = changed(topic, partition, rules_of(topic), active, prefer_first=preferred, unclean=not preferred)
    if record is not None and record.leader >= 0:
        return [record]
    if preferred:
        raise ApiError(
            ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE,
            f"Broker {partition.replicas[0]}, the preferred leader of {name}, is not alive and in sync.",
        )
    raise ApiError(ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, f"No replica of {name} is alive.")


def elections(image: MetadataImage, kind: ElectionType) -> list[Election]:
    """Of every partition."""
    return [Election(topic.name, partition.index, kind) for topic, partition in all_partitions(image)]


def return_leaders(image: MetadataImage, rules_of: RulesOf, limit: int = MOST_AT_ONCE) -> list[MetadataRecord]:
    """Let preferred leaders lead that are in sync and do not."""
    active = is_active(image)
    records: list[MetadataRecord] = []
    for topic, partition in all_partitions(image):
        if len(records) == limit:
            break
        if partition.leader not in (NO_LEADER, partition.replicas[0]) and _may_return(image, partition):
            record = changed(topic, partition, rules_of(topic), active, prefer_first=True)
            if record is not None:
                records.append(record)
    return records


def _may_return(image: MetadataImage, partition: PartitionImage) -> bool:
    preferred = partition.replicas[0]
    return preferred in partition.isr and is_active(image)(preferred)
