"""Who a node is: its number, its cluster, and its data directory's own id.

In: the small state kept in the data directory. Out: an `Identity`, made at the first start or by `sprawl format`, and
never changed after. A new disk has a new directory id, and so is a new voter.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from sprawl.config.errors import ConfigError

if TYPE_CHECKING:
    from sprawl.runtime import Runtime, SmallState

STATE_FILE: Final = "node.sqlite"
"""In the data directory; readable with any SQLite tool."""
LOCK_FILE: Final = ".lock"
"""Locked by whoever uses the directory; Kafka's name for it."""
SECRET_FILE: Final = "cluster.secret"  # noqa: S105 - a file name
_SECRET_BYTES: Final = 32
_LEAST_SECRET_BYTES: Final = 16
_KEY: Final = "identity"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Identity:
    cluster_id: str
    node_id: int
    directory_id: str
    """A UUID as Kafka writes them: 22 characters of URL-safe base64."""


def new_id(runtime: Runtime) -> str:
    """A random UUID (version 4) in Kafka's spelling; never one that a command line would take for an option."""
    while True:
        raw = bytearray(runtime.token_bytes(16))
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        text = base64.urlsafe_b64encode(raw).decode().rstrip("=")
        if not text.startswith("-"):
            return text


def new_secret(runtime: Runtime) -> bytes:
    """A secret for a new cluster, as its file holds it: one line of base64."""
    return base64.b64encode(runtime.token_bytes(_SECRET_BYTES)) + b"\n"


def secret_in(text: bytes, path: str) -> bytes:
    """The secret of a file with `text` at `path`. Raises `ConfigError`, which does not show it."""
    try:
        secret = base64.b64decode(b"".join(text.split()), validate=True)
    except binascii.Error:
        secret = b""
    if len(secret) < _LEAST_SECRET_BYTES:
        raise ConfigError(
            "cluster secret",
            path,
            f"must be base64 of at least {_LEAST_SECRET_BYTES} bytes, such as the {SECRET_FILE} that another node has.",
        )
    return secret


def check_cluster_id(text: str) -> str:
    """Raises `ConfigError`."""
    if not _ID.fullmatch(text):
        raise ConfigError("cluster id", text, "must be 22 characters of A-Z, a-z, 0-9, _ and -.")
    return text


def identity_in(state: SmallState) -> Identity | None:
    found = state.get(_KEY)
    return None if found is None else Identity(**found)


def establish(
    state: SmallState, runtime: Runtime, *, node_id: int | None = None, default_node_id: int = 1, cluster_id: str = ""
) -> Identity:
    """The identity in `state`, made if there is none. `node_id` and `cluster_id` must agree with it if they are given.

    Raises `ConfigError`.
    """
    found = identity_in(state)
    if found is None:
        found = Identity(
            cluster_id=check_cluster_id(cluster_id) if cluster_id else new_id(runtime),
            node_id=default_node_id if node_id is None else node_id,
            directory_id=new_id(runtime),
        )
        state[_KEY] = asdict(found)
    if node_id is not None and node_id != found.node_id:
        raise ConfigError(
            "node.id",
            str(node_id),
            f"the data directory belongs to node {found.node_id}; use that, or another directory.",
        )
    if cluster_id and cluster_id != found.cluster_id:
        raise ConfigError(
            "cluster id",
            cluster_id,
            f"the data directory belongs to cluster {found.cluster_id}; use another directory.",
        )
    return found
