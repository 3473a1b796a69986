"""Voters of the metadata quorum that lose patience at the same moment, and stand against each other in one epoch.

In: a cluster that has a leader. Out: the leader is gone, and every other voter that is up asks the others at once;
each is told that nobody hears of a leader, so all stand. By chance alone that happens once in many thousand elections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sprawl.quorum.raft import Role
from sprawl.quorum.replica import QuorumReplica
from tools.simulate.cluster import Member, SimulatedCluster


class Rivals:
    def __init__(self, cluster: SimulatedCluster, start: Callable[[Member], None]) -> None:
        self._cluster = cluster
        self._start = start

    async def stand(self, length: float) -> bool:
        """The leader is back after `length` seconds. False if there is none, or fewer than two others vote."""
        voters = {each.node_id: (each, replica) for each in self._cluster.up if (replica := _voting(each)) is not None}
        leader = next((each for each, replica in voters.values() if replica.raft.role is Role.LEADER), None)
        if leader is None or leader.held or len(voters) < 3:
            return False
        leader.kill()
        for member, replica in voters.values():
            if member is not leader:
                member.machine.run(_lose_patience(replica))
        await asyncio.sleep(length)
        self._start(leader)
        return True


def _voting(member: Member) -> QuorumReplica | None:
    parts = member.node.parts if member.node is not None else None
    if parts is None:
        return None
    replica = parts.quorum._replica
    return replica if replica.started and not replica._stopped and replica.raft.is_voter else None


async def _lose_patience(replica: QuorumReplica) -> None:
    replica.raft.deadline = 0.0
    replica._tick()
