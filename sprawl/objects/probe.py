"""Whether an object store can be worked with, asked once at start, so that a wrong setting is named then.

In: a store, the cluster's id. Out: nothing, or an error of `sprawl.objects.errors` that says what to do: wrong
credentials, no such bucket, a right that is missing, a wrong clock, a store that does not keep conditions, a place of
another cluster. Leaves behind only the marker that says whose place it is. Never writes before it is sure that it may
delete, and never into another cluster's place.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import Final, Self

from sprawl.objects.contract import ObjectStore
from sprawl.objects.errors import Corrupt, ForeignBucket, NotFound, PreconditionFailed, Unsupported

MARKER: Final = "cluster.json"
TRIALS: Final = "probe/"
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Marker:
    """Whose place it is."""

    cluster_id: str
    created_ms: int

    def pack(self) -> bytes:
        told = {"format": _FORMAT, "cluster_id": self.cluster_id, "created_ms": self.created_ms}
        return json.dumps(told, indent=1).encode() + b"\n"

    @classmethod
    def parse(cls, raw: bytes, where: str) -> Self:
        try:
            told = json.loads(raw)
            if told["format"] != _FORMAT:
                raise Unsupported(
                    f"{MARKER} in {where} is of format {told['format']}, this node knows {_FORMAT}",
                    "A newer Sprawl wrote it: update this node",
                )
            return cls(str(told["cluster_id"]), int(told["created_ms"]))
        except (ValueError, KeyError, TypeError) as error:
            raise Corrupt(
                f"{MARKER} in {where} cannot be read", "Choose another prefix, or put the file right by hand"
            ) from error


async def read_marker(store: ObjectStore) -> Marker | None:
    """None: no cluster has been here."""
    try:
        return Marker.parse(await store.get(MARKER), store.url)
    except NotFound:
        return None


async def probe(store: ObjectStore, cluster_id: str, *, now_ms: int, trial: str) -> None:
    """`trial` is a random word, another one at each call."""
    key = f"{TRIALS}{trial}"
    await store.list(limit=1)  # a request whose refusals name their cause: credentials, bucket, clock
    await store.delete(key)  # nothing is there yet, but the right to delete is asked for all the same
    await _claim(store, cluster_id, now_ms)
    await _try_out(store, key)


async def _claim(store: ObjectStore, cluster_id: str, now_ms: int) -> None:
    found = await read_marker(store)
    if found is None:
        with contextlib.suppress(PreconditionFailed):  # another node was first: of this cluster, it is to be hoped
            await store.put(MARKER, Marker(cluster_id, now_ms).pack(), if_absent=True)
        found = await read_marker(store)
    if found is None or found.cluster_id != cluster_id:
        whose = "nobody" if found is None else found.cluster_id
        raise ForeignBucket(
            f"{store.url} belongs to the cluster {whose}, this node is of {cluster_id}",
            "Choose another bucket or prefix (sprawl.tier.url); to go on with that cluster's data: "
            "`sprawl-admin cluster restore`",
        )


async def _try_out(store: ObjectStore, key: str) -> None:
    """Put, read and delete as the tier does."""
    await store.put(key, b"probe", if_absent=True)
    try:
        await store.put(key, b"other", if_absent=True)
    except PreconditionFailed:
        pass
    else:
        raise Unsupported(
            f"{store.url} replaces objects that were to be put only if absent (If-None-Match has no effect)",
            "Use a store with conditional puts: AWS S3, MinIO, Ceph of the last years, or a directory",
        )
    finally:
        content = await store.get(key)
        await store.delete(key)
    if content != b"probe":
        raise Corrupt(f"{store.url} does not give back what was put", "Do not use this store")
    try:
        await store.head(key)
    except NotFound:
        return
    raise Unsupported(f"{store.url} still shows an object that was deleted", "Turn off object lock on this bucket")
