"""What nodes say to each other by gossip. Data only; packets.py has the bytes.

A message is one packet. Whatever its kind, it carries rumours and digests as far as there is room.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from sprawl.overlay.members import NOBODY, Rumour

MAX_DIGEST_BYTES: Final = 256


class Kind(IntEnum):
    PING = 1
    """Are you `subject`, and alive?"""
    ACK = 2
    """Yes: I am `subject`; or, of a relay: it has told me so."""
    RELAY = 3
    """Ping `subject` for me (SWIM's ping-req)."""
    NACK = 4
    """I have pinged `subject` for you and have had no answer so far: it is not you who is cut off (Lifeguard)."""
    NEWS = 5
    """Rumours and digests only; wants no answer."""


@dataclass(frozen=True, slots=True)
class DigestNote:
    """A node's digest, as bytes that only digest.py reads. Of two, the one with greater life and version holds."""

    node_id: int
    life: int
    version: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Message:
    kind: Kind
    number: int = 0
    """The asker's own number of the probe; the answer has the same."""
    subject: int = NOBODY
    rumours: tuple[Rumour, ...] = ()
    digests: tuple[DigestNote, ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a node holds; what push-pull exchanges over TCP."""

    rumours: tuple[Rumour, ...]
    digests: tuple[DigestNote, ...]
