"""What an object store does for its callers, and what a backend must do beneath.

Objects are immutable bytes under a name; a put is there whole or not at all. Two layers: a `Backend` makes one
attempt at one request; `sprawl.objects.store.Store` stands on any backend and gives `ObjectStore`: retries, deadlines,
bounds and multipart uploads. Every checksum here is the CRC-32C of an object's whole content.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sprawl.objects.errors import InvalidKey
from sprawl.runtime import Buffer

LONGEST_KEY: Final = 512
LONGEST_PART: Final = 255
_KEY: Final = re.compile(r"(?!\.)[A-Za-z0-9._=,+@-]+(/(?!\.)[A-Za-z0-9._=,+@-]+)*", re.ASCII)
_PREFIX: Final = re.compile(r"((?!\.)[A-Za-z0-9._=,+@-]+/)*((?!\.)[A-Za-z0-9._=,+@-]+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store knows of an object without reading it."""

    key: str
    size: int
    etag: str
    """Another one for other bytes; for `if_match`."""
    modified_ms: int
    crc32c: int | None = None
    """None where the store holds none of the whole content (objects that others put)."""
    mark: str = ""
    """What the put gave as `mark`."""


@dataclass(frozen=True, slots=True)
class Listed:
    key: str
    size: int
    modified_ms: int


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the objects under a prefix, in the order of their keys' bytes."""

    objects: tuple[Listed, ...]
    after: str | None
    """Ask on with this; None: that was all."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart upload under way."""

    key: str
    id: str
    started_ms: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    """From 1."""
    size: int
    etag: str
    crc32c: int


@dataclass(frozen=True, slots=True)
class Condition:
    """When a put may take effect; both unset: always."""

    if_absent: bool = False
    if_match: str | None = None

    def __post_init__(self) -> None:
        if self.if_absent and self.if_match is not None:
            raise ValueError("an object cannot be absent and match an etag")

    @property
    def is_set(self) -> bool:
        return self.if_absent or self.if_match is not None


ALWAYS: Final = Condition()


class Backend(Protocol):
    """One attempt each; raises the errors of `sprawl.objects.errors`. Keys are checked before they get here."""

    @property
    def url(self) -> str:
        """Where this is, as a person would name it; without secrets."""
        ...

    @property
    def parts_at_once(self) -> int:
        """How many parts of one upload may be sent at the same time."""
        ...

    async def put(self, key: str, data: Buffer, crc32c: int, condition: Condition, mark: str) -> ObjectInfo: ...

    async def get(self, key: str, start: int, size: int | None, etag: str | None) -> tuple[bytes, ObjectInfo]:
        """The bytes from `start`, `size` of them or all; fewer where the object ends, none beyond.

        The info may be without crc32c and mark unless the whole object was asked for. With `etag`: of that very
        object, otherwise `PreconditionFailed`.
        """
        ...

    async def head(self, key: str) -> ObjectInfo: ...

    async def list(self, prefix: str, after: str | None, limit: int) -> Page:
        """Any object whose key begins with `prefix`, from behind the key or token `after` on."""
        ...

    async def delete(self, key: str) -> None:
        """No error if it is not there."""
        ...

    async def delete_many(self, keys: Sequence[str]) -> None: ...

    async def copy(self, source: str, target: str) -> ObjectInfo: ...

    async def begin_upload(self, key: str, mark: str) -> Upload: ...

    async def put_part(self, upload: Upload, number: int, offset: int, data: Buffer, crc32c: int) -> Part:
        """The same part may come again."""
        ...

    async def complete_upload(
        self, upload: Upload, parts: Sequence[Part], crc32c: int, condition: Condition, mark: str
    ) -> ObjectInfo: ...

    async def abort_upload(self, upload: Upload) -> None:
        """No error if there is none."""
        ...

    async def uploads(self, prefix: str) -> Sequence[Upload]:
        """What was begun and neither completed nor aborted."""
        ...

    async def close(self) -> None: ...


class ObjectStore(Protocol):
    """What the tier uses. Each call ends within a deadline, with a result or an error of `sprawl.objects.errors`."""

    @property
    def url(self) -> str: ...

    async def put(
        self,
        key: str,
        data: Buffer,
        *,
        crc32c: int | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> ObjectInfo:
        """Raises `Corrupt` if `crc32c` is not that of `data`, `PreconditionFailed` if the condition does not hold."""
        ...

    async def put_stream(
        self,
        key: str,
        source: AsyncIterable[Buffer],
        *,
        crc32c: int | None = None,
        if_absent: bool = False,
        if_match: str | None = None,
    ) -> ObjectInfo:
        """Put what `source` gives, in parts; nothing is there until all of it is, and nothing is left if it fails."""
        ...

    async def get(
        self,
        key: str,
        start: int = 0,
        size: int | None = None,
        *,
        crc32c: int | None = None,
        etag: str | None = None,
    ) -> bytes:
        """The whole, checked against the checksum the store holds, or a range; checked against `crc32c` if given.

        It is held in memory: read large objects range by range.
        """
        ...

    async def head(self, key: str) -> ObjectInfo:
        """Raises `NotFound`."""
        ...

    async def list(self, prefix: str = "", *, after: str | None = None, limit: int = 1000) -> Page: ...

    async def delete(self, key: str) -> None: ...

    async def delete_many(self, keys: Sequence[str]) -> None: ...

    async def copy(self, source: str, target: str) -> ObjectInfo: ...

    async def uploads(self, prefix: str = "") -> Sequence[Upload]: ...

    async def abort_upload(self, upload: Upload) -> None: ...

    async def close(self) -> None: ...


def check_key(key: str) -> str:
    """Names are plain: nothing in them can leave a directory, end a header or need quoting."""
    if len(key) > LONGEST_KEY or not _KEY.fullmatch(key) or max(map(len, key.split("/"))) > LONGEST_PART:
        raise InvalidKey(
            f"{key[:80]!r} cannot be an object's name",
            f"Names have at most {LONGEST_KEY} characters: A-Z a-z 0-9 . _ = , + @ - in parts divided by single "
            f"slashes, each of at most {LONGEST_PART} characters, none beginning with a dot",
        )
    return key


def check_prefix(prefix: str) -> str:
    if len(prefix) > LONGEST_KEY or not _PREFIX.fullmatch(prefix):
        raise InvalidKey(f"{prefix[:80]!r} cannot begin an object's name", "See what names there can be")
    return prefix
