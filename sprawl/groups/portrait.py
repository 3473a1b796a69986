"""A group as others see it: as the log keeps it, as DescribeGroups shows it, which topics it reads.

Plain functions of a roster and the generation it is in. Nothing here changes a group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sprawl.groups.exchange import DescribedMember, JoinedMember, StoredGroup, StoredMember, Strategy
from sprawl.groups.roster import Member, Roster
from sprawl.groups.subscription import CONSUMER_PROTOCOL_TYPE, topics_of


@dataclass(frozen=True, slots=True)
class Generation:
    number: int
    protocol_type: str | None
    protocol_name: str | None
    since_ms: int


def stored_group(generation: Generation, roster: Roster, assignments: Mapping[str, bytes]) -> StoredGroup:
    name = generation.protocol_name
    return StoredGroup(
        protocol_type=generation.protocol_type or "",
        generation=generation.number,
        protocol_name=name,
        leader=roster.leader,
        since_ms=generation.since_ms,
        members=tuple(
            StoredMember(
                member_id=member.member_id,
                instance_id=member.instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                rebalance_timeout_ms=member.rebalance_timeout_ms,
                session_timeout_ms=member.session_timeout_ms,
                subscription=member.metadata(name) if name is not None else b"",
                assignment=assignments.get(member.member_id, b""),
            )
            for member in roster
        ),
    )


def restored_roster(stored: StoredGroup) -> Roster:
    """Of all that the members could do, the log keeps only what was elected."""
    roster = Roster()
    for member in stored.members:
        roster.add(
            Member(
                member_id=member.member_id,
                instance_id=member.instance_id,
                client_id=member.client_id,
                client_host=member.client_host,
                rebalance_timeout_ms=member.rebalance_timeout_ms,
                session_timeout_ms=member.session_timeout_ms,
                strategies=(Strategy(stored.protocol_name or "", member.subscription),),
                assignment=member.assignment,
            )
        )
    if stored.leader is not None and stored.leader in roster:
        roster.leader = stored.leader
    return roster


def described_members(roster: Roster, protocol_name: str | None) -> tuple[DescribedMember, ...]:
    """Without a protocol name (the group is not stable) there is no metadata to tell of."""
    return tuple(
        DescribedMember(
            member_id=member.member_id,
            instance_id=member.instance_id,
            client_id=member.client_id,
            client_host=member.client_host,
            metadata=member.metadata(protocol_name) if protocol_name is not None else b"",
            assignment=member.assignment,
        )
        for member in roster
    )


def joined_members(roster: Roster, protocol_name: str) -> tuple[JoinedMember, ...]:
    return tuple(
        JoinedMember(member.member_id, member.instance_id, member.metadata(protocol_name)) for member in roster
    )


def subscribed_topics(roster: Roster, generation: Generation) -> frozenset[str] | None:
    """None: not known, because members do not use the consumer protocol or their metadata cannot be read."""
    if generation.protocol_type != CONSUMER_PROTOCOL_TYPE:
        return None
    if not len(roster):
        return frozenset()
    if generation.protocol_name is None:
        return None
    topics: set[str] = set()
    for member in roster:
        of_member = topics_of(member.metadata(generation.protocol_name))
        if of_member is None:
            return None
        topics |= of_member
    return frozenset(topics)
