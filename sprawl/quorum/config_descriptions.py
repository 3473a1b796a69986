"""What settings are in force, and where each comes from: the answers of DescribeConfigs as plain data.

In: an image, the settings of this node, a resource. Out: one `ConfigEntry` per key, with every place its value could
have come from, the winning one first. Sensitive values are never told.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sprawl.config.broker import BROKER_DEFINITIONS, dynamic_keys
from sprawl.config.definitions import ConfigType, Definition, text_of
from sprawl.config.groups import CLIENT_METRICS_DEFINITIONS, GROUP_DEFINITIONS
from sprawl.config.inert import inert_definitions
from sprawl.config.topics import TOPIC_DEFINITIONS, TopicConfig
from sprawl.quorum.image import CLUSTER_WIDE, ConfigKind, MetadataImage
from sprawl.quorum.settings import Settings


class ConfigSource(IntEnum):
    """The numbers are those of DescribeConfigs answers."""

    TOPIC = 1
    DYNAMIC_BROKER = 2
    DYNAMIC_DEFAULT_BROKER = 3
    STATIC_BROKER = 4
    DEFAULT = 5
    BROKER_LOGGER = 6
    CLIENT_METRICS = 7
    GROUP = 8


@dataclass(frozen=True, slots=True)
class ConfigOrigin:
    """A place that gives the key a value, under this name there."""

    name: str
    value: str | None
    source: ConfigSource


@dataclass(frozen=True, slots=True)
class ConfigEntry:
    name: str
    value: str | None
    """None if there is none, or if it must not be told."""
    source: ConfigSource
    type: ConfigType
    documentation: str
    read_only: bool
    sensitive: bool
    origins: tuple[ConfigOrigin, ...]


def describe_topic(settings: Settings, image: MetadataImage, name: str) -> list[ConfigEntry]:
    return describe_topic_config(settings, image, settings.topic(image, name), image.config(ConfigKind.TOPIC, name))


def describe_topic_config(
    settings: Settings, image: MetadataImage, config: TopicConfig, own: Mapping[str, str]
) -> list[ConfigEntry]:
    """Of a topic that need not be there yet. `config` is what `own` comes to."""
    entries = []
    for name, definition in TOPIC_DEFINITIONS.items():
        if definition.internal:
            continue
        value = text_of(config.value_of(name))
        origins = list(_broker_origins(settings, image, [synonym.name for synonym in definition.synonyms]))
        if name in own:
            origins.insert(0, ConfigOrigin(name, value, ConfigSource.TOPIC))
        entries.append(_entry(definition, value, origins, read_only=False))
    return entries


def describe_broker(settings: Settings, image: MetadataImage) -> list[ConfigEntry]:
    """Of this node."""
    broker = settings.broker(image)
    dynamic = set(dynamic_keys())
    entries = []
    for name, definition in BROKER_DEFINITIONS.items():
        if not definition.internal:
            origins = list(_broker_origins(settings, image, _BROKER_SYNONYMS.get(name, [name])))
            entries.append(_entry(definition, text_of(broker.value_of(name)), origins, read_only=name not in dynamic))
    for name, definition in inert_definitions().items():
        if not definition.internal and name not in BROKER_DEFINITIONS:
            value = settings.static.given.get(name, text_of(definition.default))
            origins = list(_broker_origins(settings, image, [name]))
            entries.append(_entry(definition, value, origins, read_only=True))
    return entries


def describe_all_brokers(image: MetadataImage) -> list[ConfigEntry]:
    """What was set for all brokers while they ran."""
    own = image.config(ConfigKind.BROKER, CLUSTER_WIDE)
    return [
        _entry(
            BROKER_DEFINITIONS[name],
            value,
            [ConfigOrigin(name, value, ConfigSource.DYNAMIC_DEFAULT_BROKER)],
            read_only=False,
        )
        for name, value in own.items()
        if name in BROKER_DEFINITIONS
    ]


def describe_group(image: MetadataImage, name: str) -> list[ConfigEntry]:
    own = image.config(ConfigKind.GROUP, name)
    return list(_of_table(GROUP_DEFINITIONS, own, ConfigSource.GROUP))


def describe_client_metrics(image: MetadataImage, name: str) -> list[ConfigEntry]:
    own = image.config(ConfigKind.CLIENT_METRICS, name)
    return list(_of_table(CLIENT_METRICS_DEFINITIONS, own, ConfigSource.CLIENT_METRICS))


def _of_table(
    definitions: Mapping[str, Definition], own: Mapping[str, str], source: ConfigSource
) -> Iterator[ConfigEntry]:
    for name, definition in definitions.items():
        if definition.internal:
            continue
        default = text_of(definition.default)
        origins = [ConfigOrigin(name, default, ConfigSource.DEFAULT)]
        if name in own:
            origins.insert(0, ConfigOrigin(name, own[name], source))
        yield _entry(definition, own.get(name, default), origins, read_only=False)


def _entry(
    definition: Definition, value: str | None, origins: Sequence[ConfigOrigin], *, read_only: bool
) -> ConfigEntry:
    if definition.sensitive:
        value = None
        origins = [ConfigOrigin(each.name, None, each.source) for each in origins]
    return ConfigEntry(
        name=definition.name,
        value=value,
        source=origins[0].source if origins else ConfigSource.DEFAULT,
        type=definition.type,
        documentation=definition.doc,
        read_only=read_only,
        sensitive=definition.sensitive,
        origins=tuple(origins),
    )


def _broker_origins(settings: Settings, image: MetadataImage, keys: Sequence[str]) -> Iterator[ConfigOrigin]:
    """Where one of `keys`, which mean the same, was given a value: the winning place first."""
    places: Iterable[tuple[Mapping[str, str], ConfigSource]] = (
        (image.config(ConfigKind.BROKER, settings.node_name), ConfigSource.DYNAMIC_BROKER),
        (image.config(ConfigKind.BROKER, CLUSTER_WIDE), ConfigSource.DYNAMIC_DEFAULT_BROKER),
        (settings.static.given, ConfigSource.STATIC_BROKER),
    )
    for values, source in places:
        for key in keys:
            if key in values:
                yield ConfigOrigin(key, values[key], source)
    for key in keys:
        definition = BROKER_DEFINITIONS.get(key) or inert_definitions().get(key)
        if definition is not None and definition.default is not None:
            yield ConfigOrigin(key, text_of(definition.default), ConfigSource.DEFAULT)


def _broker_synonyms() -> dict[str, list[str]]:
    """Broker keys that set the same thing in other units, the finer one first: it wins."""
    found: dict[str, list[str]] = {}
    for definition in TOPIC_DEFINITIONS.values():
        names = [synonym.name for synonym in definition.synonyms]
        for place, name in enumerate(names):
            found.setdefault(name, names[place:])
    return found


_BROKER_SYNONYMS: Final = _broker_synonyms()
