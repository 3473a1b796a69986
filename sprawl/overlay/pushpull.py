"""Push-pull: two nodes tell each other over TCP all they know, after each has proved that it is of the cluster.

In: a stream, who this node is, its snapshot. Out: who the other is and what it knows, or `Unwelcome` with what is
wrong; both sides are told. The proof is that of security/peers.py; what follows is sealed under keys that only this
connection has.

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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from sprawl.overlay.keys import expand, extract
from sprawl.overlay.messages import Snapshot
from sprawl.overlay.packets import MAX_SNAPSHOT_BYTES, decode_snapshot, encode_snapshot
from sprawl.overlay.stream import Stream, StreamBroken
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

FIRST_LIMIT: Final = MAX_MESSAGE_BYTES + 1
"""Of a frame before the other side has proved anything."""
_TAG_BYTES: Final = 16
_LABEL: Final = b"sprawl gossip push-pull"
_CLIENT_NONCE: Final = bytes(12)
_SERVER_NONCE: Final = bytes(11) + b"\x01"
_YES: Final = b"\x00"
_NO: Final = b"\x01"


class Unwelcome(Exception):
    """One of the two will not have the other. The text says why, and what to do."""


class MetItself(Unwelcome):
    """The other is this node: one of its seeds is its own address."""


@dataclass(frozen=True, slots=True)
class Credentials:
    identity: PeerIdentity
    secret: bytes
    token_bytes: Callable[[int], bytes]


async def offer(stream: Stream, mine: Credentials, snapshot: Callable[[], Snapshot]) -> tuple[PeerIdentity, Snapshot]:
    """The side that connected. Raises `Unwelcome`, `StreamBroken`."""
    handshake = PeerClientHandshake(mine.identity, mine.secret, mine.token_bytes(NONCE_BYTES))
    hello = handshake.hello()
    await stream.write(hello)
    challenge = _accepted(await stream.read())
    try:
        proof = handshake.answer(challenge)
        await stream.write(proof)  # even to one that is not believed, so that it learns what is wrong
        verdict = await stream.read()
        server = handshake.server()
    except PeerRefused as problem:
        raise _unwelcome(problem) from problem
    _accepted(verdict)
    cipher = _cipher(mine, hello, challenge, proof)
    await stream.write(cipher.encrypt(_CLIENT_NONCE, encode_snapshot(snapshot()), None))
    return server, await _snapshot_from(stream, cipher, _SERVER_NONCE)


async def answer(
    stream: Stream,
    mine: Credentials,
    welcome: Callable[[PeerIdentity], None],
    merged: Callable[[PeerIdentity, Snapshot], Snapshot],
) -> None:
    """The side that was connected to. `welcome` may still raise `PeerRefused`; `merged` takes what the other knows and
    gives what it is to know. Raises `Unwelcome`, `StreamBroken`."""
    hello = await stream.read()
    handshake = PeerServerHandshake(mine.identity, mine.secret, mine.token_bytes(NONCE_BYTES))
    try:
        challenge = handshake.challenge(hello)
        await stream.write(_YES + challenge)
        proof = await stream.read()
        client = handshake.accept(proof)
        welcome(client)
    except PeerRefused as problem:
        await stream.write(_NO + str(problem).encode()[:MAX_MESSAGE_BYTES])
        raise _unwelcome(problem) from problem
    await stream.write(_YES)
    cipher = _cipher(mine, hello, challenge, proof)
    theirs = await _snapshot_from(stream, cipher, _CLIENT_NONCE)
    await stream.write(cipher.encrypt(_SERVER_NONCE, encode_snapshot(merged(client, theirs)), None))


def _unwelcome(problem: PeerRefused) -> Unwelcome:
    return (MetItself if isinstance(problem, ConnectedToItself) else Unwelcome)(str(problem))


async def _snapshot_from(stream: Stream, cipher: ChaCha20Poly1305, nonce: bytes) -> Snapshot:
    stream.limit = MAX_SNAPSHOT_BYTES + _TAG_BYTES
    sealed = await stream.read()
    try:
        return decode_snapshot(cipher.decrypt(nonce, sealed, None))
    except InvalidTag:
        raise StreamBroken("what came was changed on its way") from None
    except ProtocolError as problem:
        raise StreamBroken(f"no snapshot: {problem}") from problem


def _accepted(frame: bytes) -> bytes:
    if frame[:1] == _NO:
        raise Unwelcome(frame[1:].decode("utf-8", "replace"))
    if frame[:1] != _YES:
        raise StreamBroken("what is there does not speak gossip")
    return frame[1:]


def _cipher(mine: Credentials, hello: bytes, challenge: bytes, proof: bytes) -> ChaCha20Poly1305:
    """Both nonces are in what was said, so no two connections have the same key."""
    said = hashlib.sha256()
    for part in (hello, challenge, proof):
        said.update(len(part).to_bytes(4, "big") + part)
    return ChaCha20Poly1305(expand(extract(mine.secret, mine.identity.cluster_id), _LABEL + said.digest()))
