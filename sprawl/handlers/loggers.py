"""This node's loggers as a resource with settings: which there are, how much each says, and changing that.

In: names and Kafka's level names. Out: levels, or an `ApiError`. Changes last until the node stops.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from sprawl.quorum.config_changes import ConfigChange, ConfigOperation
from sprawl_protocol.errors import ApiError, ErrorCode

ROOT: Final = "root"
_LEVELS: Final = {
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "FATAL": logging.CRITICAL,
    "OFF": logging.CRITICAL + 10,
}


def levels() -> dict[str, str]:
    """The level in force for each logger, by name."""
    names = [ROOT, *sorted(logging.root.manager.loggerDict)]
    return {name: level_name(_logger(name).getEffectiveLevel()) for name in names}


def level_name(level: int) -> str:
    """Kafka's name of the least severe messages that are let through."""
    for name in ("DEBUG", "INFO", "WARN", "ERROR", "FATAL"):
        if level <= _LEVELS[name]:
            return name
    return "OFF"


def change(changes: Sequence[ConfigChange], *, validate_only: bool) -> None:
    """All or none. Raises `ApiError`."""
    for each in changes:
        _check(each)
    if validate_only:
        return
    for each in changes:
        level = logging.NOTSET if each.value is None else _LEVELS[each.value]
        _logger(each.name).setLevel(level)


def _check(wanted: ConfigChange) -> None:
    if wanted.name != ROOT and wanted.name not in logging.root.manager.loggerDict:
        raise ApiError(ErrorCode.INVALID_CONFIG, f"Logger {wanted.name} does not exist.")
    match wanted.operation:
        case ConfigOperation.SET if wanted.value not in _LEVELS:
            raise ApiError(
                ErrorCode.INVALID_CONFIG,
                f"Cannot set the level of {wanted.name} to {wanted.value}; it must be one of {', '.join(_LEVELS)}.",
            )
        case ConfigOperation.DELETE if wanted.name == ROOT:
            raise ApiError(ErrorCode.INVALID_REQUEST, "Removing the level of the root logger is not allowed.")
        case ConfigOperation.APPEND | ConfigOperation.SUBTRACT:
            raise ApiError(
                ErrorCode.INVALID_REQUEST, f"{wanted.operation.name} is not allowed for a logger; use SET or DELETE."
            )


def _logger(name: str) -> logging.Logger:
    return logging.getLogger(None if name == ROOT else name)
