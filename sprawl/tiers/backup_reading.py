"""A cluster's backup, read from its bucket whole.

In: an object store. Out: a `Backup`, or an error that names the object and says what to do. Only reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sprawl.objects.contract import ObjectStore
from sprawl.objects.errors import Corrupt, NotFound
from sprawl.objects.probe import read_marker
from sprawl.tiers.backup import (
    BACKUP,
    CLUSTER,
    GROUPS,
    NODE,
    TIER,
    BackedPartition,
    BadBackup,
    ClusterBody,
    Extent,
    GroupsBody,
    Key,
    NodeBody,
    Section,
    TierBody,
    damaged_body,
    section_key,
)

B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Backup:
    cluster_id: str
    time_ms: int
    """Of the section that was written last."""
    cluster: ClusterBody
    tier: Mapping[Key, BackedPartition]
    extents: Mapping[Key, Extent]
    """Of each log, as its last leader knew it."""
    groups: Mapping[int, GroupsBody]
    """By partition of `__consumer_offsets`."""
    sections: tuple[str, ...]
    """The objects it was read from."""


async def read_backup(store: ObjectStore, cluster_id: str = "") -> Backup:
    """Of the cluster whose place it is, or of that one. Raises `BadBackup`, `StoreError`."""
    if not cluster_id:
        marker = await read_marker(store)
        if marker is None:
            raise BadBackup(f"{store.url} is no cluster's place: there is no cluster.json. Check bucket and prefix")
        cluster_id = marker.cluster_id
    names = await _names(store, cluster_id)
    if CLUSTER not in names:
        raise BadBackup(
            f"{store.url} has no backup of cluster {cluster_id}: {section_key(cluster_id, CLUSTER)} is not there. A "
            "cluster with a tier writes it every sprawl.tier.backup.interval.ms; older Sprawls wrote none"
        )
    sections = {name: await _section(store, cluster_id, name) for name in names}
    tier: dict[Key, BackedPartition] = {}
    extents: dict[Key, Extent] = {}
    groups: dict[int, GroupsBody] = {}
    for name, section in sections.items():
        if name.startswith(TIER):
            tier |= {each.key: each for each in _body(section, TierBody.from_told).partitions}
        elif name.startswith(NODE):
            for each in _body(section, NodeBody.from_told).extents:
                known = extents.get(each.key)
                if known is None or (each.leader_epoch, each.committed) > (known.leader_epoch, known.committed):
                    extents[each.key] = each
        elif name.startswith(GROUPS):
            groups[int(name.removeprefix(GROUPS))] = _body(section, GroupsBody.from_told)
    cluster = _body(sections[CLUSTER], ClusterBody.from_told)
    time_ms = max(each.time_ms for each in sections.values())
    keys = tuple(section_key(cluster_id, name) for name in sections)
    return Backup(cluster_id, time_ms, cluster, tier, extents, groups, keys)


async def _names(store: ObjectStore, cluster_id: str) -> list[str]:
    prefix, after = f"{BACKUP}{cluster_id}/", None
    found: list[str] = []
    while True:
        page = await store.list(prefix, after=after)
        found += [each.key.removeprefix(prefix).removesuffix(".json") for each in page.objects]
        if page.after is None:
            return found
        after = page.after


async def _section(store: ObjectStore, cluster_id: str, name: str) -> Section:
    key = section_key(cluster_id, name)
    where = f"{key} in {store.url}"
    try:
        raw = await store.get(key)
    except NotFound:
        raise BadBackup(f"{where} went away while it was read. Stop the cluster that uses the bucket") from None
    except Corrupt as problem:
        raise damaged_body(where, problem) from problem
    section = Section.parse(raw, where)
    if (section.name, section.cluster_id) != (name, cluster_id):
        raise damaged_body(where, ValueError(f"it is {section.name} of cluster {section.cluster_id}"))
    return section


def _body(section: Section, read: Callable[[Mapping[str, Any]], B]) -> B:
    """Raises `BadBackup`."""
    try:
        return read(section.body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged_body(section_key(section.cluster_id, section.name), error) from error
