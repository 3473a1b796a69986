"""Decisions on brokers: who is registered, who may lead, and what a restart means for the partitions it led.

Pure: an image and a wish in, records out, or an `ApiError`. A broker is fenced from its registration until it has
caught up with the metadata; only then does it lead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sprawl.quorum import leadership
from sprawl.quorum.features import SUPPORTED
from sprawl.quorum.image import BrokerImage, ConfigKind, ListenerImage, MetadataImage
from sprawl.quorum.leadership import RulesOf
from sprawl.quorum.records import (
    BrokerEndpoint,
    BrokerFeature,
    BrokerRegistrationChangeRecord,
    ConfigRecord,
    MetadataRecord,
    RegisterBrokerRecord,
    UnregisterBrokerRecord,
)
from sprawl_protocol.errors import ApiError, ErrorCode

RAMP: Final = "sprawl.weight.ramp"
RAMP_STEP_PERCENT: Final = 25


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


def register(image: MetadataImage, wish: BrokerRegistration, rules_of: RulesOf) -> list[MetadataRecord]:
    """Begins a life: the broker is fenced, and what it led or held in sync in its former life is not its any more.

    The broker's epoch is the offset of the first record. Raises `ApiError`.
    """
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
    if present is not None and present.incarnation == wish.incarnation and present.directories == wish.directories:
        return []  # asked twice: the first answer was lost
    if present is not None and present.active and not _same_disk(present, wish):
        raise ApiError(
            ErrorCode.DUPLICATE_BROKER_REGISTRATION,
            f"Another broker is registered as {wish.id}, from another data directory, and is alive. "
            "Give this one an id of its own, or stop the other.",
        )
    registered: list[MetadataRecord] = [
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
    if present is None:
        return registered + _first_step(image, wish.id)
    if _same_disk(present, wish):
        return registered + leadership.broker_gone(image, wish.id, rules_of)
    return registered + leadership.disk_lost(image, wish.id, rules_of)


def _first_step(image: MetadataImage, broker_id: int) -> list[MetadataRecord]:
    """A node that is new among others that hold something is given its share in steps, not all at once."""
    if not image.topics:
        return []
    return [
        ConfigRecord(
            resource_type=ConfigKind.BROKER, resource_name=str(broker_id), name=RAMP, value=str(RAMP_STEP_PERCENT)
        )
    ]


def unfence(image: MetadataImage, broker_id: int, epoch: int, rules_of: RulesOf) -> list[MetadataRecord]:
    """From now on it may lead, and does where nobody else can. Raises `ApiError`."""
    broker = current(image, broker_id, epoch)
    if not broker.fenced:
        return []
    record = BrokerRegistrationChangeRecord(broker_id=broker_id, broker_epoch=epoch, fenced=-1)
    return [record, *leadership.broker_back(image, broker, rules_of)]


def fence(image: MetadataImage, broker_id: int, rules_of: RulesOf) -> list[MetadataRecord]:
    """It is not heard of: its leaders go to others, and it is in sync nowhere."""
    broker = image.brokers.get(broker_id)
    if broker is None or broker.fenced:
        return []
    record = BrokerRegistrationChangeRecord(broker_id=broker_id, broker_epoch=broker.epoch, fenced=1)
    return [record, *leadership.broker_gone(image, broker_id, rules_of)]


def begin_shutdown(image: MetadataImage, broker_id: int, epoch: int, rules_of: RulesOf) -> list[MetadataRecord]:
    """It wants to leave: what others can lead, they do. Raises `ApiError`."""
    broker = current(image, broker_id, epoch)
    if broker.fenced or broker.shutting_down:
        return []
    record = BrokerRegistrationChangeRecord(broker_id=broker_id, broker_epoch=epoch, in_controlled_shutdown=1)
    return [record, *leadership.broker_gone(image, broker_id, rules_of)]


def unregister(image: MetadataImage, broker_id: int, rules_of: RulesOf) -> list[MetadataRecord]:
    """Raises `ApiError`."""
    broker = image.brokers.get(broker_id)
    if broker is None:
        raise ApiError(ErrorCode.BROKER_ID_NOT_REGISTERED, f"Broker {broker_id} is not registered.")
    record = UnregisterBrokerRecord(broker_id=broker_id, broker_epoch=broker.epoch)
    return [*leadership.broker_gone(image, broker_id, rules_of), record]


def current(image: MetadataImage, broker_id: int, epoch: int) -> BrokerImage:
    """Raises `ApiError` if the broker is not registered with that epoch."""
    broker = image.brokers.get(broker_id)
    if broker is None:
        raise ApiError(ErrorCode.BROKER_ID_NOT_REGISTERED, f"Broker {broker_id} is not registered.")
    if broker.epoch != epoch:
        raise ApiError(
            ErrorCode.STALE_BROKER_EPOCH,
            f"Broker {broker_id} has epoch {broker.epoch}, not {epoch}: it has been started again since.",
        )
    return broker


def _same_disk(present: BrokerImage, wish: BrokerRegistration) -> bool:
    """The same directories mean the same broker started again: no two processes can have a directory open."""
    return bool(present.directories) and present.directories == wish.directories
