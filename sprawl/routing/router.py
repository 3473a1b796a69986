"""From a topic and a partition number to the partition that serves it, or to the reason why none does here.

In: names or ids from requests. Out: a `Partition` led by this node (or, for consumers, followed), or an `ApiError`
whose code makes a client do the right thing next: refresh its metadata, retry, or give up.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from sprawl.partitions.manager import PartitionManager
from sprawl.partitions.partition import Partition
from sprawl.quorum.image import MetadataImage, TopicImage
from sprawl_protocol.errors import ApiError, ErrorCode


class Router:
    def __init__(self, node_id: int, partitions: PartitionManager, image: Callable[[], MetadataImage]) -> None:
        self._node_id = node_id
        self._partitions = partitions
        self._image = image

    def leader(self, topic: str, index: int) -> Partition:
        partition = self._partitions.find(topic, index)
        if partition is not None and partition.leading:
            return partition
        known = self._image().topics.get(topic)
        if known is None:
            raise ApiError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, f"there is no topic {topic!r}")
        raise self._why_not_here(known, index)

    def leader_by_id(self, topic_id: UUID, index: int) -> Partition:
        partition = self._partitions.find_by_id(topic_id, index)
        if partition is not None and partition.leading:
            return partition
        known = self._image().topics_by_id.get(topic_id)
        if known is None:
            raise ApiError(ErrorCode.UNKNOWN_TOPIC_ID, f"there is no topic with id {topic_id}")
        raise self._why_not_here(known, index)

    def find(self, topic: str, topic_id: UUID, index: int) -> Partition:
        """By name where there is one, else by id: requests carry one or the other, by version."""
        return self.leader(topic, index) if topic else self.leader_by_id(topic_id, index)

    def replica(self, topic: str, topic_id: UUID, index: int) -> Partition:
        """The leader if it is here, else a follower that consumers may read from (KIP-392)."""
        found = self._partitions.find(topic, index) if topic else self._partitions.find_by_id(topic_id, index)
        if found is None or found.leading:
            return self.find(topic, topic_id, index)
        found.refuse_unless_readable()
        return found

    def topic_name(self, topic: str, topic_id: UUID) -> str:
        """The name to check access by; empty if the id is unknown."""
        if topic:
            return topic
        known = self._image().topics_by_id.get(topic_id)
        return known.name if known is not None else ""

    def _why_not_here(self, topic: TopicImage, index: int) -> ApiError:
        if not 0 <= index < len(topic.partitions):
            return ApiError(
                ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
                f"topic {topic.name!r} has partitions 0 to {len(topic.partitions) - 1}, not {index}",
            )
        reason = self._partitions.why_not_here(topic.id, index)
        if reason is not None:
            return ApiError(ErrorCode.KAFKA_STORAGE_ERROR, f"{topic.name}-{index} is offline here: {reason}")
        leader = topic.partitions[index].leader
        if leader == self._node_id:
            return ApiError(ErrorCode.NOT_LEADER_OR_FOLLOWER, f"{topic.name}-{index} is still being opened; try again")
        return ApiError(ErrorCode.NOT_LEADER_OR_FOLLOWER, f"{topic.name}-{index} is led by node {leader}")
