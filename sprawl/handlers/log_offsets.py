"""Where things are in a log, and where it begins: ListOffsets (2), DeleteRecords (21), OffsetForLeaderEpoch (23)."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from sprawl.handlers.context import Handler, RequestContext
from sprawl.partitions.partition import Partition
from sprawl.routing.router import Router
from sprawl.security.access import Authorizer, Operation, topic
from sprawl_protocol.api import ApiKey
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.messages import (
    DeleteRecordsPartition,
    DeleteRecordsPartitionResult,
    DeleteRecordsRequest,
    DeleteRecordsResponse,
    DeleteRecordsTopicResult,
    ListOffsetsPartition,
    ListOffsetsPartitionResponse,
    ListOffsetsRequest,
    ListOffsetsResponse,
    ListOffsetsTopicResponse,
    OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
    OffsetForLeaderPartition,
    OffsetForLeaderTopicResult,
)
from sprawl_protocol.messages import OffsetForLeaderEpochResponseEpochEndOffset as EpochEnd

_NO_ID: Final = UUID(int=0)
_LEADER_EPOCH_SINCE: Final = 4


class LogOffsetHandlers:
    def __init__(self, router: Router, authorizer: Authorizer) -> None:
        self._router = router
        self._authorizer = authorizer

    def routes(self) -> dict[ApiKey, Handler]:
        return {
            ApiKey.LIST_OFFSETS: self.list_offsets,
            ApiKey.DELETE_RECORDS: self.delete_records,
            ApiKey.OFFSET_FOR_LEADER_EPOCH: self.offset_for_leader_epoch,
        }

    async def list_offsets(self, context: RequestContext, request: ListOffsetsRequest) -> ListOffsetsResponse:
        response = ListOffsetsResponse()
        for asked in request.topics:
            answers = ListOffsetsTopicResponse(name=asked.name)
            response.topics.append(answers)
            for wanted in asked.partitions:
                answer = ListOffsetsPartitionResponse(partition_index=wanted.partition_index)
                answers.partitions.append(answer)
                try:
                    partition = self._partition(context, asked.name, wanted.partition_index, Operation.DESCRIBE)
                    partition.check_epoch(wanted.current_leader_epoch)
                    await _find_offset(partition, wanted, request.isolation_level, answer)
                except ApiError as error:
                    answer.error_code = int(error.code)
                if context.api_version < _LEADER_EPOCH_SINCE:
                    answer.leader_epoch = -1
        return response

    def delete_records(self, context: RequestContext, request: DeleteRecordsRequest) -> DeleteRecordsResponse:
        response = DeleteRecordsResponse()
        for asked in request.topics:
            results = DeleteRecordsTopicResult(name=asked.name)
            response.topics.append(results)
            results.partitions.extend(self._delete_records(context, asked.name, wanted) for wanted in asked.partitions)
        return response

    def _delete_records(
        self, context: RequestContext, name: str, wanted: DeleteRecordsPartition
    ) -> DeleteRecordsPartitionResult:
        result = DeleteRecordsPartitionResult(partition_index=wanted.partition_index, low_watermark=-1)
        try:
            partition = self._partition(context, name, wanted.partition_index, Operation.DELETE)
            if not partition.config.deletes:
                raise ApiError(ErrorCode.POLICY_VIOLATION, f"{partition}: cleanup.policy does not have delete in it")
            result.low_watermark = partition.delete_records(wanted.offset)
        except ApiError as error:
            result.error_code = int(error.code)
        return result

    def offset_for_leader_epoch(
        self, context: RequestContext, request: OffsetForLeaderEpochRequest
    ) -> OffsetForLeaderEpochResponse:
        response = OffsetForLeaderEpochResponse()
        for asked in request.topics:
            results = OffsetForLeaderTopicResult(topic=asked.topic)
            response.topics.append(results)
            results.partitions.extend(self._epoch_end(context, asked.topic, wanted) for wanted in asked.partitions)
        return response

    def _epoch_end(self, context: RequestContext, name: str, wanted: OffsetForLeaderPartition) -> EpochEnd:
        result = EpochEnd(partition=wanted.partition, leader_epoch=-1, end_offset=-1)
        try:
            partition = self._partition(context, name, wanted.partition, Operation.DESCRIBE)
            partition.check_epoch(wanted.current_leader_epoch)
            result.leader_epoch, result.end_offset = partition.epoch_end(wanted.leader_epoch)
        except ApiError as error:
            result.error_code = int(error.code)
        return result

    def _partition(self, context: RequestContext, name: str, index: int, operation: Operation) -> Partition:
        if not self._authorizer.authorize(context.principal, operation, topic(name)):
            raise ApiError(
                ErrorCode.TOPIC_AUTHORIZATION_FAILED, f"{context.principal} may not {operation.name.lower()} {name}"
            )
        return self._router.find(name, _NO_ID, index)


async def _find_offset(
    partition: Partition, wanted: ListOffsetsPartition, isolation_level: int, answer: ListOffsetsPartitionResponse
) -> None:
    log = partition.log
    readable = partition.readable_until(isolation_level)
    match wanted.timestamp:
        case -1:  # latest
            answer.offset = readable
            answer.leader_epoch = partition.epoch_at(readable)
        case -2:  # earliest
            answer.offset = log.log_start_offset
            answer.leader_epoch = partition.epoch_at(log.log_start_offset)
        case -4:  # earliest on disk
            answer.offset = log.local_start_offset
            answer.leader_epoch = partition.epoch_at(log.local_start_offset)
        case -3:  # the record with the largest timestamp
            _answer_with(answer, await partition.max_timestamp_offset(), readable)
        case -5 | -6:  # the last one in the cloud tier, and the first one that is not there yet
            answer.offset = _seam(partition, after=wanted.timestamp == -6)
            answer.leader_epoch = partition.epoch_at(answer.offset) if answer.offset >= 0 else -1
        case timestamp if timestamp >= 0:
            _answer_with(answer, await partition.offset_for_timestamp(timestamp), readable)
        case timestamp:
            raise ApiError(ErrorCode.INVALID_REQUEST, f"timestamp {timestamp} has no meaning")


def _seam(partition: Partition, *, after: bool) -> int:
    """-1 where nothing is tiered."""
    if partition.cold is None or not partition.config.remote_storage_enable:
        return -1
    end = partition.cold.end_offset
    return max(end, partition.log.log_start_offset) if after else max(end - 1, -1)


def _answer_with(answer: ListOffsetsPartitionResponse, found: tuple[int, int, int] | None, readable: int) -> None:
    """A record beyond what the client may read does not exist for it."""
    if found is not None and found[0] < readable:
        answer.offset, answer.timestamp, answer.leader_epoch = found
