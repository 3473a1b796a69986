"""What the parts of a node ask of the controller, wherever it is: topics that must exist, producer ids.

In: wishes. Out: what came of them, in this node's own image too. The active controller decides on them here; another
is asked by Kafka's requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sprawl.quorum.controller import Controller
from sprawl.quorum.controller_link import ControllerLink
from sprawl.quorum.image import TopicImage
from sprawl.quorum.quorum import MetadataQuorum
from sprawl.quorum.topic_changes import NewTopic
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    AllocateProducerIdsRequest,
    AllocateProducerIdsResponse,
    CreatableTopic,
    CreatableTopicConfig,
    CreateTopicsRequest,
    CreateTopicsResponse,
)

_TIMEOUT: Final = 10.0


class AnyController:
    def __init__(self, quorum: MetadataQuorum, controller: Controller, link: ControllerLink) -> None:
        self._quorum = quorum
        self._controller = controller
        self._link = link

    async def create_topics(self, wishes: Sequence[NewTopic]) -> list[TopicImage | ApiError]:
        """In the order of `wishes`, which name no brokers."""
        if self._quorum.leading:
            return await self._controller.create_topics(wishes)
        request = CreateTopicsRequest(topics=[_creatable(each) for each in wishes], timeout_ms=int(_TIMEOUT * 1000))
        try:
            answer = await self._link.ask(request, expect=CreateTopicsResponse, timeout=_TIMEOUT)
        except (ApiError, ClientError) as problem:
            failed = ApiError(ErrorCode.REQUEST_TIMED_OUT, f"The controller does not answer: {problem}")
            return [failed for _ in wishes]
        outcomes: dict[str, ApiError] = {
            each.name: ApiError(ErrorCode(each.error_code), each.error_message or "")
            for each in answer.topics
            if each.error_code
        }
        made = {each.name for each in wishes} - outcomes.keys()
        image = await self._quorum.until(lambda image: all(name in image.topics for name in made))
        return [outcomes.get(each.name) or image.topics[each.name] for each in wishes]

    async def make_topic(self, name: str, partitions: int, replication_factor: int, configs: Mapping[str, str]) -> None:
        """Raises `ApiError`."""
        (outcome,) = await self.create_topics([NewTopic(name, partitions, replication_factor, configs=configs)])
        if isinstance(outcome, ApiError):
            raise outcome

    async def allocate_producer_ids(self) -> tuple[int, int]:
        """A block of ids that nobody else gets: the first, and how many. Raises `ApiError`."""
        if self._quorum.leading:
            return await self._controller.allocate_producer_ids()
        me = self._quorum.image.brokers.get(self._quorum.node_id)
        request = AllocateProducerIdsRequest(
            broker_id=self._quorum.node_id, broker_epoch=-1 if me is None else me.epoch
        )
        try:
            answer = await self._link.ask(request, expect=AllocateProducerIdsResponse, timeout=_TIMEOUT)
        except ClientError as problem:
            raise ApiError(ErrorCode.COORDINATOR_NOT_AVAILABLE, f"No producer ids at present: {problem}") from problem
        if answer.error_code:
            raise ApiError(ErrorCode(answer.error_code), "The controller gives out no producer ids at present.")
        return answer.producer_id_start, answer.producer_id_len


def _creatable(wish: NewTopic) -> CreatableTopic:
    return CreatableTopic(
        name=wish.name,
        num_partitions=wish.partitions,
        replication_factor=wish.replication_factor,
        configs=[CreatableTopicConfig(name=name, value=value) for name, value in wish.configs.items()],
    )
