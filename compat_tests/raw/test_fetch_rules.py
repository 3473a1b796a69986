"""Fetch: limits, ranges and incremental sessions (KIP-227)."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import pytest

from compat_tests.conftest import MakeTopic
from compat_tests.raw.batches import batch, records
from compat_tests.raw.conftest import Connection, fetch_request, fetched, id_of, produce, produce_request
from compat_tests.raw.wire import message
from compat_tests.waiting import until

sessions = pytest.mark.feature("fetch sessions")
errors = pytest.mark.feature("errors")


@errors
def test_the_first_batch_comes_even_if_it_is_larger_than_allowed(connection: Connection, topic: str) -> None:
    topic_id = id_of(connection, topic)
    for _ in range(3):
        produce(connection, topic, b"x" * 5000)
    asked = fetch_request(topic, 0, topic_id=topic_id, max_bytes=100, partition_max_bytes=100)
    found = records(fetched(connection.ask(asked, 13)).records)
    assert [each.offset for each in found] == [0]


@errors
def test_limits_count_whole_batches(connection: Connection, topic: str) -> None:
    topic_id = id_of(connection, topic)
    for _ in range(10):
        produce(connection, topic, b"x" * 1000)
    asked = fetch_request(topic, 0, topic_id=topic_id, partition_max_bytes=3500)
    found = records(fetched(connection.ask(asked, 13)).records)
    assert [each.offset for each in found] == [0, 1, 2]


@errors
@pytest.mark.parametrize("offset", [-1, 11, 1 << 40])
def test_an_offset_out_of_range_is_told_at_once(connection: Connection, topic: str, offset: int) -> None:
    topic_id = id_of(connection, topic)
    produce(connection, topic, *[b"v"] * 10)
    part = fetched(connection.ask(fetch_request(topic, offset, topic_id=topic_id, max_wait_ms=20_000), 13))
    assert part.error_code == 1
    assert fetched(connection.ask(fetch_request(topic, 10, topic_id=topic_id, max_wait_ms=0), 13)).error_code == 0


@errors
def test_unknown_topics_partitions_and_ids_are_told(connection: Connection, topic: str) -> None:
    topic_id = id_of(connection, topic)
    assert fetched(connection.ask(fetch_request("no-such-topic", 0), 12)).error_code == 3
    assert fetched(connection.ask(fetch_request(topic, 0, topic_id=topic_id, partition=9), 13)).error_code == 3
    assert fetched(connection.ask(fetch_request("", 0, topic_id=uuid.UUID(int=42)), 13)).error_code == 100


@errors
@pytest.mark.parametrize(("epoch", "expected"), [(0, 0), (-1, 0), (7, 75)])
def test_a_leader_epoch_that_is_ahead_is_told(connection: Connection, topic: str, epoch: int, expected: int) -> None:
    topic_id = id_of(connection, topic)
    produce(connection, topic, b"v")
    asked = fetch_request(topic, 0, topic_id=topic_id)
    asked.topics[0].partitions[0].current_leader_epoch = epoch
    assert fetched(connection.ask(asked, 13)).error_code == expected


@pytest.mark.feature("produce and consume")
@pytest.mark.parametrize("isolation_level", [0, 1])
def test_both_isolation_levels_see_what_is_not_transactional(
    connection: Connection, topic: str, isolation_level: int
) -> None:
    topic_id = id_of(connection, topic)
    produce(connection, topic, b"a", b"b")
    part = fetched(connection.ask(fetch_request(topic, 0, topic_id=topic_id, isolation_level=isolation_level), 13))
    assert [each.value for each in records(part.records)] == [b"a", b"b"]
    assert part.last_stable_offset == 2


def session_request(
    topic: str, topic_id: uuid.UUID, session: tuple[int, int], offsets: dict[int, int], forgotten: tuple[int, ...] = ()
) -> Any:
    request = message("FetchRequest")
    parts = [
        request.FetchTopic.FetchPartition(partition=partition, fetch_offset=offset, partition_max_bytes=1 << 20)
        for partition, offset in offsets.items()
    ]
    dropped = [request.ForgottenTopic(topic=topic, topic_id=topic_id, partitions=list(forgotten))] if forgotten else []
    return request(
        replica_id=-1,
        max_wait_ms=100,
        min_bytes=1,
        max_bytes=1 << 20,
        session_id=session[0],
        session_epoch=session[1],
        topics=[request.FetchTopic(topic=topic, topic_id=topic_id, partitions=parts)] if parts else [],
        forgotten_topics_data=dropped,
        rack_id="",
    )


def told(answer: Any) -> dict[int, list[bytes]]:
    """The partitions an answer speaks of, with the values in each."""
    return {
        part.partition_index: [each.value for each in records(part.records)]
        for topic in answer.responses
        for part in topic.partitions
    }


@sessions
@pytest.mark.parametrize("version", [7, 11, 12, 13, 16])
def test_an_incremental_fetch_tells_only_what_is_new(
    connection: Connection, new_topic: MakeTopic, version: int
) -> None:
    topic = new_topic(partitions=3)
    topic_id = id_of(connection, topic)

    steps = itertools.count(1)

    def ask(offsets: dict[int, int], *forgotten: int) -> dict[int, list[bytes]]:
        return told(
            connection.ask(session_request(topic, topic_id, (number, next(steps)), offsets, forgotten), version)
        )

    def write(partition: int, value: bytes) -> None:
        connection.ask(produce_request(topic, batch(value), partition=partition), 9)

    full = connection.ask(session_request(topic, topic_id, (0, 0), {0: 0, 1: 0, 2: 0}), version)
    number = full.session_id
    assert (full.error_code, set(told(full))) == (0, {0, 1, 2})
    assert number > 0
    # A partition just made may still have its first high watermark to tell.
    until("nothing new", lambda: ask({}) == {})
    write(1, b"one")
    assert ask({}) == {1: [b"one"]}
    write(1, b"two")
    write(2, b"three")
    assert ask({1: 1}) == {1: [b"two"], 2: [b"three"]}
    until("nothing new", lambda: ask({1: 2, 2: 1}) == {})
    write(0, b"four")
    assert ask({}, 0) == {}, "partition 0 was dropped from the session"
    assert ask({0: 0}) == {0: [b"four"]}, "and is back"


@sessions
def test_sessions_that_are_not_known_or_out_of_step_are_told(connection: Connection, topic: str) -> None:
    topic_id = id_of(connection, topic)

    def error(session: tuple[int, int]) -> int:
        return int(connection.ask(session_request(topic, topic_id, session, {0: 0}), 13).error_code)

    assert error((987_654, 3)) == 70
    opened = connection.ask(session_request(topic, topic_id, (0, 0), {0: 0}), 13).session_id
    assert error((opened, 5)) == 71
    assert error((opened, 1)) == 0, "the session is still at its epoch"


@sessions
def test_a_session_ends_when_asked(connection: Connection, topic: str) -> None:
    topic_id = id_of(connection, topic)
    opened = connection.ask(session_request(topic, topic_id, (0, 0), {0: 0}), 13).session_id
    closing = connection.ask(session_request(topic, topic_id, (opened, -1), {0: 0}), 13)
    assert (closing.error_code, closing.session_id) == (0, 0)
    again = connection.ask(session_request(topic, topic_id, (opened, 1), {0: 0}), 13)
    assert again.error_code == 70
