"""Features whose level the cluster agrees on (KIP-584): what this software can do, and what it was told to.

Only what works is named here; a client believes it. In: the finalized levels of an image. Out: whether this node may
take part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sprawl_protocol.errors import ApiError, ErrorCode

METADATA_VERSION: Final = "metadata.version"
"""Which records, in which versions, the metadata log may hold. Levels are Kafka's: 29 is 4.2-IV1."""

SUPPORTED: Final[Mapping[str, tuple[int, int]]] = {METADATA_VERSION: (25, 29), "kraft.version": (1, 1)}
"""The least and greatest level of each feature that this software has."""
INITIAL: Final[Mapping[str, int]] = {METADATA_VERSION: 29}
"""What a new cluster begins with. The level of `kraft.version` stands in a control record instead."""


class FeatureError(ApiError):
    """The cluster uses what this software does not have: it must not take part."""


def check_features(finalized: Mapping[str, int]) -> None:
    """Raises `FeatureError`."""
    for name, level in finalized.items():
        least, greatest = SUPPORTED.get(name, (0, 0))
        if not least <= level <= greatest:
            known = f"knows levels {least} to {greatest}" if name in SUPPORTED else "does not know it"
            raise FeatureError(
                ErrorCode.UNSUPPORTED_VERSION,
                f"the cluster has {name} at level {level}, and this version of the software {known}: start a newer one",
            )
