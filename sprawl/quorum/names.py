"""Which names a topic may have. Kafka's rules: the names become directory names and metric names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from sprawl.quorum.delta import metric_name
from sprawl.quorum.image import METADATA_TOPIC
from sprawl_protocol.errors import ApiError, ErrorCode

MAX_NAME_LENGTH: Final = 249
_LEGAL: Final = re.compile(r"[a-zA-Z0-9._-]+", re.ASCII)


def check_topic_name(name: str) -> None:
    """Raises `ApiError(INVALID_TOPIC_EXCEPTION)`."""
    problem = _problem(name)
    if problem:
        raise ApiError(ErrorCode.INVALID_TOPIC_EXCEPTION, problem)


def is_topic_name(name: str) -> bool:
    return not _problem(name)


def _problem(name: str) -> str:
    if not name:
        return "A topic name cannot be empty."
    if name in (".", ".."):
        return f"A topic name cannot be {name!r}: it becomes the name of a directory."
    if len(name) > MAX_NAME_LENGTH:
        return f"A topic name cannot be longer than {MAX_NAME_LENGTH} characters; this one has {len(name)}."
    if not _LEGAL.fullmatch(name):
        return f"Topic name {name!r} has other characters than ASCII letters, digits, '.', '_' and '-'."
    return ""


def check_new_topic_name(name: str, lookalikes: Mapping[str, frozenset[str]]) -> None:
    """As `check_topic_name`; nor may two topics differ in '.' and '_' alone, which metrics cannot tell apart.

    Raises `ApiError`.
    """
    check_topic_name(name)
    if name == METADATA_TOPIC:
        raise ApiError(ErrorCode.INVALID_REQUEST, f"{name} is the cluster's own and cannot be created.")
    alike = lookalikes.get(metric_name(name), frozenset()) - {name}
    if alike:
        raise ApiError(
            ErrorCode.INVALID_TOPIC_EXCEPTION,
            f"Topic {name!r} collides with the existing topic {min(alike)!r}: they differ in '.' and '_' alone.",
        )
