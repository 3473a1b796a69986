"""Authentication and SCRAM credentials."""

from __future__ import annotations

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request, Response, Struct, array, binary, field, int8, int16, int32, int64, string
from sprawl_protocol.primitives import Buffer


class SaslHandshakeResponse(Response, api_key=ApiKey.SASL_HANDSHAKE, versions="0-1", flexible="none"):
    error_code: int = field(int16, default=0)
    mechanisms: list[str] = field(array(string), default_factory=list)


class SaslHandshakeRequest(
    Request, api_key=ApiKey.SASL_HANDSHAKE, versions="0-1", flexible="none", response=SaslHandshakeResponse
):
    mechanism: str = field(string, default="")


class SaslAuthenticateResponse(Response, api_key=ApiKey.SASL_AUTHENTICATE, versions="0-2", flexible="2+"):
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")
    auth_bytes: Buffer = field(binary, default=b"")
    session_lifetime_ms: int = field(int64, "1+", default=0, ignorable=True)


class SaslAuthenticateRequest(
    Request, api_key=ApiKey.SASL_AUTHENTICATE, versions="0-2", flexible="2+", response=SaslAuthenticateResponse
):
    auth_bytes: Buffer = field(binary, default=b"")


class CredentialInfo(Struct):
    mechanism: int = field(int8, default=0)
    iterations: int = field(int32, default=0)


class DescribeUserScramCredentialsResult(Struct):
    user: str = field(string, default="")
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")
    credential_infos: list[CredentialInfo] = field(array(CredentialInfo), default_factory=list)


class DescribeUserScramCredentialsResponse(
    Response, api_key=ApiKey.DESCRIBE_USER_SCRAM_CREDENTIALS, versions="0", flexible="0+"
):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")
    results: list[DescribeUserScramCredentialsResult] = field(
        array(DescribeUserScramCredentialsResult), default_factory=list
    )


class UserName(Struct):
    name: str = field(string, default="")


class DescribeUserScramCredentialsRequest(
    Request,
    api_key=ApiKey.DESCRIBE_USER_SCRAM_CREDENTIALS,
    versions="0",
    flexible="0+",
    response=DescribeUserScramCredentialsResponse,
):
    users: list[UserName] | None = field(array(UserName), default_factory=list, nullable="0+")


class AlterUserScramCredentialsResult(Struct):
    user: str = field(string, default="")
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")


class AlterUserScramCredentialsResponse(
    Response, api_key=ApiKey.ALTER_USER_SCRAM_CREDENTIALS, versions="0", flexible="0+"
):
    throttle_time_ms: int = field(int32, default=0)
    results: list[AlterUserScramCredentialsResult] = field(array(AlterUserScramCredentialsResult), default_factory=list)


class ScramCredentialDeletion(Struct):
    name: str = field(string, default="")
    mechanism: int = field(int8, default=0)


class ScramCredentialUpsertion(Struct):
    name: str = field(string, default="")
    mechanism: int = field(int8, default=0)
    iterations: int = field(int32, default=0)
    salt: Buffer = field(binary, default=b"")
    salted_password: Buffer = field(binary, default=b"")


class AlterUserScramCredentialsRequest(
    Request,
    api_key=ApiKey.ALTER_USER_SCRAM_CREDENTIALS,
    versions="0",
    flexible="0+",
    response=AlterUserScramCredentialsResponse,
):
    deletions: list[ScramCredentialDeletion] = field(array(ScramCredentialDeletion), default_factory=list)
    upsertions: list[ScramCredentialUpsertion] = field(array(ScramCredentialUpsertion), default_factory=list)
