"""Decisions on brokers: who is registered, who may lead, and what a restart means for the partitions it led.

Pure: an image and a wish in, records out, or an `ApiError`. A broker is fenced from its registration until it has
caught up with the metadata; only then does it lead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from sprawl.quorum.features import SUPPORTED
from sprawl.quorum.image import BrokerImage, ListenerImage, MetadataImage
from sprawl.quorum.records import (
    BrokerEndpoint,
    BrokerFeature,
    BrokerRegistrationChangeRecord,
    MetadataRecord,
    PartitionChangeRecord,
    RegisterBrokerRecord,
)
from sprawl_protocol.errors import ApiError, ErrorCode


@dataclass(frozen=True, slots=True)
class BrokerRegistration:
    id: int
    cluster_id: str
    incarnation: UUID
    """Of the process: a new one at each start."""
    listeners: tuple[ListenerImage, ...]
    directories: tuple[UUID, ...]
    rack: str | None = None
    features: Mapping[str, tuple[int, int]] = field(default_factory=lambda: SUPPORTED)


def register(image: MetadataImage, wish: BrokerRegistration) -> list[MetadataRecord]:
    """The broker's epoch is the offset of the record. Raises `ApiError`."""
    if wish.cluster_id != image.cluster_id:
        raise ApiError(
            ErrorCode.INCONSISTENT_CLUSTER_ID,
            f"Broker {wish.id} belongs to cluster {wish.cluster_id}, this is cluster {image.cluster_id}.",
        )
    for name, level in image.features.items():
        least, greatest = wish.features.get(name, (0, 0))
        if not least <= level <= greatest:
            raise ApiError(
                ErrorCode.UNSUPPORTED_VERSION,
                f"Broker {wish.id} supports {name} from {least} to {greatest}, the cluster has it at {level}.",
            )
    present = image.brokers.get(wish.id)
    if (
        present is not None
        and present.incarnation != wish.incarnation
        and present.active
        and not _same_disk(present, wish)
    ):
        raise ApiError(
            ErrorCode.DUPLICATE_BROKER_REGISTRATION,
            f"Another broker is registered as {wish.id}, from another data directory, and is alive. "
            "Give this one an id of its own, or stop the other.",
        )
    return [
        RegisterBrokerRecord(
            broker_id=wish.id,
            incarnation_id=wish.incarnation,
            broker_epoch=image.offset + 1,
            end_points=[
                BrokerEndpoint(name=each.name, host=each.host, port=each.port, security_protocol=each.security_protocol)
                for each in wish.listeners
            ],
            features=[
                BrokerFeature(name=name, min_supported_version=least, max_supported_version=greatest)
                for name, (least, greatest) in wish.features.items()
            ],
            rack=wish.rack,
            fenced=True,
            log_dirs=list(wish.directories),
        )
    ]


def unfence(image: MetadataImage, broker_id: int, epoch: int) -> list[MetadataRecord]:
    """From now on it leads what it led before, each in a new leader epoch: its log may have lost its unsynced end.

    Raises `ApiError`.
    """
    broker = _current(image, broker_id, epoch)
    if not broker.fenced:
        return []
    records: list[MetadataRecord] = [BrokerRegistrationChangeRecord(broker_id=broker_id, broker_epoch=epoch, fenced=-1)]
    records += [
        PartitionChangeRecord(partition_id=partition.index, topic_id=topic.id, leader=broker_id)
        for topic in image.topics.values()
        for partition in topic.partitions
        if partition.leader == broker_id or (partition.leader < 0 and broker_id in partition.isr)
    ]
    return records


def _same_disk(present: BrokerImage, wish: BrokerRegistration) -> bool:
    """The same directories mean the same broker started again: no two processes can have a directory open."""
    return bool(present.directories) and present.directories == wish.directories


def _current(image: MetadataImage, broker_id: int, epoch: int) -> BrokerImage:
    broker = image.brokers.get(broker_id)
    if broker is None:
        raise ApiError(ErrorCode.BROKER_ID_NOT_REGISTERED, f"Broker {broker_id} is not registered.")
    if broker.epoch != epoch:
        raise ApiError(
            ErrorCode.STALE_BROKER_EPOCH,
            f"Broker {broker_id} has epoch {broker.epoch}, not {epoch}: it has been started again since.",
        )
    return broker
