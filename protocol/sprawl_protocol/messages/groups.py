"""Classic consumer groups and coordinators."""

from __future__ import annotations

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request, Response, Struct, array, binary, boolean, field, int8, int16, int32, string
from sprawl_protocol.primitives import Buffer


class Coordinator(Struct):
    key: str = field(string, "4+", default="")
    node_id: int = field(int32, "4+", default=0)
    host: str = field(string, "4+", default="")
    port: int = field(int32, "4+", default=0)
    error_code: int = field(int16, "4+", default=0)
    error_message: str | None = field(string, "4+", default="", nullable="4+", ignorable=True)


class FindCoordinatorResponse(Response, api_key=ApiKey.FIND_COORDINATOR, versions="0-6", flexible="3+"):
    throttle_time_ms: int = field(int32, "1+", default=0, ignorable=True)
    error_code: int = field(int16, "0-3", default=0)
    error_message: str | None = field(string, "1-3", default="", nullable="1-3", ignorable=True)
    node_id: int = field(int32, "0-3", default=0)
    host: str = field(string, "0-3", default="")
    port: int = field(int32, "0-3", default=0)
    coordinators: list[Coordinator] = field(array(Coordinator), "4+", default_factory=list)


class FindCoordinatorRequest(
    Request, api_key=ApiKey.FIND_COORDINATOR, versions="0-6", flexible="3+", response=FindCoordinatorResponse
):
    key: str = field(string, "0-3", default="")
    key_type: int = field(int8, "1+", default=0)
    coordinator_keys: list[str] = field(array(string), "4+", default_factory=list)


class JoinGroupResponseMember(Struct):
    member_id: str = field(string, default="")
    group_instance_id: str | None = field(string, "5+", default=None, nullable="5+", ignorable=True)
    metadata: Buffer = field(binary, default=b"")


class JoinGroupResponse(Response, api_key=ApiKey.JOIN_GROUP, versions="0-9", flexible="6+"):
    throttle_time_ms: int = field(int32, "2+", default=0, ignorable=True)
    error_code: int = field(int16, default=0)
    generation_id: int = field(int32, default=-1)
    protocol_type: str | None = field(string, "7+", default=None, nullable="7+", ignorable=True)
    protocol_name: str | None = field(string, default="", nullable="7+")
    leader: str = field(string, default="")
    skip_assignment: bool = field(boolean, "9+", default=False)
    member_id: str = field(string, default="")
    members: list[JoinGroupResponseMember] = field(array(JoinGroupResponseMember), default_factory=list)


class JoinGroupRequestProtocol(Struct):
    name: str = field(string, default="")
    metadata: Buffer = field(binary, default=b"")


class JoinGroupRequest(Request, api_key=ApiKey.JOIN_GROUP, versions="0-9", flexible="6+", response=JoinGroupResponse):
    group_id: str = field(string, default="")
    session_timeout_ms: int = field(int32, default=0)
    rebalance_timeout_ms: int = field(int32, "1+", default=-1, ignorable=True)
    member_id: str = field(string, default="")
    group_instance_id: str | None = field(string, "5+", default=None, nullable="5+")
    protocol_type: str = field(string, default="")
    protocols: list[JoinGroupRequestProtocol] = field(array(JoinGroupRequestProtocol), default_factory=list)
    reason: str | None = field(string, "8+", default=None, nullable="8+", ignorable=True)


class SyncGroupResponse(Response, api_key=ApiKey.SYNC_GROUP, versions="0-5", flexible="4+"):
    throttle_time_ms: int = field(int32, "1+", default=0, ignorable=True)
    error_code: int = field(int16, default=0)
    protocol_type: str | None = field(string, "5+", default=None, nullable="5+", ignorable=True)
    protocol_name: str | None = field(string, "5+", default=None, nullable="5+", ignorable=True)
    assignment: Buffer = field(binary, default=b"")


class SyncGroupRequestAssignment(Struct):
    member_id: str = field(string, default="")
    assignment: Buffer = field(binary, default=b"")


class SyncGroupRequest(Request, api_key=ApiKey.SYNC_GROUP, versions="0-5", flexible="4+", response=SyncGroupResponse):
    group_id: str = field(string, default="")
    generation_id: int = field(int32, default=0)
    member_id: str = field(string, default="")
    group_instance_id: str | None = field(string, "3+", default=None, nullable="3+")
    protocol_type: str | None = field(string, "5+", default=None, nullable="5+", ignorable=True)
    protocol_name: str | None = field(string, "5+", default=None, nullable="5+", ignorable=True)
    assignments: list[SyncGroupRequestAssignment] = field(array(SyncGroupRequestAssignment), default_factory=list)


