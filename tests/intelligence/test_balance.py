"""The balancer: cheap moves first, before it hurts, none that makes things worse, none that is regretted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sprawl.intelligence.balance.candidates import leader_moves
from sprawl.intelligence.balance.cluster import FOLLOWER, NOBODY, Cluster
from sprawl.intelligence.balance.margin import Margin
from sprawl.intelligence.balance.moves import Goal, Held, Move, Plan, What
from sprawl.intelligence.balance.policy import Balancer, Resource, Settings
from sprawl.intelligence.balance.projection import Expected
from sprawl.intelligence.foresight.grid import Array

MINUTES = (5, 15, 30)
CALM = Settings(even=False)


def cluster(replicas: list[list[int]], nodes: int = 3, racks: list[int] | None = None) -> Cluster:
    held = np.array(replicas)
    return Cluster(
        replicas=held,
        leader=held[:, 0].copy(),
        in_sync=np.ones(held.shape, dtype=np.bool_),
        racks=np.arange(nodes) if racks is None else np.array(racks),
        alive=np.ones(nodes, dtype=np.bool_),
        capacity=np.full(nodes, 100.0),
        disk=np.ones(len(held)),
        disk_capacity=np.full(nodes, 1000.0),
    )


def expected(*by_horizon: list[float], doubt: float = 0.0) -> Expected:
    median = np.array(by_horizon if len(by_horizon) == len(MINUTES) else by_horizon * len(MINUTES))
    return Expected(median, median * (1 + doubt))


def plan(
    on: Cluster, what: Expected, settings: Settings = CALM, balancer: Balancer | None = None, now: float = 0.0
) -> Plan:
    balancer = balancer or Balancer(MINUTES, 300, settings)
    return balancer.plan(now, on, {Goal.NETWORK: Resource(what, what.median[0], on.capacity)})


def carried(on: Cluster, made: Plan, load: Array) -> Array:
    for move in made.moves:
        on = (
            on.with_leader(move.partition, move.target)
            if move.what is What.LEADER
            else on.with_replica(move.partition, move.source, move.target)
        )
    return load @ on.shares()


BUSY_NODE_0 = [[0, 1, 2], [0, 1, 2], [1, 2, 0], [2, 0, 1]]


def test_a_leader_carries_its_whole_load_and_followers_a_part() -> None:
    shares = cluster([[0, 1, NOBODY]]).shares()
    np.testing.assert_array_equal(shares, [[1, FOLLOWER, 0]])


def test_nothing_moves_while_all_have_room() -> None:
    assert plan(cluster(BUSY_NODE_0), expected([30, 20, 20, 20])) == Plan(worst=pytest.approx(0.6))


def test_a_leader_moves_before_the_peak_that_is_expected_in_half_an_hour() -> None:
    now, peak = [20.0, 20, 5, 5], [75.0, 60, 5, 5]
    on = cluster(BUSY_NODE_0)
    made = plan(on, expected(now, now, peak))
    assert [(move.what, move.source, move.minutes) for move in made.moves] == [(What.LEADER, 0, 30)]
    assert carried(on, made, np.array(peak)).max() < 100 < carried(on, Plan(), np.array(peak)).max()
    assert "in 30 minutes" in made.moves[0].reason


def test_a_doubtful_forecast_moves_what_a_certain_one_leaves() -> None:
    on = cluster(BUSY_NODE_0)
    median = [44.0, 36, 10, 10]
    assert not plan(on, expected(median)).moves
    assert plan(on, expected(median, doubt=0.4)).moves


def test_leaders_move_only_to_living_replicas_that_are_in_sync() -> None:
    on = replace(cluster([[0, 1, 2]]), in_sync=np.array([[True, False, True]]))
    assert leader_moves(on, 0).targets.tolist() == [2]
    assert not len(leader_moves(replace(on, alive=np.array([True, True, False])), 0).targets)


def test_nothing_moves_while_a_replica_is_out_of_sync() -> None:
    on = replace(cluster(BUSY_NODE_0), in_sync=np.array([[True, True, True]] * 3 + [[True, True, False]]))
    made = plan(on, expected([80, 60, 10, 10]))
    assert made.held is Held.UNDER_REPLICATED
    assert not made.moves
    assert made.worst > 1


def test_nothing_moves_while_a_node_that_holds_replicas_is_dead() -> None:
    on = replace(cluster(BUSY_NODE_0), alive=np.array([True, True, False]))
    assert plan(on, expected([80, 60, 10, 10])).held is Held.UNDER_REPLICATED


def test_a_replica_is_copied_only_if_moving_leaders_is_no_help() -> None:
    one_replica = cluster([[0], [0], [0]])
    made = plan(one_replica, expected([60, 50, 30]))
    assert [move.what for move in made.moves] == [What.REPLICA]
    assert made.moves[0].copied == 1
    several = cluster([[0, 1], [0, 1], [0, 1]])
    assert {move.what for move in plan(several, expected([60, 50, 30])).moves} == {What.LEADER}


def test_copies_stand_in_racks_of_their_own_and_on_disks_with_room() -> None:
    on = cluster([[0, 1], [0, 1], [0, 1]], nodes=4, racks=[0, 1, 1, 2])
    crowded = replace(on, disk_capacity=np.array([1000.0, 1000, 1000, 0.5]))
    settings = replace(CALM, leader_moves=0)
    assert {move.target for move in plan(on, expected([70, 60, 30]), settings).moves} == {3}
    assert not plan(crowded, expected([70, 60, 30]), settings).moves


def test_a_budget_is_kept() -> None:
    on = cluster([[0, 1, 2]] * 12)
    assert len(plan(on, expected([40.0] * 12), replace(CALM, leader_moves=3, replica_moves=0)).moves) == 3


def test_a_partition_rests_after_a_move_and_does_not_return_within_the_hour() -> None:
    balancer = Balancer(MINUTES, 300, CALM)
    on = cluster([[0, 1], [0, 1], [1, 0]], nodes=2)
    to_1 = plan(on, expected([70, 50, 5]), balancer=balancer).moves[0]
    on = on.with_leader(to_1.partition, to_1.target)
    swapped = np.full(3, 5.0)
    swapped[to_1.partition], swapped[2] = 90, 60
    moved_at = [
        now
        for now in range(300, 7200, 300)
        for move in plan(on, expected(list(swapped)), balancer=balancer, now=now).moves
        if move.partition == to_1.partition and move.target == 0
    ]
    assert moved_at
    assert min(moved_at) >= CALM.return_seconds


def test_partitions_that_are_being_copied_are_left_alone_and_use_the_budget() -> None:
    on = cluster([[0], [0], [0]])
    resource = {Goal.NETWORK: Resource(expected([60, 50, 30]), np.array([60.0, 50, 30]), on.capacity)}
    first = Balancer(MINUTES, 300, replace(CALM, replica_moves=2)).plan(0, on, resource)
    second = Balancer(MINUTES, 300, replace(CALM, replica_moves=2)).plan(
        0, on, resource, under_way=[first.moves[0].partition]
    )
    assert first.moves[0].partition not in {move.partition for move in second.moves}
    assert not Balancer(MINUTES, 300, CALM).plan(0, on, resource, under_way=[0]).moves


def test_no_move_for_a_later_goal_worsens_an_earlier_one() -> None:
    on = cluster([[0, 1], [0, 1]], nodes=2)
    cpu = Resource(expected([70, 60]), np.array([70.0, 60]), on.capacity)
    full_at_1 = Resource(expected([90, 90]), np.array([90.0, 90]), np.array([1000.0, 90]))
    assert plan(on, expected([70, 60])).moves
    made = Balancer(MINUTES, 300, replace(CALM, replica_moves=0)).plan(0, on, {Goal.NETWORK: full_at_1, Goal.CPU: cpu})
    assert not made.moves


def test_two_replicas_in_one_rack_are_taken_apart_first() -> None:
    on = cluster([[0, 1], [0, 2]], nodes=3, racks=[0, 0, 1])
    made = plan(on, expected([10, 10]))
    assert [(move.goal, move.partition, move.target) for move in made.moves] == [(Goal.RACK, 0, 2)]


def test_a_disk_beyond_its_limit_gives_a_replica_away() -> None:
    on = replace(cluster([[0], [0]], nodes=2), disk=np.array([500.0, 400]))
    (move,) = plan(on, expected([1, 1])).moves
    assert (move.goal, move.what, move.target) == (Goal.DISK, What.REPLICA, 1)


def test_calm_times_even_out_the_numbers_of_leaders() -> None:
    on = cluster([[0, 1, 2]] * 9)
    (move,) = plan(on, expected([1.0] * 9), Settings(even=True)).moves
    assert (move.goal, move.source) == (Goal.LEADERS, 0)
    assert "nothing is pressed" in move.reason


def test_the_same_input_gives_the_same_plan() -> None:
    on = cluster([[0, 1, 2]] * 6)
    load = expected([30.0, 31, 32, 33, 34, 35], doubt=0.2)
    first: tuple[Move, ...] = plan(on, load).moves
    assert first == plan(on, load).moves
    assert first


@pytest.mark.parametrize(("truth", "grows"), [(1.5, True), (0.9, False)])
def test_the_margin_grows_with_loads_beyond_it_and_shrinks_without(truth: float, grows: bool) -> None:
    margin = Margin((1,))
    shares = np.eye(2)
    for _ in range(50):
        margin.learn(np.full(2, truth), shares, Expected(np.ones((1, 2)), np.full((1, 2), 1.1)))
    assert (margin.doubts[0] > 1) == grows
