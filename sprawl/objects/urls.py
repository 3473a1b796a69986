"""Where an object store is (`sprawl.tier.url`): `file:///directory` or `s3://bucket/prefix`.

In: text. Out: a `Location`, or `BadUrl` saying what is allowed. Nothing is opened here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from sprawl.objects.contract import check_prefix
from sprawl.objects.errors import InvalidKey

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_ALLOWED: Final = "it must be file:///a/directory or s3://bucket/prefix"


class BadUrl(ValueError):
    """Not the address of an object store."""


@dataclass(frozen=True, slots=True)
class DirectoryAt:
    path: str


@dataclass(frozen=True, slots=True)
class BucketAt:
    bucket: str
    prefix: str
    """Empty, or ending with a slash."""


Location = DirectoryAt | BucketAt


def parse_url(text: str) -> Location:
    parts = urlsplit(text.strip())
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise BadUrl(
            f"{parts.scheme}://...: {_ALLOWED}, and nothing else in it: endpoint and credentials are taken from "
            "AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and so on, as by any AWS tool"
        )
    if parts.scheme == "file":
        path = unquote(parts.path).rstrip("/")
        if parts.netloc not in ("", "localhost") or not path or "\0" in path or ".." in path.split("/"):
            raise BadUrl(f"{text}: {_ALLOWED}; the directory's path is absolute, after three slashes")
        return DirectoryAt(path)
    if parts.scheme == "s3":
        if not _BUCKET.fullmatch(parts.netloc):
            raise BadUrl(f"{text}: {_ALLOWED}; a bucket's name has 3 to 63 of a-z 0-9 . -")
        prefix = parts.path.strip("/")
        try:
            check_prefix(prefix)
        except InvalidKey as error:
            raise BadUrl(f"{text}: {error.what}; {_ALLOWED}") from error
        return BucketAt(parts.netloc, f"{prefix}/" if prefix else "")
    raise BadUrl(f"{text}: {_ALLOWED}")
