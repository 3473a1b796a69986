"""The node's Kafka handlers, asked from within: any node of the cluster can be asked for anything.

In: a Kafka request and who asks. Out: its answer, from this node or, where another one leads or coordinates, passed on
to that one, with the name of who asks. Handlers check what they may.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Final, TypeVar
from uuid import UUID

from sprawl.api.operations import Caller
from sprawl.groups.log import TOPIC as OFFSETS_TOPIC
from sprawl.handlers.any_node import PartitionSpread, Passing, everywhere, for_groups
from sprawl.handlers.context import Handler, RequestContext
from sprawl.parts import Parts
from sprawl.runtime import Clock
from sprawl.wire.dispatch import answer_of
from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import REQUESTS, FetchRequest, FetchResponse

R = TypeVar("R", bound=Response)

CLIENT_ID: Final = "http"
_BY_LEADER: Final = (ApiKey.PRODUCE, ApiKey.LIST_OFFSETS)
_OF_GROUPS: Final = (ApiKey.DESCRIBE_GROUPS, ApiKey.DELETE_GROUPS, ApiKey.OFFSET_FETCH)
_BY_NAME: Final[Mapping[ApiKey, int]] = {ApiKey.PRODUCE: 12, ApiKey.FETCH: 12, ApiKey.OFFSET_FETCH: 9}
"""The last versions that know topics by their names."""
_LANES: Final = 16
"""Connections to another node that the API's fetches share: on each, one waits for the other."""


class Asking:
    def __init__(self, parts: Parts, routes: Mapping[ApiKey, Handler], clock: Clock, listener: str) -> None:
        self.parts = parts
        self._listener = listener
        self._me = parts.identity.node_id
        self._passing = Passing(self._me, parts.links, clock)
        self._numbers = itertools.cycle(range(-_LANES, 0))
        routed = dict(routes)
        for key in _BY_LEADER:
            routed[key] = PartitionSpread(key, routes[key], self._leader_of, self._passing).handle
        for key in _OF_GROUPS:
            routed[key] = for_groups(key, routes[key], self._coordinator_of, self._passing)
        routed[ApiKey.LIST_GROUPS] = everywhere(routes[ApiKey.LIST_GROUPS], self._alive, self._passing, "groups")
        self._routes = routed

    async def ask(self, caller: Caller, request: Request, expect: type[R]) -> R:
        """Raises `ApiError`, `ClientError`."""
        key = ApiKey(type(request).API_KEY)
        answer = await answer_of(self._routes[key](self._context(caller, key), request))
        assert isinstance(answer, expect), f"{key.name} is answered with a {expect.__name__}"
        return answer

    async def fetch(self, caller: Caller, request: FetchRequest, topic: str, partition: int) -> FetchResponse:
        """Of one partition. Raises `ApiError`, `ClientError`."""
        leader = self._leader_of(topic, UUID(int=0), partition)
        patience = request.max_wait_ms / 1000 + 5.0
        handler, context = self._routes[ApiKey.FETCH], self._context(caller, ApiKey.FETCH)
        answer = await self._passing.ask(leader if leader >= 0 else self._me, handler, context, request, patience)
        assert isinstance(answer, FetchResponse), "fetches are answered"
        return answer

    def _context(self, caller: Caller, key: ApiKey) -> RequestContext:
        version = _BY_NAME.get(key, REQUESTS[key].MAX_VERSION)
        number = next(self._numbers)
        return RequestContext(version, CLIENT_ID, caller.host, caller.principal, self._listener, number)

    def _leader_of(self, name: str, topic_id: UUID, index: int) -> int:
        topic = self.parts.image().topics.get(name)
        if topic is None or not 0 <= index < len(topic.partitions):
            return self._me  # whose refusal says why
        return topic.partitions[index].leader

    def _coordinator_of(self, group_id: str) -> int:
        partition = self.parts.groups.coordinator.partition_of(group_id)
        topic = self.parts.image().topics.get(OFFSETS_TOPIC)
        return self._me if partition is None or topic is None else topic.partitions[partition].leader

    def _alive(self) -> list[int]:
        return [each.id for each in self.parts.image().brokers.values() if not each.fenced]
