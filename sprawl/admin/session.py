"""A command's way to the cluster: connect to any of the bootstrap addresses, ask, and turn failures into exit codes.

Exit codes: 0 done, 1 the cluster refused, 2 wrong usage, 3 not found, 4 denied, 5 no broker could be reached,
6 in conflict with what there is, 7 unhealthy, 8 done in part. Questions that only one broker answers (a group's
coordinator, a partition's leader) are put to that broker, at the address the cluster itself names.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn, TypeVar

import typer

from sprawl.admin.sasl import Credentials, SaslError, prove
from sprawl.runtime import Runtime
from sprawl.wire.client import ClientError, KafkaClient, UnsupportedError
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    DescribeGroupsRequest,
    DescribeGroupsResponse,
    FindCoordinatorRequest,
    FindCoordinatorResponse,
    MetadataRequest,
    MetadataResponse,
)

R = TypeVar("R", bound=Response)
T = TypeVar("T")

REFUSED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
DENIED: Final = 4
UNREACHABLE: Final = 5
CONFLICT: Final = 6
UNHEALTHY: Final = 7
PARTIAL: Final = 8

_EXITS: Final = {
    **dict.fromkeys(
        (
            ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode.UNKNOWN_TOPIC_ID,
            ErrorCode.GROUP_ID_NOT_FOUND,
            ErrorCode.RESOURCE_NOT_FOUND,
            ErrorCode.VOTER_NOT_FOUND,
            ErrorCode.NO_REASSIGNMENT_IN_PROGRESS,
        ),
        NOT_FOUND,
    ),
    **{code: DENIED for code in ErrorCode if code.name.endswith(("AUTHORIZATION_FAILED", "AUTHENTICATION_FAILED"))},
    **dict.fromkeys(
        (
            ErrorCode.TOPIC_ALREADY_EXISTS,
            ErrorCode.NON_EMPTY_GROUP,
            ErrorCode.UNKNOWN_MEMBER_ID,
            ErrorCode.REBALANCE_IN_PROGRESS,
            ErrorCode.REASSIGNMENT_IN_PROGRESS,
        ),
        CONFLICT,
    ),
}
_SEVERAL_COORDINATORS: Final = 4
"""Since this version FindCoordinator takes a list."""
_FOR_A_MOMENT: Final = (
    ErrorCode.COORDINATOR_NOT_AVAILABLE,
    ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    ErrorCode.NOT_COORDINATOR,
)


class RefusedError(Exception):
    """The cluster answered with an error."""

    def __init__(self, message: str, exit_code: int = REFUSED) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    @classmethod
    def of(cls, subject: str, code: int, message: str | None) -> RefusedError:
        known = code in ErrorCode._value2member_map_
        name = ErrorCode(code).name if known else f"error {code}"
        exit_code = _EXITS.get(ErrorCode(code), REFUSED) if known else REFUSED
        return cls(f"{subject}: {name}" + (f": {message}" if message else ""), exit_code)

    @classmethod
    def of_several(cls, refused: Sequence[RefusedError], asked: int) -> RefusedError:
        """Of `asked` things these were refused: done in part, unless all were."""
        code = refused[0].exit_code if len(refused) == asked else PARTIAL
        return cls("; ".join(map(str, refused)), code)


@dataclass(frozen=True, slots=True)
class Target:
    """Which cluster, and how patient to be."""

    bootstrap: tuple[str, ...]
    timeout: float
    tls: ssl.SSLContext | None = None
    credentials: Credentials | None = None


class Session:
    """An open connection, for one command; and those to other brokers that turn out to be needed."""

    def __init__(self, client: KafkaClient, target: Target, runtime: Runtime) -> None:
        self._client = client
        self._target = target
        self._timeout = timeout = target.timeout
        self._runtime = runtime
        self._others: dict[int, KafkaClient] = {}
        self._addresses: dict[int, tuple[str, int]] = {}
        self.timeout_ms = int(timeout * 1000)

    async def ask(
        self, message: Request, answer: type[R], broker: int | None = None, *, version: int | None = None
    ) -> R:
        """Any broker, or this one; no newer version than this. Raises `ClientError`, `RefusedError` if there is no such
        broker."""
        client = self._client if broker is None else await self._at(broker)
        newest = client.version_for(type(message))
        return await client.request(message, newest if version is None else min(version, newest), expect=answer)

    async def brokers(self) -> list[int]:
        """Those that serve clients. Raises `ClientError`."""
        answer = await self.ask(MetadataRequest(topics=[], allow_auto_topic_creation=False), MetadataResponse)
        self._addresses = {each.node_id: (each.host, each.port) for each in answer.brokers}
        return sorted(self._addresses)

    async def coordinator(self, group: str) -> int:
        """Whom to ask about a group. Raises `RefusedError`, `ClientError`."""
        several = self._client.version_for(FindCoordinatorRequest) >= _SEVERAL_COORDINATORS
        question = FindCoordinatorRequest(coordinator_keys=[group]) if several else FindCoordinatorRequest(key=group)
        tries = max(1, int(self._timeout / 0.2))
        while True:
            answer = await self.ask(question, FindCoordinatorResponse)
            found = answer.coordinators[0] if answer.coordinators else answer
            tries -= 1
            code, message = found.error_code, found.error_message
            if not code:
                self._addresses[found.node_id] = (found.host, found.port)
                probe = await self.ask(DescribeGroupsRequest(groups=[group]), DescribeGroupsResponse, found.node_id)
                code, message = probe.groups[0].error_code, None
                if code not in _FOR_A_MOMENT:
                    return found.node_id  # what else is wrong, the question itself will tell
            if code not in _FOR_A_MOMENT or tries <= 0:
                raise RefusedError.of(f"group {group}", code, message)
            await asyncio.sleep(0.2)  # the topic of offsets is being made, or its leader elected

    def now_ms(self) -> int:
        return self._runtime.clock.wall_ms()

    def offers(self, request: type[Request]) -> bool:
        """Whether the broker says that it knows this kind of request."""
        return int(request.API_KEY) in self._client.versions

    async def close(self) -> None:
        for client in (self._client, *self._others.values()):
            await client.close()

    async def _at(self, broker: int) -> KafkaClient:
        if broker in self._others and not self._others[broker].connected:
            await self._others.pop(broker).close()
        if broker not in self._others:
            if broker not in self._addresses:
                await self.brokers()
            if broker not in self._addresses:
                raise RefusedError(f"there is no broker {broker}", NOT_FOUND)
            self._others[broker] = await _connect(self._runtime, self._target, *self._addresses[broker])
        return self._others[broker]


def run(target: Target, work: Callable[[Session], Awaitable[T]]) -> T:
    """Connect, do the work, disconnect. Exits with a message where that fails."""

    async def whole() -> T:
        session = await _connected(target)
        try:
            return await work(session)
        finally:
            await session.close()

    try:
        return asyncio.run(whole())
    except UnsupportedError as problem:
        fail(f"this broker does not serve it: {problem}", USAGE)
    except ClientError as problem:
        fail(str(problem), UNREACHABLE)
    except RefusedError as problem:
        fail(str(problem), problem.exit_code)


def fail(message: str, code: int) -> NoReturn:
    typer.echo(f"Error: {message}", err=True)
    raise typer.Exit(code)


async def _connected(target: Target) -> Session:
    """To the first address that answers. Raises `ClientError` of the last that did not."""
    from sprawl.runtime.real import RealRuntime

    runtime = RealRuntime()
    problems: list[str] = []
    for text in target.bootstrap:
        host, port = _address(text)
        try:
            return Session(await _connect(runtime, target, host, port), target, runtime)
        except ClientError as problem:
            problems.append(str(problem))
    raise ClientError("no broker could be reached: " + "; ".join(problems))


async def _connect(runtime: Runtime, target: Target, host: str, port: int) -> KafkaClient:
    """Raises `ClientError`, `RefusedError` if it is not let in."""
    client = KafkaClient(runtime, client_id="sprawl-admin", timeout=target.timeout, tls=target.tls)
    credentials = target.credentials
    if credentials is None:
        return await client.connect(host, port)
    try:
        return await client.connect(host, port, lambda: prove(client, credentials, runtime.token_bytes(32)))
    except SaslError as problem:
        raise RefusedError(f"{host}:{port}: {problem}", DENIED) from None


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        fail(f"{text}: a bootstrap address is host:port, such as 127.0.0.1:9092.", USAGE)
    return host.strip("[]"), int(port)
