"""Images and deltas: however records are cut into deltas, and through a snapshot, the same image comes of them."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sprawl.quorum.delta import DeltaError, apply
from sprawl.quorum.image import ConfigKind, MetadataImage
from sprawl.quorum.records import (
    BrokerEndpoint,
    BrokerRegistrationChangeRecord,
    ConfigRecord,
    FeatureLevelRecord,
    FenceBrokerRecord,
    MetadataRecord,
    NoOpRecord,
    PartitionChangeRecord,
    PartitionRecord,
    ProducerIdsRecord,
    RegisterBrokerRecord,
    RemoveTopicRecord,
    TopicRecord,
    UnfenceBrokerRecord,
    UnregisterBrokerRecord,
    decode,
    encode,
)
from sprawl.quorum.snapshots import Snapshot, SnapshotId, read_snapshot, write_snapshot
from sprawl_protocol.messages import VotersRecord

EMPTY = MetadataImage("cluster")
NAMES = ["a", "b", "a.b", "a_b", "__consumer_offsets"]


def id_of(number: int) -> UUID:
    return UUID(int=1000 + number)


class History:
    """Draws records that fit each other."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.topics: dict[int, tuple[str, int]] = {}
        self.brokers: dict[int, int] = {}
        self.made = 0
        self.producer_id = 0
        self.epoch = 0

    def records(self, count: int) -> Iterator[MetadataRecord]:
        for _ in range(count):
            yield self.one()

    def one(self) -> MetadataRecord:
        kinds = ["topic", "config", "register", "feature", "producers", "noop"]
        if self.topics:
            kinds += ["partition", "partition", "change", "remove"]
        if any(count for _, count in self.topics.values()):
            kinds += ["change", "change"]
        if self.brokers:
            kinds += ["fence", "unfence", "unregister", "broker change"]
        return getattr(self, self.draw(st.sampled_from(kinds)).replace(" ", "_"))()  # type: ignore[no-any-return]

    def topic(self) -> MetadataRecord:
        free = [name for name in NAMES if name not in [each for each, _ in self.topics.values()]]
        if not free:
            return NoOpRecord()
        self.made += 1
        name = self.draw(st.sampled_from(free))
        self.topics[self.made] = (name, 0)
        return TopicRecord(name=name, topic_id=id_of(self.made))

    def remove(self) -> MetadataRecord:
        number = self.draw(st.sampled_from(sorted(self.topics)))
        del self.topics[number]
        return RemoveTopicRecord(topic_id=id_of(number))

    def partition(self) -> MetadataRecord:
        number = self.draw(st.sampled_from(sorted(self.topics)))
        name, count = self.topics[number]
        self.topics[number] = (name, count + 1)
        replicas = self.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3, unique=True))
        return PartitionRecord(
            partition_id=count,
            topic_id=id_of(number),
            replicas=replicas,
            isr=replicas[:1],
            leader=self.draw(st.sampled_from([-1, *replicas])),
            leader_epoch=self.draw(st.integers(0, 9)),
            partition_epoch=self.draw(st.integers(0, 9)),
            directories=[id_of(each) for each in replicas],
            leader_recovery_state=self.draw(st.integers(0, 1)),
            eligible_leader_replicas=self.draw(st.sampled_from([None, [2], [2, 3]])),
        )

    def change(self) -> MetadataRecord:
        numbers = [number for number, (_, count) in sorted(self.topics.items()) if count]
        if not numbers:
            return NoOpRecord()
        number = self.draw(st.sampled_from(numbers))
        return PartitionChangeRecord(
            partition_id=self.draw(st.integers(0, self.topics[number][1] - 1)),
            topic_id=id_of(number),
            isr=self.draw(st.sampled_from([None, [1], [1, 2]])),
            leader=self.draw(st.sampled_from([-2, -1, 1, 2])),
            replicas=self.draw(st.sampled_from([None, [1, 2]])),
            adding_replicas=self.draw(st.sampled_from([None, [], [4]])),
            leader_recovery_state=self.draw(st.sampled_from([-1, 0, 1])),
            eligible_leader_replicas=self.draw(st.sampled_from([None, [], [3]])),
        )

    def config(self) -> MetadataRecord:
        names = [name for name, _ in self.topics.values()]
        kind, name = self.draw(
            st.sampled_from(
                [*((ConfigKind.TOPIC, name) for name in names), (ConfigKind.BROKER, ""), (ConfigKind.GROUP, "g")]
            )
        )
        return ConfigRecord(
            resource_type=kind,
            resource_name=name,
            name=self.draw(st.sampled_from(["x", "y"])),
            value=self.draw(st.sampled_from([None, "1", "2"])),
        )

    def register(self) -> MetadataRecord:
        broker = self.draw(st.integers(1, 3))
        self.epoch += 1
        self.brokers[broker] = self.epoch
        return RegisterBrokerRecord(
            broker_id=broker,
            broker_epoch=self.epoch,
            incarnation_id=id_of(self.epoch),
            end_points=[BrokerEndpoint(name="PLAINTEXT", host="h", port=9092)],
            rack=self.draw(st.sampled_from([None, "r"])),
            log_dirs=[id_of(broker)],
        )

    def unregister(self) -> MetadataRecord:
        broker = self.draw(st.sampled_from(sorted(self.brokers)))
        return UnregisterBrokerRecord(broker_id=broker, broker_epoch=self.brokers.pop(broker))

    def fence(self) -> MetadataRecord:
        broker = self.draw(st.sampled_from(sorted(self.brokers)))
        return FenceBrokerRecord(id=broker, epoch=self.brokers[broker])

    def unfence(self) -> MetadataRecord:
        broker = self.draw(st.sampled_from(sorted(self.brokers)))
        return UnfenceBrokerRecord(id=broker, epoch=self.brokers[broker])

    def broker_change(self) -> MetadataRecord:
        broker = self.draw(st.sampled_from(sorted(self.brokers)))
        return BrokerRegistrationChangeRecord(
            broker_id=broker,
            broker_epoch=self.brokers[broker],
            fenced=self.draw(st.integers(-1, 1)),
            in_controlled_shutdown=self.draw(st.integers(0, 1)),
        )

    def feature(self) -> MetadataRecord:
        return FeatureLevelRecord(
            name=self.draw(st.sampled_from(["f", "g"])), feature_level=self.draw(st.integers(0, 2))
        )

    def producers(self) -> MetadataRecord:
        self.producer_id += 1000
        return ProducerIdsRecord(broker_id=1, broker_epoch=1, next_producer_id=self.producer_id)

    def noop(self) -> MetadataRecord:
        return NoOpRecord()


