"""`sprawl-admin cluster restore`: a cluster built again from its bucket alone.

In: the bucket, and a data directory that is to become the new cluster's first node. Out: what would be there, and what
would be missing, to the offset; and, if it is to be done, the directory. The bucket passes to the new cluster as the
last step but one: before it, nobody sees a change there; behind it, only files are moved into their place.
"""

from __future__ import annotations

import os  # noqa: TID251 - for the umask
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from crc32c import crc32c

from sprawl.admin.cluster_restore_groups import RestoredGroups, restore_groups
from sprawl.admin.session import CONFLICT, NOT_FOUND, UNHEALTHY, RefusedError
from sprawl.config.identity import LOCK_FILE, STATE_FILE, new_id
from sprawl.objects.contract import ObjectStore
from sprawl.objects.errors import NotFound
from sprawl.runtime import Runtime
from sprawl.storage.directories import partition_directories
from sprawl.tiers.backup import Key
from sprawl.tiers.backup_reading import read_backup
from sprawl.tiers.manifest import BadSegment, Manifest
from sprawl.tiers.restore import Damage, RestoredPartition, RestorePlan, leave_out, plan_restore
from sprawl.tiers.restore_adoption import adopt, marker_etag
from sprawl.tiers.restore_directory import Restored, build_directory
from sprawl.tiers.segments import MANIFEST, object_name
from sprawl.tiers.verify_bucket import list_segments

_DRAFT: Final = "restoring"
_HARMLESS: Final = ("lost+found", LOCK_FILE, _DRAFT)


@dataclass(frozen=True, slots=True)
class Wish:
    data_dir: str
    node_id: int
    others: tuple[int, ...]
    """Nodes that will join it, and are to have replicas."""
    cluster_id: str
    """Whose backup; empty: of the cluster whose place the bucket is."""
    accept_loss: bool
    execute: bool


async def restore(store: ObjectStore, runtime: Runtime, wish: Wish) -> dict[str, Any]:
    """Raises `RefusedError`, `BadBackup`, `StoreError`, `OSError`."""
    _refuse_if_used(runtime, wish.data_dir)
    try:
        etag = await marker_etag(store)
    except NotFound:
        raise RefusedError(f"{store.url} is no cluster's place. Check bucket and prefix", NOT_FOUND) from None
    backup = await read_backup(store, wish.cluster_id)
    plan = plan_restore(backup, {key: each.size for key, each in (await list_segments(store)).items()})
    now_ms = runtime.clock.wall_ms()
    producers, damages = await _producers(store, plan)
    damages = plan.damages + damages
    if damages and not wish.accept_loss:
        raise _damaged([each.what for each in damages])
    plan = leave_out(plan, damages)
    ends = {(each.topic.name, one.index): one.end for each in plan.topics for one in each.partitions}
    groups = restore_groups(backup.groups, ends, now_ms)
    found = _told(plan, groups, [each.what for each in damages], 1 + len(wish.others))
    if wish.execute:
        cluster_id = new_id(runtime)
        draft = f"{wish.data_dir}/{_DRAFT}"
        if runtime.files.exists(draft):
            runtime.files.remove_tree(draft)
        restored = Restored(cluster_id, wish.node_id, wish.others, producers, groups.records)
        before = os.umask(0o077)  # there will be a secret in it
        try:
            await build_directory(runtime, draft, plan, restored)
        finally:
            os.umask(before)
        await adopt(store, plan, cluster_id, wish.node_id, groups.records, etag=etag, now_ms=now_ms)
        _move_up(runtime, draft, wish.data_dir)
        found["new_cluster_id"] = cluster_id
    return found


def _damaged(what: Sequence[str]) -> RefusedError:
    shown = "; ".join(what[:10]) + (f"; and {len(what) - 10} more" if len(what) > 10 else "")
    return RefusedError(
        f"the bucket does not have what its backup speaks of: {shown}. Put the objects back from a copy of the bucket; "
        "or restore without what they held: --accept-loss",
        UNHEALTHY,
    )


def _refuse_if_used(runtime: Runtime, directory: str) -> None:
    if not runtime.files.exists(directory):
        return
    there = [name for name in runtime.files.list(directory) if name not in _HARMLESS]
    if not there:
        return
    topics = sorted({each.topic for each in partition_directories(runtime.files, directory)})
    what = (
        f"a node with the topics {', '.join(topics[:10])}" if topics else "a node" if STATE_FILE in there else there[0]
    )
    raise RefusedError(
        f"{directory} is not empty: it has {what}. A cluster is restored into a directory of its own: name another, or "
        "remove what is there",
        CONFLICT,
    )


async def _producers(store: ObjectStore, plan: RestorePlan) -> tuple[dict[Key, bytes], list[Damage]]:
    """Producer states at the end of each log, from the last manifests; and manifests that are damaged."""
    found: dict[Key, bytes] = {}
    damages: list[Damage] = []
    for topic in plan.topics:
        for partition in topic.partitions:
            if not partition.segments or partition.damages:
                continue
            last, key = partition.segments[-1], (topic.topic.id, partition.index)
            name = object_name(*key, last.segment) + MANIFEST
            raw = await store.get(name)
            try:
                if crc32c(raw) != last.segment.manifest_crc32c:
                    raise BadSegment("its checksum is another one")
                manifest = Manifest.parse(raw)
            except BadSegment as problem:
                damages.append(Damage(key, last.segment.id, f"{name} is damaged: {problem}"))
                continue
            if last.end_offset == last.segment.end_offset and manifest.producers is not None:
                found[key] = manifest.producers
    return found, damages


def _move_up(runtime: Runtime, draft: str, directory: str) -> None:
    """The identity last: without it, the directory is nobody's yet."""
    names = sorted(runtime.files.list(draft), key=lambda name: name.startswith(STATE_FILE))
    for name in names:
        runtime.files.rename(f"{draft}/{name}", f"{directory}/{name}")
    runtime.files.sync_dir(directory)
    runtime.files.remove_tree(draft)


# -- what is shown ---------------------------------------------------------------------------------------------


def _told(plan: RestorePlan, groups: RestoredGroups, damages: list[str], nodes: int) -> dict[str, Any]:
    backup = plan.backup
    return {
        "cluster_id": backup.cluster_id,
        "new_cluster_id": None,
        "backup_written": datetime.fromtimestamp(backup.time_ms / 1000, UTC).isoformat(timespec="seconds"),
        "topics": len(plan.topics),
        "groups": len(groups.groups),
        "commits_drawn_back": [
            {
                "group": each.group,
                "topic": each.topic,
                "partition": each.partition,
                "committed": each.committed,
                "restored": each.restored,
            }
            for each in groups.drawn_back
        ],
        "damages": damages,
        "partitions": [
            _row(topic.topic.name, min(topic.topic.replicas, nodes), topic.topic.replicas, one)
            for topic in plan.topics
            for one in topic.partitions
        ],
    }


def _row(topic: str, replicas: int, replicas_before: int, partition: RestoredPartition) -> dict[str, Any]:
    return {
        "id": f"{topic}-{partition.index}",
        "topic": topic,
        "partition": partition.index,
        "start": partition.start,
        "last_offset": partition.end - 1 if partition.end > partition.start else None,
        "next_offset": partition.end,
        "segments": len(partition.segments),
        "bytes": sum(each.segment.size for each in partition.segments),
        "replicas": replicas,
        "replicas_before": replicas_before,
        "missing": [f"{each.start} to {each.end - 1}: {each.why}" for each in partition.losses],
    }
