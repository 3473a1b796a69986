"""Where a group's coordinator is: the leader of its partition of `__consumer_offsets`, where the client reaches it."""

from __future__ import annotations

from collections.abc import Callable

from sprawl.groups.log import TOPIC
from sprawl.groups.service import GroupService
from sprawl.handlers.context import RequestContext
from sprawl.handlers.groups import Node
from sprawl.quorum.image import MetadataImage
from sprawl.routing.endpoints import Endpoints


class Coordinators:
    def __init__(self, groups: GroupService, image: Callable[[], MetadataImage], endpoints: Endpoints) -> None:
        self._groups = groups
        self._image = image
        self._endpoints = endpoints

    async def ensure_topic(self) -> None:
        """Raises `ApiError`."""
        await self._groups.ensure_topic()

    def leader(self, context: RequestContext, partition: int) -> Node | None:
        """None if nobody leads the partition, or its leader has no listener of the client's kind."""
        topic = self._image().topics.get(TOPIC)
        if topic is None or partition >= len(topic.partitions):
            return None
        leader = topic.partitions[partition].leader
        routes = self._endpoints.routes(context)
        shown = routes.shown_as(leader)
        if shown is None:
            return None
        address = routes.shown[shown]
        return Node(shown, address.host, address.port)
