"""Moving partitions: what is added, when it is done, what is taken back, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from sprawl.config.broker import BrokerConfig
from sprawl.quorum import brokers
from sprawl.quorum.image import BrokerImage, MetadataImage, TopicImage
from sprawl.quorum.isr_changes import alter_partition
from sprawl.quorum.leadership import TopicRules
from sprawl.quorum.placement import Spread
from sprawl.quorum.reassignments import Reassignment, reassign, under_way
from sprawl.quorum.topic_changes import Ground, Limits, NewPartitions, create_partitions
from sprawl_protocol.errors import ApiError, ErrorCode
from tests.quorum.placed import at, directory, first, placed, rules, then, wish


def one(_: TopicImage) -> TopicRules:
    return rules()


def two(_: TopicImage) -> TopicRules:
    return rules(2)


def move(image: MetadataImage, target: Sequence[int] | None) -> MetadataImage:
    return then(image, reassign(image, Reassignment("t", 0, target), one))


def in_sync(image: MetadataImage, *isr: int) -> MetadataImage:
    return then(image, alter_partition(image, first(image).leader, wish(image, isr), one))


def without(image: MetadataImage, *fenced: int) -> MetadataImage:
    for each in fenced:
        image = then(image, brokers.fence(image, each, one))
    return image


def test_a_move_adds_first_and_drops_only_once_the_new_replicas_are_in_sync() -> None:
    image = placed(at([1, 2], 1, [1, 2]))
    image = move(image, [3, 4])
    now = first(image)
    assert (now.replicas, now.adding_replicas, now.removing_replicas) == ((3, 4, 1, 2), (3, 4), (1, 2))
    assert (now.leader, now.leader_epoch, now.isr) == (1, 4, (1, 2)), "clients notice nothing"
    assert now.directories == tuple(map(directory, (3, 4, 1, 2)))
    assert [(topic.name, each.index) for topic, each in under_way(image)] == [("t", 0)]
    image = in_sync(image, 1, 2, 3)
    assert first(image).replicas == (3, 4, 1, 2), "one of two is not enough"
    image = in_sync(image, 1, 2, 3, 4)
    now = first(image)
    assert (now.replicas, now.adding_replicas, now.removing_replicas) == ((3, 4), (), ())
    assert (now.leader, now.leader_epoch, now.isr) == (3, 5, (3, 4))
    assert now.directories == (directory(3), directory(4))
    assert not list(under_way(image))


def test_a_leader_that_stays_goes_on_in_a_new_epoch_without_whom_it_had() -> None:
    image = in_sync(move(placed(at([1, 2], 1, [1, 2])), [1, 3]), 1, 2, 3)
    assert (first(image).leader, first(image).leader_epoch, first(image).isr) == (1, 5, (1, 3))


@pytest.mark.parametrize(
    ("target", "expected"),
    [([2, 1, 3], (2, 1, 3)), ([1, 2], (1, 2)), ([3], (3,))],
    ids=["another order", "fewer", "one"],
)
def test_what_needs_no_copy_is_done_at_once(target: list[int], expected: tuple[int, ...]) -> None:
    now = first(move(placed(at([1, 2, 3], 1, [1, 2, 3])), target))
    assert (now.replicas, now.adding_replicas, now.removing_replicas) == (expected, (), ())
    assert set(now.isr) == set(expected)
    assert now.leader in expected


def test_asking_for_what_is_there_changes_nothing() -> None:
    assert reassign(placed(at([1, 2], 1, [1, 2])), Reassignment("t", 0, [1, 2]), one) == []


def test_redundancy_is_not_given_away_for_an_early_end() -> None:
    """Broker 3 is alive and catching up: 2, which has everything, stays until 3 has it too."""
    image = move(placed(at([1, 2, 3], 1, [1, 2])), [1, 3])
    assert first(image).replicas == (1, 3, 2)
    assert first(in_sync(image, 1, 2, 3)).replicas == (1, 3)


def test_a_dead_replica_that_is_to_stay_does_not_hold_up_the_move() -> None:
    image = move(placed(at([1, 2, 3], 1, [1, 3]), fenced=[2]), [1, 2, 4])
    assert first(in_sync(image, 1, 3, 4)).replicas == (1, 2, 4)


def test_the_end_of_a_move_does_not_leave_too_few_in_sync() -> None:
    image = placed(at([1, 2, 3], 1, [1, 3]), fenced=[2])
    image = then(image, reassign(image, Reassignment("t", 0, [1, 2]), two))
    assert first(image).removing_replicas == (3,), "min.insync.replicas is 2, and 1 would be alone"


def test_a_move_ends_when_the_last_one_it_waits_for_dies() -> None:
    image = move(placed(at([1, 2, 3], 1, [1, 2])), [1, 3])
    assert first(without(image, 3)).replicas == (1, 3, 2), "the fenced broker was in sync nowhere: nothing is decided"
    assert first(in_sync(without(image, 3), 1)).replicas == (1, 3)


def test_a_cancelled_move_takes_back_what_was_added() -> None:
    image = in_sync(move(placed(at([1, 2], 1, [1, 2])), [3, 4]), 1, 2, 3)
    now = first(move(image, None))
    assert (set(now.replicas), now.adding_replicas, now.removing_replicas) == ({1, 2}, (), ())
    assert (now.leader, now.leader_epoch, now.isr) == (1, 5, (1, 2))


def test_a_cancel_that_would_lose_records_is_refused() -> None:
    image = in_sync(move(placed(at([1], 1, [1])), [3, 4]), 1, 3)
    image = without(image, 1)
    assert (first(image).leader, first(image).isr) == (3, (3,))
    with pytest.raises(ApiError) as refusal:
        move(image, None)
    assert refusal.value.code is ErrorCode.INVALID_REPLICA_ASSIGNMENT


def test_another_target_forgets_who_was_on_the_way() -> None:
    now = first(move(move(placed(at([1, 2], 1, [1, 2])), [3, 4]), [5, 1]))
    assert (now.replicas, now.adding_replicas, now.removing_replicas) == ((5, 1, 2), (5,), (2,))


def test_the_leader_that_dies_during_a_move_is_followed_by_one_in_sync() -> None:
    image = without(in_sync(move(placed(at([1, 2], 1, [1, 2])), [3, 4]), 1, 2, 3), 1)
    assert (first(image).leader, first(image).isr) == (3, (2, 3))
    image = in_sync(image, 2, 3, 4)
    assert (first(image).leader, first(image).replicas) == (3, (3, 4))


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (Reassignment("missing", 0, [1]), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (Reassignment("t", 1, [1]), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (Reassignment("t", -1, [1]), ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (Reassignment("t", 0, None), ErrorCode.NO_REASSIGNMENT_IN_PROGRESS),
        (Reassignment("t", 0, []), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (Reassignment("t", 0, [1, 1]), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (Reassignment("t", 0, [1, 9]), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (Reassignment("t", 0, [-1, 1]), ErrorCode.INVALID_REPLICA_ASSIGNMENT),
        (Reassignment("t", 0, [1, 2, 3], may_change_replication_factor=False), ErrorCode.INVALID_REPLICATION_FACTOR),
    ],
)
def test_what_is_refused(asked: Reassignment, code: ErrorCode) -> None:
    with pytest.raises(ApiError) as refusal:
        reassign(placed(at([1, 2], 1, [1, 2])), asked, one)
    assert refusal.value.code is code


def test_the_replication_factor_is_that_of_the_target() -> None:
    image = move(placed(at([1, 2], 1, [1, 2])), [3, 4])
    assert reassign(image, Reassignment("t", 0, [3, 5], may_change_replication_factor=False), one)


def test_a_topic_grows_with_the_replication_factor_it_is_moving_to() -> None:
    image = move(placed(at([1, 2], 1, [1, 2])), [3, 4])
    ground = Ground(image, BrokerConfig.of({}), Spread(), Limits())
    image = then(image, create_partitions(ground, NewPartitions("t", 2)))
    assert len(image.topics["t"].partitions[1].replicas) == 2


def test_a_broker_that_is_gone_for_good_is_moved_away_from() -> None:
    image = placed(at([1, 2], 1, [1]), fenced=[2])
    image = then(image, brokers.unregister(image, 2, one))
    assert first(in_sync(move(image, [1, 3]), 1, 3)).replicas == (1, 3)


def test_replicas_on_a_broker_with_several_directories_are_not_assigned_to_one() -> None:
    image = placed(at([1, 2], 1, [1, 2]))
    several: BrokerImage = replace(image.brokers[3], directories=(directory(3), directory(4)))
    image = replace(image, brokers={**image.brokers, 3: several})
    assert first(move(image, [3])).directories[0].int == 0
