"""What idempotent producers may append next (KIP-98, KIP-360)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sprawl.storage.producers import REMEMBERED_BATCHES, Producer, ProducerStates
from sprawl_protocol.errors import ApiError, ErrorCode
from sprawl_protocol.records import BatchHeader, Record, build_batch, read_header

LAST_SEQUENCE = 2**31 - 1


def batch(
    sequence: int, *, offset: int = 0, count: int = 1, producer: int = 9, epoch: int = 0, time: int = 1_000
) -> BatchHeader:
    records = [Record(0, time, None, b"")] * count
    header = read_header(build_batch(records, producer_id=producer, producer_epoch=epoch, base_sequence=sequence), 0)
    header.base_offset = offset
    return header


def states(*batches: BatchHeader) -> ProducerStates:
    made = ProducerStates()
    for one in batches:
        made.update(one)
    made.commit()
    return made


def known(some: ProducerStates) -> dict[int, Producer]:
    return dict(some.items())


def refusal(some: ProducerStates, header: BatchHeader) -> ErrorCode:
    with pytest.raises(ApiError) as refused:
        some.check(header)
    return refused.value.code


def test_a_producer_that_is_not_known_may_begin_anywhere() -> None:
    assert ProducerStates().check(batch(77, epoch=3)) is None


def test_the_next_sequence_follows_the_last_record() -> None:
    some = states(batch(0, count=3))
    assert some.check(batch(3)) is None
    assert refusal(some, batch(4)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert refusal(some, batch(2)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_sequences_wrap_around() -> None:
    some = states(batch(LAST_SEQUENCE - 1, count=2))
    assert some.check(batch(0)) is None
    assert refusal(some, batch(1)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    some = states(batch(LAST_SEQUENCE, count=3))
    assert some.check(batch(2)) is None


def test_a_repeated_batch_is_answered_with_its_first_place() -> None:
    some = states(*(batch(2 * n, offset=100 + 2 * n, count=2) for n in range(REMEMBERED_BATCHES)))
    for n in range(REMEMBERED_BATCHES):
        found = some.check(batch(2 * n, count=2, offset=999))
        assert found is not None
        assert (found.base_offset, found.last_offset) == (100 + 2 * n, 101 + 2 * n)


def test_a_batch_longer_ago_than_a_client_may_have_in_flight_is_out_of_order() -> None:
    some = states(*(batch(n, offset=n) for n in range(REMEMBERED_BATCHES + 1)))
    assert len(some[9].batches) == REMEMBERED_BATCHES
    assert refusal(some, batch(0)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert some.check(batch(1)) is not None


def test_the_same_sequence_with_another_number_of_records_is_no_repetition() -> None:
    assert refusal(states(batch(0, count=2)), batch(0, count=3)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER


def test_a_newer_epoch_begins_with_sequence_0_and_fences_the_older() -> None:
    some = states(batch(0), batch(1))
    assert refusal(some, batch(2, epoch=1)) is ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert some.check(batch(0, epoch=1)) is None, "not taken for the older epoch's batch 0"
    some.update(batch(0, epoch=1))
    assert refusal(some, batch(2)) is ErrorCode.INVALID_PRODUCER_EPOCH
    assert len(some[9].batches) == 1, "batches of an older epoch count no more"


def test_what_was_not_committed_is_taken_back() -> None:
    some = states(batch(0, producer=1))
    before = known(some)
    some.update(batch(1, producer=1))
    some.update(batch(2, producer=1))
    some.update(batch(0, producer=2))
    some.roll_back()
    assert known(some) == before
    assert 2 not in some
    some.update(batch(1, producer=1))
    some.commit()
    some.roll_back()
    assert some[1].batches[-1].base_sequence == 1


def test_the_state_behind_some_of_the_batches_that_wait() -> None:
    some = states(batch(0))
    waiting = [batch(1, offset=1), batch(2, offset=2), batch(0, offset=3, producer=5)]
    for one in waiting:
        some.note(one)
    now = known(some)
    assert known(some.after([])) == known(states(batch(0)))
    assert known(some.after(waiting[:1])) == known(states(batch(0), batch(1, offset=1)))
    assert known(some.after(waiting)) == now
    assert known(some) == now, "asking changes nothing"


def test_a_state_that_is_restored_is_not_taken_back() -> None:
    some = states(batch(0))
    some.update(batch(1))
    other = states(batch(7, producer=3))
    some.restore(other)
    some.roll_back()
    assert known(some) == known(other)
    some.update(batch(8, producer=3))
    assert len(other[3].batches) == 1, "the other does not change with it"


def test_batches_without_a_producer_and_control_batches_are_not_noted() -> None:
    some = ProducerStates()
    some.note(batch(-1, producer=-1, epoch=-1))
    control = batch(0)
    control.attributes |= 1 << 5
    some.note(control)
    assert len(some) == 0


def test_silent_producers_expire_unless_a_batch_of_theirs_waits() -> None:
    some = states(batch(0, producer=1, time=1_000), batch(0, producer=2, time=5_000), batch(0, producer=3, time=0))
    some.update(batch(1, producer=3, time=0))
    some.expire(6_000, 5_000)
    assert sorted(known(some)) == [1, 2, 3]
    some.expire(6_001, 5_000)
    assert sorted(known(some)) == [2, 3]
    some.commit()
    some.expire(6_001, 5_000)
    assert sorted(known(some)) == [2]


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 3), st.integers(1, 4)), max_size=30))
def test_a_dump_is_read_back_as_it_was(history: list[tuple[int, int, int]]) -> None:
    some = states(
        *(
            batch(n, offset=n * 10, producer=producer % 7 or producer, epoch=epoch, count=count, time=n)
            for n, (producer, epoch, count) in enumerate(history)
        )
    )
    dumped = some.dump()
    assert known(ProducerStates.load(dumped)) == known(some)
    for end in range(max(len(dumped) - 25, 0), len(dumped)):
        try:
            assert len(ProducerStates.load(dumped[:end])) < len(some), "cut between two producers"
        except ValueError:
            continue
