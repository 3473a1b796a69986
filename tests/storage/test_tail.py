"""The newest batches in memory, under one budget."""

from __future__ import annotations

from sprawl.storage.tail import MemoryBudget, Tail, TailEntry

_OF_AN_ENTRY = TailEntry(0, 1, memoryview(b"")).pinned


def entry(base: int, records: int = 1, size: int = 100, *, written: bool = True) -> TailEntry:
    made = TailEntry(base, base + records, memoryview(bytes([base % 256]) * size))
    made.written = written
    return made


def tail_of(budget: MemoryBudget, *entries: TailEntry) -> Tail:
    tail = Tail(budget)
    for one in entries:
        tail.append(one)
    return tail


def bases(
    tail: Tail, offset: int, until: int = 1 << 40, room: int = 1_000_000, minimum_one: bool = True
) -> list[int] | None:
    found = tail.find(offset, until, room, minimum_one)
    return None if found is None else [one.base_offset for one in found]


def large() -> MemoryBudget:
    return MemoryBudget(1 << 30)


def test_what_is_not_held_must_be_looked_for_elsewhere() -> None:
    assert bases(Tail(large()), 0) is None
    assert Tail(large()).start_offset is None
    tail = tail_of(large(), entry(10, 5))
    assert tail.start_offset == 10
    assert bases(tail, 9) is None


def test_reading_begins_with_the_batch_that_holds_the_offset() -> None:
    tail = tail_of(large(), entry(10, 5), entry(15, 5), entry(20, 5))
    assert bases(tail, 10) == [10, 15, 20]
    assert bases(tail, 14) == [10, 15, 20]
    assert bases(tail, 15) == [15, 20]
    assert bases(tail, 25) == [], "the end of the log"


def test_in_a_gap_between_batches_the_next_one_comes() -> None:
    tail = tail_of(large(), entry(10, 5), entry(30, 5))
    assert bases(tail, 20) == [30]


def test_reading_stops_before_the_bound() -> None:
    tail = tail_of(large(), entry(10, 5), entry(15, 5), entry(20, 5))
    assert bases(tail, 10, until=20) == [10, 15]
    assert bases(tail, 10, until=16) == [10, 15], "a batch that begins below it"
    assert bases(tail, 10, until=10) == []


def test_reading_stops_at_the_size_but_for_the_first() -> None:
    tail = tail_of(large(), entry(0), entry(1), entry(2))
    assert bases(tail, 0, room=200) == [0, 1]
    assert bases(tail, 0, room=299) == [0, 1]
    assert bases(tail, 0, room=10) == [0]
    assert bases(tail, 0, room=10, minimum_one=False) == []


def test_a_small_part_of_a_large_buffer_is_copied_and_a_large_part_is_not() -> None:
    buffer = bytearray(1_000)
    small = TailEntry(0, 1, memoryview(buffer)[:100])
    assert small.buffer.obj is not buffer
    assert small.pinned == _OF_AN_ENTRY + 100
    half = TailEntry(0, 1, memoryview(buffer)[:500])
    assert half.buffer.obj is buffer
    assert half.pinned == _OF_AN_ENTRY + 1_000, "it keeps all of it"


def test_over_budget_the_oldest_of_all_logs_go_first() -> None:
    budget = MemoryBudget(4 * (_OF_AN_ENTRY + 100))
    one, two = Tail(budget), Tail(budget)
    for base in range(4):
        one.append(entry(base))
        two.append(entry(base))
    budget.shrink()
    assert (one.start_offset, two.start_offset) == (2, 2)
    assert budget.used == budget.limit
    one.append(entry(4))
    budget.shrink()
    assert (one.start_offset, two.start_offset) == (3, 2)


def test_what_is_not_in_a_file_yet_is_never_evicted() -> None:
    budget = MemoryBudget(0)
    waiting = entry(0, written=False)
    tail = tail_of(budget, waiting, entry(1))
    budget.shrink()
    assert tail.start_offset == 0
    waiting.written = True
    budget.shrink()
    assert bases(tail, 0) is None
    assert budget.used == 0


def test_what_was_evicted_or_cut_lets_go_of_its_buffer() -> None:
    budget = MemoryBudget(0)
    evicted, cut = entry(0), entry(1)
    tail = tail_of(budget, evicted, cut)
    tail.truncate(1)
    assert (cut.evicted, cut.buffer.nbytes) == (True, 0)
    budget.shrink()
    assert (evicted.evicted, evicted.buffer.nbytes) == (True, 0)
    assert budget.used == 0


def test_a_cut_drops_batches_that_hold_anything_behind_it() -> None:
    budget = large()
    tail = tail_of(budget, entry(0, 5), entry(5, 5), entry(10, 5))
    tail.truncate(12)
    assert bases(tail, 0) == [0, 5]
    tail.truncate(10)
    assert bases(tail, 0) == [0, 5], "it ends right there"
    tail.truncate(6)
    assert bases(tail, 0) == [0]
    tail.append(entry(5, 2))
    assert bases(tail, 0) == [0, 5]
    tail.clear()
    assert bases(tail, 0) is None
    assert budget.used == 0


def test_entries_that_a_cut_dropped_do_not_hold_up_eviction() -> None:
    budget = MemoryBudget(0)
    unwritten = entry(0, written=False)
    one = tail_of(budget, unwritten)
    other = tail_of(budget, entry(0))
    one.truncate(0)
    budget.shrink()
    assert (one.start_offset, other.start_offset, budget.used) == (None, None, 0)


def test_a_long_life_keeps_no_list_of_the_dead() -> None:
    budget = MemoryBudget(10 * (_OF_AN_ENTRY + 1))
    tail = Tail(budget)
    for base in range(10_000):
        tail.append(entry(base, size=1))
        budget.shrink()
    assert bases(tail, 9_995) == [9_995, 9_996, 9_997, 9_998, 9_999]
    assert tail.start_offset == 9_990
    assert len(tail._entries) < 2_000
