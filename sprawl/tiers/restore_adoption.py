"""A bucket passes to the cluster that was built again from it.

In: the plan, and who the new cluster is. Out: the new cluster's own backup, as of now, so that it could itself be built
again before it ever wrote one; then the marker `cluster.json`, replaced only if it is still the one that was read. From
then on nodes of the former cluster stop at their next look. What the former one kept of itself stays where it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sprawl.objects.contract import ObjectStore
from sprawl.objects.errors import PreconditionFailed
from sprawl.objects.probe import MARKER, Marker
from sprawl.tiers.backup import (
    CLUSTER,
    GROUPS,
    NODE,
    TIER,
    BackedPartition,
    BackedTopic,
    BadBackup,
    ClusterBody,
    Extent,
    GroupsBody,
    NodeBody,
    Section,
    TierBody,
    section_key,
)
from sprawl.tiers.restore import OFFSETS_TOPIC, RestorePlan


async def marker_etag(store: ObjectStore) -> str:
    """Of whose place it is now. Raises `StoreError`."""
    return (await store.head(MARKER)).etag


async def adopt(
    store: ObjectStore,
    plan: RestorePlan,
    cluster_id: str,
    node_id: int,
    groups: Mapping[int, Sequence[tuple[bytes, bytes]]],
    *,
    etag: str,
    now_ms: int,
) -> None:
    """Raises `StoreError`; `BadBackup` if another restore was first."""
    for section in _sections(plan, cluster_id, node_id, groups, now_ms):
        await store.put(section_key(cluster_id, section.name), section.pack())
    try:
        await store.put(MARKER, Marker(cluster_id, now_ms).pack(), if_match=etag)
    except PreconditionFailed:
        raise BadBackup(
            f"{MARKER} in {store.url} was changed meanwhile: somebody else restores from there. Look what became of it"
        ) from None


def _sections(
    plan: RestorePlan,
    cluster_id: str,
    node_id: int,
    groups: Mapping[int, Sequence[tuple[bytes, bytes]]],
    now_ms: int,
) -> list[Section]:
    """Of epoch 0: any that the cluster writes replaces them."""
    topics, tier, extents = [], [], []
    for each in plan.topics:
        epochs = tuple(one.leader_epoch for one in each.partitions)
        topics.append(BackedTopic(each.topic.name, each.topic.id, epochs, each.topic.replicas, each.topic.configs))
        for one in each.partitions:
            key: tuple[UUID, int] = (each.topic.id, one.index)
            tier.append(BackedPartition(key, one.claimed_epoch, one.segments))
            extents.append(Extent(key, one.leader_epoch, one.start, one.end))
    topics += [each for each in plan.backup.cluster.topics if each.name == OFFSETS_TOPIC]
    cluster = plan.backup.cluster
    bodies = {
        f"{TIER}0": TierBody(tuple(tier)).told(),
        f"{NODE}{node_id}": NodeBody(tuple(extents)).told(),
        **{f"{GROUPS}{index}": GroupsBody(tuple(records)).told() for index, records in groups.items()},
        CLUSTER: ClusterBody(tuple(topics), cluster.configs, cluster.next_producer_id).told(),
    }
    return [Section(name, cluster_id, 0, now_ms, body) for name, body in bodies.items()]
