"""Settings of topics, brokers, groups and clients."""

from __future__ import annotations

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request, Response, Struct, array, boolean, field, int8, int16, int32, string


class DescribeConfigsSynonym(Struct):
    name: str = field(string, "1+", default="")
    value: str | None = field(string, "1+", default="", nullable="0+")
    source: int = field(int8, "1+", default=0)


class DescribeConfigsResourceResult(Struct):
    name: str = field(string, default="")
    value: str | None = field(string, default="", nullable="0+")
    read_only: bool = field(boolean, default=False)
    config_source: int = field(int8, "1+", default=-1, ignorable=True)
    is_sensitive: bool = field(boolean, default=False)
    synonyms: list[DescribeConfigsSynonym] = field(
        array(DescribeConfigsSynonym), "1+", default_factory=list, ignorable=True
    )
    config_type: int = field(int8, "3+", default=0, ignorable=True)
    documentation: str | None = field(string, "3+", default="", nullable="0+", ignorable=True)


class DescribeConfigsResult(Struct):
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")
    resource_type: int = field(int8, default=0)
    resource_name: str = field(string, default="")
    configs: list[DescribeConfigsResourceResult] = field(array(DescribeConfigsResourceResult), default_factory=list)


class DescribeConfigsResponse(Response, api_key=ApiKey.DESCRIBE_CONFIGS, versions="1-4", flexible="4+"):
    throttle_time_ms: int = field(int32, default=0)
    results: list[DescribeConfigsResult] = field(array(DescribeConfigsResult), default_factory=list)


class DescribeConfigsResource(Struct):
    resource_type: int = field(int8, default=0)
    resource_name: str = field(string, default="")
    configuration_keys: list[str] | None = field(array(string), default_factory=list, nullable="0+")


class DescribeConfigsRequest(
    Request, api_key=ApiKey.DESCRIBE_CONFIGS, versions="1-4", flexible="4+", response=DescribeConfigsResponse
):
    resources: list[DescribeConfigsResource] = field(array(DescribeConfigsResource), default_factory=list)
    include_synonyms: bool = field(boolean, "1+", default=False)
    include_documentation: bool = field(boolean, "3+", default=False)


class AlterConfigsResourceResponse(Struct):
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")
    resource_type: int = field(int8, default=0)
    resource_name: str = field(string, default="")


class AlterConfigsResponse(Response, api_key=ApiKey.ALTER_CONFIGS, versions="0-2", flexible="2+"):
    throttle_time_ms: int = field(int32, default=0)
    responses: list[AlterConfigsResourceResponse] = field(array(AlterConfigsResourceResponse), default_factory=list)


class AlterableConfig(Struct):
    name: str = field(string, default="")
    value: str | None = field(string, default="", nullable="0+")


class AlterConfigsResource(Struct):
    resource_type: int = field(int8, default=0)
    resource_name: str = field(string, default="")
    configs: list[AlterableConfig] = field(array(AlterableConfig), default_factory=list)


class AlterConfigsRequest(
    Request, api_key=ApiKey.ALTER_CONFIGS, versions="0-2", flexible="2+", response=AlterConfigsResponse
):
    resources: list[AlterConfigsResource] = field(array(AlterConfigsResource), default_factory=list)
    validate_only: bool = field(boolean, default=False)


class IncrementalAlterConfigsResponseAlterConfigsResourceResponse(Struct):
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default="", nullable="0+")
    resource_type: int = field(int8, default=0)
    resource_name: str = field(string, default="")


class IncrementalAlterConfigsResponse(
    Response, api_key=ApiKey.INCREMENTAL_ALTER_CONFIGS, versions="0-1", flexible="1+"
):
    throttle_time_ms: int = field(int32, default=0)
    responses: list[IncrementalAlterConfigsResponseAlterConfigsResourceResponse] = field(
        array(IncrementalAlterConfigsResponseAlterConfigsResourceResponse), default_factory=list
    )


class IncrementalAlterConfigsRequestAlterableConfig(Struct):
    name: str = field(string, default="")
    config_operation: int = field(int8, default=0)
    value: str | None = field(string, default="", nullable="0+")


class IncrementalAlterConfigsRequestAlterConfigsResource(Struct):
    resource_type: int = field(int8, default=0)
    resource_name: str = field(string, default="")
    configs: list[IncrementalAlterConfigsRequestAlterableConfig] = field(
        array(IncrementalAlterConfigsRequestAlterableConfig), default_factory=list
    )


class IncrementalAlterConfigsRequest(
    Request,
    api_key=ApiKey.INCREMENTAL_ALTER_CONFIGS,
    versions="0-1",
    flexible="1+",
    response=IncrementalAlterConfigsResponse,
):
    resources: list[IncrementalAlterConfigsRequestAlterConfigsResource] = field(
        array(IncrementalAlterConfigsRequestAlterConfigsResource), default_factory=list
    )
    validate_only: bool = field(boolean, default=False)


class ConfigResource(Struct):
    resource_name: str = field(string, default="")
    resource_type: int = field(int8, "1+", default=16, ignorable=True)


class ListConfigResourcesResponse(Response, api_key=ApiKey.LIST_CONFIG_RESOURCES, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    config_resources: list[ConfigResource] = field(array(ConfigResource), default_factory=list)


class ListConfigResourcesRequest(
    Request, api_key=ApiKey.LIST_CONFIG_RESOURCES, versions="0-1", flexible="0+", response=ListConfigResourcesResponse
):
    resource_types: list[int] = field(array(int8), "1+", default_factory=list)
