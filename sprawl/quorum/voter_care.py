"""Which nodes should vote: the quorum keeps 1, 3 or 5 voters by itself, and replaces those that are gone for good.

Pure: what is known of voters and brokers in, the next set of voters out, at most one step from the present one
(KIP-853). A replacement is added before the lost voter is removed: while four vote and three are there, as many may
fail as before. Only a node that came back with another disk is removed first, for a node votes once.

Where nobody can replace the lost, they may go if three stay. Three voters of whom one is lost remain three: a vote less
would not let more of them fail, and what a single voter decides is on one disk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from sprawl.quorum.image import BrokerImage
from sprawl.quorum.voters import Address, ReplicaKey, Voters

_FEWEST: Final = 3
"""Voters, once there have been as many nodes: whoever is away."""


def wanted_size(brokers: int, limit: int) -> int:
    """The greatest odd number of voters that `brokers` nodes give, of 1, 3 and 5, and at most `limit`."""
    return max(size for size in (1, 3, 5) if size == 1 or size <= min(brokers, limit))


def next_voters(
    voters: Voters,
    brokers: Iterable[BrokerImage],
    me: ReplicaKey,
    *,
    caught_up: Callable[[ReplicaKey], bool],
    gone: Callable[[int], bool],
    address_of: Callable[[BrokerImage], Address | None],
    limit: int,
    keep: Collection[ReplicaKey] = (),
) -> Voters | None:
    """None if all is well, or if nothing can be done for now.

    `caught_up`: whether a replica of the metadata has everything. `gone`: whether a node has been away for so long that
    it is not expected back. `address_of`: where the other nodes find a broker. `keep`: voters that go last, where there
    are too many.
    """
    registered = {broker.id: broker for broker in brokers}
    lost = sorted(key for key in voters.keys if key != me and _is_lost(key, registered, gone))
    for key in lost:
        broker = registered.get(key.node_id)
        if broker is not None and broker.active:
            return voters.without(key)  # it is back, with another disk
    here = wanted_size(sum(not gone(each) for each in registered), limit)
    size = max(here, min(_FEWEST, wanted_size(len(registered), limit)))
    if len(voters) - len(lost) < size:
        for candidate in sorted(registered.values(), key=lambda broker: broker.id):
            fresh = _key_of(candidate)
            if fresh is not None and candidate.active and voters.key_of(candidate.id) is None and caught_up(fresh):
                return voters.with_voter(fresh, address_of(candidate))
    if len(voters) > size:
        spare = voters.keys - {me}
        return voters.without(lost[0] if lost else max(spare - frozenset(keep) or spare))
    return None


def _is_lost(key: ReplicaKey, registered: dict[int, BrokerImage], gone: Callable[[int], bool]) -> bool:
    broker = registered.get(key.node_id)
    if broker is None:
        return gone(key.node_id)
    return gone(key.node_id) or (not broker.fenced and _key_of(broker) not in (None, key))


def _key_of(broker: BrokerImage) -> ReplicaKey | None:
    return ReplicaKey(broker.id, broker.directories[0]) if broker.directories else None
