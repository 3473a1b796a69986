"""What `sprawl-admin config ...` and `topic alter|trim` ask and change: settings, partitions, where a log begins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from sprawl.admin.groups import LATEST, leaders_of, offsets_at, partitions_of
from sprawl.admin.session import NOT_FOUND, RefusedError, Session
from sprawl_protocol.messages import (
    CreatePartitionsRequest,
    CreatePartitionsResponse,
    CreatePartitionsTopic,
    DeleteRecordsPartition,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopic,
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResponse,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterableConfig,
    IncrementalAlterConfigsRequestAlterConfigsResource,
    IncrementalAlterConfigsResponse,
)

KINDS: Final = {"topic": 2, "broker": 4, "group": 32}
"""The numbers that Kafka's protocol gives to what has settings."""
_SOURCES: Final = {1: "topic", 2: "broker", 3: "all brokers", 4: "file", 5: "default", 6: "logger", 8: "group"}
_DEFAULT: Final = 5
_SET: Final = 0
_DELETE: Final = 1


async def describe_settings(session: Session, kind: str, name: str, *, everything: bool) -> list[dict[str, Any]]:
    """Those that differ from their defaults, or all. Raises `RefusedError`, `ClientError`."""
    wanted = DescribeConfigsResource(resource_type=KINDS[kind], resource_name=name, configuration_keys=None)
    request = DescribeConfigsRequest(resources=[wanted], include_synonyms=True)
    (result,) = (await session.ask(request, DescribeConfigsResponse, _whom(kind, name))).results
    if result.error_code:
        raise RefusedError.of(f"{kind} {name}", result.error_code, result.error_message)
    return [
        {
            "name": one.name,
            "value": None if one.is_sensitive else one.value,
            "default": next((each.value for each in one.synonyms if each.source == _DEFAULT), None),
            "set_by": _SOURCES.get(one.config_source, str(one.config_source)),
            "read_only": one.read_only,
        }
        for one in sorted(result.configs, key=lambda one: one.name)
        if everything or one.config_source != _DEFAULT
    ]


async def alter_settings(
    session: Session, kind: str, name: str, changes: Mapping[str, str | None], *, only_check: bool
) -> None:
    """None: back to its default. Raises `RefusedError`, `ClientError`."""
    configs = [
        IncrementalAlterConfigsRequestAlterableConfig(
            name=key, config_operation=_DELETE if value is None else _SET, value=value
        )
        for key, value in changes.items()
    ]
    resource = IncrementalAlterConfigsRequestAlterConfigsResource(
        resource_type=KINDS[kind], resource_name=name, configs=configs
    )
    request = IncrementalAlterConfigsRequest(resources=[resource], validate_only=only_check)
    (result,) = (await session.ask(request, IncrementalAlterConfigsResponse, _whom(kind, name))).responses
    if result.error_code:
        raise RefusedError.of(f"{kind} {name}", result.error_code, result.error_message)


async def add_partitions(session: Session, topic: str, count: int, *, only_check: bool) -> None:
    """Up to `count`. Raises `RefusedError`, `ClientError`."""
    request = CreatePartitionsRequest(
        topics=[CreatePartitionsTopic(name=topic, count=count, assignments=None)],
        timeout_ms=session.timeout_ms,
        validate_only=only_check,
    )
    (result,) = (await session.ask(request, CreatePartitionsResponse)).results
    if result.error_code:
        raise RefusedError.of(topic, result.error_code, result.error_message)


async def trim(session: Session, topic: str, partition: int | None, before: int | None, *, execute: bool) -> list[Any]:
    """Delete records before an offset, or all there are; of one partition, or of each. Raises `RefusedError`,
    `ClientError`."""
    parts = [part for part in await partitions_of(session, [topic]) if partition in (None, part[1])]
    if not parts:
        raise RefusedError(f"{topic} has no partition {partition}", NOT_FOUND)
    ends = await offsets_at(session, parts, LATEST)
    rows = [{"id": index, "begins_at": ends[name, index] if before is None else before} for name, index in parts]
    if execute:
        await _delete_records(session, topic, rows)
    return rows


async def _delete_records(session: Session, topic: str, rows: list[dict[str, int]]) -> None:
    leaders = await leaders_of(session, [topic])
    by_broker: defaultdict[int, list[DeleteRecordsPartition]] = defaultdict(list)
    for row in rows:
        part = DeleteRecordsPartition(partition_index=row["id"], offset=row["begins_at"])
        by_broker[leaders[topic, row["id"]]].append(part)
    refused: list[RefusedError] = []
    for broker, parts in by_broker.items():
        request = DeleteRecordsRequest(
            topics=[DeleteRecordsTopic(name=topic, partitions=parts)], timeout_ms=session.timeout_ms
        )
        answer = await session.ask(request, DeleteRecordsResponse, broker)
        refused += [
            RefusedError.of(f"{topic}-{one.partition_index}", one.error_code, None)
            for found in answer.topics
            for one in found.partitions
            if one.error_code
        ]
    if refused:
        raise RefusedError.of_several(refused, len(rows))


def _whom(kind: str, name: str) -> int | None:
    """A broker answers for its own settings only."""
    return int(name) if kind == "broker" and name.isdecimal() else None
