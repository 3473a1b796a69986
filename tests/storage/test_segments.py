"""Segments in order, and when the next one begins; batches out of the bytes of one."""

from __future__ import annotations

from pathlib import Path

import pytest

from sprawl.runtime.real import RealRuntime
from sprawl.storage.batches import Found, batches_in
from sprawl.storage.epochs import LeaderEpochs
from sprawl.storage.order import Order
from sprawl.storage.segment import DamagedError, base_offset_of, file_name
from sprawl.storage.segments import Segments
from sprawl_protocol.records import Record, build_batch, read_header, stamp
from tests.storage.conftest import config

FILES = RealRuntime().files


def a_batch(base: int, count: int = 2, size: int = 50) -> bytes:
    data = build_batch([Record(0, 1_000, None, bytes(size))] * count)
    stamp(data, 0, base, 0)
    return bytes(data)


FIRST, SECOND, THIRD = a_batch(0), a_batch(2), a_batch(4)
ALL = FIRST + SECOND + THIRD
SIZE = len(FIRST)


def segments_at(directory: Path, *bases: int) -> Segments:
    segments = Segments(FILES, str(directory), [])
    for base in bases:
        segments.add(base, now_ms=5_000)
    return segments


def in_bytes(
    directory: Path, data: bytes, offset: int, until: int = 6, room: int = 10_000, *, position: int = 0, of: bytes = ALL
) -> Found:
    (segment,) = segments_at(directory, 0)
    segment.size, segment.next_offset = len(of), 6
    order = Order(segment, LeaderEpochs([(0, 0)]), 2 * (position // SIZE))
    return batches_in(order, segment, data, position, offset, until, room, minimum_one=True)


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("00000000000000000000.log", 0),
        ("00000000000000048211.log", 48_211),
        ("00000000000000048211.log.deleted", None),
        ("48211.log", None),
        ("00000000000000048211.index", None),
        ("0000000000000004821x.log", None),
        ("log-start-offset", None),
    ],
)
def test_segment_files_are_known_by_their_names(name: str, base: int | None) -> None:
    assert base_offset_of(name) == base
    if base is not None:
        assert file_name(base) == name


def test_which_segment_holds_an_offset(tmp_path: Path) -> None:
    segments = segments_at(tmp_path, 10, 20, 30)
    assert [segments.holding(offset) for offset in (0, 10, 19, 20, 29, 30, 99)] == [0, 0, 0, 1, 1, 2, 2]
    assert segments.active.base_offset == 30
    following = segments.after(segments[0])
    assert following is segments[1]
    assert segments.after(segments.active) is None


@pytest.mark.parametrize(
    ("size", "last_offset", "timestamp", "full"),
    [
        (400, 10, 2_000, False),
        (401, 10, 2_000, True),
        (10, 2**31 - 1, 2_000, False),
        (10, 2**31, 2_000, True),
        (10, 10, 2_900, False),
        (10, 10, 2_901, True),
        (10, 10, 0, False),
    ],
    ids=["fits", "too large", "last offset there is", "too many offsets", "in time", "too late", "old"],
)
def test_when_a_batch_begins_a_new_segment(
    tmp_path: Path, size: int, last_offset: int, timestamp: int, full: bool
) -> None:
    limits = config(internal_segment_bytes="1000", segment_ms="1000")
    segments = segments_at(tmp_path, 0)
    assert not segments.is_full(limits, 100, 5_000, 2**40, 1 << 50), "an empty one takes any"
    segments.active.size = 600
    segments.active.first_timestamp = 2_000
    assert segments.is_full(limits, 100, size, last_offset, timestamp) == full


def test_a_segment_ends_by_age_without_a_further_record_unless_it_is_empty(tmp_path: Path) -> None:
    limits = config(segment_ms="1000")
    segments = segments_at(tmp_path, 0)
    assert not segments.is_old(limits, 100, 1 << 50)
    segments.active.size = 1
    assert not segments.is_old(limits, 100, 5_900)
    assert segments.is_old(limits, 100, 5_901)


def test_segments_taken_out_leave_their_files_marked(tmp_path: Path) -> None:
    segments = segments_at(tmp_path, 0, 10, 20)
    assert [one.base_offset for one in segments.take_first(2)] == [0, 10]
    assert [one.base_offset for one in segments] == [20]
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"{file_name(0)}.deleted", f"{file_name(10)}.deleted", file_name(20)]


