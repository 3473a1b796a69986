"""Replicas of this node that were found damaged are mended from their leaders.

In: partitions whose log is damaged, or does not open. Out: the controller's word that nobody counts on them any more
(`quorum/damage.py`); then the log is cut where the damage begins, and the fetcher brings the rest. In this order: a
replica that was cut while it still counted as in sync could be elected, and what others have would be cut as well.

A replica that is alone has nobody to be mended from: it is served up to the damage, and takes nothing more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Final
from uuid import UUID

from sprawl.partitions.partition import NOBODY, Partition
from sprawl.quorum.image import LOST
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    AssignReplicasToDirsRequest,
    AssignReplicasToDirsRequestDirectoryData,
    AssignReplicasToDirsRequestPartitionData,
    AssignReplicasToDirsRequestTopicData,
    AssignReplicasToDirsResponse,
)

log = logging.getLogger(__name__)

_PAUSE: Final = 1.0
"""Seconds until what could not be told, or mended, is tried again."""

Key = tuple[UUID, int]
Ask = Callable[[AssignReplicasToDirsRequest], Awaitable[AssignReplicasToDirsResponse]]


class Repair:
    def __init__(
        self,
        node_id: int,
        partitions: Callable[[], Iterable[Partition]],
        unopenable: Callable[[], Iterable[Key]],
        ask: Ask,
        broker_epoch: Callable[[], int],
    ) -> None:
        """`unopenable`: replicas that others have too, and that the controller may still count on."""
        self._node_id = node_id
        self._partitions = partitions
        self._unopenable = unopenable
        self._ask = ask
        self._broker_epoch = broker_epoch
        self._due = asyncio.Event()

    def due(self) -> None:
        """Damage was found, or the standing of a damaged replica changed."""
        self._due.set()

    async def run(self) -> None:
        """Ends with the node."""
        while True:
            self._due.clear()
            done = await self._tell() and await self._mend()
            try:
                async with asyncio.timeout(None if done else _PAUSE):
                    await self._due.wait()
            except TimeoutError:
                continue

    async def _tell(self) -> bool:
        """Have the controller count on the damaged ones no more. False if it could not be told."""
        untold = {(each.topic_id, each.index): str(each) for each in self._partitions() if _untold(each)}
        untold |= {key: f"{key[0]}-{key[1]}" for key in self._unopenable() if key not in untold}
        if not untold:
            return True
        log.warning("not to be counted on, until mended: %s", ", ".join(sorted(untold.values())))
        topics: dict[UUID, AssignReplicasToDirsRequestTopicData] = {}
        for topic_id, index in untold:
            topic = topics.setdefault(topic_id, AssignReplicasToDirsRequestTopicData(topic_id=topic_id))
            topic.partitions.append(AssignReplicasToDirsRequestPartitionData(partition_index=index))
        directory = AssignReplicasToDirsRequestDirectoryData(id=LOST, topics=list(topics.values()))
        request = AssignReplicasToDirsRequest(
            broker_id=self._node_id, broker_epoch=self._broker_epoch(), directories=[directory]
        )
        try:
            answer = await self._ask(request)
        except (ApiError, ClientError) as problem:
            log.warning("the controller cannot be told of damaged replicas, trying again: %s", problem)
            return False
        codes = [answer.error_code]
        codes += [each.error_code for at in answer.directories for topic in at.topics for each in topic.partitions]
        refused = [ErrorCode(code).name for code in codes if code]
        if refused:
            log.warning("the controller does not take note of damaged replicas: %s", ", ".join(refused))
        return not refused

    async def _mend(self) -> bool:
        """Cut off what is damaged, where nobody counts on it. False if something is left to be tried again."""
        well = True
        for partition in self._partitions():
            if not _may_be_cut(partition):
                continue
            try:
                async with partition.mending:
                    if _may_be_cut(partition):
                        await self._cut(partition)
            except (ApiError, OSError) as problem:
                log.error("%s cannot be mended yet: %s", partition, problem)
                well = False
        return well

    async def _cut(self, partition: Partition) -> None:
        start = partition.log.damaged_from
        log.warning("%s: cut at %d, where the damage begins; node %d has the rest", partition, start, partition.leader)
        await partition.cut(start)


def _untold(partition: Partition) -> bool:
    return partition.log.damaged is not None and not partition.lost and not partition.alone


def _may_be_cut(partition: Partition) -> bool:
    sick = partition.log.damaged is not None
    return sick and partition.lost and not partition.leading and partition.leader != NOBODY
