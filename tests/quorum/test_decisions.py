"""Who may be registered, what a restart means for leaders, where replicas are placed."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from sprawl.quorum import brokers
from sprawl.quorum.brokers import BrokerRegistration
from sprawl.quorum.delta import apply
from sprawl.quorum.image import BrokerImage, ListenerImage, MetadataImage, TopicImage
from sprawl.quorum.leadership import TopicRules
from sprawl.quorum.placement import Spread
from sprawl.quorum.records import MetadataRecord, PartitionRecord, TopicRecord
from sprawl_protocol.errors import ApiError, ErrorCode

IMAGE = MetadataImage("cluster", offset=10, features={"metadata.version": 29})
FIRST = BrokerRegistration(
    id=1,
    cluster_id="cluster",
    incarnation=UUID(int=100),
    listeners=(ListenerImage("PLAINTEXT", "a", 9092, 0),),
    directories=(UUID(int=200),),
    rack="r1",
)


def rules(topic: TopicImage) -> TopicRules:
    return TopicRules(1, unclean_elections=False)


def then(image: MetadataImage, records: list[MetadataRecord]) -> MetadataImage:
    return apply(image, records, offset=image.offset + len(records))


def alive(image: MetadataImage, *registrations: BrokerRegistration) -> MetadataImage:
    for each in registrations:
        image = then(image, brokers.register(image, each, rules))
        image = then(image, brokers.unfence(image, each.id, image.brokers[each.id].epoch, rules))
    return image


def test_a_broker_is_fenced_until_it_is_unfenced() -> None:
    registered = then(IMAGE, brokers.register(IMAGE, FIRST, rules))
    broker = registered.brokers[1]
    assert (broker.epoch, broker.fenced, broker.rack, broker.host, broker.port) == (11, True, "r1", "a", 9092)
    assert registered.offset == broker.epoch, "the epoch is the offset of the registration"
    assert not then(registered, brokers.unfence(registered, 1, 11, rules)).brokers[1].fenced
    assert brokers.unfence(alive(IMAGE, FIRST), 1, 11, rules) == [], "twice is once"


@pytest.mark.parametrize(
    ("wish", "code"),
    [
        (replace(FIRST, cluster_id="other"), ErrorCode.INCONSISTENT_CLUSTER_ID),
        (replace(FIRST, features={"metadata.version": (1, 28)}), ErrorCode.UNSUPPORTED_VERSION),
        (replace(FIRST, features={}), ErrorCode.UNSUPPORTED_VERSION),
        (
            replace(FIRST, incarnation=UUID(int=101), directories=(UUID(int=201),)),
            ErrorCode.DUPLICATE_BROKER_REGISTRATION,
        ),
        (replace(FIRST, incarnation=UUID(int=101)), None),
        (replace(FIRST, id=2, incarnation=UUID(int=101), directories=(UUID(int=201),)), None),
    ],
    ids=["other cluster", "too old", "knows nothing", "second with its id", "started again", "another"],
)
def test_who_may_register(wish: BrokerRegistration, code: ErrorCode | None) -> None:
    image = alive(IMAGE, FIRST)
    if code is None:
        assert brokers.register(image, wish, rules)
        return
    with pytest.raises(ApiError) as refusal:
        brokers.register(image, wish, rules)
    assert refusal.value.code is code


def test_a_registration_that_is_sent_twice_is_one() -> None:
    assert brokers.register(alive(IMAGE, FIRST), FIRST, rules) == []


def test_an_old_epoch_is_refused() -> None:
    image = alive(IMAGE, FIRST)
    for broker, epoch, code in ((1, 3, ErrorCode.STALE_BROKER_EPOCH), (9, 3, ErrorCode.BROKER_ID_NOT_REGISTERED)):
        with pytest.raises(ApiError) as refusal:
            brokers.unfence(image, broker, epoch, rules)
        assert refusal.value.code is code


def cluster(*states: tuple[list[int], int, list[int], list[int]]) -> MetadataImage:
    """Brokers 1 to 3 alive; a partition per (replicas, leader, in-sync set, eligible replicas), at leader epoch 4."""
    image = IMAGE
    for number in (1, 2, 3):
        image = alive(image, replace(FIRST, id=number, incarnation=UUID(int=100 + number), directories=(disk(number),)))
    topic = UUID(int=7)
    records: list[MetadataRecord] = [TopicRecord(name="t", topic_id=topic)]
    records += [
        PartitionRecord(
            partition_id=index,
            topic_id=topic,
            replicas=replicas,
            leader=leader,
            isr=isr,
            eligible_leader_replicas=eligible or None,
            leader_epoch=4,
        )
        for index, (replicas, leader, isr, eligible) in enumerate(states)
    ]
    return then(image, records)


def disk(number: int) -> UUID:
    return UUID(int=200 + number)


def outcome(image: MetadataImage) -> list[tuple[int, tuple[int, ...], tuple[int, ...]]]:
    return [(each.leader, each.isr, each.eligible_leader_replicas) for each in image.topics["t"].partitions]


def two(topic: TopicImage) -> TopicRules:
    """min.insync.replicas is 2."""
    return TopicRules(2, unclean_elections=False)


def unclean(topic: TopicImage) -> TopicRules:
    return TopicRules(1, unclean_elections=True)


def test_what_a_fenced_broker_led_is_led_by_one_in_sync() -> None:
    image = cluster(
        ([1, 2, 3], 1, [1, 2], []), ([1, 2, 3], 2, [1, 2, 3], []), ([1, 2], 1, [1], []), ([2, 3], 2, [2], [])
    )
    after = then(image, brokers.fence(image, 1, rules))
    assert outcome(after) == [(2, (2,), ()), (2, (2, 3), ()), (-1, (), (1,)), (2, (2,), ())]
    assert [each.leader_epoch for each in after.topics["t"].partitions] == [5, 4, 5, 4]


def test_who_leaves_a_set_that_is_too_small_may_still_lead() -> None:
    """Nothing was committed without it (KIP-966)."""
    image = cluster(([1, 2, 3], 1, [1, 2], []))
    image = then(image, brokers.fence(image, 2, two))
    assert outcome(image) == [(1, (1,), (2,))]
    image = then(image, brokers.fence(image, 1, two))
    assert outcome(image) == [(-1, (), (2, 1))]
    image = then(image, brokers.unfence(image, 2, image.brokers[2].epoch, two))
    assert outcome(image) == [(2, (2,), (1,))]


def test_a_replica_that_lags_never_leads() -> None:
    image = cluster(([1, 2, 3], 1, [1], []))
    image = then(image, brokers.fence(image, 1, rules))
    assert outcome(image) == [(-1, (), (1,))], "brokers 2 and 3 are alive, and lack what was committed"


def test_an_unclean_election_is_held_only_where_the_topic_allows_it() -> None:
    image = cluster(([1, 2, 3], 1, [1], []))
    image = then(image, brokers.fence(image, 1, unclean))
    assert outcome(image) == [(2, (2,), ())]
    assert image.topics["t"].partitions[0].recovering


def test_a_broker_that_starts_again_leads_in_new_epochs_where_it_is_alone() -> None:
    image = cluster(([1, 2], 1, [1, 2], []), ([1], 1, [1], []), ([1, 2], 2, [1, 2], []))
    again = replace(FIRST, incarnation=UUID(int=500), directories=(disk(1),))
    image = then(image, brokers.register(image, again, rules))
    assert outcome(image) == [(2, (2,), ()), (-1, (), (1,)), (2, (2,), ())]
    image = then(image, brokers.unfence(image, 1, image.brokers[1].epoch, rules))
    assert outcome(image) == [(2, (2,), ()), (1, (1,), ()), (2, (2,), ())]
    assert image.topics["t"].partitions[1].leader_epoch == 6


def test_a_broker_with_a_new_disk_has_nothing_and_leads_nothing_it_had() -> None:
    image = cluster(([1, 2], 1, [1, 2], []), ([1], 1, [1], []))
    image = then(image, brokers.fence(image, 1, rules))
    wiped = replace(FIRST, incarnation=UUID(int=500), directories=(UUID(int=999),))
    image = then(image, brokers.register(image, wiped, rules))
    image = then(image, brokers.unfence(image, 1, image.brokers[1].epoch, rules))
    assert outcome(image) == [(2, (2,), ()), (-1, (), ())]


def test_a_broker_that_leaves_hands_over_what_others_can_lead() -> None:
    image = cluster(([1, 2], 1, [1, 2], []), ([1], 1, [1], []))
    image = then(image, brokers.begin_shutdown(image, 1, image.brokers[1].epoch, rules))
    assert outcome(image) == [(2, (2,), ()), (-1, (), (1,))]


def broker(number: int, *, fenced: bool = False, leaving: bool = False) -> BrokerImage:
    return BrokerImage(number, (), None, 1, fenced, UUID(int=number), shutting_down=leaving)


def test_replicas_are_spread() -> None:
    homes = Spread().propose(UUID(int=5), range(6), 2, [broker(number) for number in (3, 1, 2)])
    assert all(len(set(each)) == 2 for each in homes)
    assert sorted(each[0] for each in homes) == [1, 1, 2, 2, 3, 3], "each leads as many"
    assert Spread().propose(UUID(int=5), range(4, 6), 2, [broker(number) for number in (1, 2, 3)]) == homes[4:]


@pytest.mark.parametrize(
    ("candidates", "replicas", "told"),
    [
        ([], 1, "fenced"),
        ([broker(1, fenced=True)], 1, "fenced"),
        ([broker(1), broker(2, leaving=True)], 2, "only 1 broker"),
        ([broker(1), broker(2)], 3, "only 2 broker"),
    ],
)
def test_replicas_that_cannot_be_placed(candidates: list[BrokerImage], replicas: int, told: str) -> None:
    with pytest.raises(ApiError, match=told) as refusal:
        Spread().propose(UUID(int=5), range(1), replicas, candidates)
    assert refusal.value.code is ErrorCode.INVALID_REPLICATION_FACTOR
