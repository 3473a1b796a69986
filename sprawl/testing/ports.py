"""Ports of this machine that are free for TCP and UDP, and stay so while their node is down.

A socket that is bound and never listens keeps a port: the node itself may still listen on it, since both allow reuse,
the system gives it to nobody else, and clients are refused while the node is down.
"""

from __future__ import annotations

import socket
from typing import Final

_ATTEMPTS: Final = 100


class ReservedPort:
    def __init__(self, host: str) -> None:
        self._socket = _free(host)
        self.number: int = self._socket.getsockname()[1]

    def release(self) -> None:
        self._socket.close()


def _free(host: str) -> socket.socket:
    for _ in range(_ATTEMPTS):
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind((host, 0))
        with socket.socket(type=socket.SOCK_DGRAM) as gossip:
            try:
                gossip.bind(held.getsockname())
            except OSError:
                held.close()
                continue
        return held
    raise OSError(f"no port of {host} is free for both TCP and UDP")
