"""Answers that refuse a whole request with one error code, item by item where the API has its codes there.

In: a request, its version, an error code. Out: the answer a broker would give that refuses everything in it; nothing
has been done. `CANNOT_REFUSE` says which APIs have no such answer here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import Request, Response
from sprawl_protocol.messages import (
    REQUESTS,
    AddPartitionsToTxnPartitionResult,
    AddPartitionsToTxnTopicResult,
    Coordinator,
    CreatableTopicResult,
    CreatePartitionsTopicResult,
    DeletableGroupResult,
    DeletableTopicResult,
    DeleteRecordsPartitionResult,
    DeleteRecordsTopicResult,
    DescribedGroup,
    FetchableTopicResponse,
    ListOffsetsPartitionResponse,
    ListOffsetsTopicResponse,
    OffsetCommitResponsePartition,
    OffsetCommitResponseTopic,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartition,
    OffsetFetchResponseTopic,
    OffsetForLeaderTopicResult,
    PartitionData,
    PartitionProduceResponse,
    TopicProduceResponse,
    TxnOffsetCommitResponsePartition,
    TxnOffsetCommitResponseTopic,
)
from sprawl_protocol.messages import OffsetForLeaderEpochResponseEpochEndOffset as EpochEnd

_CODE_SINCE: Final = 2
"""The first version of OffsetFetch that has a code for all of it."""
_GROUPS_SINCE: Final = 8
"""The first version of OffsetFetch that asks for several groups."""
_TRANSACTIONS_SINCE: Final = 4
"""The first version of AddPartitionsToTxn that is about several transactions."""
_KEYS_SINCE: Final = 4
"""The first version of FindCoordinator that asks for several coordinators."""
_BY_TOPIC_SINCE: Final = 6
"""The first version of DeleteTopics that may name topics by id."""


def refusal(request: Request, version: int, code: int) -> Response:
    """Everything in `request` refused with `code`."""
    fill = _FILL.get(request.API_KEY)
    response: Any = type(request).RESPONSE()
    if fill is None:
        response.error_code = code
    else:
        fill(request, response, version, code)
    assert isinstance(response, Response)
    return response


def _produce(request: Any, response: Any, version: int, code: int) -> None:
    response.responses = [
        TopicProduceResponse(
            name=topic.name,
            topic_id=topic.topic_id,
            partition_responses=[
                PartitionProduceResponse(index=each.index, error_code=code, base_offset=-1)
                for each in topic.partition_data
            ],
        )
        for topic in request.topic_data
    ]


def _fetch(request: Any, response: Any, version: int, code: int) -> None:
    response.responses = [
        FetchableTopicResponse(
            topic=topic.topic,
            topic_id=topic.topic_id,
            partitions=[
                PartitionData(partition_index=each.partition, error_code=code, high_watermark=-1, records=b"")
                for each in topic.partitions
            ],
        )
        for topic in request.topics
    ]


def _list_offsets(request: Any, response: Any, version: int, code: int) -> None:
    response.topics = [
        ListOffsetsTopicResponse(
            name=topic.name,
            partitions=[
                ListOffsetsPartitionResponse(partition_index=each.partition_index, error_code=code)
                for each in topic.partitions
            ],
        )
        for topic in request.topics
    ]


def _offset_commit(request: Any, response: Any, version: int, code: int) -> None:
    response.topics = [
        OffsetCommitResponseTopic(
            name=topic.name,
            topic_id=topic.topic_id,
            partitions=[
                OffsetCommitResponsePartition(partition_index=each.partition_index, error_code=code)
                for each in topic.partitions
            ],
        )
        for topic in request.topics
    ]


def _txn_offset_commit(request: Any, response: Any, version: int, code: int) -> None:
    response.topics = [
        TxnOffsetCommitResponseTopic(
            name=topic.name,
            partitions=[
                TxnOffsetCommitResponsePartition(partition_index=each.partition_index, error_code=code)
                for each in topic.partitions
            ],
        )
        for topic in request.topics
    ]


def _offset_fetch(request: Any, response: Any, version: int, code: int) -> None:
    if version < _CODE_SINCE:
        response.topics = [
            OffsetFetchResponseTopic(
                name=topic.name,
                partitions=[
                    OffsetFetchResponsePartition(partition_index=index, committed_offset=-1, error_code=code)
                    for index in topic.partition_indexes
                ],
            )
            for topic in request.topics or ()
        ]
    elif version < _GROUPS_SINCE:
        response.error_code = code
    else:
        response.groups = [OffsetFetchResponseGroup(group_id=each.group_id, error_code=code) for each in request.groups]


def _find_coordinator(request: Any, response: Any, version: int, code: int) -> None:
    if version < _KEYS_SINCE:
        response.error_code, response.node_id, response.port = code, -1, -1
    else:
        response.coordinators = [
            Coordinator(key=key, node_id=-1, port=-1, error_code=code) for key in request.coordinator_keys
        ]


def _create_topics(request: Any, response: Any, version: int, code: int) -> None:
    response.topics = [
        CreatableTopicResult(name=topic.name, error_code=code, error_message=None) for topic in request.topics
    ]


def _delete_topics(request: Any, response: Any, version: int, code: int) -> None:
    if version < _BY_TOPIC_SINCE:
        response.responses = [DeletableTopicResult(name=name, error_code=code) for name in request.topic_names]
    else:
        response.responses = [
            DeletableTopicResult(name=topic.name, topic_id=topic.topic_id, error_code=code) for topic in request.topics
        ]


def _create_partitions(request: Any, response: Any, version: int, code: int) -> None:
    response.results = [CreatePartitionsTopicResult(name=topic.name, error_code=code) for topic in request.topics]


def _delete_records(request: Any, response: Any, version: int, code: int) -> None:
    response.topics = [
        DeleteRecordsTopicResult(
            name=topic.name,
            partitions=[
                DeleteRecordsPartitionResult(partition_index=each.partition_index, error_code=code)
                for each in topic.partitions
            ],
        )
        for topic in request.topics
    ]


def _offset_for_leader_epoch(request: Any, response: Any, version: int, code: int) -> None:
    response.topics = [
        OffsetForLeaderTopicResult(
            topic=topic.topic,
            partitions=[EpochEnd(partition=each.partition, error_code=code) for each in topic.partitions],
        )
        for topic in request.topics
    ]


def _add_partitions_to_txn(request: Any, response: Any, version: int, code: int) -> None:
    if version >= _TRANSACTIONS_SINCE:
        response.error_code = code
        return
    response.results_by_topic_v3_and_below = [
        AddPartitionsToTxnTopicResult(
            name=topic.name,
            results_by_partition=[
                AddPartitionsToTxnPartitionResult(partition_index=index, partition_error_code=code)
                for index in topic.partitions
            ],
        )
        for topic in request.v3_and_below_topics
    ]


def _describe_groups(request: Any, response: Any, version: int, code: int) -> None:
    response.groups = [DescribedGroup(group_id=group, error_code=code) for group in request.groups]


def _delete_groups(request: Any, response: Any, version: int, code: int) -> None:
    response.results = [DeletableGroupResult(group_id=group, error_code=code) for group in request.groups_names]


_FILL: Final[dict[ApiKey, Callable[[Any, Any, int, int], None]]] = {
    ApiKey.PRODUCE: _produce,
    ApiKey.FETCH: _fetch,
    ApiKey.LIST_OFFSETS: _list_offsets,
    ApiKey.OFFSET_COMMIT: _offset_commit,
    ApiKey.TXN_OFFSET_COMMIT: _txn_offset_commit,
    ApiKey.OFFSET_FETCH: _offset_fetch,
    ApiKey.ADD_PARTITIONS_TO_TXN: _add_partitions_to_txn,
    ApiKey.FIND_COORDINATOR: _find_coordinator,
    ApiKey.CREATE_TOPICS: _create_topics,
    ApiKey.DELETE_TOPICS: _delete_topics,
    ApiKey.CREATE_PARTITIONS: _create_partitions,
    ApiKey.DELETE_RECORDS: _delete_records,
    ApiKey.OFFSET_FOR_LEADER_EPOCH: _offset_for_leader_epoch,
    ApiKey.DESCRIBE_GROUPS: _describe_groups,
    ApiKey.DELETE_GROUPS: _delete_groups,
}


_CODE_CAME_LATER: Final = frozenset({ApiKey.DESCRIBE_LOG_DIRS, ApiKey.ELECT_LEADERS})
"""Their older versions have no code for all of it."""


def _has_code(key: int) -> bool:
    return ApiKey(key) not in _CODE_CAME_LATER and "error_code" in REQUESTS[ApiKey(key)].RESPONSE.__annotations__


CANNOT_REFUSE: Final = frozenset(
    ApiKey(key)
    for key in REQUESTS
    if ApiKey(key) not in _FILL and ApiKey(key) != ApiKey.METADATA and not _has_code(key)
)
"""APIs that give their codes item by item, in a way that is not written down above."""
