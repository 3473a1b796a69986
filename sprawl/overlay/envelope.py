"""Packets that only nodes of the cluster can write or read, each for one receiver, and each only once.

In: messages as bytes, and packets from anyone. Out: packets, and messages with who sent them, or `Refused` with the
reason. No I/O. What is accepted was written by someone who holds the cluster's secret, for this life of this node, and
was not accepted before. What was recorded earlier, for another node or before this node's start, is refused.

    byte    bytes
    0       1       format, 0x53
    1       4       tag of the cluster: a hash of its id, which is no secret
    5       4, 8    sender's node id, and its life
    17      4, 8    receiver's node id, and its life
    29      6       sequence number, from 1 on in each life of the sender, over all receivers
    35      ...     the message, encrypted, and 16 bytes of Poly1305 (ChaCha20-Poly1305, RFC 8439)

All numbers are big-endian. The header is authenticated with the message. Each life of each node has a key of its own,
by HKDF-SHA256 (RFC 5869): salt is the cluster's id, the input is the secret, info is a label, node id and life. So the
sequence number alone makes every nonce unique under its key, whatever became of earlier runs of that node.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import Enum
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from sprawl.overlay.keys import expand, extract
from sprawl.overlay.members import Peer

FORMAT: Final = 0x53
HEADER: Final = struct.Struct(">B4siqiqHI")
OVERHEAD: Final = HEADER.size + 16
MAX_BYTES: Final = 1400
WINDOW: Final = 1024
"""How many sequence numbers below the highest seen may still arrive, out of order."""
_MOST_SENDERS: Final = 8192
_SEQUENCES: Final = 1 << 48
_LABEL: Final = b"sprawl gossip packets"


class Reason(Enum):
    """Why a packet is not for us. The text is for the log and names what to do, where anything is to be done."""

    NO_GOSSIP = "it is no gossip packet"
    TOO_LARGE = "it is larger than any gossip packet"
    OTHER_CLUSTER = "its sender belongs to another cluster: check sprawl.seeds, there and here"
    WRONG_SECRET = "it was damaged, forged, or sealed with another secret: compare the cluster.secret files"  # noqa: S105
    OTHER_NODE = "it is for another node: two of them may share an address"
    OTHER_LIFE = "it is for another run of this node: its sender has not heard yet that this node was started again"
    EARLIER_LIFE = "it is from an earlier run of its sender"
    REPLAYED = "it was received before"
    TOO_OLD = "it is too old to tell whether it was received before"
    TOO_MANY_SENDERS = "there are more senders than a cluster can have nodes"
    NO_MESSAGE = "it is from a node of this cluster, which seems to run another version"


class Refused(Exception):
    def __init__(self, reason: Reason, sender: int | None = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.sender = sender
        """Who claims to have sent it, where the packet says so."""


@dataclass(frozen=True, slots=True)
class Opened:
    sender: int
    life: int
    message: bytes


class Window:
    """Which sequence numbers were seen: the highest, and a bit for each of those below it (as RFC 4303, 3.4.3)."""

    __slots__ = ("_highest", "_seen")

    def __init__(self) -> None:
        self._highest = 0
        self._seen = 0

    def check(self, sequence: int) -> Reason | None:
        behind = self._highest - sequence
        if behind < 0:
            return None
        if behind >= WINDOW:
            return Reason.TOO_OLD
        return Reason.REPLAYED if self._seen >> behind & 1 else None

    def mark(self, sequence: int) -> None:
        ahead = sequence - self._highest
        if ahead > 0:
            self._seen = 1 if ahead >= WINDOW else (self._seen << ahead | 1) & ((1 << WINDOW) - 1)
            self._highest = sequence
        else:
            self._seen |= 1 << -ahead


@dataclass(slots=True)
class _Sender:
    life: int
    cipher: ChaCha20Poly1305
    window: Window


class Envelope:
    def __init__(self, secret: bytes, cluster_id: str, node_id: int, life: int) -> None:
        self._tag = hashlib.sha256(b"sprawl cluster\0" + cluster_id.encode()).digest()[:4]
        self._root = extract(secret, cluster_id)
        self._node_id = node_id
        self._senders: dict[int, _Sender] = {}
        self.life = life
        self._sequence = 0
        self._cipher = self._cipher_of(node_id, life)

    def begin_life(self, life: int) -> None:
        """This node's life has changed: its clock had been put back."""
        if life != self.life:
            self.life = life
            self._sequence = 0
            self._cipher = self._cipher_of(self._node_id, life)

    def seal(self, message: bytes, to: Peer) -> bytes:
        assert len(message) + OVERHEAD <= MAX_BYTES, f"a message of {len(message)} bytes"
        self._sequence += 1
        assert self._sequence < _SEQUENCES
        header = HEADER.pack(
            FORMAT,
            self._tag,
            self._node_id,
            self.life,
            to.node_id,
            to.life,
            self._sequence >> 32,
            self._sequence & 0xFFFFFFFF,
        )
        return header + self._cipher.encrypt(_nonce(self._sequence), message, header)

    def open(self, packet: bytes) -> Opened:
        """Raises `Refused`. What is cheap to see is looked at first; nothing is remembered of what is not genuine."""
        if len(packet) > MAX_BYTES:
            raise Refused(Reason.TOO_LARGE)
        if len(packet) < OVERHEAD or packet[0] != FORMAT:
            raise Refused(Reason.NO_GOSSIP)
        _, tag, sender_id, life, receiver, receiver_life, high, low = HEADER.unpack_from(packet)
        sequence = high << 32 | low
        if tag != self._tag:
            raise Refused(Reason.OTHER_CLUSTER, sender_id)
        if receiver != self._node_id:
            raise Refused(Reason.OTHER_NODE, sender_id)
        if receiver_life != self.life:
            raise Refused(Reason.OTHER_LIFE, sender_id)
        sender = self._senders.get(sender_id)
        if sender is not None and life < sender.life:
            raise Refused(Reason.EARLIER_LIFE, sender_id)
        if sender is None or life > sender.life:
            sender = _Sender(life, self._cipher_of(sender_id, life), Window())
        reason = sender.window.check(sequence)
        if reason is not None:
            raise Refused(reason, sender_id)
        try:
            message = sender.cipher.decrypt(_nonce(sequence), packet[HEADER.size :], packet[: HEADER.size])
        except InvalidTag:
            raise Refused(Reason.WRONG_SECRET, sender_id) from None
        if sender_id not in self._senders and len(self._senders) >= _MOST_SENDERS:
            raise Refused(Reason.TOO_MANY_SENDERS, sender_id)
        sender.window.mark(sequence)
        self._senders[sender_id] = sender
        return Opened(sender_id, life, message)

    def _cipher_of(self, node_id: int, life: int) -> ChaCha20Poly1305:
        return ChaCha20Poly1305(expand(self._root, _LABEL + struct.pack(">qq", node_id, life)))


def _nonce(sequence: int) -> bytes:
    return sequence.to_bytes(12, "big")
