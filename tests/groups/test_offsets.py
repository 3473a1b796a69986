"""Which offsets are kept, and until when."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from sprawl.groups.classic import ClassicGroup
from sprawl.groups.exchange import GroupLimits, Instant
from sprawl.groups.offsets import CommittedOffset, GroupOffsets, TopicPartition
from tests.groups.script import Driver

RETENTION = 1_000_000
OLD = CommittedOffset(5, -1, "", committed_ms=0)
RECENT = CommittedOffset(5, -1, "", committed_ms=1_500_000)


def offsets_of(**topics: CommittedOffset) -> GroupOffsets:
    offsets = GroupOffsets()
    for topic, committed in topics.items():
        offsets.put(topic, 0, committed)
    return offsets


def group_after(*commands: str) -> ClassicGroup:
    """The time is 1,000,000 ms at first."""
    driver = Driver()
    for line in ("limits initial-delay=0s", *commands):
        driver.run(line)
    return driver.group


def expired(offsets: GroupOffsets, group: ClassicGroup, now_ms: int) -> set[str]:
    return {where.topic for where in offsets.expired(group, now_ms, RETENTION)}


def test_without_a_group_each_offset_counts_from_its_commit() -> None:
    simple = ClassicGroup("g", GroupLimits(), Instant(0.0, 0))
    assert expired(offsets_of(old=OLD, recent=RECENT), simple, 2_000_000) == {"old"}


def test_an_empty_group_counts_from_the_moment_it_became_empty() -> None:
    group = group_after("join a v=3", "advance 0s", "sync a", "leave a")
    offsets = offsets_of(old=OLD)
    assert expired(offsets, group, 1_999_999) == set()
    assert expired(offsets, group, 2_000_000) == {"old"}


def test_an_empty_group_of_unknown_age_counts_from_each_commit() -> None:
    group = group_after("join a v=3", "advance 0s", "sync a", "leave a")
    group.since_ms = -1
    assert expired(offsets_of(old=OLD, recent=RECENT), group, 2_000_000) == {"old"}


def test_topics_that_a_stable_group_reads_are_kept() -> None:
    group = group_after("join a v=3 offers=range:t1+t2", "advance 0s", "sync a")
    assert expired(offsets_of(t1=OLD, t2=OLD, t3=OLD, t4=RECENT), group, 2_000_000) == {"t3"}


def test_nothing_expires_while_a_group_rebalances() -> None:
    group = group_after("join a v=3", "advance 0s")
    assert expired(offsets_of(t3=OLD), group, 9_000_000) == set()


def test_nothing_expires_under_members_whose_topics_are_not_known() -> None:
    group = group_after("join a v=3 type=connect", "advance 0s", "sync a")
    assert expired(offsets_of(t3=OLD), group, 9_000_000) == set()


def test_a_retention_chosen_by_the_client_goes_before_all() -> None:
    simple = ClassicGroup("g", GroupLimits(), Instant(0.0, 0))
    offsets = offsets_of(soon=replace(RECENT, expires_ms=1_600_000), late=replace(OLD, expires_ms=9_000_000))
    assert expired(offsets, simple, 1_599_999) == set()
    assert expired(offsets, simple, 1_600_000) == {"soon"}


def test_an_offset_of_a_former_topic_is_not_that_of_its_successor() -> None:
    former, successor = UUID(int=1), UUID(int=2)
    offsets = offsets_of(t=replace(OLD, topic_id=former))
    assert offsets.get("t", 0, former) is not None
    assert offsets.get("t", 0) is not None
    assert offsets.get("t", 0, successor) is None


def test_an_offset_without_topic_id_counts_for_any() -> None:
    assert offsets_of(t=OLD).get("t", 0, UUID(int=2)) is OLD


def test_removing_the_last_offset_of_a_topic_removes_the_topic() -> None:
    offsets = offsets_of(t=OLD)
    offsets.put("t", 1, OLD)
    assert len(offsets) == 2
    offsets.remove("t", 0)
    offsets.remove("t", 7)
    assert list(offsets) == [(TopicPartition("t", 1), OLD)]
    offsets.remove("t", 1)
    assert offsets.topics() == () and len(offsets) == 0
