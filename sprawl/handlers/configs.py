"""Settings: DescribeConfigs (32), AlterConfigs (33), IncrementalAlterConfigs (44), ListConfigResources (74).

Resources are topics, brokers, a broker's loggers, groups and client metrics subscriptions. Each resource of a request
is judged by itself and answered by itself, in the order of the request.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

from sprawl.config.definitions import ConfigType
from sprawl.handlers import loggers
from sprawl.handlers.context import Handler, RequestContext
from sprawl.quorum.config_changes import ConfigChange, ConfigOperation, ConfigTarget
from sprawl.quorum.config_descriptions import (
    ConfigEntry,
    ConfigSource,
    describe_all_brokers,
    describe_broker,
    describe_client_metrics,
    describe_group,
    describe_topic,
)
from sprawl.quorum.controller import Controller
from sprawl.quorum.image import CLUSTER_WIDE, ConfigKind, MetadataImage
from sprawl.quorum.names import check_topic_name
from sprawl.quorum.settings import Settings
from sprawl.security.access import CLUSTER, Authorizer, Operation, Resource, group, topic
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    AlterConfigsRequest,
    AlterConfigsResourceResponse,
    AlterConfigsResponse,
    ConfigResource,
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResourceResult,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeConfigsSynonym,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
    IncrementalAlterConfigsResponseAlterConfigsResourceResponse,
    ListConfigResourcesRequest,
    ListConfigResourcesResponse,
)

_LISTED_KINDS_SINCE: Final = 1
_DENIED: Final = {
    ConfigKind.TOPIC: ErrorCode.TOPIC_AUTHORIZATION_FAILED,
    ConfigKind.GROUP: ErrorCode.GROUP_AUTHORIZATION_FAILED,
}

W = TypeVar("W")


class ConfigHandlers:
    def __init__(
        self,
        controller: Controller,
        image: Callable[[], MetadataImage],
        settings: Settings,
        authorizer: Authorizer,
    ) -> None:
        self._controller = controller
        self._image = image
        self._settings = settings
        self._authorizer = authorizer

    def routes(self) -> dict[ApiKey, Handler]:
        return {
            ApiKey.DESCRIBE_CONFIGS: self.describe_configs,
            ApiKey.ALTER_CONFIGS: self.alter_configs,
            ApiKey.INCREMENTAL_ALTER_CONFIGS: self.incremental_alter_configs,
            ApiKey.LIST_CONFIG_RESOURCES: self.list_config_resources,
        }

    # DescribeConfigs

    def describe_configs(self, context: RequestContext, request: DescribeConfigsRequest) -> DescribeConfigsResponse:
        return DescribeConfigsResponse(results=[self._describe(context, request, each) for each in request.resources])

    def _describe(
        self, context: RequestContext, request: DescribeConfigsRequest, asked: DescribeConfigsResource
    ) -> DescribeConfigsResult:
        answer = DescribeConfigsResult(
            resource_type=asked.resource_type, resource_name=asked.resource_name, error_message=None
        )
        try:
            kind = _kind_of(asked.resource_type)
            self._must(context, Operation.DESCRIBE_CONFIGS, kind, asked.resource_name)
            entries = self._entries(kind, asked.resource_name)
        except ApiError as refusal:
            answer.error_code, answer.error_message = refusal.code, refusal.message
            return answer
        keys = asked.configuration_keys
        answer.configs = [_result_of(entry, request) for entry in entries if not keys or entry.name in keys]
        return answer

    def _entries(self, kind: ConfigKind, name: str) -> Iterable[ConfigEntry]:
        """Raises `ApiError`."""
        image = self._image()
        match kind:
            case ConfigKind.TOPIC:
                check_topic_name(name)
                if name not in image.topics:
                    raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"There is no topic '{name}'.")
                return describe_topic(self._settings, image, name)
            case ConfigKind.BROKER:
                if name == CLUSTER_WIDE:
                    return describe_all_brokers(image)
                self._check_this_broker(name)
                return describe_broker(self._settings, image)
            case ConfigKind.BROKER_LOGGER:
                self._check_this_broker(name)
                return _loggers()
            case ConfigKind.GROUP if name:
                return describe_group(image, name)
            case ConfigKind.CLIENT_METRICS if name:
                return describe_client_metrics(image, name)
            case _:
                raise ApiError(ErrorCode.INVALID_REQUEST, f"A {kind.name} resource needs a name.")

    def _check_this_broker(self, name: str) -> None:
        if name != self._settings.node_name:
            raise ApiError(
                ErrorCode.INVALID_REQUEST,
                f"Unexpected broker id: this is broker {self._settings.node_name}, the request is for {name!r}.",
            )

    # AlterConfigs, IncrementalAlterConfigs

    async def alter_configs(self, context: RequestContext, request: AlterConfigsRequest) -> AlterConfigsResponse:
        def wish_of(place: int) -> tuple[ConfigTarget, dict[str, str]]:
            asked = request.resources[place]
            _check_once(each.name for each in asked.configs)
            missing = sorted(each.name for each in asked.configs if each.value is None)
            if missing:
                raise ApiError(ErrorCode.INVALID_REQUEST, f"Null value not supported for: {', '.join(missing)}.")
            kind = _kind_of(asked.resource_type)
            if kind is ConfigKind.BROKER_LOGGER:
                raise ApiError(ErrorCode.INVALID_REQUEST, "Loggers can be changed by IncrementalAlterConfigs only.")
            wanted = {each.name: each.value for each in asked.configs if each.value is not None}
            return ConfigTarget(kind, asked.resource_name), wanted

        asked = [(each.resource_type, each.resource_name) for each in request.resources]
        refusals, wishes = self._judge(context, asked, wish_of)
        results = await self._controller.alter_configs(list(wishes.values()), validate_only=request.validate_only)
        refusals.update(_refused(wishes, results))
        return AlterConfigsResponse(
            responses=[
                AlterConfigsResourceResponse(
                    error_code=refusals[place].code if place in refusals else ErrorCode.NONE,
                    error_message=refusals[place].message if place in refusals else None,
                    resource_type=kind,
                    resource_name=name,
                )
                for place, (kind, name) in enumerate(asked)
            ]
        )

    async def incremental_alter_configs(
        self, context: RequestContext, request: IncrementalAlterConfigsRequest
    ) -> IncrementalAlterConfigsResponse:
        def wish_of(place: int) -> tuple[ConfigTarget, list[ConfigChange]]:
            asked = request.resources[place]
            _check_once(each.name for each in asked.configs)
            changes = [_change_of(each.name, each.config_operation, each.value) for each in asked.configs]
            return ConfigTarget(_kind_of(asked.resource_type), asked.resource_name), changes

        asked = [(each.resource_type, each.resource_name) for each in request.resources]
        refusals, wishes = self._judge(context, asked, wish_of)
        for place in [place for place, (target, _) in wishes.items() if target.kind is ConfigKind.BROKER_LOGGER]:
            target, changes = wishes.pop(place)
            try:
                self._check_this_broker(target.name)
                loggers.change(changes, validate_only=request.validate_only)
            except ApiError as refusal:
                refusals[place] = refusal
        results = await self._controller.incremental_alter_configs(
            list(wishes.values()), validate_only=request.validate_only
        )
        refusals.update(_refused(wishes, results))
        return IncrementalAlterConfigsResponse(
            responses=[
                IncrementalAlterConfigsResponseAlterConfigsResourceResponse(
                    error_code=refusals[place].code if place in refusals else ErrorCode.NONE,
                    error_message=refusals[place].message if place in refusals else None,
                    resource_type=kind,
                    resource_name=name,
                )
                for place, (kind, name) in enumerate(asked)
            ]
        )

    def _judge(
        self, context: RequestContext, asked: Sequence[tuple[int, str]], wish_of: Callable[[int], W]
    ) -> tuple[dict[int, ApiError], dict[int, W]]:
        """By their places in the request: the resources that are refused at once, and what is wished of the others."""
        times = Counter(asked)
        refusals: dict[int, ApiError] = {}
        wishes: dict[int, W] = {}
        for place, (number, name) in enumerate(asked):
            try:
                if times[number, name] > 1:
                    raise ApiError(ErrorCode.INVALID_REQUEST, "Each resource must appear at most once.")
                wish = wish_of(place)
                self._must(context, Operation.ALTER_CONFIGS, _kind_of(number), name)
            except ApiError as refusal:
                refusals[place] = refusal
            else:
                wishes[place] = wish
        return refusals, wishes

    # ListConfigResources

    def list_config_resources(
        self, context: RequestContext, request: ListConfigResourcesRequest
    ) -> ListConfigResourcesResponse:
        """Version 0 knows client metrics only; later ones list the kinds asked for, or all (KIP-1142)."""
        if not self._authorizer.authorize(context.principal, Operation.DESCRIBE_CONFIGS, CLUSTER):
            return ListConfigResourcesResponse(error_code=ErrorCode.CLUSTER_AUTHORIZATION_FAILED)
        image = self._image()
        if context.api_version < _LISTED_KINDS_SINCE:
            kinds: list[ConfigKind] = [ConfigKind.CLIENT_METRICS]
        else:
            unknown = [number for number in request.resource_types if number not in set(ConfigKind)]
            if unknown:
                return ListConfigResourcesResponse(error_code=ErrorCode.UNSUPPORTED_VERSION)
            kinds = [ConfigKind(number) for number in dict.fromkeys(request.resource_types)] or list(ConfigKind)
        found: list[ConfigResource] = []
        for kind in kinds:
            match kind:
                case ConfigKind.TOPIC:
                    names = sorted(image.topics)
                case ConfigKind.BROKER | ConfigKind.BROKER_LOGGER:
                    names = [str(broker) for broker in sorted(image.brokers)]
                case ConfigKind.GROUP | ConfigKind.CLIENT_METRICS:
                    names = sorted(image.configured(kind))
            found += [ConfigResource(resource_name=name, resource_type=kind) for name in names]
        return ListConfigResourcesResponse(config_resources=found)

    # Access

    def _must(self, context: RequestContext, operation: Operation, kind: ConfigKind, name: str) -> None:
        if not self._authorizer.authorize(context.principal, operation, _resource_of(kind, name)):
            raise ApiError(
                _DENIED.get(kind, ErrorCode.CLUSTER_AUTHORIZATION_FAILED),
                f"{context.principal} may not {operation.name} here.",
            )


def _resource_of(kind: ConfigKind, name: str) -> Resource:
    match kind:
        case ConfigKind.TOPIC:
            return topic(name)
        case ConfigKind.GROUP:
            return group(name)
        case _:
            return CLUSTER


def _kind_of(number: int) -> ConfigKind:
    try:
        return ConfigKind(number)
    except ValueError:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Unknown resource type {number}.") from None


def _change_of(name: str, number: int, value: str | None) -> ConfigChange:
    try:
        operation = ConfigOperation(number)
    except ValueError:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Unknown operation {number} on {name}.") from None
    if value is None and operation is not ConfigOperation.DELETE:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Null value not supported for: {name}.")
    return ConfigChange(name, operation, None if operation is ConfigOperation.DELETE else value)


def _check_once(names: Iterable[str]) -> None:
    twice = sorted(name for name, times in Counter(names).items() if times > 1)
    if twice:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"These keys are there twice: {', '.join(twice)}.")


def _refused(wishes: dict[int, W], results: Sequence[object]) -> dict[int, ApiError]:
    return {place: result for place, result in zip(wishes, results, strict=True) if isinstance(result, ApiError)}


def _loggers() -> list[ConfigEntry]:
    return [
        ConfigEntry(name, level, ConfigSource.BROKER_LOGGER, ConfigType.STRING, "", False, False, ())
        for name, level in loggers.levels().items()
    ]


def _result_of(entry: ConfigEntry, request: DescribeConfigsRequest) -> DescribeConfigsResourceResult:
    return DescribeConfigsResourceResult(
        name=entry.name,
        value=entry.value,
        read_only=entry.read_only,
        config_source=entry.source,
        is_sensitive=entry.sensitive,
        synonyms=[
            DescribeConfigsSynonym(name=each.name, value=each.value, source=each.source) for each in entry.origins
        ]
        if request.include_synonyms
        else [],
        config_type=entry.type,
        documentation=entry.documentation if request.include_documentation else None,
    )
