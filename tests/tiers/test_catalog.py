"""What the tier's records make of the tier, whoever wrote them and in whatever order."""

from __future__ import annotations

import itertools
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprawl.tiers.catalog import Catalog, SegmentState
from sprawl.tiers.records import RecordKind, TierRecord
from sprawl.tiers.segments import TierSegment, object_name, parse_object_name

TOPIC = UUID(int=7)


def segment(base: int, end: int, id_: str = "", epochs: tuple[tuple[int, int], ...] | None = None) -> TierSegment:
    return TierSegment(id_ or f"id{base}", base, end, 100, 1_000, epochs or ((1, base),), 5)


def record(
    kind: str, of: TierSegment | str | None = None, *, epoch: int = 1, time: int = 0, offset: int = -1
) -> TierRecord:
    whole = of if isinstance(of, TierSegment) else None
    return TierRecord(
        RecordKind(kind),
        TOPIC,
        0,
        epoch,
        1,
        time,
        f"{kind}{epoch}{of}",
        whole,
        of if isinstance(of, str) else "",
        offset,
    )


def uploaded(catalog: Catalog, of: TierSegment, epoch: int = 1) -> str | None:
    return catalog.apply(record("copy-started", of, epoch=epoch)) or catalog.apply(
        record("copy-finished", of, epoch=epoch)
    )


def test_a_segment_can_be_read_once_its_copy_is_finished_and_until_its_deletion_begins() -> None:
    catalog, one = Catalog(), segment(0, 10)
    assert catalog.apply(record("copy-started", one)) is None
    assert catalog.at_or_after(0) is None
    assert catalog.apply(record("copy-finished", one)) is None
    found = catalog.at_or_after(5)
    assert found is not None
    assert found.segment == one
    assert (catalog.start_offset, catalog.end_offset) == (0, 10)
    assert catalog.apply(record("delete-started", one.id)) is None
    assert catalog.at_or_after(5) is None
    assert [entry.state for entry in catalog.entries] == [SegmentState.DELETE_STARTED]
    assert catalog.apply(record("delete-finished", one.id)) is None
    assert not len(catalog)


def test_a_leader_that_was_replaced_cannot_publish() -> None:
    catalog, one = Catalog(), segment(0, 10)
    assert catalog.apply(record("copy-started", one, epoch=1)) is None
    assert catalog.apply(record("claim", epoch=2)) is None
    assert catalog.apply(record("copy-finished", one, epoch=1)) is not None
    assert catalog.apply(record("copy-finished", one, epoch=2)) is not None, "it was not its copy"
    assert catalog.end_offset == -1
    assert catalog.apply(record("delete-started", one.id, epoch=1)) is not None
    assert catalog.apply(record("delete-started", one.id, epoch=2)) is None


def test_what_is_in_the_tier_is_not_uploaded_over() -> None:
    catalog = Catalog()
    assert uploaded(catalog, segment(0, 10)) is None
    assert uploaded(catalog, segment(5, 15, "over")) is not None
    assert uploaded(catalog, segment(10, 15)) is None
    assert [entry.segment.base_offset for entry in catalog.chain] == [0, 10]


def test_records_that_come_twice_change_nothing() -> None:
    catalog, one = Catalog(), segment(0, 10)
    for kind in ("copy-started", "copy-finished"):
        assert catalog.apply(record(kind, one)) is None
        assert catalog.apply(record(kind, one)) is None
    assert catalog.apply(record("copy-started", one)) is not None
    assert len(catalog.chain) == 1
    for kind in ("delete-started", "delete-finished"):
        assert catalog.apply(record(kind, one.id)) is None
        assert catalog.apply(record(kind, one.id)) is None
    assert catalog.apply(record("copy-finished", one)) is not None


def test_after_an_unclean_election_what_differs_counts_no_more() -> None:
    catalog = Catalog()
    for base in (0, 10, 20):
        uploaded(catalog, segment(base, base + 10))
    assert catalog.apply(record("cut", epoch=2, offset=15)) is None
    assert catalog.end_offset == 15
    assert [entry.segment.base_offset for entry in catalog.in_state(SegmentState.DELETE_STARTED)] == [20]
    assert uploaded(catalog, segment(15, 30, "new"), epoch=2) is None
    found = catalog.at_or_after(16)
    assert found is not None
    assert found.segment.id == "new"


def test_epochs_are_those_of_the_whole_chain() -> None:
    catalog = Catalog()
    uploaded(catalog, segment(0, 10, epochs=((1, 0), (2, 4))))
    uploaded(catalog, segment(10, 20, epochs=((2, 10), (5, 12))))
    assert catalog.epochs() == [(1, 0), (2, 4), (5, 12)]


def test_records_and_names_survive_being_written() -> None:
    one = segment(123, 456)
    for each in (record("copy-finished", one, time=99), record("delete-started", "id1"), record("cut", offset=5)):
        assert TierRecord.parse(each.pack()) == each
    assert parse_object_name(object_name(TOPIC, 3, one) + ".log") == (TOPIC, 3, one.id)
    assert parse_object_name("cluster.json") is None
    assert parse_object_name("topics/x/0/1-2.log") is None


@pytest.mark.parametrize("raw", [b"", b"{}", b"[]", b'{"version":2}', b'{"version":1,"kind":"x"}', b"\xff"])
def test_what_is_no_record_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):
        TierRecord.parse(raw)


steps = st.lists(
    st.tuples(st.sampled_from(list(RecordKind)), st.integers(0, 5), st.integers(1, 4), st.integers(1, 3)), max_size=40
)


@given(steps)
def test_whatever_is_written_no_offset_is_there_twice_and_epochs_never_go_back(
    script: list[tuple[RecordKind, int, int, int]],
) -> None:
    catalog = Catalog()
    for kind, base, length, epoch in script:
        one = segment(base, base + length, f"{base}-{length}")
        whole = kind in (RecordKind.COPY_STARTED, RecordKind.COPY_FINISHED)
        before = catalog.leader_epoch
        catalog.apply(record(kind.value, one if whole else one.id, epoch=epoch, offset=base))
        assert catalog.leader_epoch >= before
        chain = catalog.chain
        assert all(a.end_offset <= b.segment.base_offset for a, b in itertools.pairwise(chain))
        assert {id(each) for each in chain} == {id(each) for each in catalog.in_state(SegmentState.COPY_FINISHED)}


@given(steps)
def test_what_is_unfinished_is_known_without_looking_through_all(
    script: list[tuple[RecordKind, int, int, int]],
) -> None:
    catalog = Catalog()
    for kind, base, length, epoch in script:
        one = segment(base, base + length, f"{base}-{length}")
        whole = kind in (RecordKind.COPY_STARTED, RecordKind.COPY_FINISHED)
        catalog.apply(record(kind.value, one if whole else one.id, epoch=epoch, offset=base))
        wanted = {id(each) for each in catalog.entries if each.state is not SegmentState.COPY_FINISHED}
        assert {id(each) for each in catalog.unfinished} == wanted
        assert catalog.first is (catalog.chain[0] if catalog.chain else None)
