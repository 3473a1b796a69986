"""Where a group's coordinator is: the leader of its partition of `__consumer_offsets`, at an address the client knows."""

from __future__ import annotations

from collections.abc import Callable

from sprawl.groups.log import TOPIC
from sprawl.groups.service import GroupService
from sprawl.handlers.context import RequestContext
from sprawl.handlers.groups import Node
from sprawl.quorum.image import MetadataImage


class Coordinators:
    def __init__(self, groups: GroupService, image: Callable[[], MetadataImage]) -> None:
        self._groups = groups
        self._image = image

    async def ensure_topic(self) -> None:
        """Raises `ApiError`."""
        await self._groups.ensure_topic()

    def leader(self, context: RequestContext, partition: int) -> Node | None:
        """None if nobody leads the partition, or its leader has no listener of the client's kind."""
        image = self._image()
        topic = image.topics.get(TOPIC)
        if topic is None or partition >= len(topic.partitions):
            return None
        broker = image.brokers.get(topic.partitions[partition].leader)
        if broker is None or broker.fenced:
            return None
        for listener in broker.listeners:
            if listener.name == context.listener:
                return Node(broker.id, listener.host, listener.port)
        return None
