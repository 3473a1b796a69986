"""Push-pull: two nodes tell each other over TCP all they know, after each has proved that it is of the cluster.

In: frames and answers to them, who this node is, its snapshot. Out: who the other is and what it knows, or `Unwelcome`
with what is wrong; both sides are told. The proof is that of security/peers.py; what follows is sealed under keys that
only this conversation has. Each frame has one answer, so that it can travel in requests of Kafka's protocol
(exchanges.py), over the port where a node serves its clients.

    client                                         server
    hello                                  ------>
                                           <------  0 challenge, or 1 and why not
    proof                                  ------>
                                           <------  0, or 1 and why not
    snapshot, sealed                       ------>
                                           <------  snapshot with what the client's brought, sealed
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from sprawl.overlay.keys import expand, extract
from sprawl.overlay.messages import Snapshot
from sprawl.overlay.packets import MAX_SNAPSHOT_BYTES, decode_snapshot, encode_snapshot
from sprawl.security.peers import (
    MAX_MESSAGE_BYTES,
    NONCE_BYTES,
    ConnectedToItself,
    PeerClientHandshake,
    PeerIdentity,
    PeerRefused,
    PeerServerHandshake,
)
from sprawl_protocol.errors import ProtocolError

_TAG_BYTES: Final = 16
_LABEL: Final = b"sprawl gossip push-pull"
_CLIENT_NONCE: Final = bytes(12)
_SERVER_NONCE: Final = bytes(11) + b"\x01"
_YES: Final = b"\x00"
_NO: Final = b"\x01"

Say = Callable[[bytes], Awaitable[bytes]]
"""Sends a frame and gives the answer to it."""


class Unwelcome(Exception):
    """One of the two will not have the other. The text says why, and what to do."""


class MetItself(Unwelcome):
    """The other is this node: one of its seeds is its own address."""


class Garbled(Exception):
    """What came is nothing that a push-pull can go on with."""


@dataclass(frozen=True, slots=True)
class Credentials:
    identity: PeerIdentity
    secret: bytes
    token_bytes: Callable[[int], bytes]


async def offer(say: Say, mine: Credentials, snapshot: Callable[[], Snapshot]) -> tuple[PeerIdentity, Snapshot]:
    """The side that connected. Raises `Unwelcome`, `Garbled`, and what `say` raises."""
    server, cipher = await _proved(say, mine)
    answer = await say(cipher.encrypt(_CLIENT_NONCE, encode_snapshot(snapshot()), None))
    return server, _snapshot_in(answer, cipher, _SERVER_NONCE)


async def knock(say: Say, mine: Credentials) -> PeerIdentity:
    """Who is there, as it has proved; nothing is exchanged. Raises as `offer`."""
    server, _ = await _proved(say, mine)
    return server


async def _proved(say: Say, mine: Credentials) -> tuple[PeerIdentity, ChaCha20Poly1305]:
    handshake = PeerClientHandshake(mine.identity, mine.secret, mine.token_bytes(NONCE_BYTES))
    hello = handshake.hello()
    challenge = _accepted(await say(hello))
    try:
        proof = handshake.answer(challenge)
        verdict = await say(proof)  # even to one that is not believed, so that it learns what is wrong
        server = handshake.server()
    except PeerRefused as problem:
        raise _unwelcome(problem) from problem
    _accepted(verdict)
    return server, _cipher(mine, hello, challenge, proof)


class Answering:
    """The side that was connected to: `reply` to three frames. What it refuses, it says to the other and in `refusal`.

    `welcome` may still raise `PeerRefused`; `merged` takes what the other knows and gives what it is to know.
    """

    def __init__(
        self,
        mine: Credentials,
        welcome: Callable[[PeerIdentity], None],
        merged: Callable[[PeerIdentity, Snapshot], Snapshot],
    ) -> None:
        self._mine = mine
        self._welcome = welcome
        self._merged = merged
        self._handshake = PeerServerHandshake(mine.identity, mine.secret, mine.token_bytes(NONCE_BYTES))
        self._said: tuple[bytes, bytes] = b"", b""
        self._cipher: ChaCha20Poly1305 | None = None
        self.client: PeerIdentity | None = None
        """Who the other has proved to be."""
        self.refusal: Unwelcome | None = None
        self.over = False
        """Nothing more is answered."""

    def reply(self, frame: bytes) -> bytes:
        """Raises `Garbled`."""
        if self.over:
            raise Garbled("this push-pull is over")
        try:
            if self._cipher is not None:
                self.over = True
                return self._exchanged(frame, self._cipher)
            return _YES + (self._proved(frame) if self._handshake.begun else self._challenge(frame))
        except PeerRefused as problem:
            self.over = True
            self.refusal = _unwelcome(problem)
            return _NO + str(problem).encode()[:MAX_MESSAGE_BYTES]

    def _challenge(self, hello: bytes) -> bytes:
        challenge = self._handshake.challenge(hello)
        self._said = hello, challenge
        return challenge

    def _proved(self, proof: bytes) -> bytes:
        client = self._handshake.accept(proof)
        self._welcome(client)
        self.client = client
        self._cipher = _cipher(self._mine, *self._said, proof)
        return b""

    def _exchanged(self, sealed: bytes, cipher: ChaCha20Poly1305) -> bytes:
        assert self.client is not None, "there are no keys before the proof"
        theirs = _snapshot_in(sealed, cipher, _CLIENT_NONCE)
        return cipher.encrypt(_SERVER_NONCE, encode_snapshot(self._merged(self.client, theirs)), None)


def _unwelcome(problem: PeerRefused) -> Unwelcome:
    return (MetItself if isinstance(problem, ConnectedToItself) else Unwelcome)(str(problem))


def _snapshot_in(sealed: bytes, cipher: ChaCha20Poly1305, nonce: bytes) -> Snapshot:
    if len(sealed) > MAX_SNAPSHOT_BYTES + _TAG_BYTES:
        raise Garbled(f"a snapshot of {len(sealed)} bytes; {MAX_SNAPSHOT_BYTES} is the limit")
    try:
        return decode_snapshot(cipher.decrypt(nonce, sealed, None))
    except InvalidTag:
        raise Garbled("what came was changed on its way") from None
    except ProtocolError as problem:
        raise Garbled(f"no snapshot: {problem}") from problem


def _accepted(frame: bytes) -> bytes:
    if frame[:1] == _NO:
        raise Unwelcome("".join(filter(str.isprintable, frame[1:].decode("utf-8", "replace"))))
    if frame[:1] != _YES:
        raise Garbled("what is there does not speak gossip")
    return frame[1:]


def _cipher(mine: Credentials, hello: bytes, challenge: bytes, proof: bytes) -> ChaCha20Poly1305:
    """Both nonces are in what was said, so no two conversations have the same key."""
    said = hashlib.sha256()
    for part in (hello, challenge, proof):
        said.update(len(part).to_bytes(4, "big") + part)
    return ChaCha20Poly1305(expand(extract(mine.secret, mine.identity.cluster_id), _LABEL + said.digest()))
