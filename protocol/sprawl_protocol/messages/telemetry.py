"""Client metrics (KIP-714)."""

from __future__ import annotations

from uuid import UUID

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request, Response, array, binary, boolean, field, int8, int16, int32, string, uuid
from sprawl_protocol.primitives import NO_ID, Buffer


class GetTelemetrySubscriptionsResponse(
    Response, api_key=ApiKey.GET_TELEMETRY_SUBSCRIPTIONS, versions="0", flexible="0+"
):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    client_instance_id: UUID = field(uuid, default=NO_ID)
    subscription_id: int = field(int32, default=0)
    accepted_compression_types: list[int] = field(array(int8), default_factory=list)
    push_interval_ms: int = field(int32, default=0)
    telemetry_max_bytes: int = field(int32, default=0)
    delta_temporality: bool = field(boolean, default=False)
    requested_metrics: list[str] = field(array(string), default_factory=list)


class GetTelemetrySubscriptionsRequest(
    Request,
    api_key=ApiKey.GET_TELEMETRY_SUBSCRIPTIONS,
    versions="0",
    flexible="0+",
    response=GetTelemetrySubscriptionsResponse,
):
    client_instance_id: UUID = field(uuid, default=NO_ID)


class PushTelemetryResponse(Response, api_key=ApiKey.PUSH_TELEMETRY, versions="0", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)


class PushTelemetryRequest(
    Request, api_key=ApiKey.PUSH_TELEMETRY, versions="0", flexible="0+", response=PushTelemetryResponse
):
    client_instance_id: UUID = field(uuid, default=NO_ID)
    subscription_id: int = field(int32, default=0)
    terminating: bool = field(boolean, default=False)
    compression_type: int = field(int8, default=0)
    metrics: Buffer = field(binary, default=b"")
