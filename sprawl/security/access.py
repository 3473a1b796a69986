"""The one seam that every handler asks for leave.

In: who asks (`Principal`), what they want to do (`Operation`), to what (`Resource`). Out: yes or no.
The numbers are Kafka's own (`AclOperation`, `ResourceType`), because DescribeCluster, Metadata and
DescribeGroups send the set of allowed operations as a bit field of them (KIP-430).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol


class ResourceType(IntEnum):
    ANY = 1
    TOPIC = 2
    GROUP = 3
    CLUSTER = 4
    TRANSACTIONAL_ID = 5
    DELEGATION_TOKEN = 6
    USER = 7


class Operation(IntEnum):
    ANY = 1
    ALL = 2
    READ = 3
    WRITE = 4
    CREATE = 5
    DELETE = 6
    ALTER = 7
    DESCRIBE = 8
    CLUSTER_ACTION = 9
    DESCRIBE_CONFIGS = 10
    ALTER_CONFIGS = 11
    IDEMPOTENT_WRITE = 12
    CREATE_TOKENS = 13
    DESCRIBE_TOKENS = 14
    TWO_PHASE_COMMIT = 15


OPERATIONS_ON: Final[dict[ResourceType, tuple[Operation, ...]]] = {
    ResourceType.TOPIC: (
        Operation.READ,
        Operation.WRITE,
        Operation.CREATE,
        Operation.DELETE,
        Operation.ALTER,
        Operation.DESCRIBE,
        Operation.DESCRIBE_CONFIGS,
        Operation.ALTER_CONFIGS,
    ),
    ResourceType.GROUP: (
        Operation.READ,
        Operation.DELETE,
        Operation.DESCRIBE,
        Operation.DESCRIBE_CONFIGS,
        Operation.ALTER_CONFIGS,
    ),
    ResourceType.CLUSTER: (
        Operation.CREATE,
        Operation.ALTER,
        Operation.DESCRIBE,
        Operation.CLUSTER_ACTION,
        Operation.DESCRIBE_CONFIGS,
        Operation.ALTER_CONFIGS,
        Operation.IDEMPOTENT_WRITE,
    ),
}
"""What can be done to each kind of resource (Kafka's `AclEntry.supportedOperations`)."""

NO_OPERATIONS_ASKED: Final = -(2**31)
"""What the `*_authorized_operations` fields carry when the client did not ask for them."""


@dataclass(frozen=True, slots=True)
class Principal:
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


ANONYMOUS: Final = Principal("User", "ANONYMOUS")


@dataclass(frozen=True, slots=True)
class Resource:
    type: ResourceType
    name: str


CLUSTER: Final = Resource(ResourceType.CLUSTER, "kafka-cluster")


def topic(name: str) -> Resource:
    return Resource(ResourceType.TOPIC, name)


def group(group_id: str) -> Resource:
    return Resource(ResourceType.GROUP, group_id)


class Authorizer(Protocol):
    def authorize(self, principal: Principal, operation: Operation, resource: Resource) -> bool: ...


class AllowAll:
    """Everybody may do everything: what a broker without access control lists does."""

    def authorize(self, principal: Principal, operation: Operation, resource: Resource) -> bool:
        return True


def authorized_operations(authorizer: Authorizer, principal: Principal, resource: Resource) -> int:
    """The allowed operations as KIP-430's bit field: bit n set means operation number n is allowed."""
    return bits(
        operation for operation in OPERATIONS_ON[resource.type] if authorizer.authorize(principal, operation, resource)
    )


def bits(operations: Iterable[Operation]) -> int:
    field = 0
    for operation in operations:
        field |= 1 << operation
    return field
