"""Decisions on settings: what a change comes to, and whether the outcome may be.

Pure: an image and changes in, records out, or an `ApiError`. The outcome is checked as a whole, so that settings which
contradict each other are refused whichever of them is set last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sprawl.config.broker import BROKER_DEFINITIONS, BrokerConfig, dynamic_keys
from sprawl.config.definitions import ConfigType, Definition, split_list, text_of
from sprawl.config.errors import ConfigError
from sprawl.config.groups import (
    CLIENT_METRICS_DEFINITIONS,
    GROUP_DEFINITIONS,
    validate_client_metrics_config,
    validate_group_config,
)
from sprawl.config.topics import TOPIC_DEFINITIONS, TopicConfig, check_tier
from sprawl.quorum.image import CLUSTER_WIDE, INTERNAL_TOPICS, ConfigKind, MetadataImage
from sprawl.quorum.records import ConfigRecord, MetadataRecord
from sprawl_protocol.errors import ApiError, ErrorCode


class ConfigOperation(IntEnum):
    """The numbers are those of IncrementalAlterConfigs."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


@dataclass(frozen=True, slots=True)
class ConfigChange:
    name: str
    operation: ConfigOperation
    value: str | None = None


@dataclass(frozen=True, slots=True)
class ConfigTarget:
    kind: ConfigKind
    name: str


DEFINITIONS: Final[Mapping[ConfigKind, Mapping[str, Definition]]] = {
    ConfigKind.TOPIC: TOPIC_DEFINITIONS,
    ConfigKind.BROKER: BROKER_DEFINITIONS,
    ConfigKind.GROUP: GROUP_DEFINITIONS,
    ConfigKind.CLIENT_METRICS: CLIENT_METRICS_DEFINITIONS,
}


def alter(
    image: MetadataImage, static: BrokerConfig, target: ConfigTarget, changes: Iterable[ConfigChange]
) -> list[MetadataRecord]:
    """Change some settings, leave the others (KIP-339). Raises `ApiError`."""
    _check_exists(image, target)
    wanted = dict(image.config(target.kind, target.name))
    for change in changes:
        value = _value_after(target, change, wanted.get(change.name))
        if value is None:
            wanted.pop(change.name, None)
        else:
            wanted[change.name] = value
    return _records(image, static, target, wanted)


def replace_all(
    image: MetadataImage, static: BrokerConfig, target: ConfigTarget, wanted: Mapping[str, str]
) -> list[MetadataRecord]:
    """Whatever is not in `wanted` goes back to its default (AlterConfigs). Raises `ApiError`."""
    _check_exists(image, target)
    return _records(image, static, target, wanted)


def _value_after(target: ConfigTarget, change: ConfigChange, present: str | None) -> str | None:
    if change.operation is ConfigOperation.DELETE:
        return None
    if change.value is None:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"Null value not supported for: {change.name}.")
    if change.operation is ConfigOperation.SET:
        return change.value
    definition = DEFINITIONS[target.kind].get(change.name)
    if definition is None or definition.type is not ConfigType.LIST:
        raise ApiError(
            ErrorCode.INVALID_CONFIG,
            f"Can't {change.operation.name} to key {change.name} because its type is not LIST. Use SET.",
        )
    items = list(split_list((text_of(definition.default) or "") if present is None else present))
    for item in split_list(change.value):
        if change.operation is ConfigOperation.APPEND and item not in items:
            items.append(item)
        elif change.operation is ConfigOperation.SUBTRACT and item in items:
            items.remove(item)
    return ",".join(items)


def _check_exists(image: MetadataImage, target: ConfigTarget) -> None:
    match target.kind:
        case ConfigKind.TOPIC if target.name not in image.topics:
            raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"The topic '{target.name}' does not exist.")
        case ConfigKind.BROKER if target.name != CLUSTER_WIDE and target.name not in map(str, image.brokers):
            raise ApiError(
                ErrorCode.INVALID_REQUEST,
                f"There is no broker '{target.name}'. Name a registered broker by its id, or none for all brokers.",
            )
        case ConfigKind.GROUP | ConfigKind.CLIENT_METRICS if not target.name:
            raise ApiError(ErrorCode.INVALID_REQUEST, f"A {target.kind.name} resource needs a name.")


def _records(
    image: MetadataImage, static: BrokerConfig, target: ConfigTarget, wanted: Mapping[str, str]
) -> list[MetadataRecord]:
    _CHECKS[target.kind](image, static, target.name, wanted)
    present = image.config(target.kind, target.name)
    changed = {name: value for name, value in wanted.items() if present.get(name) != value}
    gone = dict.fromkeys(name for name in present if name not in wanted)
    return [
        ConfigRecord(resource_type=target.kind, resource_name=target.name, name=name, value=value)
        for name, value in {**changed, **gone}.items()
    ]


def _check_topic(image: MetadataImage, static: BrokerConfig, name: str, wanted: Mapping[str, str]) -> None:
    internal = name in INTERNAL_TOPICS
    check_tier(TopicConfig.of(wanted, static), static, internal=internal)


def _check_broker(image: MetadataImage, static: BrokerConfig, name: str, wanted: Mapping[str, str]) -> None:
    dynamic = set(dynamic_keys())
    unknown = sorted(key for key in wanted if key not in BROKER_DEFINITIONS)
    if unknown:
        raise ApiError(ErrorCode.INVALID_CONFIG, f"Unknown or ineffective broker config: {', '.join(unknown)}.")
    fixed = sorted(key for key in wanted if key not in dynamic)
    if fixed:
        raise ApiError(
            ErrorCode.INVALID_REQUEST,
            f"These configs cannot be changed while the broker runs: {', '.join(fixed)}. Set them where it is started.",
        )
    try:
        static.with_dynamic({**image.config(ConfigKind.BROKER, CLUSTER_WIDE), **wanted})
    except ConfigError as problem:
        raise ApiError(ErrorCode.INVALID_CONFIG, str(problem)) from None


def _check_each(check: Callable[[str, str | None], None]) -> _Check:
    def check_all(image: MetadataImage, static: BrokerConfig, name: str, wanted: Mapping[str, str]) -> None:
        for key, value in wanted.items():
            check(key, value)

    return check_all


_Check = Callable[[MetadataImage, BrokerConfig, str, Mapping[str, str]], None]
_CHECKS: Final[Mapping[ConfigKind, _Check]] = {
    ConfigKind.TOPIC: _check_topic,
    ConfigKind.BROKER: _check_broker,
    ConfigKind.GROUP: _check_each(validate_group_config),
    ConfigKind.CLIENT_METRICS: _check_each(validate_client_metrics_config),
}
