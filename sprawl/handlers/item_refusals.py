"""The refusal of a whole request where its answer has a place for errors in its items only: each item is refused.

In: a request and why. Out: an answer, or None for kinds of requests that have a place of their own for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    AlterConfigsResourceResponse,
    AlterConfigsResponse,
    CreatableTopicResult,
    CreatePartitionsResponse,
    CreatePartitionsTopicResult,
    CreateTopicsResponse,
    DeletableTopicResult,
    DeleteTopicsResponse,
    IncrementalAlterConfigsResponse,
    IncrementalAlterConfigsResponseAlterConfigsResourceResponse,
)


def refused_item_by_item(request: Request, error: ApiError) -> Response | None:
    answer = _ANSWERS.get(request.API_KEY)
    return None if answer is None else answer(request, {"error_code": int(error.code), "error_message": error.message})


def _topics_not_created(request: Any, why: Mapping[str, Any]) -> Response:
    return CreateTopicsResponse(topics=[CreatableTopicResult(name=each.name, **why) for each in request.topics])


def _topics_not_deleted(request: Any, why: Mapping[str, Any]) -> Response:
    by_name = [DeletableTopicResult(name=name, **why) for name in request.topic_names]
    by_state = [DeletableTopicResult(name=each.name, topic_id=each.topic_id, **why) for each in request.topics]
    return DeleteTopicsResponse(responses=by_name + by_state)


def _partitions_not_created(request: Any, why: Mapping[str, Any]) -> Response:
    results = [CreatePartitionsTopicResult(name=each.name, **why) for each in request.topics]
    return CreatePartitionsResponse(results=results)


def _settings_not_altered(request: Any, why: Mapping[str, Any]) -> Response:
    return AlterConfigsResponse(
        responses=[
            AlterConfigsResourceResponse(resource_type=each.resource_type, resource_name=each.resource_name, **why)
            for each in request.resources
        ]
    )


def _settings_not_changed(request: Any, why: Mapping[str, Any]) -> Response:
    return IncrementalAlterConfigsResponse(
        responses=[
            IncrementalAlterConfigsResponseAlterConfigsResourceResponse(
                resource_type=each.resource_type, resource_name=each.resource_name, **why
            )
            for each in request.resources
        ]
    )


_ANSWERS: Final[Mapping[ApiKey, Callable[[Any, Mapping[str, Any]], Response]]] = {
    ApiKey.CREATE_TOPICS: _topics_not_created,
    ApiKey.DELETE_TOPICS: _topics_not_deleted,
    ApiKey.CREATE_PARTITIONS: _partitions_not_created,
    ApiKey.ALTER_CONFIGS: _settings_not_altered,
    ApiKey.INCREMENTAL_ALTER_CONFIGS: _settings_not_changed,
}
