"""The journal: in order, many at once, and not for ever growing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from sprawl.groups.journal import Journal
from sprawl.groups.log import KeyValue
from sprawl_protocol.errors import ApiError, ErrorCode
from tests.groups.fakes import EPOCH, FakeLog, on_virtual_time, settle

NOT_LEADER = ApiError(ErrorCode.NOT_LEADER_OR_FOLLOWER, "moved")


def journal_of(log: FakeLog, live: dict[bytes, bytes] | None = None, snapshot_bytes: int = 10**9) -> Journal:
    def snapshot() -> Iterator[Sequence[KeyValue]]:
        for key in list(live or {}):
            if live and key in live:
                yield [(key, live[key])]

    return Journal(log, 0, EPOCH, snapshot, snapshot_bytes)


class Outcomes:
    def __init__(self) -> None:
        self.seen: list[str] = []

    def of(self, name: str) -> object:
        def done(error: ApiError | None) -> None:
            self.seen.append(name if error is None else f"{name}: {error.code.name}")

        return done


@on_virtual_time
async def test_what_waits_goes_into_one_append_and_is_done_in_order() -> None:
    log, outcomes = FakeLog(), Outcomes()
    journal = journal_of(log)
    for name in ("first", "second", "third"):
        journal.write([(name.encode(), b"")], outcomes.of(name))  # type: ignore[arg-type]
    task = asyncio.create_task(journal.run())
    await settle()
    assert log.appends == [3]
    assert outcomes.seen == ["first", "second", "third"]
    task.cancel()


@on_virtual_time
async def test_a_refused_append_is_told_and_the_next_is_tried() -> None:
    log, outcomes = FakeLog(), Outcomes()
    log.refuses = [NOT_LEADER]
    journal = journal_of(log)
    task = asyncio.create_task(journal.run())
    journal.write([(b"k", b"v")], outcomes.of("first"))  # type: ignore[arg-type]
    await settle()
    journal.write([(b"k", b"v")], outcomes.of("second"))  # type: ignore[arg-type]
    await settle()
    assert outcomes.seen == ["first: NOT_LEADER_OR_FOLLOWER", "second"]
    task.cancel()


@on_virtual_time
async def test_a_large_backlog_is_split() -> None:
    log, outcomes = FakeLog(), Outcomes()
    journal = journal_of(log)
    for number in range(4):
        journal.write([(b"k", bytes(100_000))], outcomes.of(str(number)))  # type: ignore[arg-type]
    task = asyncio.create_task(journal.run())
    await settle()
    assert log.appends == [2, 2]
    task.cancel()


@on_virtual_time
async def test_records_that_depend_on_the_state_are_made_when_all_before_them_is_done() -> None:
    log, outcomes = FakeLog(), Outcomes()
    journal = journal_of(log)
    journal.write([(b"k", b"v")], outcomes.of("first"))  # type: ignore[arg-type]
    journal.write_built(lambda: [(b"seen", ",".join(outcomes.seen).encode())], outcomes.of("built"))  # type: ignore[arg-type]
    journal.write([(b"k", b"v")], outcomes.of("last"))  # type: ignore[arg-type]
    task = asyncio.create_task(journal.run())
    await settle()
    assert (b"seen", b"first") in [(key, value) for _, key, value in log.partitions[0]]
    assert outcomes.seen == ["first", "built", "last"]
    task.cancel()


@on_virtual_time
async def test_what_cannot_be_made_is_refused_alone() -> None:
    log, outcomes = FakeLog(), Outcomes()
    journal = journal_of(log)

    def build() -> Sequence[KeyValue]:
        raise ApiError(ErrorCode.NON_EMPTY_GROUP, "members")

    journal.write_built(build, outcomes.of("built"))  # type: ignore[arg-type]
    journal.write([(b"k", b"v")], outcomes.of("next"))  # type: ignore[arg-type]
    task = asyncio.create_task(journal.run())
    await settle()
    assert outcomes.seen == ["built: NON_EMPTY_GROUP", "next"]
    task.cancel()


@on_virtual_time
async def test_closing_tells_all_that_waits_and_all_that_comes() -> None:
    log, outcomes = FakeLog(), Outcomes()
    log.gate = asyncio.Event()
    journal = journal_of(log)
    task = asyncio.create_task(journal.run())
    journal.write([(b"k", b"v")], outcomes.of("in flight"))  # type: ignore[arg-type]
    await settle()
    journal.write([(b"k", b"v")], outcomes.of("queued"))  # type: ignore[arg-type]
    task.cancel()
    await settle()
    journal.close(NOT_LEADER)
    journal.write([(b"k", b"v")], outcomes.of("late"))  # type: ignore[arg-type]
    assert [each.split(":")[0] for each in outcomes.seen] == ["in flight", "queued", "late"]
    assert all(each.endswith("NOT_LEADER_OR_FOLLOWER") for each in outcomes.seen)


@on_virtual_time
async def test_too_much_waiting_is_refused() -> None:
    journal = journal_of(FakeLog())
    journal.check_room()
    journal.write([(b"k", bytes(17 * 1024 * 1024))], lambda _: None)
    try:
        journal.check_room()
    except ApiError as refusal:
        assert refusal.code is ErrorCode.COORDINATOR_NOT_AVAILABLE
    else:
        raise AssertionError("17 MiB may not wait")


@on_virtual_time
async def test_a_grown_log_is_written_anew_and_trimmed() -> None:
    log = FakeLog()
    live: dict[bytes, bytes] = {}
    journal = journal_of(log, live, snapshot_bytes=2_000)
    task = asyncio.create_task(journal.run())
    for number in range(300):
        key, value = f"key-{number % 3}".encode(), f"value {number}".encode()

        def apply(error: ApiError | None, key: bytes = key, value: bytes = value) -> None:
            assert error is None
            live[key] = value

        journal.write([(key, value)], apply)
        await settle()
    replayed = {key: value for _, key, value in log.partitions[0]}
    assert replayed == live == {b"key-0": b"value 297", b"key-1": b"value 298", b"key-2": b"value 299"}
    assert len(log.trims) >= 2 and log.trims == sorted(log.trims)
    assert len(log.partitions[0]) < 200, "the log was not trimmed"
    task.cancel()


@on_virtual_time
async def test_what_changes_during_a_snapshot_is_not_undone_by_it() -> None:
    """Each chunk holds the state of its moment: an older one written later would put offsets back."""
    log = FakeLog()
    live = {b"a": b"old", b"b": b"old", b"c": b"old"}
    journal = journal_of(log, live, snapshot_bytes=0)
    task = asyncio.create_task(journal.run())
    values = iter(range(1000))
    for _ in range(30):
        for key in (b"a", b"b", b"c"):
            value = str(next(values)).encode()

            def apply(error: ApiError | None, key: bytes = key, value: bytes = value) -> None:
                live[key] = value

            journal.write([(key, value)], apply)
            await asyncio.sleep(0)
    await settle()
    assert {key: value for _, key, value in log.partitions[0]} == live
    assert log.trims
    task.cancel()


@on_virtual_time
async def test_a_snapshot_that_fails_costs_nothing_but_itself() -> None:
    log, outcomes = FakeLog(), Outcomes()
    journal = journal_of(log, {b"live": b"state"}, snapshot_bytes=0)
    task = asyncio.create_task(journal.run())
    log.refuses = []
    journal.write([(b"k", b"v")], lambda _: log.refuses.append(NOT_LEADER))
    await settle()
    assert log.trims == []
    journal.write([(b"k", b"v")], outcomes.of("next"))  # type: ignore[arg-type]
    await settle()
    assert outcomes.seen == ["next"]
    assert log.trims, "the next one succeeds"
    task.cancel()


@on_virtual_time
async def test_a_large_live_state_is_not_written_again_for_every_little_growth() -> None:
    log = FakeLog()
    live = {str(number).encode(): bytes(100) for number in range(100)}
    journal = journal_of(log, live, snapshot_bytes=100)
    task = asyncio.create_task(journal.run())
    for _ in range(150):
        journal.write([(b"1", bytes(100))], lambda _: None)
        await settle()
    assert 1 <= len(log.trims) <= 3, "10,000 bytes live, 15,000 written"
    task.cancel()
