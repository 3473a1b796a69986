"""DescribeGroups, ListGroups, DeleteGroups in every version, over real bytes."""

from __future__ import annotations

import pytest

from sprawl.handlers.group_admin import GroupAdminHandlers
from sprawl.security.access import CLUSTER, NO_OPERATIONS_ASKED, Operation
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest
from tests.groups.fakes import GROUP, Coordinating, on_virtual_time
from tests.groups.script import subscription
from tests.handlers.wired import Denying, ask, versions_of


def handlers_of(it: Coordinating, denying: Denying | None = None) -> GroupAdminHandlers:
    return GroupAdminHandlers(it.coordinator, denying or Denying())


@pytest.mark.parametrize("version", versions_of(DescribeGroupsRequest))
@on_virtual_time
async def test_a_stable_group_is_described(version: int) -> None:
    async with Coordinating() as it:
        joined = await it.stable()
        request = DescribeGroupsRequest(groups=[GROUP], include_authorized_operations=version >= 3)
        (group,) = (await ask(handlers_of(it).describe_groups, request, version)).groups
        assert (group.error_code, group.group_id, group.group_state) == (ErrorCode.NONE, GROUP, "Stable")
        assert (group.protocol_type, group.protocol_data) == ("consumer", "range")
        (member,) = group.members
        assert (member.member_id, member.client_id, member.client_host) == (joined.member_id, "client", "/127.0.0.1")
        assert (bytes(member.member_metadata), bytes(member.member_assignment)) == (subscription(["t"]), b"mine")
        assert (group.authorized_operations == NO_OPERATIONS_ASKED) is (version < 3)


@pytest.mark.parametrize("version", versions_of(DescribeGroupsRequest))
@on_virtual_time
async def test_a_group_that_does_not_exist_is_dead(version: int) -> None:
    async with Coordinating() as it:
        (group,) = (await ask(handlers_of(it).describe_groups, DescribeGroupsRequest(groups=["no"]), version)).groups
        assert group.group_state == "Dead"
        assert group.error_code == (ErrorCode.GROUP_ID_NOT_FOUND if version >= 6 else ErrorCode.NONE)
        assert (group.error_message is not None) is (version >= 6)


@pytest.mark.parametrize("version", versions_of(DescribeGroupsRequest))
@on_virtual_time
async def test_a_group_that_lives_elsewhere_is_not_described(version: int) -> None:
    async with Coordinating() as it:
        it.registry.resign(0)
        (group,) = (await ask(handlers_of(it).describe_groups, DescribeGroupsRequest(groups=["no"]), version)).groups
        assert group.error_code == ErrorCode.NOT_COORDINATOR


@pytest.mark.parametrize("version", versions_of(ListGroupsRequest))
@on_virtual_time
async def test_groups_are_listed(version: int) -> None:
    async with Coordinating() as it:
        await it.stable()
        await it.commit(1, group_id="simple")
        listed = await ask(handlers_of(it).list_groups, ListGroupsRequest(), version)
        assert {(each.group_id, each.protocol_type) for each in listed.groups} == {(GROUP, "consumer"), ("simple", "")}
        if version >= 4:
            assert {each.group_state for each in listed.groups} == {"Stable", "Empty"}
        if version >= 5:
            assert {each.group_type for each in listed.groups} == {"classic"}


@pytest.mark.parametrize(
    ("states", "types", "expected"),
    [
        (["Stable"], [], {GROUP}),
        (["stable", "EMPTY"], [], {GROUP, "simple"}),
        (["Dead"], [], set()),
        ([], ["Classic"], {GROUP, "simple"}),
        ([], ["consumer", "share"], set()),
        (["Empty"], ["classic"], {"simple"}),
    ],
)
@on_virtual_time
async def test_lists_are_filtered(states: list[str], types: list[str], expected: set[str]) -> None:
    async with Coordinating() as it:
        await it.stable()
        await it.commit(1, group_id="simple")
        request = ListGroupsRequest(states_filter=states, types_filter=types)
        listed = await ask(handlers_of(it).list_groups, request, 5)
        assert {each.group_id for each in listed.groups} == expected


@pytest.mark.parametrize("version", versions_of(DeleteGroupsRequest))
@on_virtual_time
async def test_groups_are_deleted_one_by_one(version: int) -> None:
    async with Coordinating() as it:
        await it.stable()
        await it.commit(1, group_id="simple")
        request = DeleteGroupsRequest(groups_names=[GROUP, "simple", "no", "simple"])
        deleted = await ask(handlers_of(it).delete_groups, request, version)
        assert [(each.group_id, each.error_code) for each in deleted.results] == [
            (GROUP, ErrorCode.NON_EMPTY_GROUP),
            ("simple", ErrorCode.NONE),
            ("no", ErrorCode.GROUP_ID_NOT_FOUND),
        ]
        assert (deleted.results[0].error_message is not None) is (version >= 3)


@on_virtual_time
async def test_what_may_not_be_seen_or_deleted() -> None:
    forbidden = {
        (Operation.DESCRIBE, GROUP),
        (Operation.DELETE, GROUP),
        (Operation.DESCRIBE, CLUSTER.name),
    }
    async with Coordinating() as it:
        await it.stable()
        await it.commit(1, group_id="simple")
        handlers = handlers_of(it, Denying(forbidden))
        (group,) = (await ask(handlers.describe_groups, DescribeGroupsRequest(groups=[GROUP]), 6)).groups
        assert group.error_code == ErrorCode.GROUP_AUTHORIZATION_FAILED
        listed = await ask(handlers.list_groups, ListGroupsRequest(), 5)
        assert [each.group_id for each in listed.groups] == ["simple"]
        deleted = await ask(handlers.delete_groups, DeleteGroupsRequest(groups_names=[GROUP, "simple"]), 3)
        assert [each.error_code for each in deleted.results] == [ErrorCode.GROUP_AUTHORIZATION_FAILED, ErrorCode.NONE]
