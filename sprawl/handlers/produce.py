"""Produce (API 0): records in, offsets out once they are as safe as the producer asked for.

`acks=0` gets no answer; a failure then closes the connection, which is how a client learns of it (as in Kafka).
`acks=1` and `acks=all` are answered when the partition says that the records are committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from sprawl.handlers.context import Handler, Hangup, RequestContext
from sprawl.partitions.append import check_produce
from sprawl.partitions.partition import Appended
from sprawl.routing.router import Router
from sprawl.security.access import Authorizer, Operation, topic
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


class ProduceHandlers:
    def __init__(self, router: Router, authorizer: Authorizer, now_ms: Callable[[], int]) -> None:
        self._router = router
        self._authorizer = authorizer
        self._now_ms = now_ms

    def routes(self) -> dict[ApiKey, Handler]:
        return {ApiKey.PRODUCE: self.produce}

    def produce(
        self, context: RequestContext, request: ProduceRequest
    ) -> ProduceResponse | asyncio.Future[ProduceResponse] | None:
        answer = _Answer()
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
            answer.hang_up_on_failure(context)
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
        buffer, batches = check_produce(data.records, partition, context.api_version, self._now_ms())
        return partition.append(buffer, batches, all_replicas=request.acks == ACKS_ALL)


def _refuse(answer: PartitionProduceResponse, error: ApiError) -> None:
    answer.error_code = int(error.code)
    answer.error_message = error.message or None
    answer.base_offset = -1
    answer.log_append_time_ms = -1
    answer.log_start_offset = -1


class _Answer:
    """Collects the partitions' outcomes of one request; complete once the last one is known."""

    __slots__ = ("_awaited", "_future", "_timer", "_waiting", "response")

    def __init__(self) -> None:
        self.response = ProduceResponse()
        self._waiting: list[tuple[PartitionProduceResponse, asyncio.Future[int]]] = []
        self._awaited = 0
        self._future: asyncio.Future[ProduceResponse] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def expect(self, answer: PartitionProduceResponse, appended: Appended) -> None:
        if not appended.committed.done():
            self._waiting.append((answer, appended.committed))
        elif (error := appended.committed.exception()) is not None:
            assert isinstance(error, ApiError)
            _refuse(answer, error)

    def hang_up_on_failure(self, context: RequestContext) -> None:
        """Nobody waits for an acks=0 answer; a refusal still has to be felt."""
        for _, committed in self._waiting:
            committed.add_done_callback(_ignore_outcome)
        for answers in self.response.responses:
            for answer in answers.partition_responses:
                if answer.error_code:
                    raise Hangup(
                        f"produced to {answers.name or answers.topic_id}-{answer.index} with acks=0 and was refused: "
                        f"{ErrorCode(answer.error_code).name}: {answer.error_message}"
                    )

    def now_or_later(self, timeout_ms: int) -> ProduceResponse | asyncio.Future[ProduceResponse]:
        if not self._waiting:
            return self.response
        loop = asyncio.get_running_loop()
        self._awaited = len(self._waiting)
        self._future = loop.create_future()
        self._timer = loop.call_later(max(timeout_ms, 0) / 1000, self._give_up)
        for _, committed in self._waiting:
            committed.add_done_callback(self._one_known)
        return self._future

    def _one_known(self, _: asyncio.Future[int]) -> None:
        self._awaited -= 1
        if self._awaited == 0:
            self._complete()

    def _give_up(self) -> None:
        for answer, committed in self._waiting:
            if not committed.done():
                _refuse(
                    answer,
                    ApiError(
                        ErrorCode.REQUEST_TIMED_OUT,
                        "the records were appended, but not known to be safe within the request's timeout",
                    ),
                )
        self._complete()

    def _complete(self) -> None:
        assert self._future is not None and self._timer is not None
        self._timer.cancel()
        for answer, committed in self._waiting:
            if committed.done() and not committed.cancelled() and (error := committed.exception()) is not None:
                assert isinstance(error, ApiError)
                _refuse(answer, error)
        if not self._future.done():
            self._future.set_result(self.response)


def _ignore_outcome(committed: asyncio.Future[int]) -> None:
    """Retrieve the outcome, so that asyncio does not report an exception that nobody was to see."""
    if not committed.cancelled():
        committed.exception()
