"""Who may be registered, what a restart means for leaders, where replicas are placed."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from sprawl.quorum import brokers
from sprawl.quorum.brokers import BrokerRegistration
from sprawl.quorum.delta import apply
from sprawl.quorum.image import BrokerImage, ListenerImage, MetadataImage
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


def then(image: MetadataImage, records: list[MetadataRecord]) -> MetadataImage:
    return apply(image, records, offset=image.offset + len(records))


def alive(image: MetadataImage, *registrations: BrokerRegistration) -> MetadataImage:
    for each in registrations:
        image = then(image, brokers.register(image, each))
        image = then(image, brokers.unfence(image, each.id, image.brokers[each.id].epoch))
    return image


def test_a_broker_is_fenced_until_it_is_unfenced() -> None:
    registered = then(IMAGE, brokers.register(IMAGE, FIRST))
    broker = registered.brokers[1]
    assert (broker.epoch, broker.fenced, broker.rack, broker.host, broker.port) == (11, True, "r1", "a", 9092)
    assert registered.offset == broker.epoch, "the epoch is the offset of the registration"
    assert not then(registered, brokers.unfence(registered, 1, 11)).brokers[1].fenced
    assert brokers.unfence(alive(IMAGE, FIRST), 1, 11) == [], "twice is once"


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
        (FIRST, None),
        (replace(FIRST, id=2, incarnation=UUID(int=101), directories=(UUID(int=201),)), None),
    ],
    ids=["other cluster", "too old", "knows nothing", "second with its id", "started again", "sent twice", "another"],
)
def test_who_may_register(wish: BrokerRegistration, code: ErrorCode | None) -> None:
    image = alive(IMAGE, FIRST)
    if code is None:
        assert brokers.register(image, wish)
        return
    with pytest.raises(ApiError) as refusal:
        brokers.register(image, wish)
    assert refusal.value.code is code


def test_an_old_epoch_is_refused() -> None:
    image = alive(IMAGE, FIRST)
    for broker, epoch, code in ((1, 3, ErrorCode.STALE_BROKER_EPOCH), (9, 3, ErrorCode.BROKER_ID_NOT_REGISTERED)):
        with pytest.raises(ApiError) as refusal:
            brokers.unfence(image, broker, epoch)
        assert refusal.value.code is code


def test_a_broker_that_starts_again_leads_in_new_epochs() -> None:
    image = alive(IMAGE, FIRST)
    topic = UUID(int=7)

    def partition(index: int, leader: int, isr: list[int]) -> PartitionRecord:
        return PartitionRecord(
            partition_id=index, topic_id=topic, replicas=[1, 2], isr=isr, leader=leader, leader_epoch=4
        )

    records: list[MetadataRecord] = [
        TopicRecord(name="t", topic_id=topic),
        partition(0, 1, [1, 2]),
        partition(1, 2, [1, 2]),
        partition(2, -1, [1]),
        partition(3, -1, [2]),
    ]
    image = alive(then(image, records), replace(FIRST, incarnation=UUID(int=101)))
    found = [(each.leader, each.leader_epoch) for each in image.topics["t"].partitions]
    assert found == [(1, 5), (2, 4), (1, 5), (-1, 4)]


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
