"""What `sprawl-admin group ...` asks and shows: who is in a group, how far it has read, and moving it elsewhere.

Members and commits are asked of the group's coordinator, log ends of the partitions' leaders: what a Kafka client does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sprawl.admin.session import CONFLICT, NOT_FOUND, RefusedError, Session
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    DeleteGroupsRequest,
    DeleteGroupsResponse,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
    ListGroupsRequest,
    ListGroupsResponse,
    ListOffsetsPartition,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopic,
    MetadataRequest,
    MetadataRequestTopic,
    MetadataResponse,
    OffsetCommitRequest,
    OffsetCommitRequestPartition,
    OffsetCommitRequestTopic,
    OffsetCommitResponse,
    OffsetFetchRequest,
    OffsetFetchRequestGroup,
    OffsetFetchResponse,
)

Partition = tuple[str, int]

EARLIEST: Final = -2
LATEST: Final = -1
_NOBODY: Final = ("Empty", "Dead")
_COMMIT_VERSION: Final = 9
_FETCH_VERSION: Final = 9
"""The last that name topics; newer ones want their ids."""


async def list_groups(session: Session) -> list[dict[str, Any]]:
    """Of every broker: each knows those it coordinates. Raises `RefusedError`, `ClientError`."""
    found: dict[str, dict[str, Any]] = {}
    for broker in await session.brokers():
        answer = await session.ask(ListGroupsRequest(), ListGroupsResponse, broker)
        if answer.error_code:
            raise RefusedError.of(f"broker {broker}", answer.error_code, None)
        for one in answer.groups:
            found[one.group_id] = {
                "name": one.group_id,
                "state": one.group_state,
                "type": one.group_type or "classic",
                "protocol": one.protocol_type,
            }
    return [found[name] for name in sorted(found)]


async def describe_group(session: Session, group: str) -> dict[str, Any]:
    """Raises `RefusedError`, `ClientError`."""
    coordinator = await session.coordinator(group)
    answer = await session.ask(DescribeGroupsRequest(groups=[group]), DescribeGroupsResponse, coordinator)
    (one,) = answer.groups
    commits = await _commits(session, group, coordinator)
    _refuse_if_missing(group, one.error_code, one.group_state, commits)
    ends = await offsets_at(session, commits, LATEST)
    return {
        "name": group,
        "state": one.group_state,
        "coordinator": coordinator,
        "members": len(one.members),
        "partitions": [
            {
                "id": f"{topic}-{partition}",
                "topic": topic,
                "partition": partition,
                "committed": committed,
                "end": ends[topic, partition],
                "lag": max(0, ends[topic, partition] - committed),
            }
            for (topic, partition), committed in sorted(commits.items())
        ],
    }


async def delete_groups(session: Session, groups: list[str]) -> None:
    """All that can be deleted are; raises `RefusedError` naming the others, `ClientError`."""
    refused: list[RefusedError] = []
    for group in groups:
        request = DeleteGroupsRequest(groups_names=[group])
        answer = await session.ask(request, DeleteGroupsResponse, await session.coordinator(group))
        refused += [
            RefusedError.of(f"group {group}", one.error_code, one.error_message)
            for one in answer.results
            if one.error_code
        ]
    if refused:
        raise RefusedError.of_several(refused, len(groups))


async def plan_seek(
    session: Session, group: str, topics: list[str], *, timestamp: int | None, offset: int | None, by: int | None
) -> list[dict[str, Any]]:
    """Where the group would read on: of these topics, or of all it has committed to. One of the three says where; what
    lies outside the log is drawn to its nearest end. Raises `RefusedError`, `ClientError`."""
    commits = await _commits(session, group, await session.coordinator(group))
    parts = await partitions_of(session, topics) if topics else sorted(commits)
    if not parts:
        raise RefusedError(f"group {group} has committed nothing: name the topics", NOT_FOUND)
    starts, ends = await offsets_at(session, parts, EARLIEST), await offsets_at(session, parts, LATEST)
    found = {} if timestamp is None else await offsets_at(session, parts, timestamp)
    rows = []
    for part in parts:
        now = commits.get(part)
        if timestamp is not None:
            wanted = found[part] if found[part] >= 0 else ends[part]  # nothing is as young: its end
        elif offset is not None:
            wanted = offset
        else:
            wanted = (starts[part] if now is None else now) + (by or 0)
        target = min(max(wanted, starts[part]), ends[part])
        rows.append(
            {
                "id": f"{part[0]}-{part[1]}",
                "topic": part[0],
                "partition": part[1],
                "committed": now,
                "target": target,
                "lag": ends[part] - target,
            }
        )
    return rows


async def seek(session: Session, group: str, rows: list[dict[str, Any]]) -> None:
    """Commit what was planned. Raises `RefusedError`, also where the group has members; `ClientError`."""
    coordinator = await session.coordinator(group)
    answer = await session.ask(DescribeGroupsRequest(groups=[group]), DescribeGroupsResponse, coordinator)
    if not answer.groups[0].error_code and answer.groups[0].group_state not in _NOBODY:
        raise RefusedError(
            f"group {group} is {answer.groups[0].group_state}: its members must stop before it can be moved", CONFLICT
        )
    by_topic: defaultdict[str, list[OffsetCommitRequestPartition]] = defaultdict(list)
    for row in rows:
        part = OffsetCommitRequestPartition(partition_index=row["partition"], committed_offset=row["target"])
        by_topic[row["topic"]].append(part)
    request = OffsetCommitRequest(
        group_id=group,
        topics=[OffsetCommitRequestTopic(name=name, partitions=parts) for name, parts in by_topic.items()],
    )
    done = await session.ask(request, OffsetCommitResponse, coordinator, version=_COMMIT_VERSION)
    refused = [
        RefusedError.of(f"{topic.name}-{one.partition_index}", one.error_code, None)
        for topic in done.topics
        for one in topic.partitions
        if one.error_code
    ]
    if refused:
        raise RefusedError.of_several(refused, len(rows))


async def partitions_of(session: Session, topics: Iterable[str]) -> list[Partition]:
    """Raises `RefusedError`, `ClientError`."""
    return sorted(await leaders_of(session, topics))


async def offsets_at(session: Session, parts: Iterable[Partition], timestamp: int) -> dict[Partition, int]:
    """The first offset at or after a time, -1 if there is none; or the log's start or end. Raises `RefusedError`,
    `ClientError`."""
    wanted = set(parts)
    leaders = await leaders_of(session, {topic for topic, _ in wanted}) if wanted else {}
    by_broker: defaultdict[int, defaultdict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for topic, partition in sorted(wanted):
        leader = leaders.get((topic, partition), -1)
        if leader < 0:
            raise RefusedError(f"{topic}-{partition} has no leader")
        by_broker[leader][topic].append(partition)
    found: dict[Partition, int] = {}
    for broker, topics in by_broker.items():
        answer = await session.ask(_list_offsets(topics, timestamp), ListOffsetsResponse, broker)
        for topic_answer in answer.topics:
            for one in topic_answer.partitions:
                if one.error_code:
                    raise RefusedError.of(f"{topic_answer.name}-{one.partition_index}", one.error_code, None)
                found[topic_answer.name, one.partition_index] = one.offset
    return found


def _list_offsets(topics: Mapping[str, list[int]], timestamp: int) -> ListOffsetsRequest:
    return ListOffsetsRequest(
        replica_id=-1,
        topics=[
            ListOffsetsTopic(
                name=name,
                partitions=[ListOffsetsPartition(partition_index=index, timestamp=timestamp) for index in indexes],
            )
            for name, indexes in topics.items()
        ],
    )


async def leaders_of(session: Session, topics: Iterable[str]) -> dict[Partition, int]:
    """Raises `RefusedError`, `ClientError`."""
    request = MetadataRequest(
        topics=[MetadataRequestTopic(name=name) for name in sorted(set(topics))], allow_auto_topic_creation=False
    )
    answer = await session.ask(request, MetadataResponse)
    topics_found = answer.topics
    for topic in topics_found:
        if topic.error_code:
            raise RefusedError.of(topic.name or "?", topic.error_code, None)
    return {
        (topic.name or "", one.partition_index): one.leader_id for topic in answer.topics for one in topic.partitions
    }


async def _commits(session: Session, group: str, coordinator: int) -> dict[Partition, int]:
    request = OffsetFetchRequest(groups=[OffsetFetchRequestGroup(group_id=group, topics=None)])
    answer = await session.ask(request, OffsetFetchResponse, coordinator, version=_FETCH_VERSION)
    (one,) = answer.groups
    if one.error_code not in (ErrorCode.NONE, ErrorCode.GROUP_ID_NOT_FOUND):
        raise RefusedError.of(f"group {group}", one.error_code, None)
    return {
        (topic.name, each.partition_index): each.committed_offset
        for topic in one.topics
        for each in topic.partitions
        if each.committed_offset >= 0
    }


def _refuse_if_missing(group: str, code: int, state: str, commits: Mapping[Partition, int]) -> None:
    """A group that nobody ever was in is told as dead by older versions, as not found by newer ones."""
    missing = code == ErrorCode.GROUP_ID_NOT_FOUND or state == "Dead"
    if missing and not commits:
        raise RefusedError(f"there is no group {group}", NOT_FOUND)
    if code and not missing:
        raise RefusedError.of(f"group {group}", code, None)
