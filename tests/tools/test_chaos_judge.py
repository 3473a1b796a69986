"""What the judge of client journals finds wrong, and what it lets pass."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from tools.chaos.journal import Journal, read_journals
from tools.history.entries import Entry
from tools.history.judge import judge

Journals = dict[str, list[Entry]]
ALL = [(0, 0, 100), (0, 1, 101), (0, 2, 102)]
"""(Partition, offset, value)."""


def client(name: str, about: dict[str, str], *entries: Entry) -> list[Entry]:
    """Entries without times: each gets the next one."""
    return [["client", name, about], *([kind, float(at), *rest] for at, (kind, *rest) in enumerate(entries, 1))]


def producer(*entries: Entry, kind: str = "idempotent") -> list[Entry]:
    return client("producer", {"kind": f"{kind} producer"}, *entries)


def reader(records: Iterable[tuple[int, int, int]]) -> list[Entry]:
    return client("reader", {"kind": "reader"}, ["poll", list(records)], ["end", 0, 3])


def member(*entries: Entry) -> list[Entry]:
    return client("member", {"kind": "group consumer", "group": "g"}, *entries)


def sent(*values: int) -> list[Entry]:
    return [["send", 0, value] for value in values]


def acknowledged(*places: tuple[int, int]) -> list[Entry]:
    return [["ack", 0, value, offset] for value, offset in places]


def good() -> Journals:
    return {
        "producer": producer(*sent(100, 101, 102), *acknowledged((100, 0), (101, 1), (102, 2))),
        "reader": reader(ALL),
        "member": member(["assign", [0]], ["poll", ALL], ["commit", [[0, 3]]]),
    }


def only(journals: Journals) -> str:
    """The one thing that is wrong."""
    problems = judge(journals).problems
    assert len(problems) == 1, problems
    return problems[0]


def test_a_log_that_kept_its_promises_passes() -> None:
    assert judge(good()).problems == []


def test_an_acknowledged_record_that_the_last_reading_does_not_find_is_lost() -> None:
    journals = good() | {"reader": reader(ALL[:2])}
    assert "acknowledged records are lost: 1, as 102 of partition 0, acknowledged at 2" in only(journals)


def test_a_record_is_lost_even_if_a_group_had_read_it() -> None:
    journals = good() | {"reader": reader(ALL[1:])}
    assert "lost: 1, as 100" in only(journals)


def test_without_a_last_reading_what_a_group_read_is_enough() -> None:
    journals = good()
    del journals["reader"]
    assert judge(journals).problems == []


def test_a_reading_that_was_broken_off_says_nothing_of_what_is_lost() -> None:
    journals = good() | {"reader": reader(ALL[:1])[:-1]}
    assert judge(journals).problems == []


def test_an_offset_with_two_values_is_told() -> None:
    journals = good()
    journals["member"] = member(["assign", [0]], ["poll", [(0, 0, 100), (0, 1, 102), (0, 2, 102)]])
    assert any("member read 102 at 1" in each or "read 101 at 1" in each for each in judge(journals).problems)


def test_an_acknowledgement_at_another_offset_is_told() -> None:
    journals = good()
    journals["producer"] = producer(*sent(100, 101, 102), *acknowledged((100, 0), (101, 7), (102, 2)))
    assert "101 of partition 0, acknowledged at 7, is at [1]" in only(journals)


def test_an_acknowledgement_without_an_offset_is_no_mistake() -> None:
    journals = good()
    journals["producer"] = producer(*sent(100, 101, 102), *acknowledged((100, 0), (101, -1), (102, 2)))
    assert judge(journals).problems == []


TWICE = [*ALL, (0, 3, 101)]


def written_twice(kind: str) -> Journals:
    entries = [*sent(100, 101, 102), *acknowledged((100, 0), (101, 1), (102, 2))]
    return {
        "producer": producer(*entries, kind=kind),
        "reader": reader(TWICE),
        "member": member(["assign", [0]], ["poll", TWICE]),
    }


def test_an_idempotent_record_may_be_there_only_once() -> None:
    assert "idempotent records are there twice: 1, as 101 of partition 0 at [1, 3]" in only(written_twice("idempotent"))


def test_a_plain_record_may_be_there_twice() -> None:
    verdict = judge(written_twice("plain"))
    assert verdict.problems == []
    assert verdict.repeated == 1


def test_idempotent_records_keep_their_order() -> None:
    swapped = [(0, 0, 101), (0, 1, 100), (0, 2, 102)]
    journals = good() | {"reader": reader(swapped), "member": member(["assign", [0]], ["poll", swapped])}
    journals["producer"] = producer(*sent(100, 101, 102), *acknowledged((102, 2)))
    assert "another order: 1, as partition 0: 100 at 1 after 101" in only(journals)


def test_records_of_unknown_outcome_may_be_there_or_not() -> None:
    journals = good()
    unknown: list[Entry] = [["unknown", 0, 102, "timed out"], ["unknown", 0, 103, "timed out"]]
    journals["producer"] = producer(*sent(100, 101, 102, 103), *acknowledged((100, 0), (101, 1)), *unknown)
    assert judge(journals).problems == []


def test_a_record_that_failed_for_sure_must_not_be_there() -> None:
    journals = good()
    failed: Entry = ["fail", 0, 102, "queue full"]
    journals["producer"] = producer(*sent(100, 101, 102), *acknowledged((100, 0), (101, 1)), failed)
    assert "failed for sure are there: 1" in only(journals)


def test_a_record_that_nobody_sent_is_told() -> None:
    journals = good()
    journals["producer"] = producer(*sent(100, 101), *acknowledged((100, 0), (101, 1)))
    assert "1 records that nobody sent" in only(journals)


def test_a_member_must_not_go_back_while_it_has_a_partition() -> None:
    journals = good()
    journals["member"] = member(["assign", [0]], ["poll", ALL], ["poll", [(0, 1, 101)]])
    assert "member: went back while reading: 1, as partition 0: 1 after 2" in only(journals)


def test_a_member_must_leave_nothing_out() -> None:
    journals = good() | {"other": member(["assign", [0]], ["poll", ALL])}
    journals["member"] = member(["assign", [0]], ["poll", [ALL[0], ALL[2]]])
    assert "member: left out records: 1, as partition 0: [1] between 0 and 2" in only(journals)


def test_after_a_new_assignment_uncommitted_records_may_come_again() -> None:
    journals = good()
    journals["member"] = member(["assign", [0]], ["poll", ALL], ["revoke", [0], False], ["assign", [0]], ["poll", ALL])
    assert judge(journals).problems == []


def test_what_was_committed_must_not_come_again() -> None:
    journals = good()
    journals["member"] = member(
        ["assign", [0]], ["poll", ALL], ["commit", [[0, 3]]], ["revoke", [0], False], ["assign", [0]], ["poll", ALL]
    )
    assert "g: read again below what was committed: 1, as partition 0: 0 after 3" in only(journals)


def test_a_group_must_read_everything() -> None:
    journals = good()
    journals["member"] = member(["assign", [0]], ["poll", ALL[:2]])
    assert "g: records nobody in it has read, by partition and offset: 1, as (0, 2)" in only(journals)


def test_the_longest_time_without_an_acknowledgement_is_told() -> None:
    journals = good()
    journals["producer"][-1][1] = 60.0
    assert judge(journals).gaps == {0: pytest.approx(55.0)}


def test_journals_come_back_from_their_files(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "one", {"kind": "reader"})
    journal.note("poll", [(0, 1, 2)])
    journal.close()
    (tmp_path / "two.jsonl").write_text("")
    with (tmp_path / "one.jsonl").open("a") as file:
        file.write('["poll", 1.0, [[0')
    (entries,) = read_journals(tmp_path).values()
    assert entries[0] == ["client", "one", {"kind": "reader"}]
    assert [each[0] for each in entries] == ["client", "poll"]
    assert entries[1][2] == [[0, 1, 2]]
