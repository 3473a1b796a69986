"""Client quotas."""

from __future__ import annotations

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import (
    Request,
    Response,
    Struct,
    array,
    boolean,
    field,
    float64,
    int8,
    int16,
    int32,
    string,
)


class EntityData(Struct):
    entity_type: str = field(string, default="")
    entity_name: str | None = field(string, default="", nullable="0+")


class ValueData(Struct):
    key: str = field(string, default="")
    value: float = field(float64, default=0.0)


class EntryData(Struct):
    entity: list[EntityData] = field(array(EntityData), default_factory=list)
    values: list[ValueData] = field(array(ValueData), default_factory=list)


class DescribeClientQuotasResponse(Response, api_key=ApiKey.DESCRIBE_CLIENT_QUOTAS, versions="0-1", flexible="1+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")
    entries: list[EntryData] | None = field(array(EntryData), default_factory=list, nullable="0+")


class ComponentData(Struct):
    entity_type: str = field(string, default="")
    match_type: int = field(int8, default=0)
    match: str | None = field(string, default="", nullable="0+")


class DescribeClientQuotasRequest(
    Request, api_key=ApiKey.DESCRIBE_CLIENT_QUOTAS, versions="0-1", flexible="1+", response=DescribeClientQuotasResponse
):
    components: list[ComponentData] = field(array(ComponentData), default_factory=list)
    strict: bool = field(boolean, default=False)


class AlterClientQuotasResponseEntityData(Struct):
    entity_type: str = field(string, default="")
    entity_name: str | None = field(string, default="", nullable="0+")


class AlterClientQuotasResponseEntryData(Struct):
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")
    entity: list[AlterClientQuotasResponseEntityData] = field(
        array(AlterClientQuotasResponseEntityData), default_factory=list
    )


class AlterClientQuotasResponse(Response, api_key=ApiKey.ALTER_CLIENT_QUOTAS, versions="0-1", flexible="1+"):
    throttle_time_ms: int = field(int32, default=0)
    entries: list[AlterClientQuotasResponseEntryData] = field(
        array(AlterClientQuotasResponseEntryData), default_factory=list
    )


class AlterClientQuotasRequestEntityData(Struct):
    entity_type: str = field(string, default="")
    entity_name: str | None = field(string, default="", nullable="0+")


class OpData(Struct):
    key: str = field(string, default="")
    value: float = field(float64, default=0.0)
    remove: bool = field(boolean, default=False)


class AlterClientQuotasRequestEntryData(Struct):
    entity: list[AlterClientQuotasRequestEntityData] = field(
        array(AlterClientQuotasRequestEntityData), default_factory=list
    )
    ops: list[OpData] = field(array(OpData), default_factory=list)


class AlterClientQuotasRequest(
    Request, api_key=ApiKey.ALTER_CLIENT_QUOTAS, versions="0-1", flexible="1+", response=AlterClientQuotasResponse
):
    entries: list[AlterClientQuotasRequestEntryData] = field(
        array(AlterClientQuotasRequestEntryData), default_factory=list
    )
    validate_only: bool = field(boolean, default=False)
