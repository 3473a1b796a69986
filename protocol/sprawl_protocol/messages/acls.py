"""Access control lists."""

from __future__ import annotations

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request, Response, Struct, array, field, int8, int16, int32, string


class AclDescription(Struct):
    principal: str = field(string, default="")
    host: str = field(string, default="")
    operation: int = field(int8, default=0)
    permission_type: int = field(int8, default=0)


class DescribeAclsResource(Struct):
    resource_type: int = field(int8, default=0)
    resource_name: str = field(string, default="")
    pattern_type: int = field(int8, "1+", default=3)
    acls: list[AclDescription] = field(array(AclDescription), default_factory=list)


class DescribeAclsResponse(Response, api_key=ApiKey.DESCRIBE_ACLS, versions="1-3", flexible="2+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")
    resources: list[DescribeAclsResource] = field(array(DescribeAclsResource), default_factory=list)


class DescribeAclsRequest(
    Request, api_key=ApiKey.DESCRIBE_ACLS, versions="1-3", flexible="2+", response=DescribeAclsResponse
):
    resource_type_filter: int = field(int8, default=0)
    resource_name_filter: str | None = field(string, default="", nullable="0+")
    pattern_type_filter: int = field(int8, "1+", default=3)
    principal_filter: str | None = field(string, default="", nullable="0+")
    host_filter: str | None = field(string, default="", nullable="0+")
    operation: int = field(int8, default=0)
    permission_type: int = field(int8, default=0)


class AclCreationResult(Struct):
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")


class CreateAclsResponse(Response, api_key=ApiKey.CREATE_ACLS, versions="1-3", flexible="2+"):
    throttle_time_ms: int = field(int32, default=0)
    results: list[AclCreationResult] = field(array(AclCreationResult), default_factory=list)


class AclCreation(Struct):
    resource_type: int = field(int8, default=0)
    resource_name: str = field(string, default="")
    resource_pattern_type: int = field(int8, "1+", default=3)
    principal: str = field(string, default="")
    host: str = field(string, default="")
    operation: int = field(int8, default=0)
    permission_type: int = field(int8, default=0)


class CreateAclsRequest(
    Request, api_key=ApiKey.CREATE_ACLS, versions="1-3", flexible="2+", response=CreateAclsResponse
):
    creations: list[AclCreation] = field(array(AclCreation), default_factory=list)


class DeleteAclsMatchingAcl(Struct):
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")
    resource_type: int = field(int8, default=0)
    resource_name: str = field(string, default="")
    pattern_type: int = field(int8, "1+", default=3)
    principal: str = field(string, default="")
    host: str = field(string, default="")
    operation: int = field(int8, default=0)
    permission_type: int = field(int8, default=0)


class DeleteAclsFilterResult(Struct):
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")
    matching_acls: list[DeleteAclsMatchingAcl] = field(array(DeleteAclsMatchingAcl), default_factory=list)


class DeleteAclsResponse(Response, api_key=ApiKey.DELETE_ACLS, versions="1-3", flexible="2+"):
    throttle_time_ms: int = field(int32, default=0)
    filter_results: list[DeleteAclsFilterResult] = field(array(DeleteAclsFilterResult), default_factory=list)


class DeleteAclsFilter(Struct):
    resource_type_filter: int = field(int8, default=0)
    resource_name_filter: str | None = field(string, default="", nullable="0+")
    pattern_type_filter: int = field(int8, "1+", default=3)
    principal_filter: str | None = field(string, default="", nullable="0+")
    host_filter: str | None = field(string, default="", nullable="0+")
    operation: int = field(int8, default=0)
    permission_type: int = field(int8, default=0)


class DeleteAclsRequest(
    Request, api_key=ApiKey.DELETE_ACLS, versions="1-3", flexible="2+", response=DeleteAclsResponse
):
    filters: list[DeleteAclsFilter] = field(array(DeleteAclsFilter), default_factory=list)
