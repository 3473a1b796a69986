"""What the judge of histories demands beyond single journals: an order of sending, and that what was read stays."""

from __future__ import annotations

import pytest

from tools.history.entries import Entry
from tools.history.judge import judge
from tools.history.ledger import HistoryError, Ledger

Journals = dict[str, list[Entry]]
ALL = [[0, 0, 100], [0, 1, 101], [0, 2, 102]]
"""[Partition, offset, value]."""


def journal(name: str, kind: str, *entries: Entry) -> list[Entry]:
    return [["client", name, {"kind": kind}], *entries]


def producer(name: str, *entries: Entry) -> list[Entry]:
    return journal(name, "plain producer", *entries)


def reader(*records: list[int]) -> list[Entry]:
    return journal("reader", "reader", ["poll", 99.0, list(records)], ["end", 99.0, 0, len(records)])


def consumer(*entries: Entry) -> list[Entry]:
    return journal("consumer", "consumer", *entries)


def kept() -> Journals:
    """Two producers; the second begins once the first is done."""
    return {
        "one": producer("one", ["send", 1.0, 0, 100], ["ack", 2.0, 0, 100, 0], ["send", 3.0, 0, 101]),
        "two": producer("two", ["send", 4.0, 0, 102], ["ack", 5.0, 0, 102, 2]),
        "reader": reader(*ALL),
        "consumer": consumer(["seek", 0.0, 0, 0], ["poll", 6.0, ALL[:2]], ["poll", 7.0, ALL[2:]]),
    }


def only(journals: Journals) -> str:
    problems = judge(journals).problems
    assert len(problems) == 1, problems
    return problems[0]


def test_a_history_that_is_in_order_passes() -> None:
    assert judge(kept()).problems == []


def test_what_was_sent_after_an_acknowledgement_stands_behind_it() -> None:
    journals = kept()
    journals["late"] = producer("late", ["send", 6.0, 0, 103], ["ack", 8.0, 0, 103, -1])
    swapped = [[0, 0, 100], [0, 1, 103], [0, 2, 102]]
    del journals["consumer"]
    journals["reader"] = reader(*swapped)
    assert "103, sent at 6.000, is at 1; before that 102 was acknowledged at 2" in only(journals)


def test_what_was_sent_before_an_acknowledgement_may_stand_on_either_side() -> None:
    journals = kept()
    journals["one"][3][1] = 4.5
    assert judge(journals).problems == []


def test_what_was_read_is_there_at_the_end() -> None:
    journals = kept() | {"reader": reader(ALL[0])}
    del journals["two"]
    journals["consumer"] = consumer(["seek", 0.0, 0, 0], ["poll", 6.0, ALL[:2]])
    assert "read, and are not there at the end, by partition and offset: 1, as (0, 1)" in only(journals)


def test_a_consumer_reads_from_where_it_seeks_to() -> None:
    journals = kept()
    journals["consumer"] = consumer(
        ["seek", 0.0, 0, 1], ["poll", 6.0, ALL[1:]], ["seek", 7.0, 0, 0], ["poll", 8.0, ALL]
    )
    assert judge(journals).problems == []
    journals["consumer"] = consumer(["seek", 0.0, 0, 0], ["poll", 6.0, ALL[1:]])
    assert "consumer: left out records: 1, as partition 0: [0] between -1 and 1" in only(journals)


def test_a_consumer_does_not_go_back_without_seeking() -> None:
    journals = kept()
    journals["consumer"] = consumer(["seek", 0.0, 0, 0], ["poll", 6.0, ALL], ["poll", 7.0, ALL[1:]])
    assert "consumer: went back while reading: 1, as partition 0: 1 after 2" in only(journals)


def test_a_ledger_refuses_two_values_at_one_offset_and_two_offsets_of_one_value() -> None:
    ledger = Ledger("orders-0")
    ledger.saw(0, 7)
    ledger.saw(0, 7)
    with pytest.raises(HistoryError, match="there was 7, now there is 8"):
        ledger.saw(0, 8)
    with pytest.raises(HistoryError, match="at offset 0 and at offset 1"):
        ledger.saw(1, 7)
