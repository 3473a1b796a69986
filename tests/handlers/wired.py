"""Handlers behind real bytes: each request is encoded, parsed and answered; the answer is encoded and parsed."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import UUID

from sprawl.handlers.context import Handler, RequestContext
from sprawl.handlers.groups import Node
from sprawl.security.access import ANONYMOUS, Operation, Principal, Resource
from sprawl_protocol.message import Request, Response
from tests.groups.fakes import Coordinating

R = TypeVar("R", bound=Response)


@dataclass
class Denying:
    """An authorizer that forbids what is listed."""

    forbidden: set[tuple[Operation, str]] = field(default_factory=set)

    def authorize(self, principal: Principal, operation: Operation, resource: Resource) -> bool:
        return (operation, resource.name) not in self.forbidden


@dataclass
class FakeDirectory:
    exists: bool = True
    node: Node | None = field(default_factory=lambda: Node(1, "localhost", 9092))
    made: int = 0

    async def ensure_topic(self) -> None:
        self.made += 1
        self.exists = True

    def leader(self, context: RequestContext, partition: int) -> Node | None:
        return self.node


@dataclass
class FakeTopic:
    name: str
    id: UUID
    partitions: tuple[int, ...]


class FakeImage:
    def __init__(self, *topics: FakeTopic) -> None:
        self.topics = {topic.name: topic for topic in topics}
        self.topics_by_id = {topic.id: topic for topic in topics}


def versions_of(request: type[Request]) -> range:
    return range(request.MIN_VERSION, request.MAX_VERSION + 1)


async def ask(handler: Handler, request: Request, version: int, client_id: str = "client") -> Any:
    context = RequestContext(version, client_id, "127.0.0.1", ANONYMOUS, "PLAINTEXT", 1)
    result = handler(context, type(request).parse(request.encode(version), version))
    response = await result if inspect.isawaitable(result) else result
    assert isinstance(response, Response)
    return type(response).parse(response.encode(version), version)


__all__ = ["Coordinating", "Denying", "FakeDirectory", "FakeImage", "FakeTopic", "ask", "versions_of"]
