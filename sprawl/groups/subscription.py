"""Which topics a member of protocol type `consumer` subscribes to, read out of its opaque metadata.

In: the bytes that a consumer put into JoinGroup (`ConsumerProtocolSubscription`; every version begins as version 0
does, so version 0 is all that is read). Out: the set of topic names, or None if the bytes do not follow that format.
Nothing else of the metadata is ever looked at: assignment is the clients' business.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

CONSUMER_PROTOCOL_TYPE: Final = "consumer"

_VERSION_AND_COUNT = Struct(">hi")
_LENGTH = Struct(">h")


def topics_of(metadata: bytes) -> frozenset[str] | None:
    if len(metadata) < _VERSION_AND_COUNT.size:
        return None
    version, count = _VERSION_AND_COUNT.unpack_from(metadata, 0)
    position = _VERSION_AND_COUNT.size
    if version < 0 or count < 0 or count * _LENGTH.size > len(metadata) - position:
        return None
    topics = set()
    for _ in range(count):
        if position + _LENGTH.size > len(metadata):
            return None
        (length,) = _LENGTH.unpack_from(metadata, position)
        position += _LENGTH.size
        if length < 0 or position + length > len(metadata):
            return None
        try:
            topics.add(metadata[position : position + length].decode())
        except UnicodeDecodeError:
            return None
        position += length
    return frozenset(topics)
