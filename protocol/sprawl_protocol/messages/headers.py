"""What stands before every request and response."""

from __future__ import annotations

from sprawl_protocol.message import Struct, field, int16, int32, string


class RequestHeader(Struct, versions="1-2", flexible="2+"):
    request_api_key: int = field(int16, default=0)
    request_api_version: int = field(int16, default=0)
    correlation_id: int = field(int32, default=0)
    client_id: str | None = field(string, "1+", default="", nullable="1+", flexible="none")


class ResponseHeader(Struct, versions="0-1", flexible="1+"):
    correlation_id: int = field(int32, default=0)
