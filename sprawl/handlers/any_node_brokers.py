"""Questions to one broker where every node answers for all of them (`sprawl.routing=any`): its settings, its loggers.

Clients reach whatever node the address leads to, so what names a broker is passed on to it. In: DescribeConfigs and
IncrementalAlterConfigs. Out: one answer, in the order of the request. What names no broker, or one that is not there,
is answered here.

DescribeLogDirs names no broker: it is meant for the one that is asked, and here that is the cluster. The answer holds
the directories of all nodes, each with its node's number before its path; this node's comes first.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sprawl.handlers.any_node import Passing
from sprawl.handlers.context import Handler, RequestContext
from sprawl.quorum.image import ConfigKind
from sprawl.wire.client import ClientError
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    DescribeConfigsResult,
    DescribeLogDirsRequest,
    DescribeLogDirsResponse,
    DescribeLogDirsResult,
    IncrementalAlterConfigsResponseAlterConfigsResourceResponse,
)

_PATIENCE: Final = 5.0


@dataclass(frozen=True, slots=True)
class _Shape:
    kinds: Container[int]
    """Of resources that one broker alone can answer for."""
    answers: str
    answer: Callable[..., Any]


SHAPES: Final[Mapping[ApiKey, _Shape]] = {
    ApiKey.DESCRIBE_CONFIGS: _Shape((ConfigKind.BROKER, ConfigKind.BROKER_LOGGER), "results", DescribeConfigsResult),
    ApiKey.INCREMENTAL_ALTER_CONFIGS: _Shape(
        (ConfigKind.BROKER_LOGGER,), "responses", IncrementalAlterConfigsResponseAlterConfigsResourceResponse
    ),
}


def for_brokers(key: ApiKey, handler: Handler, alive: Callable[[], Container[int]], passing: Passing) -> Handler:
    """Wraps the handler of this node. `alive`: the brokers that can be asked."""
    shape = SHAPES[key]

    def node_of(resource: Any) -> int:
        name = resource.resource_name
        if resource.resource_type not in shape.kinds or not (name.isascii() and name.isdecimal()):
            return passing.node_id
        return int(name) if int(name) in alive() else passing.node_id

    async def share(node: int, context: RequestContext, request: Any, resources: list[Any]) -> list[Any]:
        asked = copy.copy(request)
        asked.resources = resources
        try:
            found = list(getattr(await passing.ask(node, handler, context, asked, _PATIENCE), shape.answers))
            if len(found) != len(resources):
                raise ApiError(ErrorCode.UNKNOWN_SERVER_ERROR, f"{len(resources)} asked, {len(found)} answered")
        except (ClientError, ApiError) as problem:
            return [_away(shape, each, node, problem) for each in resources]
        return found

    async def spread(context: RequestContext, request: Any, nodes: list[int]) -> Any:
        places: dict[int, list[int]] = {}
        for place, node in enumerate(nodes):
            places.setdefault(node, []).append(place)
        found = await asyncio.gather(
            *(share(node, context, request, [request.resources[each] for each in of]) for node, of in places.items())
        )
        by_place: dict[int, Any] = {}
        for of, answers in zip(places.values(), found, strict=True):
            by_place.update(zip(of, answers, strict=True))
        response: Any = type(request).RESPONSE()
        setattr(response, shape.answers, [by_place[place] for place in sorted(by_place)])
        return response

    def handle(context: RequestContext, request: Any) -> Any:
        nodes = [node_of(each) for each in request.resources]
        if context.passed_on or all(each == passing.node_id for each in nodes):
            return handler(context, request)
        return spread(context, request, nodes)

    return handle


def _away(shape: _Shape, resource: Any, node: int, problem: Exception) -> Any:
    return shape.answer(
        error_code=int(ErrorCode.BROKER_NOT_AVAILABLE),
        error_message=f"Broker {node} does not answer: {problem}",
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
    )


def log_dirs_of_all(handler: Handler, alive: Callable[[], Collection[int]], passing: Passing) -> Handler:
    """Wraps the handler of this node. `alive`: the brokers that can be asked."""

    async def of_node(node: int, context: RequestContext, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse:
        try:
            answer = await passing.ask(node, handler, context, request, _PATIENCE)
        except (ClientError, ApiError):
            away = DescribeLogDirsResult(error_code=int(ErrorCode.BROKER_NOT_AVAILABLE))
            answer = DescribeLogDirsResponse(results=[away])
        assert isinstance(answer, DescribeLogDirsResponse), "a request is answered by its response"
        for each in answer.results:
            each.log_dir = f"node {node}:{each.log_dir}"
        return answer

    async def gather(context: RequestContext, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse:
        nodes = [passing.node_id, *sorted(set(alive()) - {passing.node_id})]
        answers = await asyncio.gather(*(of_node(each, context, request) for each in nodes))
        refused = next((each.error_code for each in answers if each.error_code), 0)
        if refused:
            return DescribeLogDirsResponse(error_code=refused)
        return DescribeLogDirsResponse(results=[each for answer in answers for each in answer.results])

    def handle(context: RequestContext, request: Any) -> Any:
        return handler(context, request) if context.passed_on else gather(context, request)

    return handle
