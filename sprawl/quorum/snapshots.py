"""Snapshots of the metadata (KIP-630): the image as a file, so that a start does not replay the log from its birth.

A snapshot holds everything below its end offset. It is a file of record batches: a header, the voters, the records that
build the image, a footer. Named as Kafka's: `<end offset>-<epoch>.checkpoint`, beside the log's segments.
In: an image. Out: bytes; and back. A file without its footer, or with a wrong checksum, is no snapshot.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sprawl.quorum.batches import control_batch, data_batch, read_batches
from sprawl.quorum.delta import DeltaError, apply
from sprawl.quorum.image import MetadataImage, PartitionImage, TopicImage
from sprawl.quorum.records import (
    BrokerEndpoint,
    BrokerFeature,
    ConfigRecord,
    FeatureLevelRecord,
    MetadataRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    TopicRecord,
    UnreadableRecordError,
)
from sprawl.quorum.voters import KRAFT_VERSION
from sprawl_protocol.messages import KRaftVersionRecord, SnapshotFooterRecord, SnapshotHeaderRecord, VotersRecord

_NAME: Final = re.compile(r"([0-9]{20})-([0-9]{10})\.checkpoint", re.ASCII)
_RECORDS_PER_BATCH: Final = 1024


@dataclass(frozen=True, slots=True, order=True)
class SnapshotId:
    end_offset: int
    """Exclusive."""
    epoch: int

    @property
    def file_name(self) -> str:
        return f"{self.end_offset:020d}-{self.epoch:010d}.checkpoint"

    @classmethod
    def of_file(cls, name: str) -> SnapshotId | None:
        match = _NAME.fullmatch(name)
        return None if match is None else cls(int(match[1]), int(match[2]))


@dataclass(frozen=True, slots=True)
class Snapshot:
    image: MetadataImage
    voters: VotersRecord


def write_snapshot(snapshot: Snapshot, now_ms: int) -> bytes:
    """May take long for a large image; it touches nothing that changes, so any thread may do it."""
    epoch = snapshot.image.epoch
    header = SnapshotHeaderRecord(last_contained_log_timestamp=now_ms)
    parts = [control_batch([header], 0, epoch, now_ms)]
    parts.append(
        control_batch([KRaftVersionRecord(k_raft_version=KRAFT_VERSION), snapshot.voters], 1, epoch, now_ms),
    )
    offset = 3
    chunk: list[MetadataRecord] = []
    for record in records_of_image(snapshot.image):
        chunk.append(record)
        if len(chunk) == _RECORDS_PER_BATCH:
            parts.append(data_batch(chunk, offset, epoch, now_ms))
            offset += len(chunk)
            chunk = []
    if chunk:
        parts.append(data_batch(chunk, offset, epoch, now_ms))
        offset += len(chunk)
    parts.append(control_batch([SnapshotFooterRecord()], offset, epoch, now_ms))
    return b"".join(parts)


def read_snapshot(data: bytes, of: SnapshotId, cluster_id: str) -> Snapshot:
    """Raises `UnreadableRecordError`."""
    voters: VotersRecord | None = None
    records: list[MetadataRecord] = []
    begun = ended = False
    for batch in read_batches(data):
        if ended or not (begun or batch.controls):
            raise UnreadableRecordError("records outside of the snapshot's header and footer")
        records += batch.records
        for control in batch.controls:
            if isinstance(control, VotersRecord):
                voters = control
            begun |= isinstance(control, SnapshotHeaderRecord)
            ended |= isinstance(control, SnapshotFooterRecord)
    if not (begun and ended) or voters is None:
        raise UnreadableRecordError("the snapshot has no header, no voters or no footer: it was not written whole")
    try:
        image = apply(MetadataImage(cluster_id), records, offset=of.end_offset - 1, epoch=of.epoch)
    except DeltaError as problem:
        raise UnreadableRecordError(f"the snapshot contradicts itself: {problem}") from problem
    return Snapshot(image, voters)


def records_of_image(image: MetadataImage) -> Iterator[MetadataRecord]:
    """The fewest records that build `image`, in an order in which they can be applied."""
    for name, level in image.features.items():
        yield FeatureLevelRecord(name=name, feature_level=level)
    for broker in image.brokers.values():
        yield RegisterBrokerRecord(
            broker_id=broker.id,
            incarnation_id=broker.incarnation,
            broker_epoch=broker.epoch,
            end_points=[
                BrokerEndpoint(name=each.name, host=each.host, port=each.port, security_protocol=each.security_protocol)
                for each in broker.listeners
            ],
            features=[
                BrokerFeature(name=name, min_supported_version=least, max_supported_version=greatest)
                for name, (least, greatest) in broker.features.items()
            ],
            rack=broker.rack,
            fenced=broker.fenced,
            in_controlled_shutdown=broker.shutting_down,
            log_dirs=list(broker.directories),
        )
    for topic in image.topics.values():
        yield TopicRecord(name=topic.name, topic_id=topic.id)
        for partition in topic.partitions:
            yield partition_record(topic, partition)
    for kind, resources in image.configs.items():
        for resource, settings in resources.items():
            for name, value in settings.items():
                yield ConfigRecord(resource_type=kind, resource_name=resource, name=name, value=value)
    if image.next_producer_id:
        yield ProducerIdsRecord(broker_id=-1, broker_epoch=-1, next_producer_id=image.next_producer_id)


def partition_record(topic: TopicImage, partition: PartitionImage) -> PartitionRecord:
    return PartitionRecord(
        partition_id=partition.index,
        topic_id=topic.id,
        replicas=list(partition.replicas),
        isr=list(partition.isr),
        removing_replicas=list(partition.removing_replicas),
        adding_replicas=list(partition.adding_replicas),
        leader=partition.leader,
        leader_recovery_state=int(partition.recovering),
        leader_epoch=partition.leader_epoch,
        partition_epoch=partition.partition_epoch,
        directories=list(partition.directories),
        eligible_leader_replicas=list(partition.eligible_leader_replicas) or None,
        last_known_elr=list(partition.last_known_elr) or None,
    )
