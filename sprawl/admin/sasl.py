"""How a client proves to a broker who it is: SASL PLAIN (RFC 4616) and SCRAM (RFC 5802, RFC 7677).

`Scram` is pure: the server's messages in, the client's out. `prove` carries either over a connection. Nothing secret is
in what they raise. SCRAM proves the broker to the client too: a broker that does not know the password is refused.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from sprawl.wire.client import KafkaClient
from sprawl_protocol.messages import (
    SaslAuthenticateRequest,
    SaslAuthenticateResponse,
    SaslHandshakeRequest,
    SaslHandshakeResponse,
)

SCRAM: Final = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
MECHANISMS: Final = ("PLAIN", *SCRAM)
_NONCE_BYTES: Final = 24
_MOST_ITERATIONS: Final = 1_000_000
_VERSION: Final = 1


class SaslError(Exception):
    """Not let in, or not by whom it should be."""


@dataclass(frozen=True, slots=True)
class Credentials:
    mechanism: str
    username: str
    password: str = field(repr=False)


class Scram:
    """`first`, then `final` with the server's challenge, then `check` with its last word."""

    def __init__(self, credentials: Credentials, nonce: str) -> None:
        self._hash = SCRAM[credentials.mechanism]
        self._password = credentials.password.encode()
        self._nonce = nonce
        name = credentials.username.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={name},r={nonce}"
        self._server_proof = b""

    def first(self) -> bytes:
        return f"n,,{self._bare}".encode()

    def final(self, challenge: bytes) -> bytes:
        """Raises `SaslError`."""
        said = _attributes(challenge)
        try:
            nonce, salt, iterations = said["r"], base64.b64decode(said["s"], validate=True), int(said["i"])
        except (KeyError, ValueError, binascii.Error):
            raise SaslError("the broker's SCRAM challenge cannot be read") from None
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise SaslError("the broker's SCRAM challenge answers somebody else")
        if not 0 < iterations <= _MOST_ITERATIONS:
            raise SaslError(f"the broker asks for {iterations} SCRAM iterations")
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, iterations)
        ending = f"c=biws,r={nonce}"
        signed = ",".join((self._bare, challenge.decode(), ending)).encode()
        key = self._mac(salted, b"Client Key")
        signature = self._mac(hashlib.new(self._hash, key).digest(), signed)
        proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
        self._server_proof = self._mac(self._mac(salted, b"Server Key"), signed)
        return f"{ending},p={base64.b64encode(proof).decode()}".encode()

    def check(self, last: bytes) -> None:
        """Raises `SaslError`."""
        said = _attributes(last)
        if "e" in said:
            raise SaslError(f"the broker refuses: {said['e']}")
        expected = base64.b64encode(self._server_proof).decode()
        if not hmac.compare_digest(said.get("v", "").encode(), expected.encode()):
            raise SaslError("the broker does not know the password: it is not who it should be")

    def _mac(self, key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, self._hash)


async def prove(client: KafkaClient, credentials: Credentials, random_bytes: bytes) -> None:
    """Raises `SaslError`, `ClientError`."""
    asked = SaslHandshakeRequest(mechanism=credentials.mechanism)
    hello = await client.request(asked, _VERSION, expect=SaslHandshakeResponse)
    if hello.error_code:
        offered = ", ".join(hello.mechanisms) or "none"
        raise SaslError(f"the broker does not take {credentials.mechanism}; it takes {offered}")
    if credentials.mechanism == "PLAIN":
        await _say(client, f"\0{credentials.username}\0{credentials.password}".encode())
        return
    scram = Scram(credentials, base64.b64encode(random_bytes[:_NONCE_BYTES]).decode())
    scram.check(await _say(client, scram.final(await _say(client, scram.first()))))


async def _say(client: KafkaClient, what: bytes) -> bytes:
    answer = await client.request(SaslAuthenticateRequest(auth_bytes=what), _VERSION, expect=SaslAuthenticateResponse)
    if answer.error_code:
        raise SaslError(f"not let in: {answer.error_message or f'error {answer.error_code}'}")
    return bytes(answer.auth_bytes)


def _attributes(message: bytes) -> dict[str, str]:
    try:
        return {name: value for name, _, value in (part.partition("=") for part in message.decode().split(","))}
    except UnicodeDecodeError:
        raise SaslError("the broker's SCRAM message cannot be read") from None