def test_what_lies_behind_is_removed_also_files_that_are_not_in_the_list(tmp_path: Path) -> None:
    segments = segments_at(tmp_path, 0, 10, 20)
    (tmp_path / file_name(30)).write_bytes(b"behind the damage")
    segments.remove_behind(segments[0])
    assert [one.base_offset for one in segments] == [0]
    assert [path.name for path in tmp_path.iterdir()] == [file_name(0)]


def test_the_newest_timestamp_and_the_first_batch_that_has_it_are_noted(tmp_path: Path) -> None:
    (segment,) = segments_at(tmp_path, 0)
    for base, time in ((0, 500), (2, 900), (4, 900), (6, 100)):
        data = build_batch([Record(0, time, None, b"")])
        stamp(data, 0, base, 0)
        segment.note(read_header(data))
    assert (segment.first_timestamp, segment.max_timestamp, segment.max_timestamp_base) == (500, 900, 2)
    assert segment.next_offset == 7


@pytest.mark.parametrize(
    ("offset", "until", "room", "begin", "end"),
    [
        (0, 6, 10_000, 0, 3),
        (1, 6, 10_000, 0, 3),
        (2, 6, 10_000, 1, 3),
        (3, 5, 10_000, 1, 3),
        (3, 4, 10_000, 1, 2),
        (0, 6, 2 * SIZE, 0, 2),
        (0, 6, 2 * SIZE - 1, 0, 1),
        (0, 6, 1, 0, 1),
        (2, 2, 10_000, 0, 0),
    ],
)
def test_whole_batches_from_the_one_that_holds_the_offset(
    tmp_path: Path, offset: int, until: int, room: int, begin: int, end: int
) -> None:
    found = in_bytes(tmp_path, ALL, offset, until, room)
    assert bytes(found.data) == ALL[begin * SIZE : end * SIZE]
    assert found.next_offset == (2 * end if end else offset)
    if end:
        assert found.position == begin * SIZE


def test_a_batch_that_was_not_read_whole_tells_its_size(tmp_path: Path) -> None:
    assert in_bytes(tmp_path, ALL[: SIZE + 30], 2).wanted == 61, "not even a header was read"
    found = in_bytes(tmp_path, ALL[: SIZE + 70], 2)
    assert (found.position, found.wanted, len(found.data)) == (SIZE, SIZE, 0)
    assert bytes(in_bytes(tmp_path, ALL[: SIZE + 70], 0).data) == FIRST


def test_at_the_end_of_the_segment_there_is_nothing_to_want(tmp_path: Path) -> None:
    found = in_bytes(tmp_path, THIRD, 6, 9, position=2 * SIZE)
    assert (found.position, found.wanted, len(found.data)) == (3 * SIZE, 0, 0)


@pytest.mark.parametrize(
    "at",
    [0, 7, 8, 15, 16, 17, 30, SIZE - 1],
    ids=["high offset", "low offset", "length", "epoch", "magic", "checksum", "header", "records"],
)
def test_a_damaged_batch_is_told_by_its_place(tmp_path: Path, at: int) -> None:
    spoiled = bytearray(ALL)
    spoiled[SIZE + at] ^= 0xFF
    with pytest.raises(DamagedError) as damage:
        in_bytes(tmp_path, bytes(spoiled), 0)
    assert (damage.value.segment, damage.value.position) == (0, SIZE)


@pytest.mark.parametrize(("bit", "after"), [(1, True), (2, True), (4, True), (1, False), (2, False), (4, False)])
def test_a_base_offset_that_turned_over_is_found_out_by_its_neighbours(tmp_path: Path, bit: int, after: bool) -> None:
    """With the batches before it in the same read, and where the read begins with it."""
    spoiled = bytearray(ALL)
    spoiled[SIZE + 7] ^= bit
    with pytest.raises(DamagedError):
        in_bytes(tmp_path, bytes(spoiled if after else spoiled[SIZE:]), 2, position=0 if after else SIZE)


def test_a_gap_is_shown_once_the_batch_behind_it_is_seen(tmp_path: Path) -> None:
    data = a_batch(0) + a_batch(3)
    of = data + a_batch(5, 1)
    assert bytes(in_bytes(tmp_path, of, 2, of=of).data) == of[SIZE:]
    unseen = in_bytes(tmp_path, data, 2, of=of)
    assert (len(unseen.data), unseen.position) == (0, SIZE)
    assert unseen.wanted > SIZE
    wrong = a_batch(0) + a_batch(4) + a_batch(5, 1)
    with pytest.raises(DamagedError, match="offsets 4 to 5 where 2 was due, and then 5"):
        in_bytes(tmp_path, wrong, 2, of=wrong)