@st.composite
def histories(draw: st.DrawFn) -> list[MetadataRecord]:
    return list(History(draw).records(draw(st.integers(0, 30))))


@given(histories(), st.integers(1, 7))
@settings(max_examples=150, deadline=None)
def test_one_delta_or_many_come_to_the_same(records: list[MetadataRecord], step: int) -> None:
    whole = apply(EMPTY, records, offset=len(records) - 1, epoch=3)
    piecemeal = EMPTY
    for begin in range(0, len(records), step):
        before, kept = piecemeal, deepcopy(piecemeal)
        some = records[begin : begin + step]
        piecemeal = apply(piecemeal, some, offset=begin + len(some) - 1, epoch=3)
        assert before == kept, "an image never changes"
    assert replace(piecemeal, offset=0, epoch=0) == replace(whole, offset=0, epoch=0)
    assert whole.partition_count == sum(len(each.partitions) for each in whole.topics.values())
    assert {each.id: each for each in whole.topics.values()} == whole.topics_by_id
    assert sorted(name for names in whole.lookalikes.values() for name in names) == sorted(
        name for name in whole.topics if "." in name or "_" in name
    )


@given(histories())
@settings(max_examples=100, deadline=None)
def test_a_snapshot_gives_the_image_back(records: list[MetadataRecord]) -> None:
    image = apply(EMPTY, records, offset=41, epoch=7)
    data = write_snapshot(Snapshot(image, VotersRecord()), 1_700_000_000_000)
    assert read_snapshot(data, SnapshotId(42, 7), "cluster").image == image


