"""What `sprawl-admin partition list|describe` shows, and the plan of a move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sprawl.admin.disks import disks_of
from sprawl.admin.groups import EARLIEST, LATEST, offsets_at
from sprawl.admin.layout import Placed, layout
from sprawl.admin.session import NOT_FOUND, RefusedError, Session


async def list_partitions(
    session: Session, topics: Sequence[str], *, under_replicated: bool, offline: bool, broker: int | None
) -> list[dict[str, Any]]:
    """Those of which all that is asked for is true. Raises `RefusedError`, `ClientError`."""
    return [
        row_of(each)
        for each in await layout(session, *topics)
        if not (under_replicated and len(each.in_sync) >= len(each.replicas))
        and not (offline and each.leader >= 0)
        and (broker is None or broker in each.replicas)
    ]


async def describe_partition(session: Session, topic: str, partition: int) -> dict[str, Any]:
    """Raises `RefusedError`, `ClientError`."""
    each = await placed_at(session, topic, partition)
    start = end = None
    if each.leader >= 0:
        part = (topic, partition)
        start = (await offsets_at(session, [part], EARLIEST))[part]
        end = (await offsets_at(session, [part], LATEST))[part]
    alive = await session.brokers()
    replicas = []
    for broker in each.replicas:
        held = [
            (disk.path, kept.size, kept.lag)
            for disk in (await disks_of(session, broker) if broker in alive else [])
            for kept in disk.held
            if (kept.topic, kept.partition) == (topic, partition)
        ]
        path, size, lag = held[0] if held else (None, None, None)
        replicas.append(
            {
                "broker": broker,
                "leader": broker == each.leader,
                "in_sync": broker in each.in_sync,
                "bytes": size,
                "lag": lag,
                "directory": path,
            }
        )
    facts = {key: value for key, value in row_of(each).items() if key not in ("replicas", "in_sync")}
    return {**facts, "start": start, "end": end, "replicas": replicas}


async def plan_move(session: Session, topic: str, partition: int, to: Sequence[int]) -> list[dict[str, Any]]:
    """What a move would change. Raises `RefusedError`, `ClientError`."""
    each = await placed_at(session, topic, partition)
    alive = await session.brokers()
    missing = [broker for broker in to if broker not in alive]
    if missing:
        raise RefusedError(f"there is no active broker {', '.join(map(str, missing))}", NOT_FOUND)
    return [
        {
            "id": f"{topic}-{partition}",
            "topic": topic,
            "partition": partition,
            "replicas": list(each.replicas),
            "target": list(to),
            "adding": [broker for broker in to if broker not in each.replicas],
            "removing": [broker for broker in each.replicas if broker not in to],
        }
    ]


async def placed_at(session: Session, topic: str, partition: int) -> Placed:
    """Raises `RefusedError`, `ClientError`."""
    for each in await layout(session, topic):
        if each.partition == partition:
            return each
    raise RefusedError(f"{topic} has no partition {partition}", NOT_FOUND)


def row_of(each: Placed) -> dict[str, Any]:
    return {
        "id": f"{each.topic}-{each.partition}",
        "topic": each.topic,
        "partition": each.partition,
        "leader": each.leader,
        "epoch": each.leader_epoch,
        "replicas": list(each.replicas),
        "in_sync": list(each.in_sync),
        "state": state_of(each),
    }


def state_of(each: Placed) -> str:
    if each.leader < 0:
        return "offline"
    return "under-replicated" if len(each.in_sync) < len(each.replicas) else "ok"
