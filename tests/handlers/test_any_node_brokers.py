"""`sprawl.routing=any`: what names a broker is answered by that one."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from sprawl.handlers.any_node import Passing
from sprawl.handlers.any_node_brokers import for_brokers, log_dirs_of_all
from sprawl.handlers.context import Handler, RequestContext
from sprawl.quorum.image import ConfigKind
from sprawl.security.access import ANONYMOUS
from sprawl.wire.client import ClientError
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ErrorCode
from sprawl_protocol.messages import (
    DescribeConfigsRequest,
    DescribeConfigsResource,
    DescribeConfigsResponse,
    DescribeConfigsResult,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsRequestAlterConfigsResource,
    IncrementalAlterConfigsResponse,
    IncrementalAlterConfigsResponseAlterConfigsResourceResponse,
)


@dataclass
class Asked:
    """Stands for the links to other nodes: each answers with its own number as the message."""

    node_id: int = 1
    silent: set[int] = field(default_factory=set)
    nodes: list[tuple[int, list[str]]] = field(default_factory=list)

    async def ask(self, node: int, handler: Handler, context: RequestContext, request: Any, timeout: float) -> Any:
        self.nodes.append((node, [each.resource_name for each in request.resources]))
        if node in self.silent:
            raise ClientError("gone")
        return answered_by(node)(context, request)


def answered_by(node: int) -> Handler:
    def handle(context: RequestContext, request: Any) -> Any:
        described = isinstance(request, DescribeConfigsRequest)
        kind: Any = DescribeConfigsResult if described else IncrementalAlterConfigsResponseAlterConfigsResourceResponse
        answers = [
            kind(resource_type=each.resource_type, resource_name=each.resource_name, error_message=f"by {node}")
            for each in request.resources
        ]
        return (
            DescribeConfigsResponse(results=answers)
            if described
            else IncrementalAlterConfigsResponse(responses=answers)
        )

    return handle


def describe(asked: Asked, *resources: tuple[ConfigKind, str], passed_on: bool = False) -> list[tuple[str, str, int]]:
    """Name, who answered, and error, by the order of the answer."""
    handler = for_brokers(ApiKey.DESCRIBE_CONFIGS, answered_by(1), lambda: [1, 2, 3], cast("Passing", asked))
    request = DescribeConfigsRequest(
        resources=[DescribeConfigsResource(resource_type=kind, resource_name=name) for kind, name in resources]
    )
    return [
        (each.resource_name, each.error_message, each.error_code) for each in run(handler, request, passed_on).results
    ]


def run(handler: Handler, request: Any, passed_on: bool = False) -> Any:
    context = RequestContext(4, "client", "10.0.0.9", ANONYMOUS, "PLAINTEXT", 1, passed_on=passed_on)

    async def main() -> Any:
        answer: Any = handler(context, request)
        return await answer if inspect.isawaitable(answer) else answer

    return asyncio.run(main())


def test_each_broker_answers_for_itself_and_the_order_is_that_of_the_request() -> None:
    asked = Asked()
    told = describe(
        asked,
        (ConfigKind.BROKER, "3"),
        (ConfigKind.TOPIC, "3"),
        (ConfigKind.BROKER_LOGGER, "2"),
        (ConfigKind.BROKER, "1"),
        (ConfigKind.BROKER_LOGGER, "3"),
    )
    assert told == [("3", "by 3", 0), ("3", "by 1", 0), ("2", "by 2", 0), ("1", "by 1", 0), ("3", "by 3", 0)]
    assert sorted(asked.nodes) == [(1, ["3", "1"]), (2, ["2"]), (3, ["3", "3"])]


@pytest.mark.parametrize("name", ["", "4", "x", "-2", "²", "1"])
def test_what_names_no_other_living_broker_is_answered_here(name: str) -> None:
    asked = Asked()
    assert describe(asked, (ConfigKind.BROKER, name)) == [(name, "by 1", 0)]
    assert asked.nodes == []


def test_what_was_passed_on_is_not_passed_on_again() -> None:
    asked = Asked()
    assert describe(asked, (ConfigKind.BROKER, "2"), passed_on=True) == [("2", "by 1", 0)]
    assert asked.nodes == []


def test_a_broker_that_does_not_answer_costs_its_own_share_only() -> None:
    asked = Asked(silent={2})
    here, away = describe(asked, (ConfigKind.BROKER, "3"), (ConfigKind.BROKER, "2"))
    assert here == ("3", "by 3", 0)
    assert away == ("2", "Broker 2 does not answer: gone", ErrorCode.BROKER_NOT_AVAILABLE)


def test_loggers_are_changed_where_they_are_and_settings_anywhere() -> None:
    asked = Asked()
    handler = for_brokers(ApiKey.INCREMENTAL_ALTER_CONFIGS, answered_by(1), lambda: [1, 2], cast("Passing", asked))
    wanted = [
        IncrementalAlterConfigsRequestAlterConfigsResource(resource_type=kind, resource_name="2")
        for kind in (ConfigKind.BROKER, ConfigKind.BROKER_LOGGER)
    ]
    answer = run(handler, IncrementalAlterConfigsRequest(resources=wanted))
    assert [each.error_message for each in answer.responses] == ["by 1", "by 2"]


class Disks:
    """Stands for the links to other nodes: each has a directory, some are silent, some refuse."""

    node_id = 2

    def __init__(self, silent: int = 0, refusing: int = 0) -> None:
        self.silent = silent
        self.refusing = refusing

    async def ask(self, node: int, handler: Handler, context: RequestContext, request: Any, timeout: float) -> Any:
        if node == self.silent:
            raise ClientError("gone")
        if node == self.refusing:
            return DescribeLogDirsResponse(error_code=int(ErrorCode.CLUSTER_AUTHORIZATION_FAILED))
        return directory_of(node)


def directory_of(node: int) -> DescribeLogDirsResponse:
    return DescribeLogDirsResponse(results=[DescribeLogDirsResult(log_dir="/data", usable_bytes=node)])


def directories(disks: Disks, *, passed_on: bool = False) -> Any:
    handler = log_dirs_of_all(lambda _, __: directory_of(2), lambda: [1, 2, 3], cast("Passing", disks))
    return run(handler, DescribeLogDirsRequest(topics=None), passed_on)


def test_the_directories_of_all_nodes_are_told_apart() -> None:
    found = [(each.log_dir, each.usable_bytes) for each in directories(Disks()).results]
    assert found == [("node 2:/data", 2), ("node 1:/data", 1), ("node 3:/data", 3)]


def test_a_node_that_does_not_answer_has_directories_that_cannot_be_seen() -> None:
    found = directories(Disks(silent=3)).results
    assert [(each.log_dir, each.error_code) for each in found] == [
        ("node 2:/data", 0),
        ("node 1:/data", 0),
        ("node 3:", ErrorCode.BROKER_NOT_AVAILABLE),
    ]


def test_who_may_not_see_one_directory_sees_none() -> None:
    answer = directories(Disks(refusing=1))
    assert (answer.error_code, answer.results) == (ErrorCode.CLUSTER_AUTHORIZATION_FAILED, [])


def test_a_node_that_is_asked_by_another_tells_its_own_directory() -> None:
    assert [each.log_dir for each in directories(Disks(), passed_on=True).results] == ["/data"]