class HeartbeatResponse(Response, api_key=ApiKey.HEARTBEAT, versions="0-4", flexible="4+"):
    throttle_time_ms: int = field(int32, "1+", default=0, ignorable=True)
    error_code: int = field(int16, default=0)


class HeartbeatRequest(Request, api_key=ApiKey.HEARTBEAT, versions="0-4", flexible="4+", response=HeartbeatResponse):
    group_id: str = field(string, default="")
    generation_id: int = field(int32, default=0)
    member_id: str = field(string, default="")
    group_instance_id: str | None = field(string, "3+", default=None, nullable="3+")


class MemberResponse(Struct):
    member_id: str = field(string, "3+", default="")
    group_instance_id: str | None = field(string, "3+", default="", nullable="3+")
    error_code: int = field(int16, "3+", default=0)


class LeaveGroupResponse(Response, api_key=ApiKey.LEAVE_GROUP, versions="0-5", flexible="4+"):
    throttle_time_ms: int = field(int32, "1+", default=0, ignorable=True)
    error_code: int = field(int16, default=0)
    members: list[MemberResponse] = field(array(MemberResponse), "3+", default_factory=list)


class MemberIdentity(Struct):
    member_id: str = field(string, "3+", default="")
    group_instance_id: str | None = field(string, "3+", default=None, nullable="3+")
    reason: str | None = field(string, "5+", default=None, nullable="5+", ignorable=True)


class LeaveGroupRequest(
    Request, api_key=ApiKey.LEAVE_GROUP, versions="0-5", flexible="4+", response=LeaveGroupResponse
):
    group_id: str = field(string, default="")
    member_id: str = field(string, "0-2", default="")
    members: list[MemberIdentity] = field(array(MemberIdentity), "3+", default_factory=list)


class DescribedGroupMember(Struct):
    member_id: str = field(string, default="")
    group_instance_id: str | None = field(string, "4+", default=None, nullable="4+", ignorable=True)
    client_id: str = field(string, default="")
    client_host: str = field(string, default="")
    member_metadata: Buffer = field(binary, default=b"")
    member_assignment: Buffer = field(binary, default=b"")


class DescribedGroup(Struct):
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, "6+", default=None, nullable="6+")
    group_id: str = field(string, default="")
    group_state: str = field(string, default="")
    protocol_type: str = field(string, default="")
    protocol_data: str = field(string, default="")
    members: list[DescribedGroupMember] = field(array(DescribedGroupMember), default_factory=list)
    authorized_operations: int = field(int32, "3+", default=-2147483648)


class DescribeGroupsResponse(Response, api_key=ApiKey.DESCRIBE_GROUPS, versions="0-6", flexible="5+"):
    throttle_time_ms: int = field(int32, "1+", default=0, ignorable=True)
    groups: list[DescribedGroup] = field(array(DescribedGroup), default_factory=list)


class DescribeGroupsRequest(
    Request, api_key=ApiKey.DESCRIBE_GROUPS, versions="0-6", flexible="5+", response=DescribeGroupsResponse
):
    groups: list[str] = field(array(string), default_factory=list)
    include_authorized_operations: bool = field(boolean, "3+", default=False)


class ListedGroup(Struct):
    group_id: str = field(string, default="")
    protocol_type: str = field(string, default="")
    group_state: str = field(string, "4+", default="", ignorable=True)
    group_type: str = field(string, "5+", default="", ignorable=True)


class ListGroupsResponse(Response, api_key=ApiKey.LIST_GROUPS, versions="0-5", flexible="3+"):
    throttle_time_ms: int = field(int32, "1+", default=0, ignorable=True)
    error_code: int = field(int16, default=0)
    groups: list[ListedGroup] = field(array(ListedGroup), default_factory=list)


class ListGroupsRequest(
    Request, api_key=ApiKey.LIST_GROUPS, versions="0-5", flexible="3+", response=ListGroupsResponse
):
    states_filter: list[str] = field(array(string), "4+", default_factory=list)
    types_filter: list[str] = field(array(string), "5+", default_factory=list)


class DeletableGroupResult(Struct):
    group_id: str = field(string, default="")
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, "3+", default=None, nullable="3+", ignorable=True)


class DeleteGroupsResponse(Response, api_key=ApiKey.DELETE_GROUPS, versions="0-3", flexible="2+"):
    throttle_time_ms: int = field(int32, default=0)
    results: list[DeletableGroupResult] = field(array(DeletableGroupResult), default_factory=list)


class DeleteGroupsRequest(
    Request, api_key=ApiKey.DELETE_GROUPS, versions="0-3", flexible="2+", response=DeleteGroupsResponse
):
    groups_names: list[str] = field(array(string), default_factory=list)
