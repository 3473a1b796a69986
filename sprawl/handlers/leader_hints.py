"""Who leads instead: what Produce and Fetch answers say beside NOT_LEADER_OR_FOLLOWER (KIP-951), so that a client need
not ask for metadata first.

In: an answer with errors. Out: the same answer with leaders, epochs and addresses, as Metadata would have told them to
this client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from sprawl.handlers.context import RequestContext
from sprawl.quorum.image import MetadataImage
from sprawl.routing.endpoints import Endpoints, Routes
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    FetchResponse,
    FetchResponseLeaderIdAndEpoch,
    FetchResponseNodeEndpoint,
    LeaderIdAndEpoch,
    NodeEndpoint,
    ProduceResponse,
)

_PRODUCE_SINCE: Final = 10
_FETCH_SINCE: Final = 16
_WRONG_LEADER: Final = frozenset({ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.FENCED_LEADER_EPOCH})


class LeaderHints:
    def __init__(self, image: Callable[[], MetadataImage], endpoints: Endpoints) -> None:
        self._image = image
        self._endpoints = endpoints

    def add_to_produce(self, context: RequestContext, response: ProduceResponse) -> None:
        if context.api_version < _PRODUCE_SINCE:
            return
        found: dict[int, NodeEndpoint] = {}
        for topic in response.responses:
            for each in topic.partition_responses:
                if each.error_code in _WRONG_LEADER:
                    leader, epoch, routes = self._leader(context, topic.name, topic.topic_id, each.index)
                    each.current_leader = LeaderIdAndEpoch(leader_id=leader, leader_epoch=epoch)
                    if leader in routes.shown:
                        at = routes.shown[leader]
                        found[leader] = NodeEndpoint(
                            node_id=leader, host=at.host, port=at.port, rack=routes.rack_of(leader, self._image())
                        )
        response.node_endpoints = list(found.values())

    def add_to_fetch(self, context: RequestContext, response: FetchResponse) -> None:
        if context.api_version < _FETCH_SINCE:
            return
        found: dict[int, FetchResponseNodeEndpoint] = {}
        for topic in response.responses:
            for each in topic.partitions:
                if each.error_code in _WRONG_LEADER:
                    leader, epoch, routes = self._leader(context, topic.topic, topic.topic_id, each.partition_index)
                    each.current_leader = FetchResponseLeaderIdAndEpoch(leader_id=leader, leader_epoch=epoch)
                    if leader in routes.shown:
                        at = routes.shown[leader]
                        found[leader] = FetchResponseNodeEndpoint(
                            node_id=leader, host=at.host, port=at.port, rack=routes.rack_of(leader, self._image())
                        )
        response.node_endpoints = list(found.values())

    def _leader(self, context: RequestContext, name: str, topic_id: UUID, index: int) -> tuple[int, int, Routes]:
        """-1, -1 if there is none, or none that the client could reach."""
        image, routes = self._image(), self._endpoints.routes(context)
        topic = image.topics.get(name) if name else image.topics_by_id.get(topic_id)
        if topic is None or not 0 <= index < len(topic.partitions):
            return -1, -1, routes
        partition = topic.partitions[index]
        shown = routes.shown_as(partition.leader)
        return (-1, -1, routes) if shown is None else (shown, partition.leader_epoch, routes)
