"""A large object, piece by piece: for copying to another store, restoring, verifying.

In: a store, a key. Out: the object's bytes in order, all of one and the same put, checked as a whole at the end. Never
more than one piece in memory. What was given before `Corrupt` is raised is not to be used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from crc32c import crc32c as checksum

from sprawl.objects.contract import ObjectStore
from sprawl.objects.errors import Corrupt

PIECE_BYTES: Final = 8 * 1024 * 1024


async def stream(
    store: ObjectStore, key: str, *, crc32c: int | None = None, piece_bytes: int = PIECE_BYTES
) -> AsyncIterator[bytes]:
    """`crc32c`: of the whole, as the caller knows it; without it the store's own is taken, if it holds one.

    Raises `NotFound`, and `PreconditionFailed` if the object is replaced meanwhile.
    """
    info = await store.head(key)
    wanted = info.crc32c if crc32c is None else crc32c
    actual = 0
    for start in range(0, info.size, piece_bytes):
        piece = await store.get(key, start, piece_bytes, etag=info.etag)
        actual = checksum(piece, actual)
        yield piece
    if wanted is not None and actual != wanted:
        raise Corrupt(
            f"the bytes of {key} in {store.url} are not those that were put (CRC-32C {actual:08x}, "
            f"{wanted:08x} expected)",
            "Repair it from a replica or the second region; `sprawl-admin tier verify` lists what else is bad",
        )