@given(histories())
@settings(max_examples=50, deadline=None)
def test_records_survive_being_written(records: list[MetadataRecord]) -> None:
    assert [decode(encode(each)) for each in records] == records


@pytest.mark.parametrize(
    "records",
    [
        [RemoveTopicRecord(topic_id=id_of(1))],
        [PartitionRecord(partition_id=0, topic_id=id_of(1))],
        [TopicRecord(name="a", topic_id=id_of(1)), PartitionRecord(partition_id=1, topic_id=id_of(1))],
        [TopicRecord(name="a", topic_id=id_of(1)), PartitionChangeRecord(partition_id=0, topic_id=id_of(1))],
        [TopicRecord(name="a", topic_id=id_of(1)), TopicRecord(name="a", topic_id=id_of(2))],
        [TopicRecord(name="a", topic_id=id_of(1)), TopicRecord(name="b", topic_id=id_of(1))],
        [ConfigRecord(resource_type=7, resource_name="x", name="y", value="z")],
        [ProducerIdsRecord(next_producer_id=5), ProducerIdsRecord(next_producer_id=5)],
        [FenceBrokerRecord(id=1, epoch=1)],
        [RegisterBrokerRecord(broker_id=1, broker_epoch=2), UnfenceBrokerRecord(id=1, epoch=1)],
    ],
    ids=lambda records: "+".join(type(each).__name__ for each in records),
)
def test_records_that_do_not_fit_are_an_error(records: list[MetadataRecord]) -> None:
    with pytest.raises(DeltaError):
        apply(EMPTY, records, offset=1)


def test_what_did_not_change_is_the_same_object() -> None:
    records: list[MetadataRecord] = []
    for number in range(3):
        records.append(TopicRecord(name=f"t{number}", topic_id=id_of(number)))
        records.append(PartitionRecord(partition_id=0, topic_id=id_of(number), replicas=[1], isr=[1], leader=1))
    records.append(ConfigRecord(resource_type=2, resource_name="t0", name="x", value="1"))
    before = apply(EMPTY, records, offset=1)
    after = apply(before, [PartitionChangeRecord(partition_id=0, topic_id=id_of(1), leader=2)], offset=2)
    assert after.topics["t0"] is before.topics["t0"]
    assert after.topics["t1"] is not before.topics["t1"]
    assert after.configs is before.configs
    assert not after.config_of_topic_changed(before, "t0")
    changed = apply(after, [ConfigRecord(resource_type=2, resource_name="t0", name="x", value="2")], offset=3)
    assert changed.config_of_topic_changed(after, "t0")
    assert not changed.config_of_topic_changed(after, "t1")
    assert changed.topics is after.topics
    everywhere = apply(after, [ConfigRecord(resource_type=4, resource_name="", name="x", value="2")], offset=3)
    assert everywhere.config_of_topic_changed(after, "t1")


def test_a_topic_made_again_by_the_same_name_has_no_settings_of_the_old_one() -> None:
    before = apply(
        EMPTY,
        [
            TopicRecord(name="t", topic_id=id_of(1)),
            ConfigRecord(resource_type=2, resource_name="t", name="x", value="1"),
        ],
        offset=1,
    )
    again = [RemoveTopicRecord(topic_id=id_of(1)), TopicRecord(name="t", topic_id=id_of(2))]
    assert not apply(before, again, offset=3).config(ConfigKind.TOPIC, "t")
