"""Settings of consumer, share and streams groups, and of client telemetry subscriptions.

What DescribeConfigs tells of GROUP and CLIENT_METRICS resources, and what IncrementalAlterConfigs checks for them.
In: a key and its text. Out: nothing, or an `ApiError` with INVALID_CONFIG. None of them acts yet: the group kinds they
belong to are not built.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sprawl.config.definitions import Allowed, ConfigType, Definition, InvalidValueError, Value, at_least, one_of
from sprawl_protocol.errors import ApiError, ErrorCode

_CONSUMER: Final = "the consumer group protocol of KIP-848 is not built yet"
_SHARE: Final = "share groups are not built yet"
_STREAMS: Final = "streams groups are not built yet"
_TELEMETRY: Final = "client telemetry is not built yet"
_INT, _LONG, _BOOLEAN, _STRING, _LIST = (
    ConfigType.INT,
    ConfigType.LONG,
    ConfigType.BOOLEAN,
    ConfigType.STRING,
    ConfigType.LIST,
)


def _table(*rows: tuple[str, ConfigType, Value, Allowed | None, str, str]) -> dict[str, Definition]:
    return {
        name: Definition(name, kind, default, doc, allowed, inert=inert)
        for name, kind, default, allowed, doc, inert in rows
    }


def _hidden(*rows: tuple[str, ConfigType, Value, Allowed | None, str, str]) -> dict[str, Definition]:
    return {
        name: Definition(name, kind, default, doc, allowed, inert=inert, internal=True)
        for name, kind, default, allowed, doc, inert in rows
    }


_ONE: Final = at_least(1)
_ZERO: Final = at_least(0)

GROUP_DEFINITIONS: Final[Mapping[str, Definition]] = {
    **_table(
        ("consumer.assignment.interval.ms", _INT, 1000, _ZERO, "Shortest time between assignments.", _CONSUMER),
        ("consumer.heartbeat.interval.ms", _INT, 5000, _ONE, "How often members report.", _CONSUMER),
        ("consumer.session.timeout.ms", _INT, 45_000, _ONE, "A member silent for so long is out.", _CONSUMER),
        ("errors.deadletterqueue.copy.record.enable", _BOOLEAN, False, None, "Copy the record itself too.", _SHARE),
        ("errors.deadletterqueue.topic.name", _STRING, "", None, "Where undeliverable records go.", _SHARE),
        ("share.assignment.interval.ms", _INT, 1000, _ZERO, "Shortest time between assignments.", _SHARE),
        (
            "share.auto.offset.reset",
            _STRING,
            "latest",
            Allowed(
                "latest, earliest or by_duration:<ISO 8601 duration>",
                lambda text: text in ("latest", "earliest") or text.startswith("by_duration:P"),
            ),
            "Where a new group starts.",
            _SHARE,
        ),
        ("share.delivery.count.limit", _INT, 5, _ONE, "How often a record is delivered at most.", _SHARE),
        ("share.heartbeat.interval.ms", _INT, 5000, _ONE, "How often members report.", _SHARE),
        (
            "share.isolation.level",
            _STRING,
            "read_uncommitted",
            one_of("read_uncommitted", "read_committed"),
            "Whether open and aborted transactions are seen.",
            _SHARE,
        ),
        ("share.partition.max.record.locks", _INT, 2000, _ONE, "Records of a partition in delivery at once.", _SHARE),
        ("share.record.lock.duration.ms", _INT, 30_000, _ONE, "How long a member may hold a record.", _SHARE),
        ("share.renew.acknowledge.enable", _BOOLEAN, True, None, "Whether a member may prolong its hold.", _SHARE),
        ("share.session.timeout.ms", _INT, 45_000, _ONE, "A member silent for so long is out.", _SHARE),
        ("streams.assignment.interval.ms", _INT, 1000, _ZERO, "Shortest time between assignments.", _STREAMS),
        ("streams.assignor.name", _STRING, None, None, "Which assignor is used.", _STREAMS),
        ("streams.heartbeat.interval.ms", _INT, 5000, _ONE, "How often members report.", _STREAMS),
        ("streams.initial.rebalance.delay.ms", _INT, 3000, _ZERO, "How long a new group waits for members.", _STREAMS),
        ("streams.num.standby.replicas", _INT, 0, _ZERO, "Standby copies of each task.", _STREAMS),
        ("streams.rack.aware.assignment.tags", _LIST, (), None, "Client tags that tell racks apart.", _STREAMS),
        ("streams.session.timeout.ms", _INT, 45_000, _ONE, "A member silent for so long is out.", _STREAMS),
    ),
    **_hidden(
        ("consumer.assignor.offload.enable", _BOOLEAN, True, None, "Assign off the main thread.", _CONSUMER),
        ("share.assignor.offload.enable", _BOOLEAN, True, None, "Assign off the main thread.", _SHARE),
        ("streams.acceptable.recovery.lag", _LONG, 10_000, _ZERO, "Lag at which a task is caught up.", _STREAMS),
        ("streams.assignor.offload.enable", _BOOLEAN, True, None, "Assign off the main thread.", _STREAMS),
        ("streams.num.warmup.replicas", _INT, 2, _ONE, "Extra copies while tasks move.", _STREAMS),
        ("streams.task.offset.interval.ms", _INT, 60_000, _ONE, "How often task offsets are reported.", _STREAMS),
    ),
}

CLIENT_METRICS_DEFINITIONS: Final[Mapping[str, Definition]] = _table(
    (
        "interval.ms",
        _INT,
        300_000,
        Allowed("from 100 to 3600000", lambda ms: 100 <= ms <= 3_600_000),
        "How often clients push.",
        _TELEMETRY,
    ),
    ("match", _LIST, (), None, "Which clients: `name=pattern` pairs.", _TELEMETRY),
    ("metrics", _LIST, (), None, "Which metrics, by prefix.", _TELEMETRY),
)


def validate_group_config(name: str, value: str | None) -> None:
    """Raises `ApiError`."""
    _validate(GROUP_DEFINITIONS, "group", name, value)


def validate_client_metrics_config(name: str, value: str | None) -> None:
    """Raises `ApiError`."""
    _validate(CLIENT_METRICS_DEFINITIONS, "client metrics", name, value)


def _validate(definitions: Mapping[str, Definition], kind: str, name: str, value: str | None) -> None:
    definition = definitions.get(name)
    if definition is None:
        raise ApiError(ErrorCode.INVALID_CONFIG, f"Unknown {kind} config name: {name}.")
    if value is None:
        raise ApiError(ErrorCode.INVALID_CONFIG, f"{name}: a value is needed; delete the key to unset it.")
    try:
        definition.parse(value)
    except InvalidValueError as problem:
        raise ApiError(
            ErrorCode.INVALID_CONFIG, f"Invalid value {value} for configuration {name}: {problem}."
        ) from None
