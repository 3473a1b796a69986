"""Which leader epoch began where (KIP-101, KIP-279)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprawl.storage.epochs import LeaderEpochs

THREE = ((2, 0), (3, 10), (7, 25))
assigned = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 5)), max_size=30)
"""Epochs, and how many records are appended under each."""


def test_a_newer_epoch_begins_where_it_first_writes() -> None:
    epochs = LeaderEpochs()
    assert epochs.latest == -1
    assert epochs.assign(2, 0)
    assert not epochs.assign(2, 5), "it has begun already"
    assert not epochs.assign(1, 6), "an older one writes nothing any more"
    assert epochs.assign(3, 10)
    assert epochs.entries == ((2, 0), (3, 10))
    assert epochs.latest == 3


def test_an_epoch_that_wrote_nothing_is_superseded() -> None:
    epochs = LeaderEpochs([(1, 0), (2, 8), (3, 8)])
    assert epochs.entries == ((1, 0), (3, 8))
    assert epochs.epoch_of(8) == 3


@pytest.mark.parametrize(("offset", "epoch"), [(0, 2), (9, 2), (10, 3), (24, 3), (25, 7), (1_000, 7), (-1, -1)])
def test_the_epoch_of_an_offset(offset: int, epoch: int) -> None:
    assert LeaderEpochs(THREE).epoch_of(offset) == epoch


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (2, (2, 10)),
        (3, (3, 25)),
        (4, (3, 25)),
        (6, (3, 25)),
        (7, (7, 40)),
        (8, (-1, -1)),
        (1, (1, 0)),
        (-1, (-1, -1)),
    ],
    ids=["first", "middle", "unknown after 3", "unknown before 7", "latest", "newer", "older than all", "none"],
)
def test_where_an_epoch_ended(asked: int, answered: tuple[int, int]) -> None:
    """A follower that asks is told up to where its log can be the same as this one."""
    assert LeaderEpochs(THREE).end_offset_for(asked, 40) == answered


def test_without_epochs_no_end_is_known() -> None:
    assert LeaderEpochs().end_offset_for(0, 40) == (-1, -1)


@pytest.mark.parametrize(
    ("offset", "left"), [(100, THREE), (26, THREE), (25, THREE[:2]), (11, THREE[:2]), (10, THREE[:1]), (0, ())]
)
def test_epochs_behind_the_cut_are_forgotten(offset: int, left: tuple[tuple[int, int], ...]) -> None:
    epochs = LeaderEpochs(THREE)
    assert epochs.before(offset) == left
    assert epochs.entries == THREE, "asking changes nothing"
    epochs.truncate_end(offset)
    assert epochs.entries == left


@pytest.mark.parametrize(
    ("offset", "left"),
    [(0, THREE), (5, ((2, 5), *THREE[1:])), (10, THREE[1:]), (12, ((3, 12), (7, 25))), (99, ((7, 99),))],
)
def test_the_epoch_that_the_start_moves_into_begins_there(offset: int, left: tuple[tuple[int, int], ...]) -> None:
    epochs = LeaderEpochs(THREE)
    epochs.truncate_start(offset)
    assert epochs.entries == left


def test_a_start_before_all_epochs_changes_nothing() -> None:
    epochs = LeaderEpochs([(4, 10)])
    epochs.truncate_start(3)
    assert epochs.entries == ((4, 10),)


@given(assigned, st.integers(0, 60), st.integers(0, 60))
def test_every_record_keeps_the_epoch_that_wrote_it(history: list[tuple[int, int]], cut: int, start: int) -> None:
    epochs = LeaderEpochs()
    written: list[int] = []
    for epoch, count in history:
        if epoch >= epochs.latest and count:
            epochs.assign(epoch, len(written))
            written += [epoch] * count
    start = min(start, cut)
    epochs.truncate_end(cut)
    epochs.truncate_start(start)
    del written[cut:]
    for offset in range(start, len(written)):
        assert epochs.epoch_of(offset) == written[offset]
    for epoch in set(written[start:]):
        last = max(offset for offset, one in enumerate(written) if one == epoch)
        assert epochs.end_offset_for(epoch, len(written)) == (epoch, last + 1)
    assert LeaderEpochs(epochs.entries).entries == epochs.entries


def test_epochs_that_wrote_nothing_give_way_to_an_older_one_that_did() -> None:
    """Two leaders were elected and deposed before they had a record; the log goes on with one's of before."""
    epochs = LeaderEpochs([(2, 0), (3, 37), (5, 40)])
    assert epochs.assign(4, 40)
    assert epochs.entries == ((2, 0), (3, 37), (4, 40))
    assert not epochs.assign(2, 37)
    assert epochs.entries == ((2, 0),)
    assert epochs.epoch_of(37) == 2
