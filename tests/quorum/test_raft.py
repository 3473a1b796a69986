"""The quorum's state machine: what it must never do, whatever happens, and what it must do once all is well."""

from __future__ import annotations

import pytest

from sprawl.quorum.raft import Role
from tests.quorum.raft_world import World


def test_one_voter_leads_at_once_and_commits_alone() -> None:
    world = World(1)
    assert world.leaders() == [1]
    world.sync(1)
    assert world.replicas[1].raft.high_watermark == 1


@pytest.mark.parametrize("nodes", [2, 3, 5])
def test_voters_elect_one_leader_and_follow_it(nodes: int) -> None:
    world = World(nodes)
    world.settle(5)
    (leader,) = world.leaders()
    assert {world.replicas[node].raft.leader_id for node in world.up} == {leader}
    world.propose(leader)
    world.settle(1)
    assert {world.replicas[node].raft.high_watermark for node in world.up} == {2}


def test_a_dead_leader_is_replaced_within_two_fetch_timeouts() -> None:
    world = World(3)
    world.settle(5)
    old = world.leader()
    world.crash(old)
    world.settle(2.5)
    assert world.leader() != old


def test_a_node_that_was_cut_off_does_not_disturb_when_it_is_back() -> None:
    """Without pre-votes it would come back in a much higher epoch, and the leader would have to step down."""
    world = World(3)
    world.settle(5)
    leader = world.leader()
    away = next(node for node in world.up if node != leader)
    world.cut = {(away, other) for other in world.up} | {(other, away) for other in world.up}
    epoch = world.replicas[leader].raft.epoch
    world.settle(20)
    assert world.replicas[away].raft.epoch == epoch
    world.cut = set()
    world.settle(3)
    assert (world.leader(), world.replicas[leader].raft.epoch) == (leader, epoch)
    assert world.replicas[away].raft.role is Role.FOLLOWER


def test_a_leader_without_a_majority_steps_down() -> None:
    world = World(3)
    world.settle(5)
    leader = world.leader()
    world.cut = {(leader, other) for other in world.up} | {(other, leader) for other in world.up}
    world.settle(3)
    assert world.replicas[leader].raft.role is not Role.LEADER


def test_what_no_majority_has_is_not_committed() -> None:
    world = World(3)
    world.settle(5)
    leader = world.leader()
    before = world.replicas[leader].raft.high_watermark
    world.cut = {(leader, other) for other in world.up} | {(other, leader) for other in world.up}
    world.propose(leader)
    world.sync(leader)
    assert world.replicas[leader].raft.high_watermark == before


def test_what_a_deposed_leader_wrote_alone_is_cut_when_it_follows() -> None:
    world = World(3)
    world.settle(5)
    old = world.leader()
    world.cut = {(old, other) for other in world.up} | {(other, old) for other in world.up}
    world.propose(old)
    world.sync(old)
    world.settle(5)
    world.cut = set()
    world.settle(5)
    assert world.replicas[old].log.epochs == world.replicas[world.leader()].log.epochs


def test_an_observer_follows_and_never_stands() -> None:
    world = World(4, voters=3)
    world.settle(5)
    observer = world.replicas[4].raft
    observer.epoch_seen(world.replicas[world.leader()].raft.epoch, world.leader(), world.now)
    world.carry_out(4)
    world.settle(1)
    assert observer.high_watermark == len(world.committed) == 1
    for node in (1, 2, 3):
        world.crash(node)
    world.settle(20)
    assert observer.role is not Role.LEADER


def test_a_vote_is_remembered_over_a_crash() -> None:
    world = World(3)
    world.now += 2
    world.tick(1)
    while world.network:
        world.deliver(0)
    kept = world.replicas[2].kept
    world.crash(2)
    world.restart(2)
    assert world.replicas[2].raft.state.voted_id == kept.voted_id


@pytest.mark.parametrize("seed", range(150))
def test_whatever_happens_there_is_one_history(seed: int) -> None:
    """`World` checks after every event; here events come as they like."""
    world = World(3 if seed % 2 else 5, seed)
    rng = world.rng
    for _ in range(1500):
        node = rng.choice(list(world.replicas))
        match rng.choices(
            ["time", "deliver", "lose", "tick", "fetch", "sync", "propose", "crash", "restart", "cut", "heal"],
            [8, 20, 1, 8, 20, 10, 6, 0.6, 3, 0.7, 1],
        )[0]:
            case "time":
                world.now += rng.random() / 3
            case "deliver" if world.network:
                world.deliver(rng.randrange(len(world.network)))
            case "lose" if world.network:
                world.deliver(rng.randrange(len(world.network)), lose=True)
            case "restart" if node in world.down:
                world.restart(node)
            case "cut":
                world.cut.add((node, rng.choice(list(world.replicas))))
            case "heal":
                world.cut.clear()
            case "crash" if node not in world.down and len(world.down) < 2:
                world.crash(node)
            case "tick" | "fetch" | "sync" | "propose" as what if node not in world.down:
                getattr(world, what)(node)
    world.cut.clear()
    for node in list(world.down):
        world.restart(node)
    before = len(world.committed)
    world.settle(8)
    world.propose(world.leader())
    world.settle(2)
    assert len(world.committed) > before, "once all is well there is a leader, and it commits"


def test_a_voter_whose_disk_is_full_does_not_stand_and_votes_for_others() -> None:
    world = World(3)
    world.settle(5)
    old = world.leader()
    full, other = (node for node in world.up if node != old)
    world.replicas[full].log.writable = False
    world.crash(old)
    world.settle(5)
    assert world.leader() == other
    assert world.replicas[full].raft.leader_id == other


def test_nobody_stands_while_all_disks_are_full_and_somebody_does_as_soon_as_there_is_room() -> None:
    world = World(3)
    world.settle(5)
    old = world.leader()
    left = [node for node in world.up if node != old]
    for node in left:
        world.replicas[node].log.writable = False
    epoch = world.replicas[left[0]].raft.epoch
    world.crash(old)
    world.settle(10)
    assert world.leaders() == []
    assert {world.replicas[node].raft.epoch for node in left} == {epoch}
    world.replicas[left[1]].log.writable = True
    world.settle(3)
    assert world.leader() == left[1]
