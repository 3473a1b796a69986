"""Delegation tokens (KIP-48)."""

from __future__ import annotations

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request, Response, Struct, array, binary, field, int16, int32, int64, string
from sprawl_protocol.primitives import Buffer


class CreateDelegationTokenResponse(Response, api_key=ApiKey.CREATE_DELEGATION_TOKEN, versions="1-3", flexible="2+"):
    error_code: int = field(int16, default=0)
    principal_type: str = field(string, default="")
    principal_name: str = field(string, default="")
    token_requester_principal_type: str = field(string, "3+", default="")
    token_requester_principal_name: str = field(string, "3+", default="")
    issue_timestamp_ms: int = field(int64, default=0)
    expiry_timestamp_ms: int = field(int64, default=0)
    max_timestamp_ms: int = field(int64, default=0)
    token_id: str = field(string, default="")
    hmac: Buffer = field(binary, default=b"")
    throttle_time_ms: int = field(int32, default=0)


class CreatableRenewers(Struct):
    principal_type: str = field(string, default="")
    principal_name: str = field(string, default="")


class CreateDelegationTokenRequest(
    Request,
    api_key=ApiKey.CREATE_DELEGATION_TOKEN,
    versions="1-3",
    flexible="2+",
    response=CreateDelegationTokenResponse,
):
    owner_principal_type: str | None = field(string, "3+", default="", nullable="3+")
    owner_principal_name: str | None = field(string, "3+", default="", nullable="3+")
    renewers: list[CreatableRenewers] = field(array(CreatableRenewers), default_factory=list)
    max_lifetime_ms: int = field(int64, default=0)


class RenewDelegationTokenResponse(Response, api_key=ApiKey.RENEW_DELEGATION_TOKEN, versions="1-2", flexible="2+"):
    error_code: int = field(int16, default=0)
    expiry_timestamp_ms: int = field(int64, default=0)
    throttle_time_ms: int = field(int32, default=0)


class RenewDelegationTokenRequest(
    Request, api_key=ApiKey.RENEW_DELEGATION_TOKEN, versions="1-2", flexible="2+", response=RenewDelegationTokenResponse
):
    hmac: Buffer = field(binary, default=b"")
    renew_period_ms: int = field(int64, default=0)


class ExpireDelegationTokenResponse(Response, api_key=ApiKey.EXPIRE_DELEGATION_TOKEN, versions="1-2", flexible="2+"):
    error_code: int = field(int16, default=0)
    expiry_timestamp_ms: int = field(int64, default=0)
    throttle_time_ms: int = field(int32, default=0)


class ExpireDelegationTokenRequest(
    Request,
    api_key=ApiKey.EXPIRE_DELEGATION_TOKEN,
    versions="1-2",
    flexible="2+",
    response=ExpireDelegationTokenResponse,
):
    hmac: Buffer = field(binary, default=b"")
    expiry_time_period_ms: int = field(int64, default=0)


class DescribedDelegationTokenRenewer(Struct):
    principal_type: str = field(string, default="")
    principal_name: str = field(string, default="")


class DescribedDelegationToken(Struct):
    principal_type: str = field(string, default="")
    principal_name: str = field(string, default="")
    token_requester_principal_type: str = field(string, "3+", default="")
    token_requester_principal_name: str = field(string, "3+", default="")
    issue_timestamp: int = field(int64, default=0)
    expiry_timestamp: int = field(int64, default=0)
    max_timestamp: int = field(int64, default=0)
    token_id: str = field(string, default="")
    hmac: Buffer = field(binary, default=b"")
    renewers: list[DescribedDelegationTokenRenewer] = field(
        array(DescribedDelegationTokenRenewer), default_factory=list
    )


class DescribeDelegationTokenResponse(
    Response, api_key=ApiKey.DESCRIBE_DELEGATION_TOKEN, versions="1-3", flexible="2+"
):
    error_code: int = field(int16, default=0)
    tokens: list[DescribedDelegationToken] = field(array(DescribedDelegationToken), default_factory=list)
    throttle_time_ms: int = field(int32, default=0)


class DescribeDelegationTokenOwner(Struct):
    principal_type: str = field(string, default="")
    principal_name: str = field(string, default="")


class DescribeDelegationTokenRequest(
    Request,
    api_key=ApiKey.DESCRIBE_DELEGATION_TOKEN,
    versions="1-3",
    flexible="2+",
    response=DescribeDelegationTokenResponse,
):
    owners: list[DescribeDelegationTokenOwner] | None = field(
        array(DescribeDelegationTokenOwner), default_factory=list, nullable="0+"
    )
