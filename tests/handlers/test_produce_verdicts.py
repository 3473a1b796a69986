"""What a leader says of a producer's sequence, and when it had better not."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

import pytest

from sprawl.handlers import produce
from sprawl.handlers.context import RequestContext
from sprawl.handlers.produce import ProduceHandlers
from sprawl.security.access import AllowAll, Principal
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData


class Refusing:
    """A router, and the partition that it finds."""

    def __init__(self, code: ErrorCode) -> None:
        self._code = code

    def topic_name(self, name: str, topic_id: UUID) -> str:
        return name

    def find(self, name: str, topic_id: UUID, index: int) -> Refusing:
        return self

    def append(self, *_: Any, **__: Any) -> Any:
        raise ApiError(self._code, "sent sequence 100: the next one is 97")


def refusal(code: ErrorCode, monkeypatch: pytest.MonkeyPatch, *, certain: bool) -> int:
    monkeypatch.setattr(produce, "check_produce", lambda *_: (memoryview(b""), []))
    handlers = ProduceHandlers(cast(Any, Refusing(code)), AllowAll(), lambda: 0, None, lambda: certain)
    data = TopicProduceData(name="orders", partition_data=[PartitionProduceData(index=0, records=b"")])
    request = ProduceRequest(acks=-1, timeout_ms=1000, topic_data=[data])
    context = RequestContext(12, "test", "", Principal("User", "one"), "PLAINTEXT", 0)
    answer = handlers.produce(context, request)
    assert isinstance(answer, ProduceResponse)
    return answer.responses[0].partition_responses[0].error_code


@pytest.mark.parametrize("code", [ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, ErrorCode.INVALID_PRODUCER_EPOCH])
def test_a_leader_that_may_have_a_successor_sends_producers_there_instead_of_judging_their_sequence(
    code: ErrorCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refusal(code, monkeypatch, certain=True) == code
    assert refusal(code, monkeypatch, certain=False) == ErrorCode.NOT_LEADER_OR_FOLLOWER


def test_other_refusals_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(ErrorCode.KAFKA_STORAGE_ERROR, monkeypatch, certain=False) == ErrorCode.KAFKA_STORAGE_ERROR
