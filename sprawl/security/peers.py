"""How two nodes prove to each other that they belong to one cluster: by its secret, which neither says.

A challenge and a response in each direction, carried by SaslAuthenticate under a mechanism of our own. Both nonces,
both nodes and the cluster are in what is proved, under a label for each direction, so that no proof serves twice or for
somebody else (the ideas of SCRAM, RFC 5802, and of ISO/IEC 9798-4, with HMAC-SHA256 over one shared key). It protects
the beginning of a connection, not what follows: whoever can change packets on their way is TLS's business.

    client                                       server
    Hello: who I am, nonce          ------>
                                    <------      Challenge: who I am, nonce, proof
    Proof                           ------>
                                    <------      accepted, or why not

A node that is about to join may not know its cluster's id: it leaves it empty, and learns it from the Challenge.

Pure: bytes in, bytes out, or `PeerRefused` with a reason that names what is wrong. Nonces come in from outside.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, TypeVar

from sprawl_protocol.errors import ProtocolError
from sprawl_protocol.message import Struct, binary, field, int32, string
from sprawl_protocol.primitives import Buffer

MECHANISM: Final = "SPRAWL-PEER"
GOSSIP_MECHANISM: Final = "SPRAWL-GOSSIP"
"""The same proof, and then a push-pull (overlay/pushpull.py), which ends the conversation."""
NONCE_BYTES: Final = 32
MAX_MESSAGE_BYTES: Final = 512
_CLIENT: Final = b"sprawl peer handshake, client"
_SERVER: Final = b"sprawl peer handshake, server"
_KEY: Final = b"sprawl peer handshake, key"


class PeerRefused(Exception):
    """The other side is not a node of this cluster, or not the one it must be. The text may be told to it."""


class ConnectedToItself(PeerRefused):
    """The other side is this very node."""


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    node_id: int
    directory_id: str
    cluster_id: str

    def __str__(self) -> str:
        return f"node {self.node_id}"


class _Hello(Struct, versions="0", flexible="none"):
    node_id: int = field(int32, default=0)
    directory_id: str = field(string, default="")
    cluster_id: str = field(string, default="")
    nonce: Buffer = field(binary, default=b"")


class _Challenge(Struct, versions="0", flexible="none"):
    node_id: int = field(int32, default=0)
    directory_id: str = field(string, default="")
    cluster_id: str = field(string, default="")
    nonce: Buffer = field(binary, default=b"")
    proof: Buffer = field(binary, default=b"")


S = TypeVar("S", _Hello, _Challenge)


class PeerClientHandshake:
    """The side that connects."""

    def __init__(self, me: PeerIdentity, secret: bytes, nonce: bytes) -> None:
        self._me = me
        self._key = _key(secret)
        self._nonce = _checked(nonce)
        self._server: PeerIdentity | None = None
        self._believed = False

    def hello(self) -> bytes:
        me = self._me
        return _Hello(
            node_id=me.node_id, directory_id=me.directory_id, cluster_id=me.cluster_id, nonce=self._nonce
        ).encode(0)

    def answer(self, challenge: Buffer) -> bytes:
        """The proof. Raises `PeerRefused` for what is no challenge.

        To be sent also to a server that `server()` will not believe: it is to learn what is wrong, too. The proof is
        worth nothing to it, or to anybody else.
        """
        told = _parsed(_Challenge, challenge)
        server = PeerIdentity(told.node_id, told.directory_id, told.cluster_id)
        transcript = _transcript(self._me, self._nonce, server, bytes(told.nonce))
        self._server = server
        self._believed = _proved(self._key, _SERVER, transcript, told.proof)
        return _proof(self._key, _CLIENT, transcript)

    def server(self) -> PeerIdentity:
        """Who the server has proved to be. Raises `PeerRefused`."""
        server = self._server
        assert server is not None, "answer() comes first"
        if not self._believed:
            raise PeerRefused(f"{server} does not have the same cluster secret as {self._me}: copy the file of one")
        _check(self._me, server)
        return server


class PeerServerHandshake:
    """The side that is connected to."""

    def __init__(self, me: PeerIdentity, secret: bytes, nonce: bytes) -> None:
        self._me = me
        self._key = _key(secret)
        self._nonce = _checked(nonce)
        self._client: PeerIdentity | None = None
        self._transcript = b""

    def challenge(self, hello: Buffer) -> bytes:
        """Raises `PeerRefused`."""
        told = _parsed(_Hello, hello)
        me = self._me
        self._client = PeerIdentity(told.node_id, told.directory_id, told.cluster_id)
        self._transcript = _transcript(self._client, bytes(told.nonce), me, self._nonce)
        return _Challenge(
            node_id=me.node_id,
            directory_id=me.directory_id,
            cluster_id=me.cluster_id,
            nonce=self._nonce,
            proof=_proof(self._key, _SERVER, self._transcript),
        ).encode(0)

    @property
    def begun(self) -> bool:
        return self._client is not None

    def accept(self, proof: Buffer) -> PeerIdentity:
        """Who the client is. Raises `PeerRefused`."""
        client = self._client
        assert client is not None, "challenge() comes first"
        if not _proved(self._key, _CLIENT, self._transcript, proof):
            raise PeerRefused(f"{client} does not have the same cluster secret as {self._me}: copy the file of one")
        _check(self._me, client)
        return client


def _check(me: PeerIdentity, other: PeerIdentity) -> None:
    """Only after the other side has proved that it has the secret. Raises `PeerRefused`."""
    if other.cluster_id and me.cluster_id and other.cluster_id != me.cluster_id:
        raise PeerRefused(f"{other} belongs to cluster {other.cluster_id}, {me} to cluster {me.cluster_id}")
    if other.node_id != me.node_id:
        return
    if other.directory_id == me.directory_id:
        raise ConnectedToItself(f"{me} has connected to itself")
    raise PeerRefused(f"there are two nodes with id {me.node_id}: give one of them another (node.id)")


def _parsed(kind: type[S], data: Buffer) -> S:
    if len(data) > MAX_MESSAGE_BYTES:
        raise PeerRefused(f"a handshake of {len(data)} bytes, {MAX_MESSAGE_BYTES} are the limit")
    try:
        found = kind.parse(data, 0)
    except ProtocolError as problem:
        raise PeerRefused(f"no handshake between nodes: {problem}") from problem
    if len(found.nonce) != NONCE_BYTES:
        raise PeerRefused(f"a nonce of {len(found.nonce)} bytes, not of {NONCE_BYTES}")
    if found.node_id < 0:
        raise PeerRefused(f"{found.node_id} is no id of a node")
    return found


def _checked(nonce: bytes) -> bytes:
    assert len(nonce) == NONCE_BYTES, "a nonce is drawn for each handshake"
    return nonce


def _transcript(client: PeerIdentity, client_nonce: bytes, server: PeerIdentity, server_nonce: bytes) -> bytes:
    """Everything that was said, each part behind its length."""
    parts: list[bytes] = [client_nonce, server_nonce]
    for node in (client, server):
        parts += [str(node.node_id).encode(), node.directory_id.encode(), node.cluster_id.encode()]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _key(secret: bytes) -> bytes:
    return hmac.digest(secret, _KEY, hashlib.sha256)


def _proof(key: bytes, label: bytes, transcript: bytes) -> bytes:
    return hmac.digest(key, label + b"\0" + transcript, hashlib.sha256)


def _proved(key: bytes, label: bytes, transcript: bytes, proof: Buffer) -> bool:
    expected = _proof(key, label, transcript)
    return len(proof) == len(expected) and hmac.compare_digest(expected, bytes(proof))
