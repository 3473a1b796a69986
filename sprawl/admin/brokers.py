"""What `sprawl-admin broker ...` asks and shows: who is there, and emptying a broker before it leaves.

A broker is drained by its setting `sprawl.weight`: 0 empties it, and the cluster itself does the moving, copies first.
So a drain goes on whether anybody watches or not, and ends when the weight is given back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from sprawl.admin.configs import describe_settings
from sprawl.admin.disks import disks_of
from sprawl.admin.layout import Placed, layout, led_by, replicas_on
from sprawl.admin.session import NOT_FOUND, RefusedError, Session
from sprawl_protocol.messages import (
    DescribeClusterBroker,
    DescribeClusterRequest,
    DescribeClusterResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterableConfig,
    IncrementalAlterConfigsRequestAlterConfigsResource,
    IncrementalAlterConfigsResponse,
)

WEIGHT: Final = "sprawl.weight"
_BROKER: Final = 4
_SET: Final = 0
_DELETE: Final = 1
_LOOK_EVERY: Final = 0.5


async def list_brokers(session: Session) -> list[dict[str, Any]]:
    """Raises `RefusedError`, `ClientError`."""
    controller, brokers = await _brokers(session)
    placed = await layout(session)
    return [
        {
            "id": each.broker_id,
            "host": each.host,
            "port": each.port,
            "rack": each.rack,
            "state": "fenced" if each.is_fenced else "active",
            "controller": each.broker_id == controller,
            "leaders": led_by(placed, each.broker_id),
            "replicas": replicas_on(placed, each.broker_id),
        }
        for each in brokers
    ]


async def describe_broker(session: Session, broker: int) -> dict[str, Any]:
    """What a broker that is not active would say itself is left empty. Raises `RefusedError`, `ClientError`."""
    rows = await list_brokers(session)
    found = next((row for row in rows if row["id"] == broker), None)
    if found is None:
        there = ", ".join(str(row["id"]) for row in rows) or "none"
        raise RefusedError(f"there is no broker {broker}; there are {there}", NOT_FOUND)
    if found["state"] != "active":
        return {**found, "settings": {}, "directories": []}
    settings = await describe_settings(session, "broker", str(broker), everything=False)
    return {
        **found,
        "settings": {row["name"]: row["value"] for row in settings},
        "directories": [
            {
                "path": disk.path,
                "state": "failed" if disk.failed else "ok",
                "partitions": len(disk.held),
                "bytes": sum(each.size for each in disk.held),
                "total": disk.total,
                "usable": disk.usable,
            }
            for disk in await disks_of(session, broker)
        ],
    }


async def drain(session: Session, broker: int, watch: Callable[[int, int], None] | None) -> None:
    """Have everything on a broker moved to others. With `watch` return once it is empty: it is told how many replicas
    and leaders are left, twice a second. Raises `RefusedError`, `ClientError`."""
    _, brokers = await _brokers(session)
    placed = await layout(session)
    _refuse_if_too_few(broker, brokers, placed)
    await _set_weight(session, broker, "0")
    while watch is not None:
        left, led = replicas_on(placed, broker), led_by(placed, broker)
        watch(left, led)
        if not left:
            return
        await asyncio.sleep(_LOOK_EVERY)
        placed = await layout(session)


async def resume(session: Session, broker: int) -> None:
    """Give a broker its share again. Raises `RefusedError`, `ClientError`."""
    _refuse_if_unknown(broker, (await _brokers(session))[1])
    await _set_weight(session, broker, None)


async def _brokers(session: Session) -> tuple[int, list[DescribeClusterBroker]]:
    answer = await session.ask(DescribeClusterRequest(include_fenced_brokers=True), DescribeClusterResponse)
    if answer.error_code:
        raise RefusedError.of("cluster", answer.error_code, answer.error_message)
    return answer.controller_id, sorted(answer.brokers, key=lambda each: each.broker_id)


def _refuse_if_unknown(broker: int, brokers: list[DescribeClusterBroker]) -> None:
    ids = [each.broker_id for each in brokers]
    if broker not in ids:
        raise RefusedError(f"there is no broker {broker}; there are {', '.join(map(str, ids)) or 'none'}", NOT_FOUND)


def _refuse_if_too_few(broker: int, brokers: list[DescribeClusterBroker], placed: list[Placed]) -> None:
    """A replica needs a broker of its own: with too few of them a drain would never end."""
    _refuse_if_unknown(broker, brokers)
    others = [each.broker_id for each in brokers if each.broker_id != broker and not each.is_fenced]
    widest = max(
        (each for each in placed if broker in each.replicas), key=lambda each: len(each.replicas), default=None
    )
    if widest is not None and len(widest.replicas) > len(others):
        raise RefusedError(
            f"{widest.topic}-{widest.partition} has {len(widest.replicas)} replicas, and without broker {broker} there "
            f"are {len(others)} active brokers. Add a broker, or give the topic fewer replicas first"
        )


async def _set_weight(session: Session, broker: int, weight: str | None) -> None:
    change = IncrementalAlterConfigsRequestAlterableConfig(
        name=WEIGHT, config_operation=_DELETE if weight is None else _SET, value=weight
    )
    request = IncrementalAlterConfigsRequest(
        resources=[
            IncrementalAlterConfigsRequestAlterConfigsResource(
                resource_type=_BROKER, resource_name=str(broker), configs=[change]
            )
        ]
    )
    (result,) = (await session.ask(request, IncrementalAlterConfigsResponse)).responses
    if result.error_code:
        raise RefusedError.of(f"broker {broker}", result.error_code, result.error_message)
