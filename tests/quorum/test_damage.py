"""A replica that says it has lost its data: in sync nowhere, leading nothing, until its leader finds it whole again."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from sprawl.quorum import damage
from sprawl.quorum.image import LOST, MetadataImage, PartitionImage
from sprawl.quorum.isr_changes import IsrWish, alter_partition
from sprawl.quorum.leadership import TopicRules
from sprawl.quorum.records import PartitionRecord, TopicRecord
from sprawl_protocol.errors import ApiError, ErrorCode
from tests.quorum.test_decisions import FIRST, IMAGE, alive, then

TOPIC = UUID(int=7)
HOMES = {1: UUID(int=200), 2: UUID(int=201), 3: UUID(int=202)}


def rules(_: object) -> TopicRules:
    return TopicRules(2, unclean_elections=False)


def cluster(isr: tuple[int, ...] = (1, 2, 3)) -> MetadataImage:
    image = alive(
        IMAGE,
        *(
            replace(FIRST, id=each, incarnation=UUID(int=100 + each), directories=(home,))
            for each, home in HOMES.items()
        ),
    )
    record = PartitionRecord(
        partition_id=0,
        topic_id=TOPIC,
        replicas=[1, 2, 3],
        isr=list(isr),
        leader=isr[0],
        leader_epoch=4,
        partition_epoch=8,
        directories=list(HOMES.values()),
    )
    return then(image, [TopicRecord(name="orders", topic_id=TOPIC), record])


def lose(image: MetadataImage, broker: int) -> MetadataImage:
    return then(image, damage.assign_directory(image, broker, LOST, TOPIC, 0, rules))


def partition(image: MetadataImage) -> PartitionImage:
    return image.topics["orders"].partitions[0]


def asked(image: MetadataImage, isr: tuple[int, ...]) -> MetadataImage:
    now = partition(image)
    members = tuple((each, image.brokers[each].epoch) for each in isr)
    wish = IsrWish(TOPIC, 0, now.leader_epoch, now.partition_epoch, members)
    return then(image, alter_partition(image, now.leader, wish, rules))


def test_a_damaged_leader_leads_no_more() -> None:
    after = partition(lose(cluster(), 1))
    assert (after.leader, after.leader_epoch, after.isr, after.lost) == (2, 5, (2, 3), (1,))


def test_a_damaged_follower_is_out_of_sync_and_the_leader_stays() -> None:
    after = partition(lose(cluster(), 3))
    assert (after.leader, after.leader_epoch, after.isr, after.lost) == (1, 4, (1, 2), (3,))
    assert after.partition_epoch == 9, "what the leader asks for on older grounds is refused"


def test_the_last_in_sync_that_is_damaged_is_not_eligible_either() -> None:
    before = cluster((1,))
    after = partition(lose(before, 1))
    assert (after.leader, after.isr, after.eligible_leader_replicas) == (-1, (), ())


def test_it_is_counted_on_again_once_the_leader_finds_it_in_sync() -> None:
    after = partition(asked(lose(cluster(), 3), (1, 2, 3)))
    assert (after.isr, after.lost, after.directories) == ((1, 2, 3), (), tuple(HOMES.values()))


def test_other_changes_of_the_in_sync_set_do_not_bring_it_back() -> None:
    image = lose(cluster(), 3)
    after = partition(asked(image, (1,)))
    assert (after.isr, after.lost) == ((1,), (3,))
    assert after.eligible_leader_replicas == (2,)


def test_said_twice_is_once() -> None:
    image = lose(cluster(), 3)
    assert damage.assign_directory(image, 3, LOST, TOPIC, 0, rules) == []


def test_naming_its_directory_does_not_bring_lost_data_back() -> None:
    image = lose(cluster(), 3)
    assert damage.assign_directory(image, 3, HOMES[3], TOPIC, 0, rules) == []


@pytest.mark.parametrize(
    ("broker", "directory", "topic", "index", "code"),
    [
        (1, LOST, UUID(int=8), 0, ErrorCode.UNKNOWN_TOPIC_ID),
        (1, LOST, TOPIC, 1, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (9, LOST, TOPIC, 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION),
        (1, UUID(int=999), TOPIC, 0, ErrorCode.LOG_DIR_NOT_FOUND),
    ],
)
def test_what_is_not_there_is_refused(broker: int, directory: UUID, topic: UUID, index: int, code: ErrorCode) -> None:
    with pytest.raises(ApiError) as refusal:
        damage.assign_directory(cluster(), broker, directory, topic, index, rules)
    assert refusal.value.code is code
