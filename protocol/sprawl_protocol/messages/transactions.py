"""Producer ids and transactions."""

from __future__ import annotations

from uuid import UUID

from sprawl_protocol.api import ApiKey
from sprawl_protocol.message import (
    Request,
    Response,
    Struct,
    array,
    boolean,
    field,
    int8,
    int16,
    int32,
    int64,
    string,
    uuid,
)
from sprawl_protocol.primitives import NO_ID


class InitProducerIdResponse(Response, api_key=ApiKey.INIT_PRODUCER_ID, versions="0-6", flexible="2+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    producer_id: int = field(int64, default=-1)
    producer_epoch: int = field(int16, default=0)
    ongoing_txn_producer_id: int = field(int64, "6+", default=-1)
    ongoing_txn_producer_epoch: int = field(int16, "6+", default=-1)


class InitProducerIdRequest(
    Request, api_key=ApiKey.INIT_PRODUCER_ID, versions="0-6", flexible="2+", response=InitProducerIdResponse
):
    transactional_id: str | None = field(string, default="", nullable="0+")
    transaction_timeout_ms: int = field(int32, default=0)
    producer_id: int = field(int64, "3+", default=-1)
    producer_epoch: int = field(int16, "3+", default=-1)
    enable2_pc: bool = field(boolean, "6+", default=False)
    keep_prepared_txn: bool = field(boolean, "6+", default=False)


class AddPartitionsToTxnPartitionResult(Struct):
    partition_index: int = field(int32, default=0)
    partition_error_code: int = field(int16, default=0)


class AddPartitionsToTxnTopicResult(Struct):
    name: str = field(string, default="")
    results_by_partition: list[AddPartitionsToTxnPartitionResult] = field(
        array(AddPartitionsToTxnPartitionResult), default_factory=list
    )


class AddPartitionsToTxnResult(Struct):
    transactional_id: str = field(string, "4+", default="")
    topic_results: list[AddPartitionsToTxnTopicResult] = field(
        array(AddPartitionsToTxnTopicResult), "4+", default_factory=list
    )


class AddPartitionsToTxnResponse(Response, api_key=ApiKey.ADD_PARTITIONS_TO_TXN, versions="0-5", flexible="3+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, "4+", default=0, ignorable=True)
    results_by_transaction: list[AddPartitionsToTxnResult] = field(
        array(AddPartitionsToTxnResult), "4+", default_factory=list
    )
    results_by_topic_v3_and_below: list[AddPartitionsToTxnTopicResult] = field(
        array(AddPartitionsToTxnTopicResult), "0-3", default_factory=list
    )


class AddPartitionsToTxnTopic(Struct):
    name: str = field(string, default="")
    partitions: list[int] = field(array(int32), default_factory=list)


class AddPartitionsToTxnTransaction(Struct):
    transactional_id: str = field(string, "4+", default="")
    producer_id: int = field(int64, "4+", default=0)
    producer_epoch: int = field(int16, "4+", default=0)
    verify_only: bool = field(boolean, "4+", default=False)
    topics: list[AddPartitionsToTxnTopic] = field(array(AddPartitionsToTxnTopic), "4+", default_factory=list)


class AddPartitionsToTxnRequest(
    Request, api_key=ApiKey.ADD_PARTITIONS_TO_TXN, versions="0-5", flexible="3+", response=AddPartitionsToTxnResponse
):
    transactions: list[AddPartitionsToTxnTransaction] = field(
        array(AddPartitionsToTxnTransaction), "4+", default_factory=list
    )
    v3_and_below_transactional_id: str = field(string, "0-3", default="")
    v3_and_below_producer_id: int = field(int64, "0-3", default=0)
    v3_and_below_producer_epoch: int = field(int16, "0-3", default=0)
    v3_and_below_topics: list[AddPartitionsToTxnTopic] = field(
        array(AddPartitionsToTxnTopic), "0-3", default_factory=list
    )


class AddOffsetsToTxnResponse(Response, api_key=ApiKey.ADD_OFFSETS_TO_TXN, versions="0-4", flexible="3+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)


class AddOffsetsToTxnRequest(
    Request, api_key=ApiKey.ADD_OFFSETS_TO_TXN, versions="0-4", flexible="3+", response=AddOffsetsToTxnResponse
):
    transactional_id: str = field(string, default="")
    producer_id: int = field(int64, default=0)
    producer_epoch: int = field(int16, default=0)
    group_id: str = field(string, default="")


class EndTxnResponse(Response, api_key=ApiKey.END_TXN, versions="0-5", flexible="3+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    producer_id: int = field(int64, "5+", default=-1, ignorable=True)
    producer_epoch: int = field(int16, "5+", default=-1, ignorable=True)


class EndTxnRequest(Request, api_key=ApiKey.END_TXN, versions="0-5", flexible="3+", response=EndTxnResponse):
    transactional_id: str = field(string, default="")
    producer_id: int = field(int64, default=0)
    producer_epoch: int = field(int16, default=0)
    committed: bool = field(boolean, default=False)


class WritableTxnMarkerPartitionResult(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)


class WritableTxnMarkerTopicResult(Struct):
    name: str = field(string, default="")
    partitions: list[WritableTxnMarkerPartitionResult] = field(
        array(WritableTxnMarkerPartitionResult), default_factory=list
    )


class WritableTxnMarkerResult(Struct):
    producer_id: int = field(int64, default=0)
    topics: list[WritableTxnMarkerTopicResult] = field(array(WritableTxnMarkerTopicResult), default_factory=list)


class WriteTxnMarkersResponse(Response, api_key=ApiKey.WRITE_TXN_MARKERS, versions="1-2", flexible="1+"):
    markers: list[WritableTxnMarkerResult] = field(array(WritableTxnMarkerResult), default_factory=list)


class WritableTxnMarkerTopic(Struct):
    name: str = field(string, default="")
    partition_indexes: list[int] = field(array(int32), default_factory=list)


class WritableTxnMarker(Struct):
    producer_id: int = field(int64, default=0)
    producer_epoch: int = field(int16, default=0)
    transaction_result: bool = field(boolean, default=False)
    topics: list[WritableTxnMarkerTopic] = field(array(WritableTxnMarkerTopic), default_factory=list)
    coordinator_epoch: int = field(int32, default=0)
    transaction_version: int = field(int8, "2+", default=0, ignorable=True)


class WriteTxnMarkersRequest(
    Request, api_key=ApiKey.WRITE_TXN_MARKERS, versions="1-2", flexible="1+", response=WriteTxnMarkersResponse
):
    markers: list[WritableTxnMarker] = field(array(WritableTxnMarker), default_factory=list)


class TxnOffsetCommitResponsePartition(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)


class TxnOffsetCommitResponseTopic(Struct):
    name: str = field(string, "0-5", default="", ignorable=True)
    topic_id: UUID = field(uuid, "6+", default=NO_ID, ignorable=True)
    partitions: list[TxnOffsetCommitResponsePartition] = field(
        array(TxnOffsetCommitResponsePartition), default_factory=list
    )


class TxnOffsetCommitResponse(Response, api_key=ApiKey.TXN_OFFSET_COMMIT, versions="0-6", flexible="3+"):
    throttle_time_ms: int = field(int32, default=0)
    topics: list[TxnOffsetCommitResponseTopic] = field(array(TxnOffsetCommitResponseTopic), default_factory=list)


class TxnOffsetCommitRequestPartition(Struct):
    partition_index: int = field(int32, default=0)
    committed_offset: int = field(int64, default=0)
    committed_leader_epoch: int = field(int32, "2+", default=-1, ignorable=True)
    committed_metadata: str | None = field(string, default="", nullable="0+")


class TxnOffsetCommitRequestTopic(Struct):
    name: str = field(string, "0-5", default="", ignorable=True)
    topic_id: UUID = field(uuid, "6+", default=NO_ID, ignorable=True)
    partitions: list[TxnOffsetCommitRequestPartition] = field(
        array(TxnOffsetCommitRequestPartition), default_factory=list
    )


class TxnOffsetCommitRequest(
    Request, api_key=ApiKey.TXN_OFFSET_COMMIT, versions="0-6", flexible="3+", response=TxnOffsetCommitResponse
):
    transactional_id: str = field(string, default="")
    group_id: str = field(string, default="")
    producer_id: int = field(int64, default=0)
    producer_epoch: int = field(int16, default=0)
    generation_id_or_member_epoch: int = field(int32, "3+", default=-1)
    member_id: str = field(string, "3+", default="")
    group_instance_id: str | None = field(string, "3+", default=None, nullable="3+")
    topics: list[TxnOffsetCommitRequestTopic] = field(array(TxnOffsetCommitRequestTopic), default_factory=list)


class ProducerState(Struct):
    producer_id: int = field(int64, default=0)
    producer_epoch: int = field(int32, default=0)
    last_sequence: int = field(int32, default=-1)
    last_timestamp: int = field(int64, default=-1)
    coordinator_epoch: int = field(int32, default=0)
    current_txn_start_offset: int = field(int64, default=-1)


class PartitionResponse(Struct):
    partition_index: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    active_producers: list[ProducerState] = field(array(ProducerState), default_factory=list)


class TopicResponse(Struct):
    name: str = field(string, default="")
    partitions: list[PartitionResponse] = field(array(PartitionResponse), default_factory=list)


class DescribeProducersResponse(Response, api_key=ApiKey.DESCRIBE_PRODUCERS, versions="0", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    topics: list[TopicResponse] = field(array(TopicResponse), default_factory=list)


class DescribeProducersRequestTopicRequest(Struct):
    name: str = field(string, default="")
    partition_indexes: list[int] = field(array(int32), default_factory=list)


class DescribeProducersRequest(
    Request, api_key=ApiKey.DESCRIBE_PRODUCERS, versions="0", flexible="0+", response=DescribeProducersResponse
):
    topics: list[DescribeProducersRequestTopicRequest] = field(
        array(DescribeProducersRequestTopicRequest), default_factory=list
    )


class TopicData(Struct):
    topic: str = field(string, default="")
    partitions: list[int] = field(array(int32), default_factory=list)


class TransactionState(Struct):
    error_code: int = field(int16, default=0)
    transactional_id: str = field(string, default="")
    transaction_state: str = field(string, default="")
    transaction_timeout_ms: int = field(int32, default=0)
    transaction_start_time_ms: int = field(int64, default=0)
    producer_id: int = field(int64, default=0)
    producer_epoch: int = field(int16, default=0)
    topics: list[TopicData] = field(array(TopicData), default_factory=list)


class DescribeTransactionsResponse(Response, api_key=ApiKey.DESCRIBE_TRANSACTIONS, versions="0", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    transaction_states: list[TransactionState] = field(array(TransactionState), default_factory=list)


class DescribeTransactionsRequest(
    Request, api_key=ApiKey.DESCRIBE_TRANSACTIONS, versions="0", flexible="0+", response=DescribeTransactionsResponse
):
    transactional_ids: list[str] = field(array(string), default_factory=list)


class ListTransactionsResponseTransactionState(Struct):
    transactional_id: str = field(string, default="")
    producer_id: int = field(int64, default=0)
    transaction_state: str = field(string, default="")


class ListTransactionsResponse(Response, api_key=ApiKey.LIST_TRANSACTIONS, versions="0-2", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    unknown_state_filters: list[str] = field(array(string), default_factory=list)
    transaction_states: list[ListTransactionsResponseTransactionState] = field(
        array(ListTransactionsResponseTransactionState), default_factory=list
    )


class ListTransactionsRequest(
    Request, api_key=ApiKey.LIST_TRANSACTIONS, versions="0-2", flexible="0+", response=ListTransactionsResponse
):
    state_filters: list[str] = field(array(string), default_factory=list)
    producer_id_filters: list[int] = field(array(int64), default_factory=list)
    duration_filter: int = field(int64, "1+", default=-1)
    transactional_id_pattern: str | None = field(string, "2+", default=None, nullable="2+")


class AllocateProducerIdsResponse(Response, api_key=ApiKey.ALLOCATE_PRODUCER_IDS, versions="0", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    producer_id_start: int = field(int64, default=0)
    producer_id_len: int = field(int32, default=0)


class AllocateProducerIdsRequest(
    Request, api_key=ApiKey.ALLOCATE_PRODUCER_IDS, versions="0", flexible="0+", response=AllocateProducerIdsResponse
):
    broker_id: int = field(int32, default=0)
    broker_epoch: int = field(int64, default=-1)
