"""128-bit ids: as 22 characters, as Kafka writes them, and as new ones that stand for nothing yet."""

from __future__ import annotations

import base64
from collections.abc import Container
from typing import Final
from uuid import UUID

from sprawl.runtime import Runtime

_RESERVED: Final = frozenset(UUID(int=number) for number in range(100))
"""Kafka keeps these for itself: the metadata topic, directories that are unassigned, lost or migrating."""


def uuid_of(text: str) -> UUID:
    """From 22 characters of URL-safe base64. Raises `ValueError`."""
    return UUID(bytes=base64.urlsafe_b64decode(text + "=="))


def text_of(id_: UUID) -> str:
    return base64.urlsafe_b64encode(id_.bytes).decode().rstrip("=")


def new_uuid(runtime: Runtime, taken: Container[UUID] = ()) -> UUID:
    """A random one (version 4) whose text no command line takes for an option."""
    while True:
        made = UUID(bytes=runtime.token_bytes(16), version=4)
        if made not in _RESERVED and made not in taken and not text_of(made).startswith("-"):
            return made
