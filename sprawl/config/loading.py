"""Where a broker's settings come from: the command line, then variables, then a file, then defaults.

In: the file's text, the environment, the command line's pairs. Out: a `BrokerConfig`, and a notice for each key that
has no effect, with the reason. Raises `ConfigError`, which names key, value, what is allowed and where it was set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sprawl.config.broker import BROKER_DEFINITIONS, BrokerConfig
from sprawl.config.environment import settings_of
from sprawl.config.errors import ConfigError
from sprawl.config.properties import PropertiesError, parse_properties
from sprawl.config.topics import TOPIC_DEFINITIONS


@dataclass(frozen=True, slots=True)
class Setting:
    """One key as somebody wrote it."""

    key: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A key that was set and does nothing."""

    key: str
    source: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key} ({self.source}): {self.reason}"


@dataclass(frozen=True, slots=True)
class Loaded:
    config: BrokerConfig
    notices: tuple[Notice, ...]

    @property
    def warning(self) -> str:
        """All notices as one text; empty if every key acts."""
        if not self.notices:
            return ""
        count = "1 setting has" if len(self.notices) == 1 else f"{len(self.notices)} settings have"
        return f"{count} no effect: " + "; ".join(str(notice) for notice in self.notices)


def load(
    *,
    file: tuple[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    arguments: Iterable[Setting] = (),
) -> Loaded:
    """`file` is (path, text). Later sources win. Raises `ConfigError`."""
    chosen: dict[str, Setting] = {}
    for setting in _all(file, environment or {}, arguments):
        chosen[setting.key] = setting
    config = BrokerConfig.of(
        {key: setting.value for key, setting in chosen.items()},
        {key: setting.source for key, setting in chosen.items()},
    )
    return Loaded(config, tuple(_notices(chosen)))


def parse_pair(text: str) -> Setting:
    """`key=value` of `--set`. Raises `ConfigError`."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise ConfigError("--set", text, "must be key=value, such as log.retention.hours=24.", "the command line")
    return Setting(key.strip(), value, "--set")


def parse_file(path: str, text: str) -> Iterator[Setting]:
    """TOML if the name ends so, Java properties otherwise. Raises `ConfigError`."""
    if path.endswith(".toml"):
        import tomllib  # most starts have no such file

        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as problem:
            raise ConfigError(path, None, f"not a TOML file: {problem}.") from None
        broker = document.pop("broker", {})
        if not isinstance(broker, dict):
            raise ConfigError("broker", str(broker), "must be a table: [broker].", path)
        for key, value in [*_flat(document), *_flat(broker)]:
            yield Setting(key, _toml_text(key, value, path), path)
        return
    try:
        for entry in parse_properties(text):
            yield Setting(entry.key, entry.value, f"{path}:{entry.line}")
    except PropertiesError as problem:
        raise ConfigError(path, None, f"not a properties file: {problem}.") from None


def _all(
    file: tuple[str, str] | None, environment: Mapping[str, str], arguments: Iterable[Setting]
) -> Iterator[Setting]:
    if file is not None:
        yield from parse_file(*file)
    for key, value, variable in settings_of(environment):
        yield Setting(key, value, variable)
    yield from arguments


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _toml_text(key: str, value: Any, path: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        return ",".join(str(item) for item in value)
    raise ConfigError(key, str(value), "must be a text, a number, true, false, or a list of texts.", path)


def _notices(chosen: Mapping[str, Setting]) -> Iterator[Notice]:
    """Keys without effect: unknown, without meaning here, or overruled by another key with the same meaning."""
    from sprawl.config.inert import inert_definitions  # only where something is set that needs it

    overruled = _overruled(chosen)
    for key, setting in chosen.items():
        definition = BROKER_DEFINITIONS.get(key) or inert_definitions().get(key)
        if definition is None:
            yield Notice(key, setting.source, _unknown(key))
        elif definition.inert:
            yield Notice(key, setting.source, definition.inert)
        elif key in overruled:
            yield Notice(key, setting.source, f"{overruled[key]} is set too, and wins")


def _overruled(keys: Iterable[str]) -> dict[str, str]:
    """Of keys with one meaning the first set wins, in Kafka's order: the finer unit first."""
    found: dict[str, str] = {}
    given = set(keys)
    meanings = [[synonym.name for synonym in definition.synonyms] for definition in TOPIC_DEFINITIONS.values()]
    for names in [*meanings, ["log.dirs", "log.dir"], ["node.id", "broker.id"]]:
        first, *others = [name for name in names if name in given] or [""]
        found.update(dict.fromkeys(others, first))
    return found


def _unknown(key: str) -> str:
    import difflib

    from sprawl.config.inert import inert_definitions

    if key in TOPIC_DEFINITIONS:
        synonyms = TOPIC_DEFINITIONS[key].synonyms
        if synonyms:
            return f"a topic setting; its default for all topics is {synonyms[0].name}"
        return "a topic setting: set it on a topic"
    near = difflib.get_close_matches(key, [*BROKER_DEFINITIONS, *inert_definitions()], n=1)
    return f"unknown; did you mean {near[0]}?" if near else "unknown"
