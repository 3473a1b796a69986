"""Placement keeps replicas apart, keeps nodes near their fair shares, and moves as little as it can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sprawl.overlay.dht import Candidate, Load, Move, TooFewNodes, load_of, propose, rebalance, ring_view
from sprawl.overlay.ring import SLOTS, first_slot
from sprawl.overlay.shares import bounds, portion

TOPIC = UUID("b10c5a4e-0000-4000-8000-000000000001")
Assignments = dict[tuple[UUID, int], tuple[int, ...]]


def nodes(count: int, racks: int = 1, weight: float = 1.0) -> list[Candidate]:
    return [Candidate(one, weight, f"host-{one}", f"rack-{one % racks}") for one in range(count)]


def placed(candidates: Sequence[Candidate], partitions: int, factor: int = 3, topic: UUID = TOPIC) -> Assignments:
    replicas = propose(topic, range(partitions), factor, candidates, Load())
    return {(topic, partition): one for partition, one in enumerate(replicas)}


def after(assignments: Assignments, moves: Iterable[Move]) -> Assignments:
    changed = dict(assignments)
    for move in moves:
        assert changed[move.topic_id, move.partition] == move.old
        changed[move.topic_id, move.partition] = move.new
    return changed


def copied(moves: Iterable[Move]) -> int:
    return sum(len(set(move.new) - set(move.old)) for move in moves)


def off_bounds(assignments: Assignments, candidates: Sequence[Candidate]) -> list[str]:
    """Nodes with more or less than the bounds allow. Empty if all is well."""
    live = sorted((one for one in candidates if one.weight > 0), key=lambda one: one.id)
    factors = Counter(len(one) for one in assignments.values())
    portions = {factor: portion(live, factor) for factor in factors}
    load = load_of(assignments.values())
    wrong = []
    for at, one in enumerate(live):
        for kind, has, fair in (
            ("replicas", load.replicas, sum(n * portions[factor].replicas[at] for factor, n in factors.items())),
            ("leaders", load.leaders, sum(n * portions[factor].leaders[at] for factor, n in factors.items())),
        ):
            limits = bounds([fair])
            if not limits.low[0] <= has.get(one.id, 0) <= limits.high[0]:
                wrong.append(f"node {one.id} has {has.get(one.id, 0)} {kind}, fair is {fair:.2f}")
    return wrong


def badly_spread(assignments: Assignments, candidates: Sequence[Candidate]) -> list[str]:
    by_id = {one.id: one for one in candidates}
    live = [one for one in candidates if one.weight > 0]
    wrong = []
    for (_, partition), replicas in assignments.items():
        limits = portion(live, len(replicas))
        hosts = Counter((by_id[node].rack, by_id[node].host) for node in replicas)
        racks = Counter(by_id[node].rack for node in replicas)
        if max(hosts.values()) > limits.per_host or max(racks.values()) > limits.per_rack:
            wrong.append(f"partition {partition} is on {replicas}")
        if len(set(replicas)) != len(replicas):
            wrong.append(f"partition {partition} is twice on a node: {replicas}")
    return wrong


@st.composite
def clusters(draw: st.DrawFn) -> list[Candidate]:
    count = draw(st.integers(3, 12))
    racks = draw(st.integers(1, 4))
    hosts = draw(st.integers(1, count))
    weights = draw(st.lists(st.sampled_from([0.5, 1.0, 1.0, 1.0, 2.0]), min_size=count, max_size=count))
    return [
        Candidate(one * 7 + 1, weights[one], f"host-{one % hosts}", f"rack-{one % hosts % racks}")
        for one in range(count)
    ]


topics = st.builds(lambda number: UUID(int=number), st.integers(0, 2**128 - 1))


@given(clusters(), topics, st.integers(0, 60), st.integers(1, 3))
def test_a_proposal_is_spread_and_within_bounds(
    candidates: list[Candidate], topic: UUID, partitions: int, factor: int
) -> None:
    assignments = placed(candidates, partitions, factor, topic)
    assert badly_spread(assignments, candidates) == []
    assert off_bounds(assignments, candidates) == []
    assert all(len(replicas) == factor for replicas in assignments.values())


@given(clusters(), topics, st.integers(1, 40), st.integers(1, 3))
def test_a_proposal_needs_no_mending(candidates: list[Candidate], topic: UUID, partitions: int, factor: int) -> None:
    assert rebalance(placed(candidates, partitions, factor, topic), candidates) == []


@given(clusters(), topics, st.integers(1, 40), st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_order_in_which_things_are_named_does_not_matter(
    candidates: list[Candidate], topic: UUID, partitions: int, factor: int, rng: object
) -> None:
    shuffled = candidates.copy()
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assignments = placed(candidates, partitions, factor, topic)
    assert placed(shuffled, partitions, factor, topic) == assignments
    fewer = candidates[1:]
    if len(fewer) >= factor:
        backwards = dict(reversed(assignments.items()))
        assert rebalance(backwards, list(reversed(fewer))) == rebalance(assignments, fewer)


@given(clusters(), st.data())
@settings(max_examples=100)
def test_any_assignment_is_brought_within_bounds_and_then_left_alone(
    candidates: list[Candidate], data: st.DataObject
) -> None:
    ids = [one.id for one in candidates] + [1000, 1001]
    rows = data.draw(
        st.lists(st.lists(st.sampled_from(ids), min_size=1, max_size=3, unique=True), min_size=1, max_size=40)
    )
    assignments = {(TOPIC, partition): tuple(row) for partition, row in enumerate(rows)}
    moves = rebalance(assignments, candidates)
    mended = after(assignments, moves)
    assert badly_spread(mended, candidates) == []
    assert off_bounds(mended, candidates) == []
    assert rebalance(mended, candidates) == []
    assert [move.leader_only for move in moves] == sorted((move.leader_only for move in moves), reverse=True)


@given(clusters(), topics, st.integers(1, 60), st.sampled_from([0.5, 1.0, 2.0]))
def test_a_node_that_joins_and_leaves_again_leaves_the_cluster_within_bounds(
    candidates: list[Candidate], topic: UUID, partitions: int, weight: float
) -> None:
    before = placed(candidates, partitions, 3, topic)
    joined = [*candidates, Candidate(500, weight, "new-host", candidates[0].rack)]
    with_it = after(before, rebalance(before, joined))
    assert off_bounds(with_it, joined) == []
    without = after(with_it, rebalance(with_it, candidates))
    assert off_bounds(without, candidates) == []
    assert badly_spread(without, candidates) == []


@given(
    st.integers(3, 12).map(nodes),
    st.integers(1, 3),
    st.lists(st.tuples(topics, st.integers(1, 4)), min_size=1, max_size=40),
)
def test_topics_made_one_after_the_other_stay_within_the_upper_bound(
    candidates: list[Candidate], factor: int, made: list[tuple[UUID, int]]
) -> None:
    rows: list[tuple[int, ...]] = []
    for topic, partitions in made:
        rows += propose(topic, range(partitions), factor, candidates, load_of(rows))
    load = load_of(rows)
    for counts, spare in ((load.replicas, 0), (load.leaders, 1)):  # what was placed before cannot change its leader
        fair = sum(counts.values()) / len(candidates)
        assert max(counts.values()) <= bounds([fair]).high[0] + spare, counts


def test_three_partitions_on_three_nodes_have_three_leaders() -> None:
    assert sorted(replicas[0] for replicas in placed(nodes(3), 3).values()) == [0, 1, 2]


def test_six_topics_of_one_partition_share_three_nodes_evenly() -> None:
    rows: list[tuple[int, ...]] = []
    for number in range(6):
        rows += propose(UUID(int=number), range(1), 1, nodes(3), load_of(rows))
    assert load_of(rows).leaders == {0: 2, 1: 2, 2: 2}


def test_partitions_added_later_take_what_is_there_into_account() -> None:
    first = propose(TOPIC, range(5), 2, nodes(5), Load())
    later = propose(TOPIC, range(5, 10), 2, nodes(5), load_of(first))
    assert set(load_of(first + later).replicas.values()) == {4}


def test_each_replica_is_in_a_rack_of_its_own() -> None:
    for replicas in placed(nodes(9, racks=3), 90).values():
        assert {node % 3 for node in replicas} == {0, 1, 2}


def test_five_replicas_in_two_racks_are_three_and_two() -> None:
    for replicas in placed(nodes(8, racks=2), 40, factor=5).values():
        assert sorted(Counter(node % 2 for node in replicas).values()) == [2, 3]


def test_nodes_of_one_host_never_hold_the_same_partition_if_there_are_other_hosts() -> None:
    crowded = [replace(one, host=f"host-{one.id // 4}") for one in nodes(12)]
    for replicas in placed(crowded, 100).values():
        assert len({node // 4 for node in replicas}) == 3


def test_a_rack_too_small_for_a_replica_of_everything_is_spared() -> None:
    lone = [replace(one, rack="small" if one.id == 0 else f"rack-{one.id % 2}") for one in nodes(11)]
    assignments = placed(lone, 1100)
    assert load_of(assignments.values()).replicas[0] <= 315  # 300 by weight; 1,100 if every partition had to have it
    assert badly_spread(assignments, lone) == []


def test_a_node_of_twice_the_weight_has_twice_as_much() -> None:
    candidates = [replace(one, weight=2.0 if one.id == 0 else 1.0) for one in nodes(9)]
    load = load_of(placed(candidates, 1000).values())
    assert 570 <= load.replicas[0] <= 630
    assert 190 <= load.leaders[0] <= 210


def test_too_few_nodes_are_refused() -> None:
    with pytest.raises(TooFewNodes, match="3 replicas need as many nodes, and there are 2"):
        propose(TOPIC, range(1), 3, [*nodes(2), Candidate(9, 0.0, "idle", "")], Load())


def test_a_node_whose_weight_is_still_small_gets_little_of_a_new_topic() -> None:
    old = placed(nodes(9), 300)
    ramping = [*nodes(9), Candidate(9, 0.1, "host-9", "rack-0")]
    new = propose(UUID(int=5), range(300), 3, ramping, load_of(old.values()))
    assert load_of(new).replicas[9] <= 21  # twice 900 / 91, for the old topic and the new


def test_a_joining_node_gets_its_share_and_no_other_gets_anything() -> None:
    before = placed(nodes(9), 1000)
    moves = rebalance(before, nodes(10))
    assert copied(moves) == 300
    assert {node for move in moves for node in set(move.new) - set(move.old)} == {9}
    assert {move.reason for move in moves if not move.leader_only} == {"node joined"}


@pytest.mark.parametrize("draining", [False, True])
def test_a_leaving_nodes_replicas_move_and_no_others(draining: bool) -> None:
    before = placed(nodes(10), 1000)
    left = [replace(nodes(10)[0], weight=0.0), *nodes(10)[1:]] if draining else nodes(10)[1:]
    moves = rebalance(before, left)
    assert copied(moves) == sum(0 in replicas for replicas in before.values())
    assert all(set(move.old) - set(move.new) == {0} for move in moves if not move.leader_only)
    assert {move.reason for move in moves if not move.leader_only} == {"node drained" if draining else "node left"}
    assert 0 not in load_of(after(before, moves).values()).replicas


def test_a_replica_that_can_go_nowhere_stays() -> None:
    before = placed(nodes(3), 5)
    mended = after(before, rebalance(before, nodes(2)))
    assert all(set(replicas) == {0, 1, 2} for replicas in mended.values())
    assert 2 not in load_of(mended.values()).leaders


def test_leaders_are_evened_out_without_copying() -> None:
    lopsided: Assignments = {(TOPIC, partition): (0, 1, 2) for partition in range(30)}
    moves = rebalance(lopsided, nodes(3))
    assert all(move.leader_only for move in moves)
    assert load_of(after(lopsided, moves).values()).leaders == {0: 10, 1: 10, 2: 10}


def test_replicas_that_share_a_host_are_parted() -> None:
    crowded = [replace(one, host=f"host-{one.id // 2}") for one in nodes(6)]
    (move,) = rebalance({(TOPIC, 0): (0, 1, 2)}, crowded)
    assert move.reason == "shares a host"
    assert len({node // 2 for node in move.new}) == 3


def test_a_budget_is_kept_and_the_next_call_goes_on() -> None:
    joined = nodes(10)
    assignments = placed(nodes(9), 1000)
    steps = 0
    while copied(moves := rebalance(assignments, joined, budget=40)):
        assert copied(moves) <= 40
        assignments = after(assignments, moves)
        steps += 1
    assert steps == 8  # 300 replicas
    assert off_bounds(assignments, joined) == []


def test_what_left_comes_before_everything_else_when_the_budget_is_small() -> None:
    assignments = placed(nodes(6), 300)
    moves = rebalance(assignments, nodes(7)[1:], budget=20)
    assert {move.reason for move in moves if not move.leader_only} == {"node left"}


def test_placement_is_the_same_in_every_release() -> None:
    """Nothing moves if it changes, but let nobody change it unawares."""
    assert propose(TOPIC, range(4), 3, nodes(6, racks=3), Load()) == [(4, 3, 5), (2, 4, 3), (1, 2, 0), (0, 1, 5)]
    assert first_slot(TOPIC) == 2091


def test_the_ring_shows_each_nodes_share() -> None:
    rows = ring_view([replace(one, weight=1.0 + (one.id == 3)) for one in nodes(4)])
    assert [row.id for row in rows] == [0, 1, 2, 3]
    assert [row.fair_share for row in rows] == [0.2, 0.2, 0.2, 0.4]
    assert sum(row.hash_share for row in rows) == pytest.approx(1.0)
    assert all(abs(row.hash_share - row.fair_share) < 4 * SLOTS**-0.5 for row in rows)
