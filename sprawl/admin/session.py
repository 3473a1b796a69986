"""A command's way to the cluster: connect to any of the bootstrap addresses, ask, and turn failures into exit codes.

Exit codes: 0 done, 1 the cluster refused, 2 wrong usage, 5 no broker could be reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

import typer

from sprawl.wire.client import ClientError, KafkaClient
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.message import Request, Response

R = TypeVar("R", bound=Response)
T = TypeVar("T")

REFUSED: Final = 1
USAGE: Final = 2
UNREACHABLE: Final = 5


class RefusedError(Exception):
    """The cluster answered with an error."""

    @classmethod
    def of(cls, subject: str, code: int, message: str | None) -> RefusedError:
        name = ErrorCode(code).name if code in ErrorCode._value2member_map_ else f"error {code}"
        return cls(f"{subject}: {name}" + (f": {message}" if message else ""))


@dataclass(frozen=True, slots=True)
class Target:
    """Which cluster, and how patient to be."""

    bootstrap: tuple[str, ...]
    timeout: float


class Session:
    """An open connection, for one command."""

    def __init__(self, client: KafkaClient, timeout: float) -> None:
        self._client = client
        self.timeout_ms = int(timeout * 1000)

    async def ask(self, message: Request, answer: type[R]) -> R:
        """Raises `ClientError`."""
        return await self._client.request(message, expect=answer)


def run(target: Target, work: Callable[[Session], Awaitable[T]]) -> T:
    """Connect, do the work, disconnect. Exits with a message where that fails."""

    async def whole() -> T:
        client = await _connected(target)
        try:
            return await work(Session(client, target.timeout))
        finally:
            await client.close()

    try:
        return asyncio.run(whole())
    except ClientError as problem:
        fail(str(problem), UNREACHABLE)
    except RefusedError as problem:
        fail(str(problem), REFUSED)


def fail(message: str, code: int) -> NoReturn:
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(code)


async def _connected(target: Target) -> KafkaClient:
    """To the first address that answers. Raises `ClientError` of the last that did not."""
    from sprawl.runtime.real import RealRuntime

    runtime = RealRuntime()
    problems: list[str] = []
    for text in target.bootstrap:
        host, port = _address(text)
        try:
            return await KafkaClient(runtime, client_id="sprawl-admin", timeout=target.timeout).connect(host, port)
        except ClientError as problem:
            problems.append(str(problem))
    raise ClientError("no broker could be reached: " + "; ".join(problems))


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        fail(f"{text}: a bootstrap address is host:port, such as 127.0.0.1:9092.", USAGE)
    return host.strip("[]"), int(port)
