"""Produce (API 0): records in, offsets out once they are as safe as the producer asked for.

`acks=0` gets no answer; a failure then closes the connection, which is how a client learns of it (as in Kafka).
`acks=1` and `acks=all` are answered when the partition says that the records are committed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sprawl.handlers.context import Handler, Hangup, Later, RequestContext
from sprawl.handlers.impatience import Impatience
from sprawl.handlers.leader_hints import LeaderHints
from sprawl.partitions.append import check_produce
from sprawl.partitions.importing import IMPORT, check_import
from sprawl.partitions.waiting import Appended, Commit
from sprawl.routing.router import Router
from sprawl.security.access import CLUSTER, Authorizer, Operation, topic
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    PartitionProduceData,
    PartitionProduceResponse,
    ProduceRequest,
    ProduceResponse,
    TopicProduceData,
    TopicProduceResponse,
)

ACKS_ALL: Final = -1
_OF_SEQUENCE: Final = frozenset(
    {
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        ErrorCode.DUPLICATE_SEQUENCE_NUMBER,
        ErrorCode.INVALID_PRODUCER_EPOCH,
        ErrorCode.UNKNOWN_PRODUCER_ID,
    }
)
"""What only the leader can know. A producer that believes one of yesterday begins anew, and sends twice."""


class ProduceHandlers:
    def __init__(
        self,
        router: Router,
        authorizer: Authorizer,
        now_ms: Callable[[], int],
        hints: LeaderHints | None = None,
        certain: Callable[[], bool] = lambda: True,
    ) -> None:
        """`hints` tells producers who leads instead; `certain`: whether nobody else can lead by now what this node
        does."""
        self._router = router
        self._authorizer = authorizer
        self._now_ms = now_ms
        self._hints = hints
        self._certain = certain
        self._impatience = Impatience()

    def routes(self) -> dict[ApiKey, Handler]:
        return {ApiKey.PRODUCE: self.produce}

    def produce(self, context: RequestContext, request: ProduceRequest) -> ProduceResponse | Later | None:
        answer = _Answer(self._impatience, context, self._hints)
        for topic_data in request.topic_data:
            answers = TopicProduceResponse(name=topic_data.name, topic_id=topic_data.topic_id)
            answer.response.responses.append(answers)
            for data in topic_data.partition_data:
                partition_answer = PartitionProduceResponse(index=data.index)
                answers.partition_responses.append(partition_answer)
                try:
                    appended = self._append(context, request, topic_data, data)
                except ApiError as error:
                    _refuse(partition_answer, error)
                else:
                    partition_answer.base_offset = appended.base_offset
                    partition_answer.log_append_time_ms = appended.log_append_time_ms
                    partition_answer.log_start_offset = appended.log_start_offset
                    answer.expect(partition_answer, appended)
        if request.acks == 0:
            answer.hang_up_on_failure()
            return None
        return answer.now_or_later(request.timeout_ms)

    def _append(
        self,
        context: RequestContext,
        request: ProduceRequest,
        topic_data: TopicProduceData,
        data: PartitionProduceData,
    ) -> Appended:
        if not -1 <= request.acks <= 1:
            raise ApiError(ErrorCode.INVALID_REQUIRED_ACKS, f"acks must be 0, 1 or -1 (all), not {request.acks}")
        name = self._router.topic_name(topic_data.name, topic_data.topic_id)
        if name and not self._authorizer.authorize(context.principal, Operation.WRITE, topic(name)):
            raise ApiError(ErrorCode.TOPIC_AUTHORIZATION_FAILED, f"{context.principal} may not write to {name}")
        partition = self._router.find(topic_data.name, topic_data.topic_id, data.index)
        if request.transactional_id == IMPORT:
            if not self._authorizer.authorize(context.principal, Operation.ALTER, CLUSTER):
                raise ApiError(ErrorCode.CLUSTER_AUTHORIZATION_FAILED, f"{context.principal} may not import records")
            buffer, batches = check_import(data.records, partition)
            return partition.append_imported(buffer, batches)
        buffer, batches = check_produce(data.records, partition, context.api_version, self._now_ms())
        try:
            return partition.append(buffer, batches, all_replicas=request.acks == ACKS_ALL)
        except ApiError as refusal:
            if refusal.code in _OF_SEQUENCE and not self._certain():
                raise ApiError(
                    ErrorCode.NOT_LEADER_OR_FOLLOWER, f"{partition} may have another leader by now; {refusal.message}"
                ) from None
            raise


def _refuse(answer: PartitionProduceResponse, error: ApiError) -> None:
    answer.error_code = int(error.code)
    answer.error_message = error.message or None
    answer.base_offset = -1
    answer.log_append_time_ms = -1
    answer.log_start_offset = -1


class _Answer(Later):
    """Collects the partitions' outcomes of one request; settled once the last one is known, or at the timeout."""

    __slots__ = ("_context", "_hints", "_impatience", "_open", "_waiting", "deadline", "response")

    def __init__(self, impatience: Impatience, context: RequestContext, hints: LeaderHints | None) -> None:
        super().__init__()
        self._context = context
        self._hints = hints
        self.response = ProduceResponse()
        self.deadline = 0.0
        self._impatience = impatience
        self._waiting: list[tuple[PartitionProduceResponse, Commit]] = []
        self._open = 0

    def expect(self, answer: PartitionProduceResponse, appended: Appended) -> None:
        self._waiting.append((answer, appended.commit))

    def hang_up_on_failure(self) -> None:
        """Nobody waits for an acks=0 answer; a refusal still has to be felt."""
        for answers in self.response.responses:
            for answer in answers.partition_responses:
                if answer.error_code:
                    raise Hangup(
                        f"produced to {answers.name or answers.topic_id}-{answer.index} with acks=0 and was refused: "
                        f"{ErrorCode(answer.error_code).name}: {answer.error_message}"
                    )

    def now_or_later(self, timeout_ms: int) -> ProduceResponse | Later:
        self._open = 1 + len(self._waiting)
        for _, commit in self._waiting:
            commit.when_settled(self._one_known)
        self._one_known()
        if self.settled:
            return self.response
        self._impatience.watch(self, timeout_ms / 1000)
        return self

    def _one_known(self) -> None:
        self._open -= 1
        if self._open == 0 and not self.settled:
            for answer, commit in self._waiting:
                if commit.error is not None:
                    _refuse(answer, commit.error)
            self._settle()

    def _settle(self) -> None:
        if self._hints is not None:
            self._hints.add_to_produce(self._context, self.response)
        self.settle(self.response)

    def give_up(self) -> None:
        """The request's timeout has passed."""
        for answer, commit in self._waiting:
            if not commit.settled:
                _refuse(answer, _TIMED_OUT)
            elif commit.error is not None:
                _refuse(answer, commit.error)
        self._settle()


_TIMED_OUT: Final = ApiError(
    ErrorCode.REQUEST_TIMED_OUT,
    "the records were appended, but not known to be safe within the request's timeout",
)
