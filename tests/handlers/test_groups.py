"""FindCoordinator, JoinGroup, SyncGroup, Heartbeat, LeaveGroup in every version, over real bytes."""

from __future__ import annotations

from typing import Any

import pytest

from sprawl.handlers.groups import GroupHandlers
from sprawl.security.access import Operation
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    FindCoordinatorRequest,
    HeartbeatRequest,
    JoinGroupRequest,
    JoinGroupRequestProtocol,
    LeaveGroupRequest,
    MemberIdentity,
    SyncGroupRequest,
    SyncGroupRequestAssignment,
)
from tests.groups.fakes import GROUP, Coordinating, on_virtual_time
from tests.groups.script import subscription
from tests.handlers.wired import Denying, FakeDirectory, ask, versions_of

WATCHED = subscription(["t"])


def handlers_of(
    it: Coordinating, directory: FakeDirectory | None = None, denying: Denying | None = None
) -> GroupHandlers:
    return GroupHandlers(it.coordinator, directory or FakeDirectory(), denying or Denying())


def join_request(version: int, member_id: str = "", **fields: Any) -> JoinGroupRequest:
    return JoinGroupRequest(
        group_id=fields.pop("group_id", GROUP),
        session_timeout_ms=fields.pop("session_timeout_ms", 10_000),
        rebalance_timeout_ms=60_000 if version >= 1 else -1,
        member_id=member_id,
        protocol_type="consumer",
        protocols=[JoinGroupRequestProtocol(name="range", metadata=WATCHED)],
        reason="because" if version >= 8 else None,
        **fields,
    )


def sync_request(joined: Any, version: int, assignments: dict[str, bytes] | None = None) -> SyncGroupRequest:
    return SyncGroupRequest(
        group_id=GROUP,
        generation_id=joined.generation_id,
        member_id=joined.member_id,
        protocol_type="consumer" if version >= 5 else None,
        protocol_name="range" if version >= 5 else None,
        assignments=[
            SyncGroupRequestAssignment(member_id=member, assignment=given)
            for member, given in (assignments or {}).items()
        ],
    )


async def enter(handlers: GroupHandlers, version: int) -> Any:
    joined = await ask(handlers.join_group, join_request(version), version)
    if version >= 4:
        assert joined.error_code == ErrorCode.MEMBER_ID_REQUIRED
        joined = await ask(handlers.join_group, join_request(version, joined.member_id), version)
    assert joined.error_code == ErrorCode.NONE
    return joined


@pytest.mark.parametrize("version", versions_of(JoinGroupRequest))
@on_virtual_time
async def test_a_member_joins(version: int) -> None:
    async with Coordinating() as it:
        joined = await enter(handlers_of(it), version)
        assert joined.generation_id == 1
        assert joined.leader == joined.member_id
        assert joined.member_id.startswith("client-")
        assert joined.protocol_name == "range"
        assert joined.protocol_type == ("consumer" if version >= 7 else None)
        assert [(each.member_id, bytes(each.metadata)) for each in joined.members] == [(joined.member_id, WATCHED)]


@pytest.mark.parametrize("version", versions_of(JoinGroupRequest))
@on_virtual_time
async def test_a_refused_join_can_be_encoded(version: int) -> None:
    async with Coordinating() as it:
        refused = await ask(handlers_of(it).join_group, join_request(version, session_timeout_ms=1), version)
        assert refused.error_code == ErrorCode.INVALID_SESSION_TIMEOUT
        assert not refused.protocol_name and refused.members == []


@pytest.mark.parametrize("version", [5, 8, 9])
@on_virtual_time
async def test_a_static_leader_comes_back(version: int) -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it)
        first = await ask(handlers.join_group, join_request(version, group_instance_id="i"), version)
        assert first.member_id.startswith("i-")
        await ask(handlers.sync_group, sync_request(first, 5, {first.member_id: b"mine"}), 5)
        second = await ask(handlers.join_group, join_request(version, group_instance_id="i"), version)
        assert second.generation_id == 1 and second.member_id != first.member_id
        assert second.skip_assignment is (version >= 9)
        assert len(second.members) == (1 if version >= 9 else 0)
        synced = await ask(handlers.sync_group, sync_request(second, 5), 5)
        assert bytes(synced.assignment) == b"mine"


@pytest.mark.parametrize("version", versions_of(SyncGroupRequest))
@on_virtual_time
async def test_a_leader_brings_the_assignment(version: int) -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it)
        joined = await enter(handlers, 3)
        synced = await ask(handlers.sync_group, sync_request(joined, version, {joined.member_id: b"mine"}), version)
        assert (synced.error_code, bytes(synced.assignment)) == (ErrorCode.NONE, b"mine")
        assert synced.protocol_name == ("range" if version >= 5 else None)


@on_virtual_time
async def test_sync_must_name_the_protocol_since_version_5() -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it)
        joined = await enter(handlers, 3)
        synced = await ask(handlers.sync_group, sync_request(joined, 4), 5)
        assert synced.error_code == ErrorCode.INCONSISTENT_GROUP_PROTOCOL


