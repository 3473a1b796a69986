"""What the network of a chaos run does to packets, and which faults are drawn."""

from __future__ import annotations

import itertools
import random
from collections import Counter

from tools.chaos.faults import OF_NETWORK, OF_PROCESS, Kind, draw
from tools.chaos.links import CLEAR, Rules, Weather, between, bridge, towards


def rules() -> Rules:
    return Rules(random.Random(1))


def test_without_faults_packets_arrive_at_once() -> None:
    assert rules().arrival(1, 2, 5.0) == 5.0


def test_a_blocked_direction_leaves_the_other_open() -> None:
    cut = rules()
    cut.set(towards([1], [2, 3]), Weather(blocked=True))
    assert cut.arrival(1, 2, 0.0) is None
    assert cut.arrival(1, 3, 0.0) is None
    assert cut.arrival(2, 1, 0.0) == 0.0
    assert cut.arrival(2, 3, 0.0) == 0.0


def test_a_partition_ends() -> None:
    cut = rules()
    cut.set(between([1], [2, 3]), Weather(blocked=True))
    cut.set(between([1], [2]), CLEAR)
    assert cut.arrival(2, 1, 0.0) == 0.0
    assert cut.arrival(3, 1, 0.0) is None
    cut.clear()
    assert cut.arrival(3, 1, 0.0) == 0.0


def test_delay_and_loss_are_drawn_within_their_bounds() -> None:
    bad = rules()
    bad.set(between([1], [2]), Weather(delay=0.1, jitter=0.05, loss=0.25))
    arrivals = [bad.arrival(1, 2, 10.0) for _ in range(1000)]
    late = [each for each in arrivals if each is not None]
    assert 650 < len(late) < 850
    assert min(late) >= 10.1
    assert max(late) <= 10.15
    assert len(set(late)) > 100


def test_over_a_bridge_the_halves_see_only_the_middle() -> None:
    cut = rules()
    cut.set(bridge([1, 2, 3, 4, 5], 3), Weather(blocked=True))
    open_links = {(a, b) for a, b in itertools.permutations(range(1, 6), 2) if cut.arrival(a, b, 0.0) is not None}
    with_middle = {link for link in itertools.permutations(range(1, 6), 2) if 3 in link}
    assert open_links == with_middle | {(1, 2), (2, 1), (4, 5), (5, 4)}


def test_a_seed_draws_the_same_faults_again() -> None:
    def drawn(seed: int) -> list[object]:
        faults = draw(random.Random(seed), [1, 2, 3], list(Kind), pause=5.0)
        return list(itertools.islice(faults, 50))

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_every_kind_comes_before_any_comes_again() -> None:
    faults = draw(random.Random(1), [1, 2, 3], list(Kind), pause=5.0)
    fired = Counter(fault.kind for fault in itertools.islice(faults, 3 * len(Kind)))
    assert set(fired.values()) == {3}
    assert set(fired) == set(Kind)


def test_faults_keep_to_their_nodes_and_times() -> None:
    for fault in itertools.islice(draw(random.Random(2), [1, 3], list(Kind), pause=4.0), 200):
        assert fault.node in (1, 3)
        assert 0.3 <= fault.seconds <= 20.0
        assert 0.4 <= fault.pause <= 4.0


def test_every_kind_is_of_the_network_or_of_a_process() -> None:
    assert set(Kind) == OF_NETWORK | OF_PROCESS
    assert not OF_NETWORK & OF_PROCESS
