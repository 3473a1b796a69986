"""What members ask of a group and what they are answered, free of wire versions.

A request that may have to wait is given a `Ticket` by the shell; the group answers tickets, now or later. Answers carry
a message for the log besides Kafka's error code: most of Kafka's own answers have no field for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from sprawl_protocol.errors import ErrorCode

Ticket = NewType("Ticket", int)
"""One request that is owed an answer. Every ticket is answered exactly once."""

WriteId = NewType("WriteId", int)
"""One record that the group handed out to be written. Each is reported back exactly once, by `written`."""

NO_MEMBER = ""
"""The member id of somebody who has none yet."""


@dataclass(frozen=True, slots=True)
class Instant:
    """The time, by both clocks: deadlines go by the monotonic one, what is stored goes by the wall clock."""

    monotonic_ms: float
    wall_ms: int


@dataclass(frozen=True, slots=True)
class Strategy:
    """One assignment protocol a member offers (`range`, `cooperative-sticky`, ...) and its metadata for it."""

    name: str
    metadata: bytes


@dataclass(frozen=True, slots=True)
class JoinRequest:
    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_ms: int
    rebalance_timeout_ms: int
    protocol_type: str
    strategies: tuple[Strategy, ...]
    """In order of preference, each name once."""
    fresh_id: str
    """The id that the member gets if it needs one. Made by the shell: the group has no randomness of its own."""
    reason: str = ""
    must_return_with_id: bool = True
    """JoinGroup v4+ (KIP-394): a dynamic member gets its id first and has to ask again with it."""
    may_skip_assignment: bool = True
    """JoinGroup v9 (KIP-814): a returning static leader can be told that the assignment stands."""


@dataclass(frozen=True, slots=True)
class JoinedMember:
    member_id: str
    instance_id: str | None
    metadata: bytes


@dataclass(frozen=True, slots=True)
class JoinAnswer:
    error: ErrorCode = ErrorCode.NONE
    message: str = ""
    member_id: str = NO_MEMBER
    generation: int = -1
    protocol_type: str | None = None
    protocol_name: str | None = None
    leader: str = NO_MEMBER
    skip_assignment: bool = False
    members: tuple[JoinedMember, ...] = ()
    """For the leader only."""


@dataclass(frozen=True, slots=True)
class SyncRequest:
    member_id: str
    instance_id: str | None
    generation: int
    protocol_type: str | None
    protocol_name: str | None
    assignments: tuple[tuple[str, bytes], ...]
    """Member id and assignment; sent by the leader."""


@dataclass(frozen=True, slots=True)
class SyncAnswer:
    error: ErrorCode = ErrorCode.NONE
    message: str = ""
    protocol_type: str | None = None
    protocol_name: str | None = None
    assignment: bytes = b""


@dataclass(frozen=True, slots=True)
class Leaving:
    """One entry of a LeaveGroup request: a member by id, or (for administrators) a static one by instance id."""

    member_id: str
    instance_id: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    member_id: str
    instance_id: str | None
    error: ErrorCode = ErrorCode.NONE
    message: str = ""


@dataclass(frozen=True, slots=True)
class LeaveAnswer:
    error: ErrorCode = ErrorCode.NONE
    message: str = ""
    members: tuple[Left, ...] = ()


Answer = JoinAnswer | SyncAnswer | LeaveAnswer


@dataclass(frozen=True, slots=True)
class StoredMember:
    """A member as the log keeps it."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    subscription: bytes
    assignment: bytes


@dataclass(frozen=True, slots=True)
class StoredGroup:
    """A generation as the log keeps it. No members: the group is empty."""

    protocol_type: str
    generation: int
    protocol_name: str | None
    leader: str | None
    since_ms: int
    """Wall clock; since when the group is in this state. -1: unknown (written by something old)."""
    members: tuple[StoredMember, ...]


@dataclass(frozen=True, slots=True)
class GroupWrite:
    """Write this; then tell the group by `written(id, ...)`."""

    id: WriteId
    group: StoredGroup


@dataclass(frozen=True, slots=True)
class Decisions:
    """What an event led to. The shell writes in this order, and answers."""

    answers: tuple[tuple[Ticket, Answer], ...] = ()
    writes: tuple[GroupWrite, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupLimits:
    """The settings that a group obeys (`group.*` of the broker's configuration)."""

    min_session_timeout_ms: int = 6_000
    max_session_timeout_ms: int = 1_800_000
    initial_rebalance_delay_ms: int = 3_000
    max_size: int = 2**31 - 1
    new_member_join_timeout_ms: int = 300_000
    """A member that has not been told its id cannot send heartbeats: this long may its JoinGroup wait."""


@dataclass(frozen=True, slots=True)
class DescribedMember:
    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    metadata: bytes
    assignment: bytes


@dataclass(frozen=True, slots=True)
class GroupDescription:
    group_id: str
    state: str
    protocol_type: str
    protocol_name: str
    """Like the members' metadata: filled in while the group is stable only."""
    members: tuple[DescribedMember, ...]
