"""What administrators ask about groups: DescribeGroups (15), ListGroups (16), DeleteGroups (42)."""

from __future__ import annotations

from typing import Final

from sprawl.groups.coordinator import GroupCoordinator
from sprawl.groups.states import GroupState
from sprawl.handlers.context import Handler, RequestContext
from sprawl.security.access import CLUSTER, NO_OPERATIONS_ASKED, Authorizer, Operation, authorized_operations, group
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    DeletableGroupResult,
    DeleteGroupsRequest,
    DeleteGroupsResponse,
    DescribedGroup,
    DescribedGroupMember,
    DescribeGroupsRequest,
    DescribeGroupsResponse,
    ListedGroup,
    ListGroupsRequest,
    ListGroupsResponse,
)

_NOT_FOUND_SINCE: Final = 6


class GroupAdminHandlers:
    def __init__(self, coordinator: GroupCoordinator, authorizer: Authorizer) -> None:
        self._coordinator = coordinator
        self._authorizer = authorizer

    def routes(self) -> dict[ApiKey, Handler]:
        return {
            ApiKey.DESCRIBE_GROUPS: self.describe_groups,
            ApiKey.LIST_GROUPS: self.list_groups,
            ApiKey.DELETE_GROUPS: self.delete_groups,
        }

    def describe_groups(self, context: RequestContext, request: DescribeGroupsRequest) -> DescribeGroupsResponse:
        described = [self._describe(context, group_id) for group_id in request.groups]
        for answer in described:
            if request.include_authorized_operations and not answer.error_code:
                answer.authorized_operations = authorized_operations(
                    self._authorizer, context.principal, group(answer.group_id)
                )
        return DescribeGroupsResponse(groups=described)

    def _describe(self, context: RequestContext, group_id: str) -> DescribedGroup:
        answer = DescribedGroup(group_id=group_id, authorized_operations=NO_OPERATIONS_ASKED)
        try:
            self._must(context, Operation.DESCRIBE, group_id)
            seen = self._coordinator.describe(group_id)
        except ApiError as refusal:
            knows_not_found = context.api_version >= _NOT_FOUND_SINCE
            if refusal.code is ErrorCode.GROUP_ID_NOT_FOUND:
                answer.group_state = GroupState.DEAD
            if knows_not_found:
                answer.error_message = refusal.message
            if knows_not_found or refusal.code is not ErrorCode.GROUP_ID_NOT_FOUND:
                answer.error_code = int(refusal.code)
            return answer
        answer.group_state = seen.state
        answer.protocol_type = seen.protocol_type
        answer.protocol_data = seen.protocol_name
        answer.members = [
            DescribedGroupMember(
                member_id=member.member_id,
                group_instance_id=member.instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                member_metadata=member.metadata,
                member_assignment=member.assignment,
            )
            for member in seen.members
        ]
        return answer

    def list_groups(self, context: RequestContext, request: ListGroupsRequest) -> ListGroupsResponse:
        states = {state.lower() for state in request.states_filter}
        types = {kind.lower() for kind in request.types_filter}
        may_see_all = self._authorizer.authorize(context.principal, Operation.DESCRIBE, CLUSTER)
        groups, error = self._coordinator.list_groups()
        return ListGroupsResponse(
            error_code=int(error),
            groups=[
                ListedGroup(
                    group_id=each.group_id,
                    protocol_type=each.protocol_type,
                    group_state=each.state,
                    group_type=each.group_type,
                )
                for each in groups
                if (not states or each.state.lower() in states)
                and (not types or each.group_type in types)
                and (may_see_all or self._may(context, Operation.DESCRIBE, each.group_id))
            ],
        )

    async def delete_groups(self, context: RequestContext, request: DeleteGroupsRequest) -> DeleteGroupsResponse:
        results: dict[str, ApiError | None] = {}
        for group_id in dict.fromkeys(request.groups_names):
            try:
                self._must(context, Operation.DELETE, group_id)
                results[group_id] = None
            except ApiError as refusal:
                results[group_id] = refusal
        allowed = [group_id for group_id, refusal in results.items() if refusal is None]
        results.update(await self._coordinator.delete_groups(allowed))
        return DeleteGroupsResponse(
            results=[
                DeletableGroupResult(
                    group_id=group_id,
                    error_code=int(ErrorCode.NONE if refusal is None else refusal.code),
                    error_message=None if refusal is None else refusal.message,
                )
                for group_id, refusal in results.items()
            ]
        )

    def _may(self, context: RequestContext, operation: Operation, group_id: str) -> bool:
        return self._authorizer.authorize(context.principal, operation, group(group_id))

    def _must(self, context: RequestContext, operation: Operation, group_id: str) -> None:
        if not self._may(context, operation, group_id):
            raise ApiError(
                ErrorCode.GROUP_AUTHORIZATION_FAILED,
                f"{context.principal} may not {operation.name} group {group_id!r}",
            )
