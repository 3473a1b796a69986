"""Kinds of damage, as changes of bytes.

In: what a file holds, what it held earlier, randomness. Out: what it holds after the damage; None: it is gone.
"""

from __future__ import annotations

import random
from enum import Enum
from typing import Final

PAGE: Final = 4096


class Damage(Enum):
    BIT_FLIP = "bit flip"
    TRUNCATION = "truncation"
    ZEROED_PAGE = "zeroed page"
    DUPLICATED_PAGE = "duplicated page"
    STALE = "stale version"
    MISSING = "missing"


def damaged(kind: Damage, data: bytes, earlier: bytes | None, rng: random.Random) -> bytes | None:
    """`earlier`: what the file held some time ago; None if it was not there. May return `data` itself: no damage."""
    match kind:
        case Damage.MISSING:
            return None
        case Damage.STALE:
            return earlier
        case Damage.TRUNCATION:
            return data[: rng.randrange(len(data))] if data else data
        case Damage.BIT_FLIP:
            if not data:
                return data
            at = rng.randrange(len(data))
            return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        case Damage.ZEROED_PAGE:
            start, size = _page(data, rng)
            return data[:start] + bytes(size) + data[start + size :]
        case Damage.DUPLICATED_PAGE:
            # A write that went to the wrong place: the page before lies where another should.
            start, size = _page(data, rng)
            other = start - size if start >= size else min(start + size, max(len(data) - size, 0))
            return data[:start] + data[other : other + size] + data[start + size :]


def _page(data: bytes, rng: random.Random) -> tuple[int, int]:
    """A whole page; of a small file a quarter of it."""
    size = PAGE if len(data) >= 2 * PAGE else max(1, len(data) // 4)
    return rng.randrange(max(1, len(data) // size)) * size, size
