"""What `sprawl-admin topic ...` asks and shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sprawl.admin.layout import layout
from sprawl.admin.session import RefusedError, Session
from sprawl_protocol.messages import (
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
    DeleteTopicsRequest,
    DeleteTopicsResponse,
    DeleteTopicState,
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResponse,
    MetadataRequest,
    MetadataResponse,
)

_TOPIC: Final = 2
"""DescribeConfigs' number for topics."""
_SET_ON_TOPIC: Final = 1
"""DescribeConfigs' number for a value that was set on the topic itself."""


@dataclass(frozen=True, slots=True)
class NewTopic:
    name: str
    partitions: int = -1
    """-1: as many as the broker's `num.partitions`."""
    replicas: int = -1
    settings: Mapping[str, str] | None = None


async def list_topics(session: Session, *, internal: bool) -> list[dict[str, Any]]:
    """Raises `ClientError`."""
    answer = await session.ask(MetadataRequest(topics=None, allow_auto_topic_creation=False), MetadataResponse)
    return [
        {
            "name": topic.name,
            "id": str(topic.topic_id),
            "partitions": len(topic.partitions),
            "replicas": max((len(partition.replica_nodes) for partition in topic.partitions), default=0),
            "internal": topic.is_internal,
        }
        for topic in sorted(answer.topics, key=lambda topic: topic.name or "")
        if internal or not topic.is_internal
    ]


async def describe_topic(session: Session, name: str) -> dict[str, Any]:
    """Raises `RefusedError`, `ClientError`."""
    placed = await layout(session, name)
    return {
        "name": name,
        "id": str(placed[0].topic_id),
        "settings": await _settings_of(session, name),
        "partitions": [
            {
                "id": each.partition,
                "leader": each.leader,
                "epoch": each.leader_epoch,
                "replicas": list(each.replicas),
                "in_sync": list(each.in_sync),
            }
            for each in placed
        ],
    }


async def create_topic(session: Session, topic: NewTopic) -> dict[str, Any]:
    """Raises `RefusedError`, `ClientError`."""
    request = CreateTopicsRequest(
        topics=[
            CreatableTopic(
                name=topic.name,
                num_partitions=topic.partitions,
                replication_factor=topic.replicas,
                configs=[CreatableTopicConfig(name=key, value=value) for key, value in (topic.settings or {}).items()],
            )
        ],
        timeout_ms=session.timeout_ms,
    )
    (result,) = (await session.ask(request, CreateTopicsResponse)).topics
    if result.error_code:
        raise RefusedError.of(topic.name, result.error_code, result.error_message)
    return {
        "name": result.name,
        "id": str(result.topic_id),
        "partitions": result.num_partitions,
        "replicas": result.replication_factor,
    }


async def delete_topics(session: Session, names: Sequence[str]) -> None:
    """All that can be deleted are; raises `RefusedError` naming the others, `ClientError`."""
    request = DeleteTopicsRequest(
        topics=[DeleteTopicState(name=name) for name in names],
        topic_names=list(names),
        timeout_ms=session.timeout_ms,
    )
    answer = await session.ask(request, DeleteTopicsResponse)
    refused = [
        RefusedError.of(one.name or "?", one.error_code, one.error_message)
        for one in answer.responses
        if one.error_code
    ]
    if refused:
        raise RefusedError.of_several(refused, len(names))


async def _settings_of(session: Session, name: str) -> dict[str, str | None]:
    """What was set on the topic itself."""
    wanted = DescribeConfigsRequest(resources=[DescribeConfigsResource(resource_type=_TOPIC, resource_name=name)])
    (result,) = (await session.ask(wanted, DescribeConfigsResponse)).results
    if result.error_code:
        raise RefusedError.of(name, result.error_code, result.error_message)
    return {one.name: one.value for one in result.configs if one.config_source == _SET_ON_TOPIC}
