"""Who is in a classic group: members, those about to become one, the leader, and what they all can do.

In: members added, replaced, removed; JoinGroup tickets parked and taken back. Out: who leads, whether everybody has
rejoined, which assignment protocol wins the vote. Keeps its counts consistent by itself; knows no states and no time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sprawl.groups.exchange import JoinRequest, Strategy, Ticket
from sprawl_protocol.errors import ApiError, ErrorCode


@dataclass(slots=True)
class Member:
    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    rebalance_timeout_ms: int
    session_timeout_ms: int
    strategies: tuple[Strategy, ...]
    assignment: bytes = b""
    is_new: bool = False
    """Its first JoinGroup is still unanswered: it cannot know its id, so it cannot send heartbeats."""
    join_ticket: Ticket | None = None
    sync_ticket: Ticket | None = None

    def metadata(self, protocol_name: str) -> bytes:
        for strategy in self.strategies:
            if strategy.name == protocol_name:
                return strategy.metadata
        raise AssertionError(f"member {self.member_id} is in a generation by protocol {protocol_name}, not its own")

    def vote(self, candidates: frozenset[str]) -> str:
        """The one it likes best."""
        return next(strategy.name for strategy in self.strategies if strategy.name in candidates)

    @property
    def is_static(self) -> bool:
        return self.instance_id is not None

    @property
    def waits_for_answer(self) -> bool:
        """A member whose JoinGroup or SyncGroup waits here cannot be expected to send heartbeats as well."""
        return not self.is_new and (self.join_ticket is not None or self.sync_ticket is not None)


class Roster:
    __slots__ = ("_awaiting_join", "_members", "_static", "_support", "leader", "pending")

    def __init__(self) -> None:
        self.leader: str | None = None
        self.pending: set[str] = set()
        """Ids handed out (MEMBER_ID_REQUIRED) whose owners have not come back with them yet."""
        self._members: dict[str, Member] = {}
        self._static: dict[str, str] = {}
        self._support: Counter[str] = Counter()
        self._awaiting_join = 0

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(tuple(self._members.values()))

    def __contains__(self, member_id: str) -> bool:
        return member_id in self._members

    def get(self, member_id: str) -> Member | None:
        return self._members.get(member_id)

    def __getitem__(self, member_id: str) -> Member:
        return self._members[member_id]

    def static_id(self, instance_id: str) -> str | None:
        """The member id that currently goes by this `group.instance.id`."""
        return self._static.get(instance_id)

    def require(self, member_id: str, instance_id: str | None, group_id: str) -> Member:
        """Raises ApiError UNKNOWN_MEMBER_ID, or FENCED_INSTANCE_ID if another process goes by that instance id now."""
        if instance_id is not None:
            current = self._static.get(instance_id)
            if current is None:
                raise ApiError(
                    ErrorCode.UNKNOWN_MEMBER_ID, f"group {group_id} knows no static member {instance_id}: join again"
                )
            if current != member_id:
                raise ApiError(
                    ErrorCode.FENCED_INSTANCE_ID,
                    f"static member {instance_id} of group {group_id} is {current} now, no longer {member_id}:"
                    " is the same group.instance.id used twice?",
                )
        member = self._members.get(member_id)
        if member is None:
            raise ApiError(ErrorCode.UNKNOWN_MEMBER_ID, f"group {group_id} knows no member {member_id}: join again")
        return member

    @property
    def awaiting_join(self) -> int:
        return self._awaiting_join

    @property
    def all_joined(self) -> bool:
        return self._awaiting_join == len(self._members) and not self.pending

    @property
    def rebalance_timeout_ms(self) -> int:
        """The slowest member decides."""
        return max((member.rebalance_timeout_ms for member in self._members.values()), default=0)

    def add(self, member: Member) -> None:
        assert member.member_id not in self._members, f"{member.member_id} is a member already"
        if member.instance_id is not None:
            assert member.instance_id not in self._static, f"instance {member.instance_id} is a member already"
            self._static[member.instance_id] = member.member_id
        if self.leader is None:
            self.leader = member.member_id
        self._members[member.member_id] = member
        self._support.update(strategy.name for strategy in member.strategies)
        if member.join_ticket is not None:
            self._awaiting_join += 1
        self.pending.discard(member.member_id)

    def remove(self, member_id: str) -> None:
        """Its tickets must have been answered before. The next in order of joining leads if it led."""
        self.pending.discard(member_id)
        member = self._members.pop(member_id, None)
        if member is None:
            return
        assert member.join_ticket is None and member.sync_ticket is None, f"{member_id} leaves with a request open"
        self._support.subtract(strategy.name for strategy in member.strategies)
        if member.instance_id is not None:
            del self._static[member.instance_id]
        if self.leader == member_id:
            self.leader = next(iter(self._members), None)

    def rename(self, old_id: str, new_id: str) -> Member:
        """A static member came back under a new id: same place, same assignment, same leadership."""
        member = self._members.pop(old_id)
        assert member.instance_id is not None, f"{old_id} is not a static member"
        assert member.join_ticket is None and member.sync_ticket is None, f"{old_id} is replaced with a request open"
        member.member_id = new_id
        self._members[new_id] = member
        self._static[member.instance_id] = new_id
        if self.leader == old_id:
            self.leader = new_id
        return member

    def update(self, member: Member, request: JoinRequest) -> None:
        self.set_strategies(member, request.strategies)
        member.rebalance_timeout_ms = request.rebalance_timeout_ms
        member.session_timeout_ms = request.session_timeout_ms

    def set_strategies(self, member: Member, strategies: tuple[Strategy, ...]) -> None:
        self._support.subtract(strategy.name for strategy in member.strategies)
        member.strategies = strategies
        self._support.update(strategy.name for strategy in strategies)

    def park_join(self, member: Member, ticket: Ticket) -> None:
        assert member.join_ticket is None, f"{member.member_id} has a JoinGroup open already"
        member.join_ticket = ticket
        self._awaiting_join += 1

    def take_join(self, member: Member) -> Ticket | None:
        ticket = member.join_ticket
        if ticket is not None:
            member.join_ticket = None
            self._awaiting_join -= 1
        return ticket

    def elect_joined_leader(self) -> bool:
        """Keep the leader if it rejoined, else take the first member that did. False if nobody did."""
        if self.leader is None:
            return False
        if self._members[self.leader].join_ticket is not None:
            return True
        for member in self._members.values():
            if member.join_ticket is not None:
                self.leader = member.member_id
                return True
        return False

    def supported_by_all(self, names: Iterable[str]) -> bool:
        """Whether at least one of `names` is offered by every member."""
        return any(self._support[name] == len(self._members) for name in names)

    def elect_protocol(self) -> str:
        """Every member votes for the one it likes best among those that all support. Ties: the first voted for."""
        candidates = frozenset(name for name, count in self._support.items() if count == len(self._members))
        assert candidates, "members without a common protocol were let in"
        votes = Counter(member.vote(candidates) for member in self._members.values())
        return max(votes, key=votes.__getitem__)
