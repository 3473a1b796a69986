"""The data directory of the first node of a cluster that is built again from its bucket.

In: a `RestorePlan`, what producers and groups had, and who the node is to be. Out: a directory that a node starts from
as if it had been in it all along: the metadata as a snapshot; each log empty, beginning where its part in the tier
ends, as a replica's that left the rest to the tier; `__sprawl_tier` with the records of what is in the bucket; and
`__consumer_offsets`. Nothing is asked of the bucket here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from sprawl.config.identity import SECRET_FILE, STATE_FILE, Identity, establish, new_secret
from sprawl.config.topics import Durability, TopicConfig
from sprawl.quorum.delta import apply
from sprawl.quorum.features import INITIAL
from sprawl.quorum.identifiers import new_uuid, uuid_of
from sprawl.quorum.image import (
    INTERNAL_TOPICS,
    METADATA_TOPIC,
    METADATA_TOPIC_ID,
    TIER_TOPIC,
    ConfigKind,
    MetadataImage,
    PartitionImage,
    TopicImage,
)
from sprawl.quorum.metadata_log import MetadataLog
from sprawl.quorum.records import (
    NO_ID,
    ConfigRecord,
    FeatureLevelRecord,
    MetadataRecord,
    ProducerIdsRecord,
    TopicRecord,
)
from sprawl.quorum.snapshots import Snapshot, SnapshotId, partition_record, write_snapshot
from sprawl.quorum.voters import ReplicaKey, Voters
from sprawl.runtime import Runtime
from sprawl.storage.log import Log
from sprawl.storage.manager import LogManager, StorageSettings
from sprawl.storage.producers import ProducerStates
from sprawl.tiers.backup import Key
from sprawl.tiers.catalog import Catalog
from sprawl.tiers.restore import OFFSETS_TOPIC, RestoredPartition, RestorePlan, tier_records
from sprawl.tiers.topic import CONFIGS, PARTITIONS, partition_of
from sprawl_protocol.records import Record, build_batch, headers

_STORAGE: Final = StorageSettings(64 * 1024 * 1024, 0, 2**31, 2**31)
_SYNCED: Final = replace(TopicConfig(), retention_ms=-1, retention_bytes=-1, sprawl_durability=Durability.FSYNC)
_IDS_SKIPPED: Final = 1_000_000
"""Producer ids that may have been given out after the backup was written."""
_REPLICAS: Final = 3
"""Of the cluster's own topics, if there are so many nodes."""
_OPEN_AT_ONCE: Final = 500
"""Logs: each takes some files of those that a process may have open."""
_BATCH: Final = 500
"""Records in one batch."""
_EPOCH: Final = 1
"""Of the metadata."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What stands in the new directory beside the topics' data."""

    cluster_id: str
    node_id: int
    others: Sequence[int]
    """Nodes that will join, and are to have replicas."""
    producers: Mapping[Key, bytes]
    """Producer states at the end of what is in the tier."""
    groups: Mapping[int, Sequence[tuple[bytes, bytes]]]
    """Records of `__consumer_offsets`, by its partition."""


class _Homes:
    """Where replicas are: the first node has one of each partition, the others in turn, so that each may lead some."""

    def __init__(self, identity: Identity, others: Sequence[int], replicas: int) -> None:
        self.me = identity.node_id
        self.directory = uuid_of(identity.directory_id)
        self._others = others
        self._count = min(replicas, 1 + len(others))

    def of(self, index: int) -> tuple[int, ...]:
        others = [self._others[(index + n) % len(self._others)] for n in range(self._count - 1)]
        at = index % self._count
        return (*others[:at], self.me, *others[at:])


async def build_directory(runtime: Runtime, directory: str, plan: RestorePlan, restored: Restored) -> Identity:
    """The directory must not be there, or be empty. Raises `OSError`, `ApiError`, `ConfigError`."""
    runtime.files.make_dirs(directory)
    identity = _identify(runtime, directory, restored)
    image = _image(runtime, plan, restored, identity)
    wanted = [(topic.topic, partition) for topic in plan.topics for partition in topic.partitions]
    for at in range(0, len(wanted), _OPEN_AT_ONCE):
        async with _logs(runtime, directory) as logs:
            for topic, partition in wanted[at : at + _OPEN_AT_ONCE]:
                log = await logs.open(topic.id, topic.name, partition.index, _SYNCED)
                await _begin(log, partition, restored.producers.get((topic.id, partition.index), b""))
    async with _logs(runtime, directory) as logs:
        tier = image.topics[TIER_TOPIC]
        now_ms = runtime.clock.wall_ms()
        records: dict[int, list[tuple[bytes, bytes]]] = {}
        for topic, partition in wanted:
            told = tier_records(topic.id, partition, identity.node_id, now_ms, lambda: runtime.token_bytes(16).hex())
            index = partition_of(tier, topic.id, partition.index)
            records.setdefault(index, []).extend((each.key(), each.pack()) for each in told)
        await _fill(runtime, logs, tier, records)
        offsets = image.topics.get(OFFSETS_TOPIC)
        if offsets is not None:
            await _fill(runtime, logs, offsets, restored.groups)
        await _keep_metadata(runtime, logs, image, identity)
    return identity