@pytest.mark.parametrize("version", versions_of(HeartbeatRequest))
@on_virtual_time
async def test_heartbeats(version: int) -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it)
        joined = await enter(handlers, 3)
        for generation, member_id, expected in (
            (1, joined.member_id, ErrorCode.NONE),
            (0, joined.member_id, ErrorCode.ILLEGAL_GENERATION),
            (1, "nobody", ErrorCode.UNKNOWN_MEMBER_ID),
        ):
            request = HeartbeatRequest(group_id=GROUP, generation_id=generation, member_id=member_id)
            assert (await ask(handlers.heartbeat, request, version)).error_code == expected
        empty = HeartbeatRequest(group_id="", generation_id=1, member_id="m")
        assert (await ask(handlers.heartbeat, empty, version)).error_code == ErrorCode.INVALID_GROUP_ID


@pytest.mark.parametrize("version", versions_of(LeaveGroupRequest))
@on_virtual_time
async def test_members_leave(version: int) -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it)
        joined = await enter(handlers, 3)

        def leave(member_id: str) -> LeaveGroupRequest:
            if version < 3:
                return LeaveGroupRequest(group_id=GROUP, member_id=member_id)
            return LeaveGroupRequest(group_id=GROUP, members=[MemberIdentity(member_id=member_id)])

        unknown = await ask(handlers.leave_group, leave("nobody"), version)
        left = await ask(handlers.leave_group, leave(joined.member_id), version)
        if version < 3:
            assert (unknown.error_code, left.error_code) == (ErrorCode.UNKNOWN_MEMBER_ID, ErrorCode.NONE)
        else:
            assert (unknown.error_code, left.error_code) == (ErrorCode.NONE, ErrorCode.NONE)
            assert [each.error_code for each in unknown.members] == [ErrorCode.UNKNOWN_MEMBER_ID]
            assert [(each.member_id, each.error_code) for each in left.members] == [(joined.member_id, ErrorCode.NONE)]


@pytest.mark.parametrize("version", versions_of(FindCoordinatorRequest))
@on_virtual_time
async def test_the_coordinator_is_found(version: int) -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it)
        if version < 4:
            found = await ask(handlers.find_coordinator, FindCoordinatorRequest(key=GROUP), version)
            assert (found.error_code, found.node_id, found.host, found.port) == (ErrorCode.NONE, 1, "localhost", 9092)
        else:
            request = FindCoordinatorRequest(coordinator_keys=[GROUP, "other"])
            found = await ask(handlers.find_coordinator, request, version)
            assert [(each.key, each.node_id, each.error_code) for each in found.coordinators] == [
                (GROUP, 1, ErrorCode.NONE),
                ("other", 1, ErrorCode.NONE),
            ]


@on_virtual_time
async def test_the_first_search_makes_the_topic() -> None:
    async with Coordinating() as it:
        directory = FakeDirectory(exists=False)
        it.coordinator._partition_count = lambda: 1 if directory.exists else None
        found = await ask(handlers_of(it, directory).find_coordinator, FindCoordinatorRequest(key=GROUP), 3)
        assert (found.error_code, found.node_id, directory.made) == (ErrorCode.NONE, 1, 1)


@on_virtual_time
async def test_a_partition_without_leader_has_no_coordinator_now() -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it, FakeDirectory(node=None))
        found = await ask(handlers.find_coordinator, FindCoordinatorRequest(key=GROUP), 3)
        assert (found.error_code, found.node_id, found.host) == (ErrorCode.COORDINATOR_NOT_AVAILABLE, -1, "")
        assert found.error_message


@pytest.mark.parametrize(("version", "key_type"), [(3, 1), (6, 1), (5, 2), (6, 2), (6, 9)])
@on_virtual_time
async def test_other_coordinators_are_not_here(version: int, key_type: int) -> None:
    async with Coordinating() as it:
        request = FindCoordinatorRequest(key_type=key_type)
        if version < 4:
            request.key = "x"
        else:
            request.coordinator_keys = ["x"]
        found = await ask(handlers_of(it).find_coordinator, request, version)
        result = found if version < 4 else found.coordinators[0]
        assert result.error_code == ErrorCode.INVALID_REQUEST and result.error_message


@on_virtual_time
async def test_who_may_not_read_a_group_cannot_be_in_it() -> None:
    async with Coordinating() as it:
        handlers = handlers_of(it, denying=Denying({(Operation.READ, GROUP), (Operation.DESCRIBE, GROUP)}))
        answers = [
            await ask(handlers.join_group, join_request(9), 9),
            await ask(handlers.join_group, join_request(3), 3),
            await ask(handlers.sync_group, SyncGroupRequest(group_id=GROUP, member_id="m"), 5),
            await ask(handlers.heartbeat, HeartbeatRequest(group_id=GROUP, member_id="m"), 4),
            await ask(handlers.leave_group, LeaveGroupRequest(group_id=GROUP), 5),
            (await ask(handlers.find_coordinator, FindCoordinatorRequest(coordinator_keys=[GROUP]), 6)).coordinators[0],
        ]
        assert {answer.error_code for answer in answers} == {ErrorCode.GROUP_AUTHORIZATION_FAILED}
