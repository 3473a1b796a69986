"""What clients put into the bytes fields of others: subscriptions and assignments of classic groups."""

from __future__ import annotations

from sprawl_protocol.message import Struct, array, binary, field, int32, string
from sprawl_protocol.primitives import Buffer


class ConsumerProtocolSubscriptionTopicPartition(Struct):
    topic: str = field(string, "1+", default="")
    partitions: list[int] = field(array(int32), "1+", default_factory=list)


class ConsumerProtocolSubscription(Struct, versions="0-3", flexible="none"):
    topics: list[str] = field(array(string), default_factory=list)
    user_data: Buffer | None = field(binary, default=None, nullable="0+")
    owned_partitions: list[ConsumerProtocolSubscriptionTopicPartition] = field(
        array(ConsumerProtocolSubscriptionTopicPartition), "1+", default_factory=list, ignorable=True
    )
    generation_id: int = field(int32, "2+", default=-1, ignorable=True)
    rack_id: str | None = field(string, "3+", default=None, nullable="3+", ignorable=True)


class ConsumerProtocolAssignmentTopicPartition(Struct):
    topic: str = field(string, default="")
    partitions: list[int] = field(array(int32), default_factory=list)


class ConsumerProtocolAssignment(Struct, versions="0-3", flexible="none"):
    assigned_partitions: list[ConsumerProtocolAssignmentTopicPartition] = field(
        array(ConsumerProtocolAssignmentTopicPartition), default_factory=list
    )
    user_data: Buffer | None = field(binary, default=None, nullable="0+")
