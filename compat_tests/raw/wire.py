"""One connection to a broker, spoken by hand: frames out, frames in, and messages as kafka-python's schemas read
them."""

from __future__ import annotations

import io
import itertools
import socket
import struct
from types import TracebackType
from typing import Any, Self

import kafka.protocol.admin as admin
import kafka.protocol.consumer as consumer
import kafka.protocol.metadata as metadata
import kafka.protocol.producer as producer

SECONDS = 20.0
_ids = itertools.count(1)


class ClosedByBrokerError(Exception):
    """The broker closed the connection instead of answering."""


def message(name: str) -> Any:
    """kafka-python's class of this name, e.g. `message("FetchRequest")`."""
    for module in (producer, consumer, metadata, admin):
        if hasattr(module, name):
            return getattr(module, name)
    raise KeyError(name)


def encode(request: Any, version: int, correlation_id: int, client_id: str = "raw") -> bytes:
    """A whole frame: length, header of the right version, body."""
    request.API_VERSION = version
    request.with_header(correlation_id=correlation_id, client_id=client_id)
    return bytes(request.encode(version=version, header=True, framed=True))


class Connection:
    """A blocking socket that speaks Kafka. A context manager."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: Any, version: int) -> Any:
        """The answer to one request."""
        correlation_id = self.send(request, version)
        return self.receive(type(request), version, correlation_id)

    def send(self, request: Any, version: int) -> int:
        correlation_id = next(_ids)
        self.send_bytes(encode(request, version, correlation_id))
        return correlation_id

    def receive(self, request_class: Any, version: int, correlation_id: int) -> Any:
        frame = self.receive_frame()
        (got,) = struct.unpack_from(">i", frame)
        assert got == correlation_id, f"answer {got} where {correlation_id} was due"
        response_class = message(request_class.__name__.replace("Request", "Response"))
        body = io.BytesIO(frame)
        answer = response_class.decode(body, version=version, header=True)
        assert body.tell() == len(frame), f"{len(frame) - body.tell()} bytes too many after {answer}"
        return answer

    def send_bytes(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive_frame(self) -> bytes:
        (length,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(length)

    def closed_by_broker(self, seconds: float = SECONDS) -> bool:
        """Waits until the broker closes; False if it sends something or stays silent for `seconds`."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _exactly(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            try:
                part = self.socket.recv(count - len(parts))
            except ConnectionError as error:
                raise ClosedByBrokerError(str(error)) from error
            if not part:
                raise ClosedByBrokerError(f"closed after {len(parts)} of {count} bytes")
            parts += part
        return bytes(parts)
