"""Requests for the controller while there is none: every kind is answered, with the reason, on the connection."""

from __future__ import annotations

import asyncio
from typing import Any, cast
from uuid import UUID

import pytest

from sprawl.handlers.context import RequestContext
from sprawl.handlers.envelope import to_controller
from sprawl.quorum.controller_link import ControllerLink
from sprawl.security.access import ANONYMOUS
from sprawl.wire.client import ClientError
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.message import Request
from sprawl_protocol.messages import (
    AlterConfigsRequest,
    AlterConfigsResource,
    CreatableTopic,
    CreatePartitionsRequest,
    CreatePartitionsTopic,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DeleteTopicState,
    ElectLeadersRequest,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterConfigsResource,
)
from tests.handlers.wired import versions_of

WHY = "No controller within 10 s: the metadata quorum has no leader."


class Nobody:
    def __init__(self, problem: Exception) -> None:
        self._problem = problem

    async def ask(self, message: Request, **_: Any) -> Any:
        raise self._problem


def answer(request: Request, version: int, problem: Exception | None = None) -> Any:
    def here(context: RequestContext, request: Any) -> Any:
        raise AssertionError("this node is not the controller")

    link = cast("ControllerLink", Nobody(problem or ApiError(ErrorCode.REQUEST_TIMED_OUT, WHY)))
    context = RequestContext(version, "client", "127.0.0.1", ANONYMOUS, "PLAINTEXT", 1)
    waited: Any = to_controller(here, lambda _: False, link)(context, request)
    response: Any = asyncio.run(waited)
    return type(response).parse(response.encode(version), version)


@pytest.mark.parametrize("version", versions_of(CreateTopicsRequest))
def test_topics_that_cannot_be_created_are_refused_one_by_one(version: int) -> None:
    wanted = [CreatableTopic(name=name, num_partitions=1, replication_factor=1) for name in ("a", "b")]
    found = answer(CreateTopicsRequest(topics=wanted), version).topics
    told = [(each.name, each.error_code, each.error_message) for each in found]
    assert told == [(name, ErrorCode.REQUEST_TIMED_OUT, WHY) for name in ("a", "b")]


def test_topics_that_cannot_be_deleted_are_named_as_they_were_asked_for() -> None:
    one = UUID(int=1)
    by_state = DeleteTopicsRequest(topics=[DeleteTopicState(name="a"), DeleteTopicState(name=None, topic_id=one)])
    found = answer(by_state, DeleteTopicsRequest.MAX_VERSION).responses
    assert [(each.name, each.topic_id, each.error_message) for each in found] == [
        ("a", UUID(int=0), WHY),
        (None, one, WHY),
    ]
    by_name = answer(DeleteTopicsRequest(topic_names=["a"]), 5).responses
    assert [(each.name, each.error_code) for each in by_name] == [("a", ErrorCode.REQUEST_TIMED_OUT)]


@pytest.mark.parametrize(
    ("request_", "answers"),
    [
        (CreatePartitionsRequest(topics=[CreatePartitionsTopic(name="a", count=2, assignments=None)]), "results"),
        (AlterConfigsRequest(resources=[AlterConfigsResource(resource_type=2, resource_name="a")]), "responses"),
        (
            IncrementalAlterConfigsRequest(
                resources=[IncrementalAlterConfigsRequestAlterConfigsResource(resource_type=2, resource_name="a")]
            ),
            "responses",
        ),
    ],
    ids=["CreatePartitions", "AlterConfigs", "IncrementalAlterConfigs"],
)
def test_other_kinds_are_refused_item_by_item_too(request_: Request, answers: str) -> None:
    (item,) = getattr(answer(request_, request_.MAX_VERSION), answers)
    assert (item.error_code, item.error_message) == (ErrorCode.REQUEST_TIMED_OUT, WHY)
    assert getattr(item, "name", None) or item.resource_name == "a"


def test_what_the_controller_was_asked_and_did_not_answer_may_have_been_done() -> None:
    wanted = CreateTopicsRequest(topics=[CreatableTopic(name="a", num_partitions=1, replication_factor=1)])
    (found,) = answer(wanted, CreateTopicsRequest.MAX_VERSION, ClientError("it hung up")).topics
    assert found.error_code == ErrorCode.REQUEST_TIMED_OUT
    assert "cannot be said" in found.error_message


def test_a_kind_with_an_error_of_its_own_is_refused_as_a_whole() -> None:
    with pytest.raises(ApiError) as refusal:
        answer(ElectLeadersRequest(topic_partitions=None), ElectLeadersRequest.MAX_VERSION)
    assert refusal.value.message == WHY
