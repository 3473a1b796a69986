"""What members ask: FindCoordinator (10), JoinGroup (11), Heartbeat (12), LeaveGroup (13), SyncGroup (14)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from sprawl.groups.coordinator import GroupCoordinator
from sprawl.groups.exchange import NO_MEMBER, JoinRequest, Leaving, Strategy, SyncRequest
from sprawl.handlers.context import Handler, RequestContext
from sprawl.security.access import Authorizer, Operation, group
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    Coordinator,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    HeartbeatRequest,
    HeartbeatResponse,
    JoinGroupRequest,
    JoinGroupResponse,
    JoinGroupResponseMember,
    LeaveGroupRequest,
    LeaveGroupResponse,
    MemberResponse,
    SyncGroupRequest,
    SyncGroupResponse,
)


class KeyType(IntEnum):
    GROUP = 0
    TRANSACTION = 1
    SHARE = 2


@dataclass(frozen=True, slots=True)
class Node:
    """Where a client finds a node: an address of the listener it came in through."""

    node_id: int
    host: str
    port: int


NO_NODE: Final = Node(-1, "", -1)


class CoordinatorDirectory(Protocol):
    """Where the partitions of `__consumer_offsets` are."""

    async def ensure_topic(self) -> None:
        """Make the topic if it does not exist. Raises `ApiError`."""
        ...

    def leader(self, context: RequestContext, partition: int) -> Node | None:
        """Who leads that partition, if anybody does."""
        ...


_BATCHES_SINCE: Final = 4
_ID_REQUIRED_SINCE: Final = 4
_NULL_PROTOCOL_SINCE: Final = 7
_SKIPS_ASSIGNMENT_SINCE: Final = 9
_MEMBERS_LEAVE_SINCE: Final = 3
_SYNC_NAMES_PROTOCOL_SINCE: Final = 5
_SHARE_KEYS_SINCE: Final = 6


class GroupHandlers:
    def __init__(self, coordinator: GroupCoordinator, directory: CoordinatorDirectory, authorizer: Authorizer) -> None:
        self._coordinator = coordinator
        self._directory = directory
        self._authorizer = authorizer

    def routes(self) -> dict[ApiKey, Handler]:
        return {
            ApiKey.FIND_COORDINATOR: self.find_coordinator,
            ApiKey.JOIN_GROUP: self.join_group,
            ApiKey.HEARTBEAT: self.heartbeat,
            ApiKey.LEAVE_GROUP: self.leave_group,
            ApiKey.SYNC_GROUP: self.sync_group,
        }

    # FindCoordinator

    async def find_coordinator(
        self, context: RequestContext, request: FindCoordinatorRequest
    ) -> FindCoordinatorResponse:
        if context.api_version >= _BATCHES_SINCE:
            found = [await self._find(context, request.key_type, key) for key in request.coordinator_keys]
            return FindCoordinatorResponse(coordinators=found)
        one = await self._find(context, request.key_type, request.key)
        return FindCoordinatorResponse(
            error_code=one.error_code,
            error_message=one.error_message,
            node_id=one.node_id,
            host=one.host,
            port=one.port,
        )

    async def _find(self, context: RequestContext, key_type: int, key: str) -> Coordinator:
        try:
            node = await self._node_for(context, key_type, key)
        except ApiError as refusal:
            return _coordinator(key, NO_NODE, refusal.code, refusal.message)
        return _coordinator(key, node, ErrorCode.NONE, None)

    async def _node_for(self, context: RequestContext, key_type: int, key: str) -> Node:
        if key_type == KeyType.TRANSACTION:
            raise ApiError(ErrorCode.INVALID_REQUEST, "this broker serves no transactions yet")
        if key_type == KeyType.SHARE:
            since = f"; they need version {_SHARE_KEYS_SINCE}" if context.api_version < _SHARE_KEYS_SINCE else ""
            raise ApiError(ErrorCode.INVALID_REQUEST, f"this broker serves no share groups yet{since}")
        if key_type != KeyType.GROUP:
            raise ApiError(ErrorCode.INVALID_REQUEST, f"{key_type} is no type of coordinator key (0 is a group)")
        self._must(context, Operation.DESCRIBE, key)
        partition = self._coordinator.partition_of(key)
        if partition is None:
            await self._directory.ensure_topic()
            partition = self._coordinator.partition_of(key)
        node = None if partition is None else self._directory.leader(context, partition)
        if node is None:
            raise ApiError(
                ErrorCode.COORDINATOR_NOT_AVAILABLE, f"nobody leads the partition of group {key!r} now: try again"
            )
        return node

    # JoinGroup, SyncGroup

    async def join_group(self, context: RequestContext, request: JoinGroupRequest) -> JoinGroupResponse:
        version = context.api_version
        if not self._may(context, Operation.READ, request.group_id):
            return JoinGroupResponse(
                error_code=int(ErrorCode.GROUP_AUTHORIZATION_FAILED),
                protocol_name=None if version >= _NULL_PROTOCOL_SINCE else "",
                member_id=request.member_id,
            )
        strategies = {offered.name: bytes(offered.metadata) for offered in reversed(request.protocols)}
        names = dict.fromkeys(offered.name for offered in request.protocols)
        answer = await self._coordinator.join(
            request.group_id,
            JoinRequest(
                member_id=request.member_id,
                instance_id=request.group_instance_id,
                client_id=context.client_id,
                client_host=f"/{context.client_host}",
                session_timeout_ms=request.session_timeout_ms,
                rebalance_timeout_ms=request.rebalance_timeout_ms if version >= 1 else request.session_timeout_ms,
                protocol_type=request.protocol_type,
                strategies=tuple(Strategy(name, strategies[name]) for name in names),
                fresh_id=request.group_instance_id or context.client_id,
                reason=request.reason or "",
                must_return_with_id=version >= _ID_REQUIRED_SINCE,
                may_skip_assignment=version >= _SKIPS_ASSIGNMENT_SINCE,
            ),
        )
        protocol_name = answer.protocol_name
        if protocol_name is None and version < _NULL_PROTOCOL_SINCE:
            protocol_name = ""
        return JoinGroupResponse(
            error_code=int(answer.error),
            generation_id=answer.generation,
            protocol_type=answer.protocol_type,
            protocol_name=protocol_name,
            leader=answer.leader,
            skip_assignment=answer.skip_assignment,
            member_id=answer.member_id,
            members=[
                JoinGroupResponseMember(
                    member_id=member.member_id, group_instance_id=member.instance_id, metadata=member.metadata
                )
                for member in answer.members
            ],
        )

    async def sync_group(self, context: RequestContext, request: SyncGroupRequest) -> SyncGroupResponse:
        if not self._may(context, Operation.READ, request.group_id):
            return SyncGroupResponse(error_code=int(ErrorCode.GROUP_AUTHORIZATION_FAILED))
        names_missing = request.protocol_type is None or request.protocol_name is None
        if context.api_version >= _SYNC_NAMES_PROTOCOL_SINCE and names_missing:
            return SyncGroupResponse(error_code=int(ErrorCode.INCONSISTENT_GROUP_PROTOCOL))
        answer = await self._coordinator.sync(
            request.group_id,
            SyncRequest(
                member_id=request.member_id,
                instance_id=request.group_instance_id,
                generation=request.generation_id,
                protocol_type=request.protocol_type,
                protocol_name=request.protocol_name,
                assignments=tuple((each.member_id, bytes(each.assignment)) for each in request.assignments),
            ),
        )
        return SyncGroupResponse(
            error_code=int(answer.error),
            protocol_type=answer.protocol_type,
            protocol_name=answer.protocol_name,
            assignment=answer.assignment,
        )

    # Heartbeat, LeaveGroup

    def heartbeat(self, context: RequestContext, request: HeartbeatRequest) -> HeartbeatResponse:
        try:
            self._must(context, Operation.READ, request.group_id)
            self._coordinator.heartbeat(
                request.group_id, request.member_id, request.group_instance_id, request.generation_id
            )
        except ApiError as refusal:
            return HeartbeatResponse(error_code=int(refusal.code))
        return HeartbeatResponse()

    async def leave_group(self, context: RequestContext, request: LeaveGroupRequest) -> LeaveGroupResponse:
        if not self._may(context, Operation.READ, request.group_id):
            return LeaveGroupResponse(error_code=int(ErrorCode.GROUP_AUTHORIZATION_FAILED))
        batch = context.api_version >= _MEMBERS_LEAVE_SINCE
        if batch:
            leaving = tuple(
                Leaving(member.member_id, member.group_instance_id, member.reason or "") for member in request.members
            )
        else:
            leaving = (Leaving(request.member_id or NO_MEMBER),)
        answer = await self._coordinator.leave(request.group_id, leaving)
        if not batch:
            errors = (answer.error, *(left.error for left in answer.members))
            return LeaveGroupResponse(error_code=int(next((each for each in errors if each), ErrorCode.NONE)))
        return LeaveGroupResponse(
            error_code=int(answer.error),
            members=[
                MemberResponse(member_id=left.member_id, group_instance_id=left.instance_id, error_code=int(left.error))
                for left in answer.members
            ],
        )

    def _may(self, context: RequestContext, operation: Operation, group_id: str) -> bool:
        return self._authorizer.authorize(context.principal, operation, group(group_id))

    def _must(self, context: RequestContext, operation: Operation, group_id: str) -> None:
        if not self._may(context, operation, group_id):
            raise ApiError(
                ErrorCode.GROUP_AUTHORIZATION_FAILED,
                f"{context.principal} may not {operation.name} group {group_id!r}",
            )


def _coordinator(key: str, node: Node, error: ErrorCode, message: str | None) -> Coordinator:
    return Coordinator(
        key=key, node_id=node.node_id, host=node.host, port=node.port, error_code=int(error), error_message=message
    )
