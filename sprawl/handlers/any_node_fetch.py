"""Fetch where every node answers for all of them (`sprawl.routing=any`): records from several leaders as one answer.

A consumer's session is kept here, as if all partitions were. Each round reads what this node leads from its own logs
and asks each other leader for its share, which waits a little for records; a round that has enough, or an error, is the
answer, others are followed by another round until the client's patience is over.

Where `replica.selector.class` asks for it, records that this node has as an in-sync follower are read here (KIP-392).
Only the leader says that there are none, or that an offset does not exist: the next request of the same consumer may
come through a node that has less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from sprawl.handlers.any_node import LeaderOf, Passing
from sprawl.handlers.context import Handler, RequestContext
from sprawl.handlers.fetch import answer_plan
from sprawl.partitions.fetch_sessions import FetchPlan, Key, Wanted
from sprawl.routing.forward import NOBODY
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    FetchPartition,
    FetchRequest,
    FetchResponse,
    FetchTopic,
    PartitionData,
)

_SHARE_WAIT_MS: Final = 100
"""How long another leader may wait for records: what comes elsewhere meanwhile is answered at once."""
_GATHER_SECONDS: Final = 0.005
"""How long a round that has something waits for what the others have."""
_PATIENCE: Final = 3.0
_TOPIC_IDS_SINCE: Final = 13
_NO_SESSION_EPOCH: Final = -1
Has = Callable[[RequestContext, FetchRequest, Wanted], bool]


class AnyNodeFetch:
    def __init__(
        self,
        handler: Handler,
        plan: Callable[[RequestContext, FetchRequest], FetchPlan],
        leader_of: LeaderOf,
        passing: Passing,
        has: Has | None = None,
    ) -> None:
        """`handler`: of this node alone. `plan`: what a request wants, by its session. `has`: whether this node has
        records at an offset without leading the partition; None: the leader is asked for everything."""
        self._handler = handler
        self._plan = plan
        self._leader_of = leader_of
        self._passing = passing
        self._has = has

    def handle(self, context: RequestContext, request: FetchRequest) -> Any:
        if context.passed_on or context.peer is not None:
            return self._handler(context, request)
        return self._fetch(context, request)

    async def _fetch(self, context: RequestContext, request: FetchRequest) -> FetchResponse:
        plan = self._plan(context, request)
        clock = self._passing.clock
        deadline = clock.monotonic() + max(request.max_wait_ms, 0) / 1000
        in_vain: set[Key] = set()
        while True:
            left_ms = int(max(deadline - clock.monotonic(), 0) * 1000)
            found = await self._round(context, request, plan, min(left_ms, _SHARE_WAIT_MS), in_vain)
            size = sum(len(data.records or b"") for data in found.values())
            settled = any(data.error_code or data.diverging_epoch.epoch >= 0 for data in found.values())
            if settled or size >= request.min_bytes or clock.monotonic() >= deadline:
                return answer_plan(plan, [(wanted, found[wanted.key]) for wanted in plan.wanted])
            if not plan.wanted:
                await asyncio.sleep(left_ms / 1000)

    async def _round(
        self, context: RequestContext, request: FetchRequest, plan: FetchPlan, wait_ms: int, in_vain: set[Key]
    ) -> dict[Any, PartitionData]:
        """What each partition has: nothing new for those whose leader has not answered yet. `in_vain`: where this node
        was thought to have records and had none."""
        shares: dict[int, list[Wanted]] = {}
        near = {each.key for each in plan.wanted if self._is_near(context, request, each, in_vain)}
        for wanted in plan.wanted:
            leader = self._passing.node_id if wanted.key in near else self._leader(wanted)
            shares.setdefault(leader, []).append(wanted)
        found = {wanted.key: PartitionData(partition_index=wanted.index, records=b"") for wanted in plan.wanted}
        for wanted in shares.pop(NOBODY, ()):
            found[wanted.key].error_code = int(ErrorCode.LEADER_NOT_AVAILABLE)
        asked = [
            asyncio.create_task(self._share(node, context, request, share, wait_ms, found))
            for node, share in shares.items()
        ]
        if asked:
            done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            if waiting:
                late, waiting = await asyncio.wait(waiting, timeout=_GATHER_SECONDS if _any(found) else None)
                done |= late
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            for task in done:
                task.result()
        for key in near:
            if found[key].error_code:
                in_vain.add(key)
                found[key] = PartitionData(partition_index=found[key].partition_index, records=b"")
        return found

    def _leader(self, wanted: Wanted) -> int:
        return self._leader_of(wanted.topic, wanted.topic_id, wanted.index)

    def _is_near(self, context: RequestContext, request: FetchRequest, wanted: Wanted, in_vain: set[Key]) -> bool:
        return (
            self._has is not None
            and wanted.key not in in_vain
            and self._leader(wanted) != self._passing.node_id
            and self._has(context, request, wanted)
        )

    async def _share(
        self,
        node: int,
        context: RequestContext,
        request: FetchRequest,
        share: list[Wanted],
        wait_ms: int,
        found: dict[Any, PartitionData],
    ) -> None:
        """Ask one leader for its share, without a session, and put what it has into `found`."""
        by_id = context.api_version >= _TOPIC_IDS_SINCE
        topics: dict[Any, FetchTopic] = {}
        for wanted in share:
            key = wanted.topic_id if by_id else wanted.topic
            topic = topics.setdefault(key, FetchTopic(topic=wanted.topic, topic_id=wanted.topic_id))
            topic.partitions.append(
                FetchPartition(
                    partition=wanted.index,
                    current_leader_epoch=wanted.leader_epoch,
                    fetch_offset=wanted.offset,
                    last_fetched_epoch=wanted.last_fetched_epoch,
                    partition_max_bytes=wanted.max_bytes,
                )
            )
        asked = FetchRequest(
            max_wait_ms=wait_ms,
            min_bytes=1,
            max_bytes=request.max_bytes,
            isolation_level=request.isolation_level,
            session_epoch=_NO_SESSION_EPOCH,
            topics=list(topics.values()),
            rack_id=request.rack_id,
        )
        try:
            answer = await self._passing.ask(node, self._handler, context, asked, wait_ms / 1000 + _PATIENCE)
        except (ClientError, ApiError):
            for wanted in share:
                found[wanted.key].error_code = int(ErrorCode.LEADER_NOT_AVAILABLE)
            return
        keys = {(wanted.topic_id if by_id else wanted.topic, wanted.index): wanted.key for wanted in share}
        for told in answer.responses:
            for data in told.partitions:
                place = keys.get((told.topic_id if by_id else told.topic, data.partition_index))
                if place is not None:
                    found[place] = data


def _any(found: dict[Any, PartitionData]) -> bool:
    return any(data.error_code or len(data.records or b"") for data in found.values())
