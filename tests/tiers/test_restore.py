"""What a restored cluster will have, and what is told to be missing."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from sprawl.tiers.backup import BackedPartition, BackedSegment, BackedTopic, ClusterBody, Extent
from sprawl.tiers.backup_reading import Backup
from sprawl.tiers.catalog import Catalog
from sprawl.tiers.restore import Loss, RestoredPartition, leave_out, plan_restore, tier_records
from sprawl.tiers.segments import LOG, MANIFEST, TierSegment, object_name
from tests.tiers.test_catalog import segment

TOPIC = UUID(int=7)
KEY = (TOPIC, 0)
CHAIN = [segment(0, 10), segment(10, 20, epochs=((1, 10), (3, 15))), segment(20, 30, epochs=((3, 20),))]


def backup(chain: list[TierSegment], extent: Extent | None, *, end: int | None = None) -> Backup:
    backed = [BackedSegment(each, each.end_offset) for each in chain]
    if end is not None:
        backed[-1] = replace(backed[-1], end_offset=end)
    topics = (BackedTopic("orders", TOPIC, (3,), 1, {}), BackedTopic("__sprawl_events", UUID(int=9), (1,), 1, {}))
    tier = {KEY: BackedPartition(KEY, 4, tuple(backed))} if chain else {}
    extents = {} if extent is None else {KEY: extent}
    return Backup("c", 0, ClusterBody(topics, {}, 0), tier, extents, {}, ())


def sizes(*segments: TierSegment) -> dict[str, int]:
    names = [(object_name(*KEY, each), each.size) for each in segments]
    return {name + LOG: size for name, size in names} | {name + MANIFEST: 50 for name, _ in names}


def planned(found: Backup, there: dict[str, int]) -> RestoredPartition:
    (topic,) = plan_restore(found, there).topics
    assert topic.topic.name == "orders", "the cluster's own topics are made anew"
    (partition,) = topic.partitions
    return partition


def test_a_log_goes_on_where_the_tier_ends_and_the_rest_is_told() -> None:
    found = planned(backup(CHAIN, Extent(KEY, 5, 0, 37)), sizes(*CHAIN))
    assert (found.start, found.end) == (0, 30)
    assert found.leader_epoch > 5
    assert found.losses == (Loss(30, 37, "was not uploaded yet"),)
    assert found.damages == ()


def test_records_that_were_deleted_stay_deleted() -> None:
    found = planned(backup(CHAIN, Extent(KEY, 3, 14, 30)), sizes(*CHAIN))
    assert (found.start, found.end) == (14, 30)
    assert [each.segment.base_offset for each in found.segments] == [10, 20]
    assert found.losses == ()


def test_without_anything_in_the_tier_offsets_are_not_used_again() -> None:
    found = planned(backup([], Extent(KEY, 3, 5, 40)), {})
    assert (found.start, found.end, found.segments) == (40, 40, ())
    assert found.losses == (Loss(5, 40, "nothing of it was in the tier"),)
    assert planned(backup([], None), {}).end == 0


def test_what_retention_deleted_since_is_told_and_not_taken_for_damage() -> None:
    found = planned(backup(CHAIN, Extent(KEY, 3, 4, 30)), sizes(*CHAIN[1:]))
    assert (found.start, found.end, found.damages) == (10, 30, ())
    assert found.losses == (Loss(4, 10, "deleted from the bucket: by retention, or by somebody"),)


def test_objects_missing_in_the_middle_at_the_end_or_all_of_them_are_damage() -> None:
    for there in ([CHAIN[0], CHAIN[2]], CHAIN[:2], []):
        found = planned(backup(CHAIN, None), sizes(*there))
        named = {each.segment_id for each in found.damages}
        assert named == {each.id for each in CHAIN if each not in there}


def test_an_object_of_another_size_or_without_its_manifest_is_damage() -> None:
    there = sizes(*CHAIN)
    name = object_name(*KEY, CHAIN[1])
    (damage,) = planned(backup(CHAIN, None), {**there, name + LOG: 99}).damages
    assert damage.what == f"{name}{LOG} has 99 bytes, not 100"
    del there[name + MANIFEST]
    (damage,) = planned(backup(CHAIN, None), there).damages
    assert damage.what == f"{name}{MANIFEST} is missing"


def test_damaged_segments_can_be_left_out() -> None:
    plan = plan_restore(backup(CHAIN, Extent(KEY, 3, 0, 30)), sizes(CHAIN[0], CHAIN[2]))
    (partition,) = leave_out(plan, plan.damages).topics[0].partitions
    assert [each.segment.base_offset for each in partition.segments] == [0, 20]
    assert (partition.start, partition.end, partition.damages) == (0, 30, ())
    assert [(each.start, each.end) for each in partition.losses] == [(10, 20)]
    plan = plan_restore(backup(CHAIN, Extent(KEY, 3, 0, 30)), sizes(*CHAIN[:2]))
    (partition,) = leave_out(plan, plan.damages).topics[0].partitions
    assert partition.end == 20


def test_the_tier_topic_is_told_a_chain_that_every_node_accepts() -> None:
    chain = [*CHAIN[:2], segment(20, 30, "cut", ((3, 20),))]
    partition = planned(backup(chain, None, end=25), sizes(*chain))
    catalog = Catalog()
    for record in tier_records(TOPIC, partition, 1, 0, lambda: "token"):
        assert catalog.apply(record) is None
    assert [(each.segment, each.end_offset) for each in catalog.chain] == [
        (each.segment, each.end_offset) for each in partition.segments
    ]
    assert catalog.end_offset == partition.end == 25
    assert catalog.epochs() == [(1, 0), (3, 15)]
    assert catalog.leader_epoch < partition.leader_epoch