def _identify(runtime: Runtime, directory: str, restored: Restored) -> Identity:
    state = runtime.open_state(f"{directory}/{STATE_FILE}")
    try:
        identity = establish(state, runtime, node_id=restored.node_id, cluster_id=restored.cluster_id)
    finally:
        state.close()
    runtime.files.write_atomic(f"{directory}/{SECRET_FILE}", new_secret(runtime))
    return identity


@asynccontextmanager
async def _logs(runtime: Runtime, directory: str) -> AsyncIterator[LogManager]:
    logs = LogManager(runtime, directory, _STORAGE)
    await logs.start()
    try:
        yield logs
        await logs.checkpoint()
    finally:
        await logs.close()


# -- metadata --------------------------------------------------------------------------------------------------


def _image(runtime: Runtime, plan: RestorePlan, restored: Restored, identity: Identity) -> MetadataImage:
    records: list[MetadataRecord] = [
        FeatureLevelRecord(name=name, feature_level=level) for name, level in INITIAL.items()
    ]
    for topic in plan.topics:
        epochs = [each.leader_epoch for each in topic.partitions]
        homes = _Homes(identity, restored.others, topic.topic.replicas)
        records += _topic(topic.topic.name, topic.topic.id, epochs, topic.topic.configs, homes)
    taken = {topic.topic.id for topic in plan.topics}
    own = _Homes(identity, restored.others, _REPLICAS)
    records += _topic(TIER_TOPIC, new_uuid(runtime, taken), [0] * PARTITIONS, CONFIGS, own)
    for each in plan.backup.cluster.topics:
        if each.name == OFFSETS_TOPIC:
            records += _topic(each.name, each.id, [0] * len(each.leader_epochs), each.configs, own)
    for kind, resources in plan.backup.cluster.configs.items():
        for resource, settings in resources.items():
            for name, value in settings.items():
                records.append(ConfigRecord(resource_type=kind, resource_name=resource, name=name, value=value))
    next_id = plan.backup.cluster.next_producer_id + _IDS_SKIPPED
    records.append(ProducerIdsRecord(broker_id=-1, broker_epoch=-1, next_producer_id=next_id))
    return apply(MetadataImage(identity.cluster_id), records, offset=len(records), epoch=_EPOCH)


def _topic(
    name: str, id_: UUID, leader_epochs: Sequence[int], configs: Mapping[str, str], homes: _Homes
) -> Iterable[MetadataRecord]:
    """With nobody to lead its partitions: the controller elects the node once it is there."""
    topic = TopicImage(name, id_, (), name in INTERNAL_TOPICS)
    yield TopicRecord(name=name, topic_id=id_)
    for key, value in configs.items():
        yield ConfigRecord(resource_type=ConfigKind.TOPIC, resource_name=name, name=key, value=value)
    for index, epoch in enumerate(leader_epochs):
        replicas = homes.of(index)
        directories = tuple(homes.directory if each == homes.me else NO_ID for each in replicas)
        partition = PartitionImage(index, -1, epoch, 0, replicas, (homes.me,), directories=directories)
        yield partition_record(topic, partition)


async def _keep_metadata(runtime: Runtime, logs: LogManager, image: MetadataImage, identity: Identity) -> None:
    replica = await logs.open(METADATA_TOPIC_ID, METADATA_TOPIC, 0, _SYNCED)
    voters = Voters({ReplicaKey(identity.node_id, uuid_of(identity.directory_id)): None})
    data = write_snapshot(Snapshot(image, voters.to_record()), runtime.clock.wall_ms())
    metadata = MetadataLog(replica, replica.directory, runtime, identity.cluster_id)
    await metadata.install(data, SnapshotId(image.offset + 1, _EPOCH))


# -- logs ------------------------------------------------------------------------------------------------------


async def _begin(log: Log, partition: RestoredPartition, producers: bytes) -> None:
    if not partition.segments:
        await log.reset_to(partition.end)
        return
    catalog = Catalog()
    for record in tier_records(log.topic_id, partition, 0, 0, lambda: ""):
        refusal = catalog.apply(record)
        assert refusal is None, f"the backup has a chain that can be read: {refusal}"
    states = ProducerStates.load(producers) if producers else ProducerStates()
    await log.begin_behind_tier(partition.end, partition.start, catalog.epochs(), states)


async def _fill(
    runtime: Runtime, logs: LogManager, topic: TopicImage, records: Mapping[int, Sequence[tuple[bytes, bytes]]]
) -> None:
    now_ms = runtime.clock.wall_ms()
    for partition in topic.partitions:
        log = await logs.open(topic.id, topic.name, partition.index, _SYNCED)
        told = records.get(partition.index, ())
        for at in range(0, len(told), _BATCH):
            some = told[at : at + _BATCH]
            batch = build_batch([Record(n, now_ms, key, value, []) for n, (key, value) in enumerate(some)])
            log.append(memoryview(batch), headers(batch), 0, now_ms)
            await log.make_stable()
