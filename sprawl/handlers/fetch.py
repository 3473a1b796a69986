"""Fetch (API 1): record bytes out, to consumers and to replicas, waiting for more where there is too little.

One round reads every wanted partition up to the request's limits. A round that finds less than `min_bytes` and no
error waits for any of its partitions to grow, or for `max_wait_ms` to pass, and reads again. A replica (another node,
which has proved who it is) reads beyond the high watermark, and what it asks for tells how far it is.

Consumers may read from followers, up to the high watermark that the follower knows (KIP-392). Where
`replica.selector.class` asks for it, a leader sends consumers to a replica in their rack, and tells its followers of a
new high watermark at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from typing import Final

from sprawl.handlers.context import Handler, RequestContext
from sprawl.handlers.leader_hints import LeaderHints
from sprawl.partitions.fetch_sessions import FetchPlan, FetchSessions, Wanted
from sprawl.partitions.partition import READ_COMMITTED, Partition
from sprawl.partitions.throttle import LeaderThrottle
from sprawl.partitions.waiting import FetchWait
from sprawl.quorum.requests import is_metadata_fetch
from sprawl.quorum.serving import QuorumService
from sprawl.routing.nearest import NearestReplica
from sprawl.routing.router import Router
from sprawl.runtime import Clock
from sprawl.security.access import Authorizer, Operation, topic
from sprawl.storage.log import LogRead
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    EpochEndOffset,
    FetchableTopicResponse,
    FetchRequest,
    FetchResponse,
    PartitionData,
)

_TOPIC_IDS_SINCE: Final = 13
_REPLICA_STATE_SINCE: Final = 15
_ANY_REPLICA_SINCE: Final = 11
_NO_RECORDS: Final = b""


@dataclass(frozen=True, slots=True)
class _Replica:
    """The node that fetches, where it is one."""

    node_id: int
    broker_epoch: int


@dataclass(slots=True)
class _Round:
    """What one pass over the wanted partitions found."""

    room: int
    in_session: bool
    found_bytes: int = 0
    settled: bool = False
    """An error or a diverged epoch was found: the client must hear of it at once."""
    fetches_cold: bool = False
    """Something is read from the cloud tier."""
    waited_in_vain: bool = False
    """The cloud tier did not answer in time."""
    answers: list[tuple[Wanted, PartitionData]] = field(default_factory=list)


class FetchHandlers:
    def __init__(
        self,
        router: Router,
        sessions: FetchSessions,
        authorizer: Authorizer,
        clock: Clock,
        max_response_bytes: int,
        quorum: QuorumService | None = None,
        *,
        nearest: NearestReplica | None = None,
        hints: LeaderHints | None = None,
        throttle: LeaderThrottle | None = None,
    ) -> None:
        """`quorum` answers fetches of the metadata; `nearest` chooses among replicas for consumers; `hints` tells who
        leads instead; `throttle` holds back copies that are to be made slowly."""
        self._router = router
        self._sessions = sessions
        self._authorizer = authorizer
        self._clock = clock
        self._max_response_bytes = max_response_bytes
        self._quorum = quorum
        self._nearest = nearest
        self._hints = hints
        self._throttle = throttle

    def routes(self) -> dict[ApiKey, Handler]:
        return {ApiKey.FETCH: self.fetch}

    def fetch(self, context: RequestContext, request: FetchRequest) -> Awaitable[FetchResponse]:
        replica = _replica(context, request)
        if replica is not None and is_metadata_fetch(request) and self._quorum is not None:
            return self._quorum.fetch(request)
        return self._fetch(context, request, self.plan(context, request), replica)

    def plan(self, context: RequestContext, request: FetchRequest) -> FetchPlan:
        """What a request wants, by its session. Raises `ApiError`."""
        by_topic_id = context.api_version >= _TOPIC_IDS_SINCE
        return self._sessions.plan(
            request.session_id,
            request.session_epoch,
            [
                Wanted(
                    t.topic,
                    t.topic_id,
                    p.partition,
                    p.fetch_offset,
                    p.partition_max_bytes,
                    p.current_leader_epoch,
                    p.last_fetched_epoch,
                )
                for t in request.topics
                for p in t.partitions
            ],
            [(f.topic, f.topic_id, index) for f in request.forgotten_topics_data for index in f.partitions],
            by_topic_id=by_topic_id,
            now=self._clock.monotonic(),
        )

    def has(self, context: RequestContext, request: FetchRequest, wanted: Wanted) -> bool:
        """Whether this node, as an in-sync follower, has something committed at that offset: what a consumer may be
        given without asking the leader."""
        if context.api_version < _ANY_REPLICA_SINCE:
            return False
        try:
            partition = self._partition(context, wanted, None)
            partition.check_epoch(wanted.leader_epoch)
        except ApiError:
            return False
        begins, ends = partition.log.log_start_offset, partition.readable_until(request.isolation_level)
        return not partition.leading and partition.in_sync and begins <= wanted.offset < ends

    async def _fetch(
        self, context: RequestContext, request: FetchRequest, plan: FetchPlan, replica: _Replica | None
    ) -> FetchResponse:
        deadline = self._clock.monotonic() + max(request.max_wait_ms, 0) / 1000
        tells_commits = replica is None or (self._nearest is not None and plan.session is not None)
        found = await self._read_all(context, request, plan, replica)
        while not found.settled and found.found_bytes < request.min_bytes:
            partitions = self._partitions(context, plan)
            with FetchWait(partitions, committed=tells_commits, appended=replica is not None) as more:
                found = await self._read_all(context, request, plan, replica)
                if found.settled or found.found_bytes >= request.min_bytes:
                    break
                left = deadline - self._clock.monotonic()
                if left <= 0 or not await more.within(left):
                    break
        response = answer_plan(plan, found.answers)
        if self._hints is not None and found.settled:
            self._hints.add_to_fetch(context, response)
        return response

    def _partitions(self, context: RequestContext, plan: FetchPlan) -> list[Partition]:
        found = []
        for wanted in plan.wanted:
            try:
                found.append(self._partition(context, wanted, None))
            except ApiError:
                continue  # the round that follows reports it
        return found

    async def _read_all(
        self, context: RequestContext, request: FetchRequest, plan: FetchPlan, replica: _Replica | None
    ) -> _Round:
        room = min(request.max_bytes, self._max_response_bytes)
        found = _Round(room, in_session=plan.session is not None)
        for wanted in plan.wanted:
            answer = PartitionData(partition_index=wanted.index, records=_NO_RECORDS)
            try:
                await self._read(context, request, plan, wanted, answer, found, replica)
            except ApiError as error:
                found.settled = True
                answer.error_code = int(error.code)
                answer.high_watermark = -1
            found.answers.append((wanted, answer))
        return found

    async def _read(
        self,
        context: RequestContext,
        request: FetchRequest,
        plan: FetchPlan,
        wanted: Wanted,
        answer: PartitionData,
        found: _Round,
        replica: _Replica | None,
    ) -> None:
        name = self._router.topic_name(wanted.topic, wanted.topic_id)
        if name and not self._authorizer.authorize(context.principal, Operation.READ, topic(name)):
            raise _denied(context, name)
        partition = self._partition(context, wanted, replica)
        partition.check_epoch(wanted.leader_epoch)
        answer.log_start_offset = partition.log.log_start_offset
        answer.high_watermark = partition.high_watermark
        answer.last_stable_offset = partition.last_stable_offset
        if request.isolation_level == READ_COMMITTED:
            answer.aborted_transactions = []
        room = found.room
        if replica is not None:
            partition.refuse_if_damaged()
        if wanted.last_fetched_epoch >= 0 and _diverged(partition, wanted, answer):
            found.settled = True
            return
        if replica is None:
            if self._sent_elsewhere(context, request, partition, wanted, answer):
                found.settled = True
                return
            until = partition.readable_until(request.isolation_level)
            if until < wanted.offset <= partition.log.log_end_offset:
                return  # there, and not committed yet
        else:
            until = partition.replica_end
            if partition.log.log_start_offset <= wanted.offset < partition.log.local_start_offset:
                raise ApiError(
                    ErrorCode.OFFSET_MOVED_TO_TIERED_STORAGE,
                    f"{partition}: {wanted.offset} is in the cloud tier, for replicas there is "
                    f"{partition.log.local_start_offset} and what follows",
                )
            if wanted.offset <= partition.log.log_end_offset and wanted.offset >= partition.log.log_start_offset:
                partition.fetched_by(replica.node_id, replica.broker_epoch, wanted.offset)
                answer.high_watermark = partition.high_watermark
                if self._nearest is not None and answer.high_watermark != wanted.told_high_watermark:
                    found.settled = found.settled or found.in_session
            if self._throttle is not None:
                allowed = self._throttle.room(partition, replica.node_id)
                if not allowed:
                    return
                room = min(room, allowed)
        if wanted.offset == until:
            return
        minimum_one = found.found_bytes == 0
        room = min(room, wanted.max_bytes)
        if room <= 0 and not minimum_one:
            return
        read = partition.read_now(wanted.offset, room, until, minimum_one)
        if read is None:
            cold = partition.is_cold(wanted.offset)
            if cold and found.waited_in_vain:
                return  # one such wait is enough; what is on its way is asked for again
            if cold and not found.fetches_cold:
                found.fetches_cold = True
                self._expect(context, plan)
            read = await partition.read(wanted.offset, room, until, minimum_one)
            found.waited_in_vain = found.waited_in_vain or (cold and not read.size)
        answer.records = _as_one(read)
        found.found_bytes += read.size
        found.room -= read.size
        if replica is not None and self._throttle is not None:
            self._throttle.gave(partition, replica.node_id, read.size)

    def _expect(self, context: RequestContext, plan: FetchPlan) -> None:
        """All that is wanted from the cloud tier is fetched at once, not one partition after the other."""
        for wanted in plan.wanted:
            try:
                self._partition(context, wanted, None).expect(wanted.offset, wanted.max_bytes)
            except ApiError:
                continue  # the round comes to it

    def _partition(self, context: RequestContext, wanted: Wanted, replica: _Replica | None) -> Partition:
        """Raises `ApiError`."""
        if replica is None and context.api_version >= _ANY_REPLICA_SINCE:
            return self._router.replica(wanted.topic, wanted.topic_id, wanted.index)
        return self._router.find(wanted.topic, wanted.topic_id, wanted.index)

    def _sent_elsewhere(
        self,
        context: RequestContext,
        request: FetchRequest,
        partition: Partition,
        wanted: Wanted,
        answer: PartitionData,
    ) -> bool:
        """Whether the consumer is told to read from another replica, which then is all that it is told."""
        if self._nearest is None or not partition.leading or context.api_version < _ANY_REPLICA_SINCE:
            return False
        chosen = self._nearest.of(partition, request.rack_id, wanted.offset)
        if chosen is None:
            return False
        answer.preferred_read_replica = chosen
        return True


def _replica(context: RequestContext, request: FetchRequest) -> _Replica | None:
    """Raises `ApiError` if a client says that it is a replica, or a node that it is another."""
    node_id = request.replica_id if context.api_version < _REPLICA_STATE_SINCE else request.replica_state.replica_id
    if node_id < 0:
        return None
    if context.peer is None or context.peer.node_id != node_id:
        raise ApiError(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, f"this connection is not that of replica {node_id}")
    return _Replica(node_id, request.replica_state.replica_epoch)


def _denied(context: RequestContext, name: str) -> ApiError:
    return ApiError(ErrorCode.TOPIC_AUTHORIZATION_FAILED, f"{context.principal} may not read {name}")


def _as_one(read: LogRead) -> bytes | bytearray | memoryview:
    buffers = read.buffers
    return buffers[0] if len(buffers) == 1 else b"".join(buffers)


def _diverged(partition: Partition, wanted: Wanted, answer: PartitionData) -> bool:
    """Tell a reader whose last epoch ended earlier here where to go back to (KIP-595's truncation on fetch)."""
    epoch, end_offset = partition.epoch_end(wanted.last_fetched_epoch)
    if epoch == wanted.last_fetched_epoch and end_offset >= wanted.offset:
        return False
    answer.diverging_epoch = EpochEndOffset(epoch=epoch, end_offset=end_offset)
    return True


def answer_plan(plan: FetchPlan, answers: Iterable[tuple[Wanted, PartitionData]]) -> FetchResponse:
    """What the client is told of what was found: in a session, only what is news to it."""
    response = FetchResponse(session_id=plan.session_id)
    current: FetchableTopicResponse | None = None
    for wanted, answer in answers:
        if plan.session is not None and not _note_told(wanted, answer) and not plan.full:
            continue
        if current is None or (current.topic, current.topic_id) != (wanted.topic, wanted.topic_id):
            current = FetchableTopicResponse(topic=wanted.topic, topic_id=wanted.topic_id)
            response.responses.append(current)
        current.partitions.append(answer)
        if plan.session is not None and answer.records:
            plan.session.had_news(wanted)
    return response


def _note_told(wanted: Wanted, answer: PartitionData) -> bool:
    """Remember in the session what the client is told; True if any of it is news to it."""
    news = (
        bool(answer.records)
        or answer.error_code != 0
        or answer.diverging_epoch.epoch >= 0
        or answer.preferred_read_replica >= 0
        or answer.high_watermark != wanted.told_high_watermark
        or answer.log_start_offset != wanted.told_log_start
        or wanted.told_error != 0
    )
    wanted.told_high_watermark = answer.high_watermark
    wanted.told_log_start = answer.log_start_offset
    wanted.told_error = answer.error_code
    return news
