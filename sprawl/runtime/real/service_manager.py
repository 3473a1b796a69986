"""A way to tell the service manager something (sd_notify): datagrams to the socket that it named."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Mapping


def notifier(environment: Mapping[str, str]) -> Callable[[bytes], None] | None:
    """None where no service manager wants to know. What cannot be sent is lost: nothing depends on it here."""
    address = environment.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return None
    where = "\0" + address[1:] if address.startswith("@") else address

    def send(message: bytes) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.setblocking(False)
            to.sendto(message, where)

    return send
