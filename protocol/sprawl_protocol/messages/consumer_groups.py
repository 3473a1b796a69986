"""The consumer group protocol of KIP-848."""

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
    string,
    struct,
    uuid,
)
from sprawl_protocol.primitives import NO_ID


class TopicPartitions(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[int] = field(array(int32), default_factory=list)


class Assignment(Struct):
    topic_partitions: list[TopicPartitions] = field(array(TopicPartitions), default_factory=list)


class ConsumerGroupHeartbeatResponse(Response, api_key=ApiKey.CONSUMER_GROUP_HEARTBEAT, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    member_id: str | None = field(string, default=None, nullable="0+")
    member_epoch: int = field(int32, default=0)
    heartbeat_interval_ms: int = field(int32, default=0)
    assignment: Assignment | None = field(struct(Assignment), default=None, nullable="0+")


class ConsumerGroupHeartbeatRequestTopicPartitions(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    partitions: list[int] = field(array(int32), default_factory=list)


class ConsumerGroupHeartbeatRequest(
    Request,
    api_key=ApiKey.CONSUMER_GROUP_HEARTBEAT,
    versions="0-1",
    flexible="0+",
    response=ConsumerGroupHeartbeatResponse,
):
    group_id: str = field(string, default="")
    member_id: str = field(string, default="")
    member_epoch: int = field(int32, default=0)
    instance_id: str | None = field(string, default=None, nullable="0+")
    rack_id: str | None = field(string, default=None, nullable="0+")
    rebalance_timeout_ms: int = field(int32, default=-1)
    subscribed_topic_names: list[str] | None = field(array(string), default=None, nullable="0+")
    subscribed_topic_regex: str | None = field(string, "1+", default=None, nullable="1+")
    server_assignor: str | None = field(string, default=None, nullable="0+")
    topic_partitions: list[ConsumerGroupHeartbeatRequestTopicPartitions] | None = field(
        array(ConsumerGroupHeartbeatRequestTopicPartitions), default=None, nullable="0+"
    )


class ConsumerGroupDescribeResponseTopicPartitions(Struct):
    topic_id: UUID = field(uuid, default=NO_ID)
    topic_name: str = field(string, default="")
    partitions: list[int] = field(array(int32), default_factory=list)


class ConsumerGroupDescribeResponseAssignment(Struct):
    topic_partitions: list[ConsumerGroupDescribeResponseTopicPartitions] = field(
        array(ConsumerGroupDescribeResponseTopicPartitions), default_factory=list
    )


class Member(Struct):
    member_id: str = field(string, default="")
    instance_id: str | None = field(string, default=None, nullable="0+")
    rack_id: str | None = field(string, default=None, nullable="0+")
    member_epoch: int = field(int32, default=0)
    client_id: str = field(string, default="")
    client_host: str = field(string, default="")
    subscribed_topic_names: list[str] = field(array(string), default_factory=list)
    subscribed_topic_regex: str | None = field(string, default=None, nullable="0+")
    assignment: ConsumerGroupDescribeResponseAssignment = field(
        struct(ConsumerGroupDescribeResponseAssignment), default_factory=ConsumerGroupDescribeResponseAssignment
    )
    target_assignment: ConsumerGroupDescribeResponseAssignment = field(
        struct(ConsumerGroupDescribeResponseAssignment), default_factory=ConsumerGroupDescribeResponseAssignment
    )
    member_type: int = field(int8, "1+", default=-1, ignorable=True)


class ConsumerGroupDescribeResponseDescribedGroup(Struct):
    error_code: int = field(int16, default=0)
    error_message: str | None = field(string, default=None, nullable="0+")
    group_id: str = field(string, default="")
    group_state: str = field(string, default="")
    group_epoch: int = field(int32, default=0)
    assignment_epoch: int = field(int32, default=0)
    assignor_name: str = field(string, default="")
    members: list[Member] = field(array(Member), default_factory=list)
    authorized_operations: int = field(int32, default=-2147483648)


class ConsumerGroupDescribeResponse(Response, api_key=ApiKey.CONSUMER_GROUP_DESCRIBE, versions="0-1", flexible="0+"):
    throttle_time_ms: int = field(int32, default=0)
    groups: list[ConsumerGroupDescribeResponseDescribedGroup] = field(
        array(ConsumerGroupDescribeResponseDescribedGroup), default_factory=list
    )


class ConsumerGroupDescribeRequest(
    Request,
    api_key=ApiKey.CONSUMER_GROUP_DESCRIBE,
    versions="0-1",
    flexible="0+",
    response=ConsumerGroupDescribeResponse,
):
    group_ids: list[str] = field(array(string), default_factory=list)
    include_authorized_operations: bool = field(boolean, default=False)
