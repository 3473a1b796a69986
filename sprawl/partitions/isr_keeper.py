"""Keeps the in-sync sets of the partitions led here true, by asking the controller for changes (AlterPartition).

In: partitions whose followers have caught up or fallen behind. Out: requests to the controller, one at a time, each
with all changes that are due; and its answers, told to the partitions. A change stays pending, which holds the high
watermark to both sets, until the controller's word comes: by answer, or with the metadata image. It is given up only
where the controller has looked at it and said no: whatever else happened, it may have been made.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from uuid import UUID

from sprawl.partitions.partition import Partition
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    AlterPartitionRequest,
    AlterPartitionRequestPartitionData,
    AlterPartitionRequestTopicData,
    AlterPartitionResponse,
    BrokerState,
)

log = logging.getLogger(__name__)

Ask = Callable[[AlterPartitionRequest], Awaitable[AlterPartitionResponse]]
"""Raises `ApiError`, `ClientError`."""
_RETRY: Final = 0.1
_NOT_MADE: Final = frozenset({ErrorCode.INELIGIBLE_REPLICA, ErrorCode.OPERATION_NOT_ATTEMPTED})
_OUT_OF_DATE: Final = frozenset(
    {
        ErrorCode.INVALID_UPDATE_VERSION,
        ErrorCode.FENCED_LEADER_EPOCH,
        ErrorCode.UNKNOWN_TOPIC_ID,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
        ErrorCode.INVALID_REQUEST,
    }
)
"""This node's picture is: the image that corrects it is on its way."""


class IsrKeeper:
    def __init__(
        self,
        node_id: int,
        partitions: Callable[[], Iterable[Partition]],
        ask: Ask,
        broker_epoch_of: Callable[[int], int | None],
        lag: float,
    ) -> None:
        """`broker_epoch_of`: of a broker that may join an in-sync set; None for the others. `lag`: seconds."""
        self._node_id = node_id
        self._partitions = partitions
        self._ask = ask
        self._broker_epoch_of = broker_epoch_of
        self._lag = lag
        self._due: dict[Partition, None] = {}
        self._unanswered: dict[Partition, None] = {}
        """Whose pending change is to be asked for again."""
        self._news = asyncio.Event()

    def due(self, partition: Partition) -> None:
        """A follower may have caught up."""
        self._due[partition] = None
        self._news.set()

    async def run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._lag / 2):
                    await self._news.wait()
                candidates: Iterable[Partition] = list(self._due | self._unanswered)
            except TimeoutError:
                candidates = self._partitions()
            self._news.clear()
            self._due.clear()
            changes = [(each, wanted) for each in candidates if (wanted := self._wanted(each)) is not None]
            self._unanswered.clear()
            if changes:
                await self._change(changes)
            if self._unanswered:
                await asyncio.sleep(_RETRY)
                self._news.set()

    def _wanted(self, partition: Partition) -> tuple[int, ...] | None:
        if partition in self._unanswered and partition.insync is not None and partition.insync.pending is not None:
            return partition.insync.pending
        return partition.wanted_isr(self._lag, self._eligible)

    def _eligible(self, broker: int, broker_epoch: int) -> bool:
        """Whether the controller would take it: alive, and in the life in which it fetches (KIP-903)."""
        return self._broker_epoch_of(broker) == broker_epoch

    async def _change(self, changes: list[tuple[Partition, tuple[int, ...]]]) -> None:
        my_epoch = self._broker_epoch_of(self._node_id)
        if my_epoch is None:
            return  # fenced: the controller has decided by itself, and the image will say what
        asked: dict[tuple[UUID, int], Partition] = {}
        topics: dict[UUID, AlterPartitionRequestTopicData] = {}
        for partition, isr in changes:
            insync = partition.insync
            if insync is None:
                continue
            data = AlterPartitionRequestPartitionData(
                partition_index=partition.index,
                leader_epoch=partition.leader_epoch,
                new_isr_with_epochs=[
                    BrokerState(broker_id=each, broker_epoch=self._epoch_of(partition, each, my_epoch)) for each in isr
                ],
                partition_epoch=insync.partition_epoch,
            )
            topic = topics.setdefault(partition.topic_id, AlterPartitionRequestTopicData(topic_id=partition.topic_id))
            topic.partitions.append(data)
            insync.pending = isr
            asked[partition.topic_id, partition.index] = partition
        request = AlterPartitionRequest(broker_id=self._node_id, broker_epoch=my_epoch, topics=list(topics.values()))
        try:
            answer = await self._ask(request)
        except (ApiError, ClientError) as problem:
            log.warning("the controller cannot be asked to change in-sync sets, trying again: %s", problem)
            self._unanswered.update(dict.fromkeys(asked.values()))
            return
        if answer.error_code:
            log.warning("the controller refuses to change in-sync sets: %s", ErrorCode(answer.error_code).name)
            self._unanswered.update(dict.fromkeys(asked.values()))
            return
        self._settle(asked, answer)

    def _epoch_of(self, partition: Partition, member: int, my_epoch: int) -> int:
        assert partition.insync is not None
        return my_epoch if member == self._node_id else partition.insync.followers[member].broker_epoch

    def _settle(self, asked: dict[tuple[UUID, int], Partition], answer: AlterPartitionResponse) -> None:
        for topic in answer.topics:
            for data in topic.partitions:
                partition = asked.get((topic.topic_id, data.partition_index))
                if partition is None or partition.insync is None:
                    continue
                error = ErrorCode(data.error_code)
                if error is ErrorCode.NONE:
                    partition.isr_settled(data.leader_epoch, data.isr, data.partition_epoch)
                    log.info("%s: in sync are %s", partition, data.isr)
                elif error in _NOT_MADE:
                    partition.insync.pending = None
                elif error not in _OUT_OF_DATE:
                    self._unanswered[partition] = None
                if error is not ErrorCode.NONE:
                    log.info("%s: the controller refuses another in-sync set: %s", partition, error.name)
