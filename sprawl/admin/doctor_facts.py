"""What `sprawl-admin cluster doctor` asks. What a broker does not serve or answer is noted; the rest is judged."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, TypeVar

from sprawl.admin.brokers import list_brokers
from sprawl.admin.disks import Disk, disks_of
from sprawl.admin.doctor import Facts, Voter
from sprawl.admin.groups import describe_group, list_groups
from sprawl.admin.layout import Placed, layout
from sprawl.admin.session import RefusedError, Session
from sprawl.wire.client import ClientError
from sprawl_protocol.messages import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResponse,
    DescribeQuorumRequest,
    DescribeQuorumRequestPartitionData,
    DescribeQuorumRequestTopicData,
    DescribeQuorumResponse,
)

T = TypeVar("T")

_TOPIC: Final = 2
_BEARING: Final = ("min.insync.replicas", "unclean.leader.election.enable")
_AT_ONCE: Final = 200


async def facts_of(session: Session) -> Facts:
    """Raises `RefusedError`, `ClientError` where not even the brokers and partitions are told."""
    brokers = await list_brokers(session)
    placed = tuple(await layout(session))
    unknown: dict[str, str] = {}

    async def told(check: str, work: Awaitable[T], otherwise: T) -> T:
        try:
            return await work
        except (ClientError, RefusedError) as problem:
            unknown[check] = str(problem)
            return otherwise

    active = tuple(each["id"] for each in brokers if each["state"] == "active")
    controller, voters, skew = await told("controller", _quorum(session), (None, (), None))
    if skew is None:
        unknown["clocks"] = "the controller does not tell its time"
    disks: dict[int, tuple[Disk, ...]] = {}
    for broker in active:
        disks[broker] = tuple(await told("disk", disks_of(session, broker), []))
    return Facts(
        active=active,
        fenced=tuple(each["id"] for each in brokers if each["state"] != "active"),
        placed=placed,
        controller=controller,
        voters=voters,
        skew_ms=skew,
        disks=disks,
        lags=await told("lag", _lags(session), {}),
        settings=await told("settings", _settings(session, placed), {}),
        unknown=unknown,
    )


async def _quorum(session: Session) -> tuple[int | None, tuple[Voter, ...], int | None]:
    asked = DescribeQuorumRequestTopicData(
        topic_name="__cluster_metadata", partitions=[DescribeQuorumRequestPartitionData(partition_index=0)]
    )
    before = session.now_ms()
    answer = await session.ask(DescribeQuorumRequest(topics=[asked]), DescribeQuorumResponse)
    after = session.now_ms()
    if answer.error_code:
        raise RefusedError.of("quorum", answer.error_code, answer.error_message)
    (found,) = answer.topics[0].partitions
    if found.error_code:
        raise RefusedError.of("quorum", found.error_code, found.error_message)
    # The leader has always caught up just now: that is what its clock says.
    now = next(
        (each.last_caught_up_timestamp for each in found.current_voters if each.replica_id == found.leader_id), -1
    )
    voters = tuple(
        Voter(each.replica_id, max(0, now - each.last_caught_up_timestamp) if now > 0 else None)
        for each in found.current_voters
    )
    skew = None if now <= 0 else 0 if before <= now <= after else now - (after if now > after else before)
    return found.leader_id, voters, skew


async def _lags(session: Session) -> dict[str, int]:
    found: dict[str, int] = {}
    for group in await list_groups(session):
        if group["type"] in ("classic", "consumer"):
            described = await describe_group(session, group["name"])
            found[group["name"]] = sum(part["lag"] for part in described["partitions"])
    return found


async def _settings(session: Session, placed: tuple[Placed, ...]) -> dict[str, dict[str, str]]:
    topics = sorted({each.topic for each in placed})
    found: dict[str, dict[str, str]] = {}
    for at in range(0, len(topics), _AT_ONCE):
        resources = [
            DescribeConfigsResource(resource_type=_TOPIC, resource_name=name, configuration_keys=list(_BEARING))
            for name in topics[at : at + _AT_ONCE]
        ]
        answer = await session.ask(DescribeConfigsRequest(resources=resources), DescribeConfigsResponse)
        for result in answer.results:
            if not result.error_code:  # a topic may be gone by now
                found[result.resource_name] = {one.name: one.value or "" for one in result.configs}
    return found
